"""What a store in memory holds, in dicts; and what it became by taking another store's rows."""

from typing import final

from ...ports.people import Person
from ...ports.store import Duplicate
from ...ports.transfer import Place
from .._digests import digest
from .documents import HeldDocuments
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
        self.inboxes: dict[str, dict[str, Room]] = {}
        self.people: dict[str, Person] = {}
        self.revoked: dict[str, int] = {}
        self.documents = HeldDocuments()
        # Cids that came from another store, of which their digests are all that is known.
        self.foreign: dict[bytes, Duplicate] = {}
        # How far a transfer into this store is, and the state of its source; None: none is.
        self.transfer: tuple[str, Place] | None = None

    @property
    def epoch(self) -> str:
        """The present one."""
        return self.epochs[-1]

    def first(self, room: Room, sender: str, cid: str) -> Duplicate | None:
        """Return what a cid became, or None."""
        found = room.cids.get((sender, cid))
        if found is None and self.foreign:
            return self.foreign.get(digest(room.before_cid(self.salt), sender, cid))
        return found

    def next_number(self) -> int:
        """Return a number for the next room: none is ever removed, so the last one is greatest."""
        return next(reversed(self.rooms.values())).number + 1 if self.rooms else 1
