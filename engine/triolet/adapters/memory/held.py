"""What a store in memory holds, in dicts; and what it became by taking another store's rows."""

from typing import final

from ...ports.people import Person
from ...ports.store import Duplicate
from ...ports.transfer import Place, TombstoneRow
from .._digests import digest
from .documents import HeldDocuments
from .jobs import MemoryJobs
from .room import Room


@final
class Held:
    """Everything of a store.

    Args:
        epoch: the first one. It is the salt, too: nobody chooses cids against this memory.
    """

    def __init__(self, epoch: str) -> None:
        self.salt = epoch
        self.epochs = [epoch]
        self.rooms: dict[str, Room] = {}
        # Of rooms that were deleted, by name; and those of them that are not cleared yet.
        self.tombstones: dict[str, TombstoneRow] = {}
        self.leftovers: dict[str, Room] = {}
        # No room has had a greater number.
        self.last_number = 0
        self.inboxes: dict[str, dict[str, Room]] = {}
        self.people: dict[str, Person] = {}
        self.revoked: dict[str, int] = {}
        self.documents = HeldDocuments()
        self.jobs = MemoryJobs()
        # Cids that came from another store, of which their digests are all that is known.
        self.foreign: dict[bytes, Duplicate] = {}
        # How far a transfer into this store is, and the state of its source; None: none is.
        self.transfer: tuple[str, Place] | None = None

    @property
    def epoch(self) -> str:
        """The present one."""
        return self.epochs[-1]

    def first_in(self, room: str, sender: str, cid: str) -> Duplicate | None:
        """Return what a cid became, or None; of a deleted room, the one that deleted it."""
        found = self.rooms.get(room)
        if found is not None:
            return self.first(found, sender, cid)
        tombstone = self.tombstones.get(room)
        if tombstone is None or (tombstone.sender, tombstone.cid) != (sender, cid):
            return None
        return tombstone.first

    def first(self, room: Room, sender: str, cid: str) -> Duplicate | None:
        """Return what a cid of a room became, or None."""
        found = room.cids.get((sender, cid))
        if found is None and self.foreign:
            return self.foreign.get(digest(room.before_cid(self.salt), sender, cid))
        return found

    def add(self, room: Room) -> None:
        """Take a new room in."""
        self.rooms[room.name] = room
        self.last_number = max(self.last_number, room.number)

    def delete(self, room: Room, tombstone: TombstoneRow) -> None:
        """Let nothing find a room any more; what it has left is cleared later."""
        del self.rooms[room.name]
        self.tombstones[room.name] = tombstone
        self.leftovers[room.name] = room
        for user in room.seats:
            self.inboxes[user].pop(room.name, None)
