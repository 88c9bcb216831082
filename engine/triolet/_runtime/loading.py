"""Which rooms are loaded: they come in by name, stay as long as somebody needs them, and a little.

With other nodes, a room's channel is followed before the store is read, so that what is
committed meanwhile is either read or rung.

What is asked for while a read is under way is one read again: after a restart thousands come
back to a thousand rooms within seconds, and with the engine's thread busy a read each would
be as many waits for the interpreter's lock.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import islice
from types import TracebackType
from typing import Final, Protocol, final

import trio

from .._model.entries import Record
from .._model.errors import StoreError, StoreUnavailable
from .._model.limits import Limits
from ..ports.store import Store, StoredRoom
from .flusher import Flusher
from .members import Members
from .ring import Rings
from .room import Room

logger = logging.getLogger(__name__)

# Rooms of one read: with a hundred members each they are built within 10 ms.
_ROOMS_PER_READ: Final = 64
# Reads under way: a second one goes on while the disk lets the first one wait.
_READS_MAX: Final = 2


def _ended() -> StoreUnavailable:
    """Return why a room does not come: who waits for it may live longer than the engine."""
    return StoreUnavailable("the engine has ended", retry_after_ms=1000)


class Channels(Protocol):
    """What other nodes ring of rooms."""

    async def follow(self, room: str) -> None:
        """Hear of a room from now on."""
        ...

    def unfollow(self, room: str) -> None:
        """Hear of a room no more."""
        ...


@final
class Load:
    """A room on its way in; what comes of it meanwhile waits."""

    __slots__ = ("done", "early", "error", "later", "room")

    def __init__(self) -> None:
        self.done = trio.Event()
        self.early: dict[int, Record] = {}
        # What other nodes rang.
        self.later: list[Callable[[Room], None]] = []
        self.room: Room | None = None
        self.error: StoreError | None = None


@final
class Pinned:
    """`async with rooms.pinned(name) as room:` keeps the room loaded; None: there is none."""

    __slots__ = ("_name", "_room", "_rooms", "_user")

    def __init__(self, rooms: "Rooms", name: str, user: str) -> None:
        self._rooms = rooms
        self._name = name
        self._user = user
        self._room: Room | None = None

    async def __aenter__(self) -> Room | None:
        self._room = await self._rooms.open(self._name)
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
            self._rooms.released(self._room)


@final
class Rooms:
    """The loaded rooms of a node.

    Args:
        admitted: called with a room that has just come in, and what waited for it.
        channels: None where there are no other nodes.

    Attributes:
        loaded: by name.
        loads: on their way in, by name.
        idle: those nobody needs at present, the longest unneeded first, with their seats.
        doubtful: names of those that a failed read may have left behind; compared each round.
    """

    def __init__(
        self,
        store: Store,
        flusher: Flusher,
        members: Members,
        rings: Rings,
        limits: Limits,
        *,
        spawn: Callable[[Callable[[], Awaitable[None]]], None],
        admitted: Callable[[Room, Load], None],
        channels: Channels | None,
    ) -> None:
        self._store = store
        self._flusher = flusher
        self._members = members
        self._rings = rings
        self._limits = limits
        self._spawn = spawn
        self._admitted = admitted
        self._channels = channels
        self.loaded: dict[str, Room] = {}
        self.loads: dict[str, Load] = {}
        self.idle: dict[str, int] = {}
        self.doubtful: dict[str, None] = {}
        self._idle_seats = 0
        # Those of the loads that are in no read yet, the first one first.
        self._asked: dict[str, Load] = {}
        self._slots = trio.CapacityLimiter(_READS_MAX)

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
            room = self.loaded.get(name)
            if room is not None:
                return room
            self.load((name,))
            load = self.loads[name]
            await load.done.wait()
            if load.error is not None:
                raise load.error
            if load.room is None:
                return None

    def load(self, names: Iterable[str]) -> None:
        """Begin to load rooms that will be asked for, all at once."""
        was_idle = not self._asked
        for name in names:
            if name not in self.loaded and name not in self.loads:
                self.loads[name] = self._asked[name] = Load()
        if was_idle and self._asked:
            self._spawn(self._load)

    async def _load(self) -> None:
        # Whoever asks in this turn, or while we wait for a slot, is in the same read.
        try:
            async with self._slots:
                while self._asked:
                    loads = dict(islice(self._asked.items(), _ROOMS_PER_READ))
                    for name in loads:
                        del self._asked[name]
                    await self._read(loads)
        except BaseException:
            for name, load in self._asked.items():
                del self.loads[name]
                load.error = _ended()
                load.done.set()
            self._asked.clear()
            raise

    async def _read(self, loads: dict[str, Load]) -> None:
        try:
            await self._follow(loads)
            most = self._limits.feed_members_max
            with self._members.reading():
                found = await self._store.rooms(list(loads), members_max=most)
                for name, stored in found.items():
                    loads[name].room = self._build(stored)
        except StoreError as error:
            for load in loads.values():
                load.error = error
        except BaseException:
            for load in loads.values():
                load.error = _ended()
            raise
        finally:
            # No checkpoint from here: what arrived meanwhile is applied before anybody looks.
            for name, load in loads.items():
                del self.loads[name]
                load.done.set()
                if load.room is None and self._channels is not None:
                    self._channels.unfollow(name)
        await self._admit(list(loads.values()))

    async def _follow(self, names: Iterable[str]) -> None:
        if self._channels is not None:
            async with trio.open_nursery() as nursery:
                for name in names:
                    nursery.start_soon(self._channels.follow, name)

    async def _admit(self, loads: Sequence[Load]) -> None:
        admitted = [(load.room, load) for load in loads if load.room is not None]
        for room, _ in admitted:
            self.loaded[room.name] = room
            room.pins += 1
        try:
            for room, load in admitted:
                self._admitted(room, load)
            # Those who wait for it run in the next turn, in any order with this task: until
            # the turn after that it is not idle, or it could be gone before they find it.
            await trio.lowlevel.checkpoint()
            await trio.lowlevel.checkpoint()
        finally:
            for room, _ in admitted:
                room.pins -= 1
                self.released(room)

    def _build(self, stored: StoredRoom) -> Room:
        limits = self._limits
        room = Room(
            stored.state,
            self._flusher,
            outbox_bytes_high=limits.outbox_bytes_high,
            ring_entries_max=limits.ring_entries_max,
            ring_bytes_max=limits.ring_bytes_max,
        )
        self._members.fill(room, stored.members)
        return room

    def released(self, room: Room) -> None:
        """A pin or a cursor has gone; drop the longest unneeded rooms if there are too many."""
        if room.pins or room.cursors or self.loaded.get(room.name) is not room:
            return
        self._idle_seats += len(room.seats) - self.idle.pop(room.name, 0)
        self.idle[room.name] = len(room.seats)
        limits = self._limits
        while len(self.idle) > limits.idle_rooms_max or self._idle_seats > limits.idle_seats_max:
            name = next(iter(self.idle))
            oldest = self.loaded.get(name)
            if oldest is None or not self.drop_idle(oldest):
                self._idle_seats -= self.idle.pop(name)

    def drop_idle(self, room: Room) -> bool:
        """Drop a room if nobody needs it; return whether nobody does."""
        if room.pins or room.cursors or self.loaded.get(room.name) is not room:
            return False
        self.drop(room)
        return True

    def drop(self, room: Room) -> None:
        """Let go of a loaded room."""
        self._rings.drop(room.ring)
        room.histories.clear()
        if self.loaded.get(room.name) is room:
            del self.loaded[room.name]
            self._idle_seats -= self.idle.pop(room.name, 0)
            if self._channels is not None:
                self._channels.unfollow(room.name)
