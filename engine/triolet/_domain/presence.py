"""What others see of somebody: tables of states, and functions from facts to a status.

Where several nodes have sessions of a user, each tells its own (`Told`), under a lease; what
is seen is `combined` from them. A node alone has `shown`, which is the same for one.
"""

from collections.abc import Iterable
from enum import Enum
from typing import Final, Literal, final

from msgspec import Struct

from .._model.commands import Status, VisibleTo
from .._model.events import VisibleStatus


@final
class PresenceState(Enum):
    """Whether somebody is here, as far as the network tells."""

    __hash__ = object.__hash__  # by name, a look into the table takes 0.25 µs more

    OFFLINE = "offline"
    HERE = "here"
    # All sessions have ended, but a page reload would be back within `grace_s`.
    GRACE = "grace"


@final
class PresenceEvent(Enum):
    """What moves a presence."""

    __hash__ = object.__hash__

    SESSION_OPENED = "session opened"
    LAST_SESSION_ENDED = "last session ended"
    GRACE_OVER = "grace over"


# Total: each state answers each event. A grace that ends after a session came back is stale.
TRANSITIONS: Final[dict[PresenceState, dict[PresenceEvent, PresenceState]]] = {
    PresenceState.OFFLINE: {
        PresenceEvent.SESSION_OPENED: PresenceState.HERE,
        PresenceEvent.LAST_SESSION_ENDED: PresenceState.OFFLINE,
        PresenceEvent.GRACE_OVER: PresenceState.OFFLINE,
    },
    PresenceState.HERE: {
        PresenceEvent.SESSION_OPENED: PresenceState.HERE,
        PresenceEvent.LAST_SESSION_ENDED: PresenceState.GRACE,
        PresenceEvent.GRACE_OVER: PresenceState.HERE,
    },
    PresenceState.GRACE: {
        PresenceEvent.SESSION_OPENED: PresenceState.HERE,
        PresenceEvent.LAST_SESSION_ENDED: PresenceState.GRACE,
        PresenceEvent.GRACE_OVER: PresenceState.OFFLINE,
    },
}


def shown(
    state: PresenceState, *, kept: str, sessions: Iterable[Status], before: VisibleStatus
) -> VisibleStatus:
    """Return what others see.

    Args:
        state: whether the user is here.
        kept: `dnd`, `invisible` or empty: the user's own wish, which outlives sessions.
        sessions: the status of each live session; the best wins.
        before: what was shown last; it stays through a grace.

    >>> shown(PresenceState.HERE, kept="", sessions=["away", "online"], before="offline")
    'online'
    >>> shown(PresenceState.HERE, kept="invisible", sessions=["online"], before="online")
    'offline'
    """
    if state is PresenceState.OFFLINE or kept == "invisible":
        return "offline"
    if state is PresenceState.GRACE:
        return before
    if kept == "dnd":
        return "dnd"
    return "online" if "online" in tuple(sessions) else "away"


def may_see(
    visible_to: VisibleTo, *, verdict: bool | None, is_acquainted: bool, is_self: bool
) -> bool:
    """Return whether somebody may see another one.

    Args:
        visible_to: what the other one wishes.
        verdict: the host's word; it opens what is for those of shared rooms, and no more.
        is_acquainted: they share a room that is not public.
        is_self: they are the same.

    >>> may_see("shared", verdict=None, is_acquainted=True, is_self=False)
    True
    >>> may_see("nobody", verdict=True, is_acquainted=True, is_self=False)
    False
    """
    if is_self:
        return True
    if verdict is False or visible_to == "nobody":
        return False
    return visible_to == "everyone" or verdict is True or is_acquainted


# --- several nodes -------------------------------------------------------------------------


@final
class Told(Struct, frozen=True, array_like=True):
    """How one node tells that a user is: of those sessions alone that the node has.

    Attributes:
        status: the best of the sessions; through a grace the last one.
        is_grace: there is no session any more.
        kept: `dnd`, `invisible` or empty: the user's own wish, as this node knows it.
        kept_at: when the user said so, ms; 0: long ago. The latest word counts, on all nodes.
    """

    status: Literal["online", "away"]
    is_grace: bool
    kept: str
    kept_at: int


def wish(told: Iterable[Told]) -> Told | None:
    """Return the node's word that has the user's latest wish; None if no node has any.

    >>> wish([Told("online", False, "", 5), Told("away", False, "dnd", 7)]).kept
    'dnd'
    """
    # Of two in the same millisecond the more private one, so that all nodes agree.
    return max(told, key=lambda one: (one.kept_at, _PRIVACY.index(one.kept)), default=None)


_PRIVACY: Final = ("", "dnd", "invisible")


def combined(told: Iterable[Told]) -> VisibleStatus:
    """Return what others see of a user whom several nodes may have.

    A session anywhere ends the grace everywhere: who came back elsewhere does not flicker,
    and is seen as they are now.

    >>> combined([Told("online", True, "", 0), Told("away", False, "", 0)])
    'away'
    >>> combined([])
    'offline'
    """
    words = list(told)
    latest = wish(words)
    if latest is None or latest.kept == "invisible":
        return "offline"
    if latest.kept == "dnd":
        return "dnd"
    here = [one for one in words if not one.is_grace] or words
    return "online" if any(one.status == "online" for one in here) else "away"


@final
class LeaseState(Enum):
    """Whether a node may speak for its users."""

    __hash__ = object.__hash__

    # One is to be taken, under a new generation.
    ABSENT = "absent"
    HELD = "held"
    # The engine has ended; what was told lasts until the lease lapses.
    LEFT = "left"


@final
class LeaseEvent(Enum):
    """What moves a lease."""

    __hash__ = object.__hash__

    TAKEN = "taken"
    RENEWED = "renewed"
    # It was not there any more when it was to be renewed.
    LAPSED = "lapsed"
    # The bus could not be reached: the lease may have lapsed or not.
    FAILED = "failed"
    LEAVE = "leave"


# Total: each state answers each event. A lease that has lapsed never comes back by itself: what
# is told under it is seen by nobody, so a node that was cut off cannot bring up ghosts.
LEASE_TRANSITIONS: Final[dict[LeaseState, dict[LeaseEvent, LeaseState]]] = {
    LeaseState.ABSENT: {
        LeaseEvent.TAKEN: LeaseState.HELD,
        LeaseEvent.RENEWED: LeaseState.ABSENT,
        LeaseEvent.LAPSED: LeaseState.ABSENT,
        LeaseEvent.FAILED: LeaseState.ABSENT,
        LeaseEvent.LEAVE: LeaseState.LEFT,
    },
    LeaseState.HELD: {
        LeaseEvent.TAKEN: LeaseState.HELD,
        LeaseEvent.RENEWED: LeaseState.HELD,
        LeaseEvent.LAPSED: LeaseState.ABSENT,
        LeaseEvent.FAILED: LeaseState.HELD,
        LeaseEvent.LEAVE: LeaseState.LEFT,
    },
    LeaseState.LEFT: {
        LeaseEvent.TAKEN: LeaseState.LEFT,
        LeaseEvent.RENEWED: LeaseState.LEFT,
        LeaseEvent.LAPSED: LeaseState.LEFT,
        LeaseEvent.FAILED: LeaseState.LEFT,
        LeaseEvent.LEAVE: LeaseState.LEFT,
    },
}
