"""The life of a cursor as a table: a subscription is a cursor on a room's log."""

from enum import Enum
from typing import Final, final


@final
class CursorState(Enum):
    """Where a cursor stands."""

    __hash__ = object.__hash__  # by name, a look into the table takes 0.25 µs more

    # At the head: each new entry is appended to its outbox as it is committed.
    LIVE = "live"
    # Before the head: the pump brings it there as its socket drains.
    BEHIND = "behind"
    # The end; pages that arrive late are thrown away.
    CLOSED = "closed"


@final
class CursorEvent(Enum):
    """What moves a cursor."""

    __hash__ = object.__hash__

    REACHED_HEAD = "reached head"
    OVERFLOWED = "overflowed"
    ENDED = "ended"


# Total: each state answers each event.
TRANSITIONS: Final[dict[CursorState, dict[CursorEvent, CursorState]]] = {
    CursorState.LIVE: {
        CursorEvent.REACHED_HEAD: CursorState.LIVE,
        CursorEvent.OVERFLOWED: CursorState.BEHIND,
        CursorEvent.ENDED: CursorState.CLOSED,
    },
    CursorState.BEHIND: {
        CursorEvent.REACHED_HEAD: CursorState.LIVE,
        CursorEvent.OVERFLOWED: CursorState.BEHIND,
        CursorEvent.ENDED: CursorState.CLOSED,
    },
    CursorState.CLOSED: {
        CursorEvent.REACHED_HEAD: CursorState.CLOSED,
        CursorEvent.OVERFLOWED: CursorState.CLOSED,
        CursorEvent.ENDED: CursorState.CLOSED,
    },
}
