"""Signs of life: connections are pinged, and those that show none are closed."""

from typing import Final, Protocol, final

import trio

from .._model.limits import Limits
from ..ports.clock import Clock
from .session import Session

# Connections looked at between two checkpoints: about a millisecond.
_BEATS_PER_TURN: Final = 500
_INTERVAL_S: Final = 1.0


class Connection(Protocol):
    """A connection as the engine sees it: something with a session that must stay alive."""

    session: Session

    def beat(self, now: float) -> None:
        """Ping, or close what shows no sign of life. Called about once a second."""
        ...


@final
class Heartbeat:
    """The connections of a node, by nothing but themselves."""

    def __init__(self, clock: Clock, limits: Limits) -> None:
        self._clock = clock
        self._notice_ms = int(limits.token_notice_s * 1000)
        self.connections: dict[Connection, None] = {}
        self._left = trio.Event()

    def join(self, connection: Connection) -> None:
        """Begin to look after a connection."""
        self.connections[connection] = None

    def leave(self, connection: Connection) -> None:
        """Forget a connection."""
        self.connections.pop(connection, None)
        self._left.set()

    async def wait_empty(self) -> None:
        """Wait until all connections have gone."""
        while self.connections:
            if self._left.is_set():
                self._left = trio.Event()
            await self._left.wait()

    async def run(self) -> None:
        """Beat for as long as the engine lives."""
        while True:
            await trio.sleep(_INTERVAL_S)
            connections = list(self.connections)
            for start in range(0, len(connections), _BEATS_PER_TURN):
                await trio.lowlevel.checkpoint()
                for connection in connections[start : start + _BEATS_PER_TURN]:
                    self._beat(connection)

    def _beat(self, connection: Connection) -> None:
        connection.beat(trio.current_time())
        session = connection.session
        soon = self._clock.now_ms() + self._notice_ms
        if session.expires_at and session.expires_at < soon and not session.noticed:
            session.notice_expiry()
