"""Where the gate and the domain meet: on which role somebody's request is decided."""

from .._model.entries import Role
from .._model.errors import ErrorCode, Refusal
from ..ports.gate import Action
from .seat import Seat
from .session import Session


def may(session: Session, action: Action, *, room: str = "", user: str = "") -> bool | None:
    """Ask the gate; None: it leaves the decision to the engine's own rules."""
    assert session.identity is not None, "only admitted sessions ask for anything"
    return session.engine.gate.may(session.identity, action, room=room, user=user)


def role_for(session: Session, seat: Seat, action: Action) -> Role | None:
    """Return the role on which to decide: the seat's, unless the gate overrules it.

    Raises:
        Refusal: `FORBIDDEN`, by the gate's word.
    """
    identity = session.identity
    assert identity is not None, "only admitted sessions ask for anything"
    verdict = session.engine.gate.may(identity, action, room=seat.room.name)
    if verdict is None:
        return seat.role
    if verdict:
        return "owner"
    raise Refusal(ErrorCode.FORBIDDEN)


def require(session: Session, action: Action, *, room: str, user: str = "") -> None:
    """Refuse what the gate forbids; what it leaves open is allowed.

    Raises:
        Refusal: `FORBIDDEN`.
    """
    if may(session, action, room=room, user=user) is False:
        raise Refusal(ErrorCode.FORBIDDEN)
