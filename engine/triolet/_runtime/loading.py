"""Which rooms are loaded: they come in by name, stay as long as somebody needs them, and a little.

With other nodes, a room's channel is followed before the store is read, so that what is
committed meanwhile is either read or rung.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from types import TracebackType
from typing import Protocol, final

import trio

from .._model.entries import Record
from .._model.errors import StoreError
from .._model.limits import Limits
from ..ports.store import RoomState, Store
from .flusher import Flusher
from .members import Members
from .ring import Rings
from .room import Room

logger = logging.getLogger(__name__)


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
        idle: those nobody needs at present, the longest unneeded first.
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
        self.idle: dict[str, None] = {}

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
        for name in names:
            if name not in self.loaded and name not in self.loads:
                load = self.loads[name] = Load()
                self._spawn(partial(self._load, name, load))

    async def _load(self, name: str, load: Load) -> None:
        try:
            if self._channels is not None:
                await self._channels.follow(name)
            state = await self._store.room(name)
            if state is not None:
                load.room = await self._build(state)
        except StoreError as error:
            load.error = error
        finally:
            # No checkpoint from here: what arrived meanwhile is applied before anybody looks.
            del self.loads[name]
            load.done.set()
            if load.room is None and self._channels is not None:
                self._channels.unfollow(name)
        if load.room is not None:
            await self._admit(load.room, load)

    async def _admit(self, room: Room, load: Load) -> None:
        self.loaded[room.name] = room
        room.pins += 1
        try:
            self._admitted(room, load)
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
        self._members.fill(room, await self._members.all_of(state))
        return room

    def released(self, room: Room) -> None:
        """A pin or a cursor has gone; drop the longest unneeded rooms if there are too many."""
        if room.pins or room.cursors or self.loaded.get(room.name) is not room:
            return
        self.idle.pop(room.name, None)
        self.idle[room.name] = None
        while len(self.idle) > self._limits.idle_rooms_max:
            oldest = self.loaded.get(next(iter(self.idle)))
            if oldest is None or not self.drop_idle(oldest):
                del self.idle[next(iter(self.idle))]

    def drop_idle(self, room: Room) -> bool:
        """Drop a room if nobody needs it; return whether nobody does."""
        if room.pins or room.cursors or self.loaded.get(room.name) is not room:
            return False
        self.drop(room)
        return True

    def drop(self, room: Room) -> None:
        """Let go of a loaded room."""
        self._rings.drop(room.ring)
        if self.loaded.get(room.name) is room:
            del self.loaded[room.name]
            self.idle.pop(room.name, None)
            if self._channels is not None:
                self._channels.unfollow(room.name)
