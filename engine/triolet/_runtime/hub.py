"""The hub: which rooms are loaded, and the one door through which entries enter them.

A node's own commits and other nodes' doorbells both come through `offer`.
What comes too early waits a few milliseconds for its predecessor; then the gap is read from
the store. Nothing here is the truth: the store is, and the hub can always be rebuilt from it.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import final

import trio

from .._model.entries import Fact, Member, Record
from .._model.errors import StoreError
from .._model.limits import Limits
from ..ports.store import Store
from .flusher import Flusher
from .gaps import Gaps
from .heads import Heads
from .histories import Histories
from .loading import Channels, Load, Rooms
from .marks import Marks
from .members import Members
from .ring import Rings
from .room import Cursor, Room
from .seat import Seat

logger = logging.getLogger(__name__)


@final
class Hub:
    """The loaded rooms of a node.

    Args:
        applied: called with a room that took an entry, and the author's seat if it is here.
        membership_moved: called when somebody became a member (True) or is one no more.
        marks: those that are not written yet.
        channels: what other nodes ring of rooms; None where there are none.
    """

    def __init__(
        self,
        store: Store,
        flusher: Flusher,
        limits: Limits,
        *,
        applied: Callable[[Room, Seat | None], None],
        membership_moved: Callable[[Room, str, bool], None],
        marks: Marks,
        channels: Channels | None = None,
    ) -> None:
        self._limits = limits
        self._applied = applied
        self._membership_moved = membership_moved
        self._rings = Rings(entries_max=limits.ring_entries_total_max)
        self.marks = marks
        self.members = Members(store, limits, marks)
        self.seat = self.members.seat
        self.count = self.members.count
        self._rooms = Rooms(
            store,
            flusher,
            self.members,
            self._rings,
            limits,
            spawn=self._spawn,
            admitted=self._admitted,
            channels=channels,
        )
        self.rooms = self._rooms.loaded
        self.histories = Histories(self.rooms, is_alone=channels is None)
        self.pinned = self._rooms.pinned
        self.open = self._rooms.open
        self.load = self._rooms.load
        self.released = self._rooms.released
        self._gaps = Gaps(
            store,
            self._rooms,
            self.members,
            self._rings,
            limits,
            spawn=self._spawn,
            offer=self.offer,
            tell_moves=self._tell_moves,
        )
        self.pages = self._gaps.pages
        self.catch_up = self._gaps.catch_up
        self.resync = self._gaps.resync
        self._heads = Heads(store, self._rooms, self._gaps, limits, idle=channels is not None)
        self.compare_heads = self._heads.compare
        self.compare_heads_soon = self._heads.compare_soon
        # Called when a room was deleted by a commit of this node.
        self.on_deleted: list[Callable[[], None]] = []
        self._nursery: trio.Nursery | None = None

    async def run(self) -> None:
        """Load, read and compare heads for as long as the engine lives."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            await self._heads.run()

    @property
    def loading(self) -> int:
        """How many rooms are on their way in."""
        return len(self._rooms.loads)

    @property
    def idle(self) -> Iterable[str]:
        """The loaded rooms that nobody needs, the longest unneeded first."""
        return self._rooms.idle

    # --- entries -----------------------------------------------------------------------

    def offer(self, record: Record) -> None:
        """Take one committed entry, from here or from another node, in any order, even twice."""
        room = self.rooms.get(record.room)
        if room is None:
            load = self._rooms.loads.get(record.room)
            if load is not None and len(load.early) < self._limits.early_max:
                load.early[record.seq] = record
            return
        if record.seq == room.head + 1:
            self._apply(room, record)
            while room.early and (early := room.early.pop(room.head + 1, None)):
                self._apply(room, early)
        elif record.seq > room.head:
            self._gaps.keep_early(room, record)

    def _apply(self, room: Room, record: Record) -> None:
        author = room.apply(record)
        self._rings.grew(room.ring)
        self._applied(room, author)
        if room.moves:
            self._tell_moves(room)

    def _tell_moves(self, room: Room) -> None:
        moves, room.moves = room.moves, []
        if room.complete and (room.members or 0) > self._limits.feed_members_max:
            room.outgrow()
        for user, gained in moves:
            self._membership_moved(room, user, gained)

    def _admitted(self, room: Room, load: Load) -> None:
        for seq in sorted(load.early):
            self.offer(load.early[seq])
        for tell in load.later:
            tell(room)
        # What came when it was full was not kept.
        if max(len(load.early), len(load.later)) >= self._limits.early_max:
            self.look(room)

    def when_loaded(self, name: str, tell: Callable[[Room], None]) -> None:
        """Tell something of a room that is loaded, or is on its way in; else of nobody's."""
        room = self.rooms.get(name)
        if room is not None:
            tell(room)
            return
        load = self._rooms.loads.get(name)
        if load is not None and len(load.later) < self._limits.early_max:
            load.later.append(tell)

    def deleted(self, room: str) -> None:
        """A room was deleted by a commit of this node."""
        self.when_loaded(room, self._gaps.bury)
        for tell in self.on_deleted:
            tell()

    def missed(self, room: str) -> None:
        """Entries were stored by a commit of this node that nobody has offered."""
        loaded = self.rooms.get(room)
        if loaded is not None:
            self.look(loaded)

    def look(self, room: Room) -> None:
        """Have what the store knows of a room read soon."""
        self._spawn(partial(self._look, room))

    async def _look(self, room: Room) -> None:
        try:
            await self.catch_up(room)
        except StoreError as error:
            self._gaps.doubt(room)
            logger.warning("%s could not be caught up: %s", room.name, error)

    # --- members -----------------------------------------------------------------------

    def seat_here(self, room: str, user: str) -> Seat | None:
        """Return a seat of a room that is loaded, None: it is not, or does not know the user."""
        loaded = self.rooms.get(room)
        return None if loaded is None else loaded.seats.get(user)

    async def refresh_rights(self, room: Room, user: str) -> Seat:
        """Read the room's version of rights and one membership again, after a `Stale`."""
        seat = await self.members.refresh(room, user)
        self._tell_moves(room)
        return seat

    def reseat(self, room: str, fact: Fact) -> None:
        """Take a membership that changed without an entry."""
        loaded = self.rooms.get(room)
        if loaded is not None and isinstance(fact, Member):
            ended = loaded.member(fact.user, fact.role, seq=loaded.head, n=loaded.n)
            for cursor in ended:
                loaded.close(cursor, "removed", loaded.head)
            self._tell_moves(loaded)

    def seated_elsewhere(self, room: Room, fact: Member) -> None:
        """A membership changed by another node, without an entry: it says so, the store how."""
        if room.complete or fact.user in room.seats:
            self._spawn(partial(self._reseat, room, fact.user))
        else:
            self.reseat(room.name, fact)

    async def _reseat(self, room: Room, user: str) -> None:
        try:
            ended = await self.members.reread(room, user)
        except StoreError as error:
            # Whoever writes is told by the store that rights have changed.
            logger.warning("%s in %s could not be read: %s", user, room.name, error)
            return
        for cursor in ended:
            room.close(cursor, "removed", room.head)
        self._tell_moves(room)

    def revoked(self, room: str, acl_ver: int, seq: int | None) -> None:
        """Somebody loses a right by the entry `seq`, which comes next, if it has one.

        The room's version of rights was `acl_ver`. Where something before it is missing, its
        seats are not what that version says, and the room stays at its own: the store refuses
        what is decided on it, and then it is read.
        """
        loaded = self.rooms.get(room)
        if loaded is None or loaded.acl_ver != acl_ver:
            return
        if seq is None or seq == loaded.head + 1:
            loaded.acl_ver += 1

    def floor_moved(self, room: str, floor: int, floor_n: int) -> None:
        """Retention removed what was up to `floor`."""
        loaded = self.rooms.get(room)
        if loaded is not None:
            loaded.floor, loaded.floor_n = floor, floor_n

    def _spawn(self, function: Callable[[], Awaitable[None]]) -> None:
        assert self._nursery is not None, "the hub is not running"
        self._nursery.start_soon(function)

    def cursors(self) -> Iterable[Cursor]:
        """Yield every cursor, for statistics."""
        for room in self.rooms.values():
            yield from room.cursors.values()
