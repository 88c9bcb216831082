"""Which events are state, and how two of the same state become one.

State is what the latest word replaces, so a slow consumer needs only that word:
it costs one place in a stream however often it changes.
"""

from collections.abc import Callable, Iterable
from typing import TypeAlias, TypeVar

from .._model.events import Feed, Notice, Observed, Presence, Receipts, Synced, Typing
from ._effects import ClientEvent

# What an event is the state of; None: it is no state, each one counts.
Key: TypeAlias = tuple[str, str]

_T = TypeVar("_T")


def key_of(event: ClientEvent) -> Key | None:
    """Return what an event is the state of; None if each one counts.

    >>> key_of(Typing(room="r", users=(), more=False)), key_of(Notice(kind="announcement"))
    (('typing', 'r'), None)
    """
    match event:
        case Typing():
            return ("typing", event.room)
        case Receipts():
            return ("receipts", event.room)
        case Presence():
            return ("presence", "")
        case Feed():
            return ("feed", "")
        case Synced():
            return ("synced", "")
        case Observed():
            return ("stats", "")
        case Notice(kind="draining" | "token_expiring"):
            return ("notice", event.kind)
        case _:
            return None


def merge(old: ClientEvent, new: ClientEvent) -> ClientEvent:
    """Return one event that tells what `old` and then `new`, of the same key, would."""
    match old, new:
        case Receipts(), Receipts():
            return Receipts(room=new.room, marks=_latest(old.marks, new.marks, _first))
        case Presence(), Presence():
            return Presence(users=_latest(old.users, new.users, _first))
        case Feed(), Feed():
            return Feed(
                rooms=_latest(old.rooms, new.rooms, _first),
                added=_both(old.added, new.added, but=new.removed),
                removed=_both(old.removed, new.removed, but=new.added),
            )
        case Synced(), Synced():
            rooms = _latest(old.rooms, new.rooms, lambda row: row.room)
            return Synced(
                rooms=tuple(row for row in rooms if row.room not in new.gone),
                gone=_both(old.gone, new.gone, but=[row.room for row in new.rooms]),
            )
        case _:
            return new


def _first(row: tuple[str, object, *tuple[object, ...]]) -> str:
    return row[0]


def _latest(old: Iterable[_T], new: Iterable[_T], name: Callable[[_T], str]) -> tuple[_T, ...]:
    rows = {name(row): row for row in old}
    rows.update((name(row), row) for row in new)
    return tuple(rows.values())


def _both(old: Iterable[str], new: Iterable[str], *, but: Iterable[str]) -> tuple[str, ...]:
    rows = dict.fromkeys([*old, *new])
    for room in but:
        rows.pop(room, None)
    return tuple(rows)
