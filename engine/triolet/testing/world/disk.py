"""The store that the nodes of a world share: a memory store behind a disk that may fail.

One `Disk` keeps the data. Each life of a node has a `NodeStore` of its own, so that whatever
a node does after it has died reaches nothing.
"""

from collections.abc import Awaitable, Callable, Sequence
from enum import Enum
from random import Random
from typing import Final, TypeVar, final

import trio
from msgspec import Struct

from ..._model.commands import VisibleTo
from ..._model.entries import Record
from ..._model.errors import OutcomeUnknown, StoreUnavailable
from ...adapters._search import search
from ...adapters.memory import MemoryStore
from ...ports.people import Person, Revocation
from ...ports.store import (
    Draft,
    Duplicate,
    HistorySlice,
    InboxItem,
    Mark,
    Membership,
    Outcome,
    RoomState,
    SearchSlice,
    Store,
    StoredRoom,
)
from .bans import Bans
from .chance import SeededEntropy, SkewedClock
from .deletions import Deletions
from .documents import NodeDocuments
from .jobs import NodeJobs

T = TypeVar("T")

_FULL: Final = "the simulated disk is full"


@final
class Speed(Struct, frozen=True, kw_only=True):
    """How fast a disk is, and how it fails by itself.

    Attributes:
        commit_s: what a commit takes, at most; reads take none, unless the disk is slow.
        unknown: how often (0 to 1) a commit ends with an unknown outcome.
        unavailable: how often any call fails with nothing done.
    """

    commit_s: float = 0.005
    unknown: float = 0.0
    unavailable: float = 0.0


@final
class Doom(Enum):
    """Where in its next commit a node dies."""

    BEFORE = "before the commit"
    AFTER = "after the commit, before it hears of it"


@final
class Disk:
    """What is stored, and how well the disk does.

    Attributes:
        memory: the data.
        deletions: what rooms were until they were deleted.
        bans: who is banned.
        clock: the store's wall clock.
        commit_s, unknown, unavailable: see `Speed`.
        is_full: whether nothing can be written.
        slow_s: what every call takes above the usual.
    """

    def __init__(self, entropy: SeededEntropy, speed: Speed) -> None:
        self.clock = SkewedClock()
        self.memory = MemoryStore(clock=self.clock, entropy=entropy)
        self.deletions = Deletions(self.memory)
        self.bans = Bans()
        self.random: Random = entropy.random
        self.commit_s = speed.commit_s
        self.unknown = speed.unknown
        self.unavailable = speed.unavailable
        self.is_full = False
        self.slow_s = 0.0

    def mend(self) -> None:
        """Have nothing fail any more."""
        self.is_full = False
        self.unknown = self.unavailable = self.slow_s = 0.0


@final
class NodeStore(Store):
    """One life of a node's way to the disk.

    Args:
        disk: what it reaches.
        die: called where `doom` has the node die.

    Attributes:
        doom: where in the next commit the node dies, if it does.
    """

    def __init__(self, disk: Disk, die: Callable[[], None]) -> None:
        self._disk = disk
        self._memory = disk.memory
        self._die = die
        self._is_dead = False
        self._may_pass = trio.Event()
        self._may_pass.set()
        self.doom: Doom | None = None
        self.documents = NodeDocuments(disk.memory.documents, self, disk.bans)
        self.jobs = NodeJobs(disk.memory.jobs, self)

    def cut(self) -> None:
        """Reach nothing from now on: the node is dead. What was committed stays."""
        self._is_dead = True
        self._may_pass.set()

    def hold(self) -> None:
        """Have every call wait, as on a disk that has stalled."""
        if self._may_pass.is_set() and not self._is_dead:
            self._may_pass = trio.Event()

    def release(self) -> None:
        """Let the calls that wait go on."""
        self._may_pass.set()

    async def reach(self, *, writes: bool = False, takes_s: float = 0.0) -> None:
        """Get to the disk, or fail.

        Raises:
            StoreUnavailable: nothing was done.
        """
        disk = self._disk
        takes_s += disk.slow_s
        if takes_s:
            await trio.sleep(takes_s * disk.random.random())
        await self._may_pass.wait()
        self._check()
        if writes and disk.is_full:
            raise StoreUnavailable(_FULL)
        if disk.unavailable and disk.random.random() < disk.unavailable:
            raise StoreUnavailable("the simulated store is busy", retry_after_ms=200)

    async def answered(self) -> None:
        """Bring the answer back to the node, if it is there to hear it."""
        if self._disk.slow_s:
            await trio.sleep(self._disk.slow_s * self._disk.random.random())
        await self._may_pass.wait()
        self._check()

    async def commit(self, work: Callable[[], Awaitable[T]]) -> T:
        """Have `work` done, or fail before or after that, or die.

        Raises:
            StoreUnavailable: nothing was done, or nobody is there to hear of it.
            OutcomeUnknown: it may have been.
        """
        disk = self._disk
        await self.reach(writes=True, takes_s=disk.commit_s)
        if self.doom is Doom.BEFORE:
            self._die()
            self._check()
        is_lost = disk.unknown > 0 and disk.random.random() < disk.unknown
        if is_lost and disk.random.random() < 0.5:
            raise OutcomeUnknown("the simulated connection broke before the commit")
        done = await work()
        if self.doom is Doom.AFTER:
            self._die()
        await self.answered()
        if is_lost:
            raise OutcomeUnknown("the simulated connection broke after the commit")
        return done

    def _check(self) -> None:
        if self._is_dead:
            raise StoreUnavailable("this node is dead")

    # --- the log -------------------------------------------------------------------------

    async def append(self, batch: Sequence[Draft]) -> list[Outcome]:
        """Commit a batch, or fail before or after that, or die."""
        return await self.commit(lambda: self._disk.deletions.append(batch))

    async def room(self, room: str) -> RoomState | None:
        """See `Store`."""
        await self.reach()
        return await self._memory.room(room)

    async def rooms(self, rooms: Sequence[str], *, members_max: int) -> dict[str, StoredRoom]:
        """See `Store`."""
        await self.reach()
        found = await self._memory.rooms(rooms, members_max=members_max)
        await self.answered()
        return found

    async def room_names(self, *, after: str | None, limit: int) -> list[str]:
        """See `Store`."""
        await self.reach()
        return await self._memory.room_names(after=after, limit=limit)

    async def heads(self, rooms: Sequence[str]) -> dict[str, tuple[str, int]]:
        """See `Store`."""
        await self.reach()
        return await self._memory.heads(rooms)

    async def active_rooms(self, *, since: int, after: str | None, limit: int) -> list[str]:
        """See `Store`."""
        await self.reach()
        return await self._memory.active_rooms(since=since, after=after, limit=limit)

    async def page(
        self, room: str, *, after: int, upto: int, limit: int, bytes_max: int
    ) -> list[Record]:
        """See `Store`."""
        await self.reach()
        found = await self._memory.page(
            room, after=after, upto=upto, limit=limit, bytes_max=bytes_max
        )
        await self.answered()
        return found

    async def history(
        self,
        room: str,
        user: str,
        *,
        before: int | None,
        after: int | None,
        limit: int,
        bytes_max: int,
    ) -> HistorySlice | None:
        """See `Store`."""
        await self.reach()
        found = await self._memory.history(
            room, user, before=before, after=after, limit=limit, bytes_max=bytes_max
        )
        await self.answered()
        return found

    async def search(
        self,
        room: str,
        user: str,
        words: str,
        *,
        before: int | None,
        limit: int,
        scan_max: int,
    ) -> SearchSlice | None:
        """See `Store`."""
        return await search(self, room, user, words, before=before, limit=limit, scan_max=scan_max)

    async def find(self, room: str, sender: str, cid: str) -> Duplicate | None:
        """See `Store`."""
        await self.reach()
        return await self._memory.find(room, sender, cid)

    async def n_at(self, room: str, seq: int) -> int:
        """See `Store`."""
        await self.reach()
        return await self._memory.n_at(room, seq)

    # --- members and inboxes -------------------------------------------------------------

    async def members(self, room: str, *, after: str | None, limit: int) -> list[Membership]:
        """See `Store`."""
        await self.reach()
        found = await self._memory.members(room, after=after, limit=limit)
        await self.answered()
        return found

    async def membership(self, room: str, user: str) -> Membership | None:
        """See `Store`."""
        await self.reach()
        found = await self._memory.membership(room, user)
        await self.answered()
        return found

    async def inbox(self, user: str, *, after: str | None, limit: int) -> list[InboxItem]:
        """See `Store`."""
        await self.reach()
        return await self._memory.inbox(user, after=after, limit=limit)

    async def inbox_of(self, user: str, rooms: Sequence[str]) -> list[InboxItem]:
        """See `Store`."""
        await self.reach()
        return await self._memory.inbox_of(user, rooms)

    async def positions(self, user: str, *, limit: int) -> list[tuple[str, str, int, int]]:
        """See `Store`."""
        await self.reach()
        return await self._memory.positions(user, limit=limit)

    async def marks(self, room: str, *, seq: int, after: str | None, limit: int) -> list[Mark]:
        """See `Store`."""
        await self.reach()
        return await self._memory.marks(room, seq=seq, after=after, limit=limit)

    async def put_marks(self, marks: Sequence[Mark]) -> None:
        """See `Store`."""
        await self.reach(writes=True)
        await self._memory.put_marks(marks)

    # --- people --------------------------------------------------------------------------

    async def acquainted(self, user: str, others: Sequence[str]) -> list[str]:
        """See `Store`."""
        await self.reach()
        return await self._memory.acquainted(user, others)

    async def people(self, users: Sequence[str]) -> list[Person]:
        """See `Store`."""
        await self.reach()
        return await self._memory.people(users)

    async def put_people(self, people: Sequence[Person]) -> None:
        """See `Store`."""
        await self.reach(writes=True)
        await self._memory.put_people(people)

    async def show_to(self, user: str, visible_to: VisibleTo) -> None:
        """See `Store`."""
        await self.reach(writes=True)
        await self._memory.show_to(user, visible_to)

    async def forget(self, user: str) -> None:
        """See `Store`."""
        await self.reach(writes=True)
        await self._memory.forget(user)

    async def revoke(self, revocation: Revocation) -> None:
        """See `Store`."""
        await self.reach(writes=True)
        await self._memory.revoke(revocation)

    async def revoked(self, *subjects: str) -> int:
        """See `Store`."""
        await self.reach()
        return await self._memory.revoked(*subjects)

    async def revocations(self, *, since: int, after: str | None, limit: int) -> list[Revocation]:
        """See `Store`."""
        await self.reach()
        return await self._memory.revocations(since=since, after=after, limit=limit)

    async def forget_revocations(self, *, older_than: int, limit: int) -> int:
        """See `Store`."""
        await self.reach(writes=True)
        return await self._memory.forget_revocations(older_than=older_than, limit=limit)

    # --- keeping -------------------------------------------------------------------------

    async def prune(
        self, *, older_than: int, entries_max: int, limit: int
    ) -> list[tuple[str, int, int]]:
        """See `Store`."""
        await self.reach(writes=True)
        return await self._memory.prune(older_than=older_than, entries_max=entries_max, limit=limit)

    async def prune_cids(self, *, older_than: int, limit: int) -> int:
        """See `Store`."""
        await self.reach(writes=True)
        return await self._memory.prune_cids(older_than=older_than, limit=limit)

    async def clear_deleted(self, *, limit: int) -> list[tuple[str, str]] | None:
        """See `Store`."""
        await self.reach(writes=True)
        return await self._memory.clear_deleted(limit=limit)

    async def new_generation(self) -> str:
        """See `Store`."""
        await self.reach(writes=True)
        return await self._memory.new_generation()
