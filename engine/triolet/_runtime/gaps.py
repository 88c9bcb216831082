"""What a room has missed: read from the store, entry by entry, or by starting over from it."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, final

import trio

from .._model.entries import Record
from .._model.errors import StoreError
from .._model.limits import Limits
from ..ports.store import RoomState, Store
from .loading import Rooms
from .members import Members
from .pages import Pages
from .ring import Item, Rings
from .room import Room

logger = logging.getLogger(__name__)

# A room that moves on while it is reloaded is read again; a store that has lost entries without
# saying so, by a new epoch, is believed at last.
_RELOADS_MAX: Final = 5


@final
class Gaps:
    """See the module.

    Args:
        offer: where what was read enters the room, like everything else.
        tell_moves: called when memberships may have moved.
    """

    def __init__(
        self,
        store: Store,
        rooms: Rooms,
        members: Members,
        rings: Rings,
        limits: Limits,
        *,
        spawn: Callable[[Callable[[], Awaitable[None]]], None],
        offer: Callable[[Record], None],
        tell_moves: Callable[[Room], None],
    ) -> None:
        self._store = store
        self._rooms = rooms
        self._members = members
        self._rings = rings
        self._limits = limits
        self._spawn = spawn
        self._offer = offer
        self._tell_moves = tell_moves
        self.pages = Pages(store, limits, spawn, self._keep)
        # Rooms for whose gap a task waits; and those of them for which too much came early.
        self._filling: dict[Room, None] = {}
        self._full: dict[Room, None] = {}

    def keep_early(self, room: Room, record: Record) -> None:
        """Keep an entry until its predecessors have come; soon, they are read."""
        if len(room.early) < self._limits.early_max:
            room.early[record.seq] = record
        elif record.seq not in room.early:
            self._full[room] = None
        if room not in self._filling:
            self._filling[room] = None
            self._spawn(partial(self._fill, room))

    async def _fill(self, room: Room) -> None:
        """Wait a little for what is missing, then read it."""
        try:
            await trio.sleep(self._limits.gap_wait_s)
            while room.early and self._rooms.loaded.get(room.name) is room:
                upto = max(room.early)
                if room in self._full or upto - room.head > self._limits.gap_max:
                    await self.resync(room)
                    continue
                await self.read_to(room, upto)
                for seq in [seq for seq in room.early if seq <= room.head]:
                    del room.early[seq]
        except StoreError as error:
            self.doubt(room)
            logger.warning("a gap of %s could not be read: %s", room.name, error)
            room.early.clear()
        finally:
            del self._filling[room]
            self._full.pop(room, None)

    def doubt(self, room: Room) -> None:
        """Have the next comparison of heads look at a room that could not be read."""
        self._rooms.doubtful[room.name] = None

    async def catch_up(self, room: Room) -> None:
        """Read where the room stands, and what is missing up to there.

        Raises:
            StoreError: it could not be read.
        """
        state = await self._store.room(room.name)
        await self.meet(room, None if state is None else (state.epoch, state.head))

    async def meet(self, room: Room, stored: tuple[str, int] | None) -> None:
        """Bring a room to where the store says it stands: `(epoch, head)`, None: nowhere.

        Raises:
            StoreError: it could not be read.
        """
        gap_max = self._limits.gap_max
        if stored is None or stored[0] != room.epoch or stored[1] > room.head + gap_max:
            await self.resync(room)
        elif stored[1] > room.head:
            await self.read_to(room, stored[1])

    async def read_to(self, room: Room, upto: int) -> None:
        """Read entries up to one that is known to be stored.

        Raises:
            StoreError: they could not be read.
        """
        # A room that was dropped meanwhile gets no entries any more.
        while room.head < upto and self._rooms.loaded.get(room.name) is room:
            items = await self.pages.read(room, room.head, upto)
            if not items or items[0].record.seq > room.head + 1:
                await self.resync(room)
                return
            for item in items:
                self._offer(item.record)

    def _keep(self, room: Room, items: Sequence[Item]) -> None:
        """Remember what was read for somebody: others will need it too."""
        if self._rooms.loaded.get(room.name) is room:
            room.ring.remember_older(items, room.head)
            self._rings.grew(room.ring)

    async def resync(self, room: Room) -> None:
        """Start over from what the store says; every cursor catches up by its own page reads.

        Raises:
            StoreError: it could not be read; nothing has changed.
        """
        state = await self._read_again(room)
        if state is None:
            self.bury(room)
            return
        epoch, head, members = room.epoch, room.head, room.members
        room.reload(state)
        room.members = members
        room.early.clear()
        self._full.pop(room, None)
        self._rings.drop(room.ring)
        # What was missed may have been a deletion: no page that was read before it is shown.
        room.erasures += 1
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
            for cursor in await self._members.readmit(room, state):
                room.close(cursor, "removed", room.head)
            # Entries that came in meanwhile are newer than what was read: read again.
            if state.epoch != room.epoch or state.head >= room.head:
                break
        return state

    def bury(self, room: Room) -> None:
        """End the subscriptions and memberships of a room that is no more."""
        for cursor in list(room.cursors.values()):
            room.close(cursor, "deleted", room.head)
        for user in list(room.member_seats):
            room.member(user, None, seq=room.head, n=room.n)
        self._rooms.drop(room)
        self._tell_moves(room)
