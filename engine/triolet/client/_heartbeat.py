"""Whether the server is still there: a ping after one heartbeat of silence, the end after two."""

from enum import Enum
from typing import final

from .limits import ClientLimits


@final
class Beat(Enum):
    """What silence calls for."""

    NOTHING = "nothing"
    PING = "ping"
    GIVE_UP = "give up"


@final
class Heartbeat:
    """How long the server has been silent on one connection, in seconds.

    WebSocket pings do not count: they are answered below, and a link need not tell of them.
    """

    def __init__(self, limits: ClientLimits) -> None:
        self._limits = limits
        self._greeted_at = 0.0
        self._heard_at = 0.0
        # None until the welcome names it.
        self._interval_s: float | None = None
        # When the silence was answered by a ping; None: not yet.
        self._pinged_at: float | None = None

    def greeted(self, now: float) -> None:
        """`hello` has left."""
        self._greeted_at = now
        self._interval_s = None

    def welcomed(self, interval_s: float) -> None:
        """The server has named its heartbeat."""
        self._interval_s = interval_s

    def heard(self, now: float) -> None:
        """Something has arrived."""
        self._heard_at = now
        self._pinged_at = None

    @property
    def due(self) -> float:
        """When `beat` is to be asked."""
        if self._interval_s is None:
            return self._greeted_at + self._limits.welcome_timeout_s
        pinged_at = self._heard_at + self._interval_s
        if self._pinged_at is None:
            return pinged_at
        # A ping that left late (the process was busy, or asleep) has its interval all the same.
        return max(pinged_at, self._pinged_at) + self._interval_s + self._limits.silence_margin_s

    def beat(self, now: float) -> Beat:
        """Return what to do now."""
        if now < self.due:
            return Beat.NOTHING
        if self._interval_s is None or self._pinged_at is not None:
            return Beat.GIVE_UP
        self._pinged_at = now
        return Beat.PING
