"""Doorbells get lost: the heads of loaded rooms are compared with the store's, now and then.

A node that crashed between commit and publish rang nobody: `head_check_s` makes that good.
While the bus is gone, or this node hears nothing by it, its canary asks for a comparison each
second: what is sent elsewhere is here within two. Where only a part of the bus is silent, only
the rooms are compared that belong to it. Where there are no other nodes
nothing rings, and only a store that could not be read when it should have been leaves a room
behind: those rooms are compared in each round then, and so many of the others in turn.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias, final

import trio

from .._model.errors import StoreError
from .._model.limits import Limits
from ..ports.store import Store
from .complaint import Complaint
from .gaps import Gaps
from .loading import Rooms

logger = logging.getLogger(__name__)

# Tells some rooms from others.
RoomTest: TypeAlias = Callable[[str], bool]

# Rooms asked in one comparison (2.3 ms on PostgreSQL).
_HEADS_PER_QUERY: Final = 1000
# Rooms compared in one round where nobody else writes: all of 100,000, each 5 s, took 40 % of the
# CPU at 1,400 messages a second among them (394 µs a message on SQLite, 234 with this).
_ALONE_PER_ROUND: Final = 1000
# Between two comparisons that were asked for at once: a bus that comes and goes costs no more.
_PAUSE_S: Final = 0.5
# After one that failed: a store that is back is asked before the next round is due.
_RETRY_S: Final = 1.0


@final
class Heads:
    """See the module.

    Args:
        idle: there are other nodes: all rooms are compared, also those that nobody follows.
    """

    def __init__(
        self, store: Store, rooms: Rooms, gaps: Gaps, limits: Limits, *, idle: bool
    ) -> None:
        self._store = store
        self._rooms = rooms
        self._gaps = gaps
        self._limits = limits
        self._idle = idle
        self._complaint = Complaint(logger, now=trio.current_time)
        # Set when a comparison is due: of all rooms, or of those that one of these tells.
        self._asked = trio.Event()
        self._is_asked_all = False
        self._tests: list[RoomTest] = []
        # Where the next round begins, where nobody else writes.
        self._next = 0

    async def run(self) -> None:
        """Compare at intervals, and when asked, for as long as the engine lives."""
        interval_s = self._limits.head_check_s
        due_at = trio.current_time() + interval_s
        while True:
            with trio.move_on_at(due_at) as silence:
                await self._asked.wait()
            is_all, tests = silence.cancelled_caught or self._is_asked_all, self._tests
            self._asked, self._is_asked_all, self._tests = trio.Event(), False, []
            is_done = await self.compare(None if is_all else tests)
            # A comparison of some leaves the round of all where it was.
            if is_all or not is_done:
                due_at = trio.current_time() + (
                    interval_s if is_done else min(interval_s, _RETRY_S)
                )
            if not silence.cancelled_caught:
                await trio.sleep(_PAUSE_S)

    def compare_soon(self, test: RoomTest | None = None) -> None:
        """Doorbells may have been missed: compare at once, all rooms or those that a test tells."""
        self._asked.set()
        if test is None:
            self._is_asked_all = True
        else:
            self._tests.append(test)

    async def compare(self, tests: Sequence[RoomTest] | None = None) -> bool:
        """Compare the head of each room with the store's, and read what is missing.

        Args:
            tests: only of rooms that one of these tells, and of those that are doubtful.

        Returns:
            Whether it was done; not, if the store could not be read.
        """
        names = [room.name for room in self._rooms.loaded.values() if self._idle or room.cursors]
        if not self._idle and len(names) > _ALONE_PER_ROUND:
            start = self._next if self._next < len(names) else 0
            names = names[start : start + _ALONE_PER_ROUND]
            self._next = start + _ALONE_PER_ROUND
        names = list(dict.fromkeys([*self._rooms.doubtful, *names]))
        for start in range(0, len(names), _HEADS_PER_QUERY):
            chunk = names[start : start + _HEADS_PER_QUERY]
            if tests is not None:
                chunk = [name for name in chunk if self._is_told(name, tests)]
            if not chunk:
                continue
            try:
                heads = await self._store.heads(chunk)
                for name in chunk:
                    await self._compare(name, heads.get(name))
                    self._rooms.doubtful.pop(name, None)
            except StoreError as error:
                self._complaint.again(f"heads could not be compared: {error}")
                return False
        self._complaint.over("heads can be compared again")
        return True

    def _is_told(self, name: str, tests: Sequence[RoomTest]) -> bool:
        return name in self._rooms.doubtful or any(test(name) for test in tests)

    async def _compare(self, name: str, stored: tuple[str, int] | None) -> None:
        room = self._rooms.loaded.get(name)
        if room is None or stored == (room.epoch, room.head):
            return
        is_behind = stored is None or stored[0] != room.epoch or stored[1] > room.head
        # What nobody needs is read again by whoever needs it.
        if is_behind and not self._rooms.drop_idle(room):
            await self._gaps.meet(room, stored)
