"""One user who is here: their sessions, how they are seen, and what they may still ask for."""

from typing import TYPE_CHECKING, final

from .._domain.presence import PresenceState
from .._model.commands import VisibleTo
from .._model.events import VisibleStatus
from .._model.limits import Limits
from .rates import Kind, UserRates

if TYPE_CHECKING:
    from .session import Session


@final
class Present:
    """A user with a session, or in the grace after the last one."""

    __slots__ = (
        "kept",
        "kept_at",
        "known",
        "last_seen",
        "nodes",
        "rates",
        "sessions",
        "shown",
        "state",
        "user",
        "visible_to",
    )

    def __init__(self, user: str) -> None:
        self.user = user
        self.state = PresenceState.OFFLINE
        self.sessions: dict[str, Session] = {}
        # `dnd` or `invisible`, once `known`: before it is read, nobody is told anything.
        self.kept = ""
        # When that was said (ms); 0: before the user came here.
        self.kept_at = 0
        self.known = False
        # As the store had it when the user came, or has been said since; None: not known yet.
        self.visible_to: VisibleTo | None = None
        self.shown: VisibleStatus = "offline"
        self.last_seen = 0
        # Made by the first command that counts; services have none.
        self.rates: UserRates | None = None
        # How many nodes have sessions of the user, as far as is known here: each admits its part
        # of what one would.
        self.nodes = 1

    def take_command(self, kind: Kind, factor: float, limits: Limits, now: float) -> float:
        """Admit one command and return 0.0, or return how long to wait, s: see `UserRates`."""
        if self.rates is None:
            self.rates = UserRates(limits, self.nodes)
        return self.rates.take(kind, factor, now)

    def share(self, nodes: int) -> None:
        """Sessions of the user are on so many nodes."""
        if nodes != self.nodes:
            self.nodes = nodes
            if self.rates is not None:
                self.rates.share(nodes)
