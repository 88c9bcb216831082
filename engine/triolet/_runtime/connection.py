"""What carries a session: a socket, a pipe, or something of a host's."""

from typing import TYPE_CHECKING, Protocol

from .customers import Customer

if TYPE_CHECKING:
    from .session import Session


class Connection(Protocol):
    """What carries a session, as the session and the engine see it.

    Attributes:
        session: what is carried.
        customer: whom it counts for; None: it does not.
    """

    session: "Session"
    customer: Customer | None

    def beat(self, now: float) -> None:
        """Ping, or close what shows no sign of life. Called about once a second."""
        ...

    def interrupt(self) -> None:
        """The session is to end: stop waiting for anything, and say goodbye.

        Called by whoever closes it, also from within `Session.receive`.
        """
        ...

    def leave(self) -> None:
        """The engine ends: say goodbye, if that has not begun."""
        ...
