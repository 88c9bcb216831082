"""The hub: which rooms are loaded, and the one door through which entries enter them.

A node's own commits and other nodes' doorbells both come through `offer`.
What comes too early waits a few milliseconds for its predecessor; then the gap is read from
the store. Nothing here is the truth: the store is, and the hub can always be rebuilt from it.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from types import TracebackType
from typing import Final, final

import trio

from .._model.entries import Fact, Member, Record
from .._model.errors import StoreError
from .._model.limits import Limits
from ..ports.store import Mark, RoomState, Store
from .flusher import Flusher
from .members import Members
from .pages import Pages
from .ring import Item, Rings
from .room import Cursor, Room, Seat

logger = logging.getLogger(__name__)

# A room that moves on while it is reloaded is read again; a store that has lost entries without
# saying so, by a new epoch, is believed at last.
_RELOADS_MAX: Final = 5
# Rooms asked in one comparison of heads (2.3 ms on PostgreSQL).
_HEADS_PER_QUERY: Final = 1000


@final
class _Load:
    """A room on its way in; entries that arrive meanwhile wait in `early`."""

    __slots__ = ("done", "early", "error", "room")

    def __init__(self) -> None:
        self.done = trio.Event()
        self.early: dict[int, Record] = {}
        self.room: Room | None = None
        self.error: StoreError | None = None


@final
class Pinned:
    """`async with hub.pinned(name) as room:` keeps the room loaded; None: there is none."""

    __slots__ = ("_hub", "_name", "_room", "_user")

    def __init__(self, hub: "Hub", name: str, user: str) -> None:
        self._hub = hub
        self._name = name
        self._user = user
        self._room: Room | None = None

    async def __aenter__(self) -> Room | None:
        self._room = await self._hub.open(self._name)
        if self._room is not None:
            self._room.pins += 1
        return self._room

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._room is not None:
            self._room.pins -= 1
            self._room.retire_seat(self._user)
            self._hub.released(self._room)


@final
class Hub:
    """The loaded rooms of a node."""

    def __init__(
        self,
        store: Store,
        flusher: Flusher,
        limits: Limits,
        *,
        applied: Callable[[Room, Seat | None], None],
        membership_moved: Callable[[Room, str, bool], None],
        pending_mark: Callable[[str, str], Mark | None],
    ) -> None:
        self._store = store
        self._flusher = flusher
        self._limits = limits
        self._applied = applied
        self._membership_moved = membership_moved
        self.members = Members(store, limits, pending_mark=pending_mark)
        self.seat = self.members.seat
        self.count = self.members.count
        self.rooms: dict[str, Room] = {}
        # Rooms nobody needs at present, the longest unneeded first.
        self._idle: dict[str, None] = {}
        self._loads: dict[str, _Load] = {}
        self.pages = Pages(store, limits, self._spawn, self._keep)
        self._rings = Rings(entries_max=limits.ring_entries_total_max)
        self._nursery: trio.Nursery | None = None

    # --- loading and dropping ----------------------------------------------------------

    async def run(self) -> None:
        """Load, read and compare heads for as long as the engine lives."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            while True:
                await trio.sleep(self._limits.head_check_s)
                await self.compare_heads()

    def pinned(self, name: str, user: str = "") -> Pinned:
        """Return a context manager that loads a room and keeps it.

        The seat that `user` was given meanwhile is taken back in the end, if nobody needs it.
        """
        return Pinned(self, name, user)

    async def open(self, name: str) -> Room | None:
        """Return a loaded room, or None if there is none. It stays until the next checkpoint.

        Raises:
            StoreError: it could not be read.
        """
        while True:
            room = self.rooms.get(name)
            if room is not None:
                return room
            self.load((name,))
            load = self._loads[name]
            await load.done.wait()
            if load.error is not None:
                raise load.error
            if load.room is None:
                return None

    def load(self, names: Iterable[str]) -> None:
        """Begin to load rooms that will be asked for, all at once."""
        for name in names:
            if name not in self.rooms and name not in self._loads:
                load = self._loads[name] = _Load()
                self._spawn(partial(self._load, name, load))

    async def _load(self, name: str, load: _Load) -> None:
        try:
            state = await self._store.room(name)
            if state is not None:
                load.room = await self._build(state)
        except StoreError as error:
            load.error = error
        finally:
            # No checkpoint from here: what arrived meanwhile is applied before anybody looks.
            del self._loads[name]
            load.done.set()
        if load.room is not None:
            await self._admit(load.room, load.early)

    async def _admit(self, room: Room, early: dict[int, Record]) -> None:
        self.rooms[room.name] = room
        room.pins += 1
        try:
            for seq in sorted(early):
                self.offer(early[seq])
            # Those who wait for it run in the next turn, in any order with this task: until
            # the turn after that it is not idle, or it could be gone before they find it.
            await trio.lowlevel.checkpoint()
            await trio.lowlevel.checkpoint()
        finally:
            room.pins -= 1
            self.released(room)

    async def _build(self, state: RoomState) -> Room:
        limits = self._limits
        room = Room(
            state,
            self._flusher,
            outbox_bytes_high=limits.outbox_bytes_high,
            ring_entries_max=limits.ring_entries_max,
            ring_bytes_max=limits.ring_bytes_max,
        )
        self.members.fill(room, await self.members.all_of(state))
        return room

    def released(self, room: Room) -> None:
        """A pin or a cursor has gone; drop the longest unneeded rooms if there are too many."""
        if room.pins or room.cursors or self.rooms.get(room.name) is not room:
            return
        self._idle.pop(room.name, None)
        self._idle[room.name] = None
        while len(self._idle) > self._limits.idle_rooms_max:
            name = next(iter(self._idle))
            del self._idle[name]
            oldest = self.rooms.get(name)
            if oldest is not None and not oldest.pins and not oldest.cursors:
                del self.rooms[name]
                self._rings.drop(oldest.ring)

    # --- entries -----------------------------------------------------------------------

    def offer(self, record: Record) -> None:
        """Take one committed entry, from here or from another node, in any order, even twice."""
        room = self.rooms.get(record.room)
        if room is None:
            load = self._loads.get(record.room)
            if load is not None and len(load.early) < self._limits.early_max:
                load.early[record.seq] = record
            return
        if record.seq == room.head + 1:
            self._apply(room, record)
            while room.early and (early := room.early.pop(room.head + 1, None)):
                self._apply(room, early)
        elif record.seq > room.head:
            self._keep_early(room, record)

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

    def _keep_early(self, room: Room, record: Record) -> None:
        first = not room.early
        if len(room.early) < self._limits.early_max:
            room.early[record.seq] = record
        if first:
            self._spawn(partial(self._fill_gap, room))

    async def _fill_gap(self, room: Room) -> None:
        """Wait a little for what is missing, then read it."""
        await trio.sleep(self._limits.gap_wait_s)
        try:
            while room.early and self.rooms.get(room.name) is room:
                upto = max(room.early)
                if upto - room.head > self._limits.gap_max:
                    await self.resync(room)
                    return
                await self._read_to(room, upto)
                for seq in [seq for seq in room.early if seq <= room.head]:
                    del room.early[seq]
        except StoreError as error:
            # The comparison of heads tries again.
            logger.warning("a gap of %s could not be read: %s", room.name, error)
            room.early.clear()

    async def catch_up(self, room: Room) -> None:
        """Read the head from the store, and what is missing up to it."""
        state = await self._store.room(room.name)
        if state is not None and state.epoch == room.epoch:
            await self._read_to(room, state.head)

    async def _read_to(self, room: Room, upto: int) -> None:
        # A room that was dropped meanwhile gets no entries any more.
        while room.head < upto and self.rooms.get(room.name) is room:
            items = await self.pages.read(room, room.head, upto)
            if not items or items[0].record.seq > room.head + 1:
                await self.resync(room)
                return
            for item in items:
                self.offer(item.record)

    def _keep(self, room: Room, items: Sequence[Item]) -> None:
        """Remember what was read for somebody: others will need it too."""
        if self.rooms.get(room.name) is room:
            room.ring.remember_older(items, room.head)
            self._rings.grew(room.ring)

    async def resync(self, room: Room) -> None:
        """Start over from what the store says; every cursor catches up by its own page reads.

        Raises:
            StoreError: it could not be read; nothing has changed.
        """
        state = await self._read_again(room)
        if state is None:
            self._bury(room)
            return
        epoch, head, members = room.epoch, room.head, room.members
        room.reload(state)
        room.members = members
        room.early.clear()
        self._rings.drop(room.ring)
        room.displace(head)
        if room.epoch != epoch:
            room.rebase(epoch)
        self._tell_moves(room)

    async def _read_again(self, room: Room) -> RoomState | None:
        """Return where a room stands; the rights of its members are taken over at once."""
        state = None
        for _ in range(_RELOADS_MAX):
            state = await self._store.room(room.name)
            if state is None:
                break
            # Rights too may have changed in what was missed.
            for cursor in await self.members.readmit(room, state):
                room.close(cursor, "removed", room.head)
            # Entries that came in meanwhile are newer than what was read: read again.
            if state.epoch != room.epoch or state.head >= room.head:
                break
        return state

    def _bury(self, room: Room) -> None:
        """End the subscriptions of a room that is no more."""
        for cursor in list(room.cursors.values()):
            room.close(cursor, "deleted", room.head)
        self._rings.drop(room.ring)
        if self.rooms.get(room.name) is room:
            del self.rooms[room.name]
            self._idle.pop(room.name, None)

    async def compare_heads(self) -> None:
        """Find what doorbells did not tell: compare the heads of followed rooms with the store.

        A node that crashed between commit and publish rang nobody.
        """
        names = [room.name for room in self.rooms.values() if room.cursors]
        for start in range(0, len(names), _HEADS_PER_QUERY):
            chunk = names[start : start + _HEADS_PER_QUERY]
            try:
                heads = await self._store.heads(chunk)
                for name in chunk:
                    await self._compare(name, heads.get(name))
            except StoreError as error:
                logger.warning("heads could not be compared: %s", error)
                return

    async def _compare(self, name: str, stored: tuple[str, int] | None) -> None:
        room = self.rooms.get(name)
        if room is None:
            return
        if stored is None or stored[0] != room.epoch:
            await self.resync(room)
        elif stored[1] > room.head:
            await self._read_to(room, stored[1])

    # --- members -----------------------------------------------------------------------

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

    def revoked(self, room: str) -> None:
        """Somebody lost a right by a commit of this node."""
        loaded = self.rooms.get(room)
        if loaded is not None:
            loaded.acl_ver += 1

    def missed(self, room: str) -> None:
        """Entries were stored by a commit of this node that nobody has offered."""
        loaded = self.rooms.get(room)
        if loaded is not None:
            self._spawn(partial(self._look, loaded))

    async def _look(self, room: Room) -> None:
        try:
            await self.catch_up(room)
        except StoreError as error:
            # The comparison of heads tries again.
            logger.warning("%s could not be caught up: %s", room.name, error)

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
