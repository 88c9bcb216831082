"""Where the gate and the domain meet: on which role somebody's request is decided."""

from .._model.entries import Role
from .._model.errors import ErrorCode, Refusal
from ..ports.gate import Action
from .asker import Asker
from .seat import Seat


def may(asker: Asker, action: Action, *, room: str = "", user: str = "") -> bool | None:
    """Ask the gate; None: it leaves the decision to the engine's own rules."""
    assert asker.identity is not None, "only the admitted ask for anything"
    return asker.engine.gate.may(asker.identity, action, room=room, user=user)


def role_for(asker: Asker, seat: Seat, action: Action) -> Role | None:
    """Return the role on which to decide: the seat's, unless the gate overrules it.

    Raises:
        Refusal: `FORBIDDEN`, by the gate's word.
    """
    identity = asker.identity
    assert identity is not None, "only the admitted ask for anything"
    verdict = asker.engine.gate.may(identity, action, room=seat.room.name)
    if verdict is None:
        return seat.role
    if verdict:
        return "owner"
    raise Refusal(ErrorCode.FORBIDDEN)


def require(asker: Asker, action: Action, *, room: str, user: str = "") -> None:
    """Refuse what the gate forbids; what it leaves open is allowed.

    Raises:
        Refusal: `FORBIDDEN`.
    """
    if may(asker, action, room=room, user=user) is False:
        raise Refusal(ErrorCode.FORBIDDEN)
