"""What somebody knows: their rooms, their inbox, the people they watch."""

from collections.abc import Iterator, Mapping
from typing import TypeAlias, TypeVar, final

from msgspec import Struct
from msgspec.structs import asdict

from ..._model.entries import FoldedMessage, Role

# Delivered, read.
Marks: TypeAlias = tuple[int, int]
# Epoch, head, unread, read.
Row: TypeAlias = tuple[str, int, int, int]

_T = TypeVar("_T")


@final
class RoomPicture(Struct, frozen=True, kw_only=True):
    """One room as somebody knows it.

    Attributes:
        head: the seq of the last entry.
        role: my own; None for a guest.
        title: None for a guest, who is told it by no snapshot.
        messages: as they read now, by seq.
        marks: of all members; None where they come and go without entries (public rooms and
            channels), so that no follower can know them all.
        typing: who is typing, in the order they began.
    """

    head: int
    role: Role | None
    title: str | None
    messages: dict[int, FoldedMessage]
    marks: dict[str, Marks] | None
    typing: tuple[str, ...]


@final
class Picture(Struct, frozen=True, kw_only=True):
    """All that one user knows.

    Attributes:
        rooms: those that are followed, by name.
        inbox: where each room of mine stands, by name.
        people: status and when last seen (ms), of those who are watched.
    """

    rooms: dict[str, RoomPicture]
    inbox: dict[str, Row]
    people: dict[str, tuple[str, int]]


def differences(followed: Picture, fresh: Picture) -> list[str]:
    """Say in words where a follower's picture differs from a fresh one.

    A guest of a public room that was hidden is not told when it is shown again: such a room
    counts only if it is in the inbox, or still followed. Whom the fresh one may not watch
    does not count either.

    >>> one = Picture(rooms={}, inbox={"tea": ("e", 2, 1, 1)}, people={})
    >>> differences(one, Picture(rooms={}, inbox={"tea": ("e", 2, 0, 2)}, people={}))
    ["inbox tea: followed ('e', 2, 1, 1), fresh ('e', 2, 0, 2)"]
    """
    found = list(_unequal("inbox", followed.inbox, fresh.inbox))
    rooms = {
        name: room
        for name, room in fresh.rooms.items()
        if name in fresh.inbox or name in followed.rooms
    }
    for name in dict.fromkeys([*rooms, *followed.rooms]):
        found += _unequal(
            f"room {name}", _fields(followed.rooms.get(name)), _fields(rooms.get(name))
        )
    people = {user: row for user, row in followed.people.items() if user in fresh.people}
    found += _unequal("presence of", people, fresh.people)
    return found


def _fields(room: RoomPicture | None) -> dict[str, object]:
    """Return what can differ in a room, one by one: each message, each mark."""
    if room is None:
        return {"is there": False}
    fields = asdict(room)
    messages, marks = fields.pop("messages"), fields.pop("marks") or {}
    fields |= {f"message {seq}": message for seq, message in messages.items()}
    fields |= {f"marks of {user}": mark for user, mark in marks.items()}
    return fields | {"is there": True}


def _unequal(what: str, one: Mapping[str, _T], other: Mapping[str, _T]) -> Iterator[str]:
    for key in dict.fromkeys([*one, *other]):
        if one.get(key) != other.get(key):
            yield f"{what} {key}: followed {one.get(key)!r}, fresh {other.get(key)!r}"
