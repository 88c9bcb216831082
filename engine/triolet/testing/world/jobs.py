"""The jobs of a world's store, as one node's life reaches them."""

from collections.abc import Sequence
from typing import final

from ...ports.jobs import Ending, Job, JobCounts, JobState, JobStore, Lease, NewJob, NextDue
from .documents import Way


@final
class NodeJobs(JobStore):
    """One life of a node's way to the jobs; what writes may fail before or after the commit."""

    def __init__(self, memory: JobStore, way: Way) -> None:
        self._memory = memory
        self._way = way

    async def add(self, jobs: Sequence[NewJob], *, now: int) -> list[bool]:
        """See `JobStore`."""
        return await self._way.commit(lambda: self._memory.add(jobs, now=now))

    async def claim(
        self, kinds: Sequence[str], *, now: int, lease_until: int, limit: int, ahead: int = 0
    ) -> list[Job]:
        """See `JobStore`."""
        return await self._way.commit(
            lambda: self._memory.claim(
                kinds, now=now, lease_until=lease_until, limit=limit, ahead=ahead
            )
        )

    async def claim_alone(self, kinds: Sequence[str], *, now: int, lease_until: int) -> Job | None:
        """See `JobStore`."""
        return await self._way.commit(
            lambda: self._memory.claim_alone(kinds, now=now, lease_until=lease_until)
        )

    async def finish(self, endings: Sequence[Ending], *, now: int) -> list[bool]:
        """See `JobStore`."""
        return await self._way.commit(lambda: self._memory.finish(endings, now=now))

    async def extend(self, leases: Sequence[Lease], *, lease_until: int) -> list[bool]:
        """See `JobStore`."""
        await self._way.reach(writes=True)
        return await self._memory.extend(leases, lease_until=lease_until)

    async def withdraw(self, kind: str, keys: Sequence[str]) -> int:
        """See `JobStore`."""
        await self._way.reach(writes=True)
        return await self._memory.withdraw(kind, keys)

    async def next_due(self, kinds: Sequence[str]) -> NextDue:
        """See `JobStore`."""
        await self._way.reach()
        return await self._memory.next_due(kinds)

    async def listed(
        self, state: JobState, *, kind: str = "", after: int = 0, limit: int
    ) -> list[Job]:
        """See `JobStore`."""
        await self._way.reach()
        return await self._memory.listed(state, kind=kind, after=after, limit=limit)

    async def requeue(self, ids: Sequence[int], *, now: int) -> int:
        """See `JobStore`."""
        await self._way.reach(writes=True)
        return await self._memory.requeue(ids, now=now)

    async def drop(self, ids: Sequence[int]) -> int:
        """See `JobStore`."""
        await self._way.reach(writes=True)
        return await self._memory.drop(ids)

    async def counts(self) -> list[JobCounts]:
        """See `JobStore`."""
        await self._way.reach()
        return await self._memory.counts()

    async def prune(self, *, done_before: int, limit: int) -> int:
        """See `JobStore`."""
        await self._way.reach(writes=True)
        return await self._memory.prune(done_before=done_before, limit=limit)
