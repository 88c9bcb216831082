"""What one user has left in the rooms' logs: read page by page, room by room.

No index leads from a user to what they wrote, so every log is read once, also of rooms they have
left: a page of 500 entries takes 2 ms of CPU on SQLite, and others come between two pages.
"""

from collections.abc import AsyncGenerator
from typing import Final, final

import trio

from .._model.entries import Message, React, Record
from .._wire.codec import unpack_fact
from ..ports.store import RoomState, Store

# Rooms and entries of one read.
_ROOMS_PER_READ: Final = 200
_ENTRIES_PER_READ: Final = 500
_BYTES_PER_READ: Final = 256 * 1024
# Between two pages of entries, so that messages come first.
_PAUSE_S: Final = 0.002
# Traces of one room that are held at once, a hundred bytes each.
TRACES_MAX: Final = 10_000


@final
class Traces:
    """Some of what a user has left in one room.

    Attributes:
        messages: seqs of theirs that are not erased.
        reactions: the last seq and time (ms) of each `(target, emoji)` that they have put.
    """

    __slots__ = ("messages", "reactions")

    def __init__(self) -> None:
        self.messages: list[int] = []
        self.reactions: dict[tuple[int, str], tuple[int, int]] = {}

    def __len__(self) -> int:
        return len(self.messages) + len(self.reactions)

    def take(self, record: Record) -> None:
        """Take the user's next entry."""
        fact = unpack_fact(record.packed)
        if isinstance(fact, Message):
            if not fact.erased:
                self.messages.append(record.seq)
        elif isinstance(fact, React):
            if fact.on:
                self.reactions[fact.target, fact.emoji] = record.seq, record.at
            else:
                self.reactions.pop((fact.target, fact.emoji), None)


async def all_rooms(store: Store) -> AsyncGenerator[str, None]:
    """Yield the names of all rooms there are, those that come meanwhile perhaps not.

    Raises:
        StoreError: they could not be read.
    """
    after: str | None = None
    while names := await store.room_names(after=after, limit=_ROOMS_PER_READ):
        for name in names:
            yield name
        after = names[-1]


async def traces_in(store: Store, room: RoomState, user: str) -> AsyncGenerator[Traces, None]:
    """Yield what a user has left in a room, up to where it stands, some at a time.

    Where it is more than `TRACES_MAX`, a reaction may be yielded that is taken back later.

    Raises:
        StoreError: it could not be read.
    """
    found = Traces()
    after = room.floor
    while after < room.head:
        records = await store.page(
            room.room,
            after=after,
            upto=room.head,
            limit=_ENTRIES_PER_READ,
            bytes_max=_BYTES_PER_READ,
        )
        if not records:
            break
        after = records[-1].seq
        for record in records:
            if record.sender == user:
                found.take(record)
        if len(found) >= TRACES_MAX:
            yield found
            found = Traces()
        await trio.sleep(_PAUSE_S)
    if len(found):
        yield found
