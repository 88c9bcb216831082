"""Jobs in memory: a heap of those that wait for each kind and priority, and dicts for the rest."""

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from heapq import heappop, heappush
from itertools import islice
from typing import TypeAlias, final

import trio
from msgspec.structs import replace

from ...ports.jobs import (
    ERROR_CHARS_MAX,
    LEASE_ENDED,
    LOST_ALONE,
    Ending,
    Job,
    JobCounts,
    JobState,
    JobStore,
    Lease,
    NewJob,
    NextDue,
)

# `(due_at, id)` of jobs that wait, of one kind and priority; what waits no more is still in it.
_Heap: TypeAlias = list[tuple[int, int]]


@final
class MemoryJobs(JobStore):
    """See the port. A call takes effect before its only checkpoint."""

    def __init__(self) -> None:
        # The last id that was given to one.
        self.last_id = 0
        # All of them, by id, in the order of their ids.
        self._jobs: dict[int, Job] = {}
        self._ids: dict[tuple[str, str], int] = {}
        # By kind, and whether they are claimed alone.
        self._waiting: dict[tuple[str, bool], dict[int, _Heap]] = {}
        self._running: dict[str, dict[int, Job]] = {}
        # `(finished_at, id)`, in the order in which they were done.
        self._done: deque[tuple[int, int]] = deque()
        self._counts: dict[str, Counter[JobState]] = {}

    async def add(self, jobs: Sequence[NewJob], *, now: int) -> list[bool]:
        """Keep jobs, and return which are new."""
        added = [self._add(job, now) for job in jobs]
        await trio.lowlevel.checkpoint()
        return added

    def _add(self, new: NewJob, now: int) -> bool:
        if (new.kind, new.key) in self._ids:
            return False
        self._keep(
            Job(
                id=self._next_id(),
                kind=new.kind,
                key=new.key,
                payload=new.payload,
                priority=new.priority,
                due_at=new.due_at or now,
                attempts_max=new.attempts_max,
                state=JobState.WAITING,
                attempts=0,
                added_at=now,
            )
        )
        return True

    def _next_id(self) -> int:
        self.last_id += 1
        return self.last_id

    def _keep(self, job: Job) -> Job:
        """Have a job as it is now, and where it is looked for."""
        counts = self._counts.setdefault(job.kind, Counter())
        if (before := self._jobs.get(job.id)) is not None:
            counts[before.state] -= 1
        counts[job.state] += 1
        self._jobs[job.id] = job
        self._ids[job.kind, job.key] = job.id
        running = self._running.setdefault(job.kind, {})
        running.pop(job.id, None)
        if job.state is JobState.RUNNING:
            running[job.id] = job
        elif job.state is JobState.WAITING:
            heaps = self._waiting.setdefault((job.kind, job.lost >= LOST_ALONE), {})
            heappush(heaps.setdefault(job.priority, []), (job.due_at, job.id))
        elif job.state is JobState.DONE:
            self._done.append((job.finished_at, job.id))
        return job

    def _forget(self, job: Job) -> None:
        del self._jobs[job.id], self._ids[job.kind, job.key]
        self._counts[job.kind][job.state] -= 1

    def restore(self, job: Job) -> None:
        """Take a job of another store."""
        self.last_id = max(self.last_id, job.id)
        self._keep(job)

    def __iter__(self) -> Iterator[Job]:
        """Yield all, by id."""
        return iter(self._jobs.values())

    # --- work ----------------------------------------------------------------------------

    async def claim(
        self, kinds: Sequence[str], *, now: int, lease_until: int, limit: int, ahead: int = 0
    ) -> list[Job]:
        """Take up to `limit` jobs that are due."""
        for kind in kinds:
            for job in list(self._running.get(kind, {}).values()):
                if job.lease_until <= now:
                    self._keep(_let_go(job, now))
        claimed: list[Job] = []
        while len(claimed) < limit and (heap := self._first(kinds, now)) is not None:
            is_ahead = len(claimed) >= limit - ahead
            if is_ahead and not self._jobs[heap[0][1]].may_be_ahead():
                break
            claimed.append(self._take(heap, lease_until))
        await trio.lowlevel.checkpoint()
        return claimed

    async def claim_alone(self, kinds: Sequence[str], *, now: int, lease_until: int) -> Job | None:
        """Take the first job that is due of those that are claimed alone."""
        heap = self._first(kinds, now, alone=True)
        taken = None if heap is None else self._take(heap, lease_until)
        await trio.lowlevel.checkpoint()
        return taken

    def _take(self, heap: _Heap, lease_until: int) -> Job:
        _, job_id = heappop(heap)
        due = self._jobs[job_id]
        taken = replace(due, state=JobState.RUNNING, attempts=due.attempts + 1)
        return self._keep(replace(taken, lease_until=lease_until))

    def _first(self, kinds: Sequence[str], now: int, *, alone: bool = False) -> _Heap | None:
        """Return the heap whose first job is the next one that is due."""
        heaps = [
            (-priority, *heap[0], heap)
            for kind in kinds
            for priority, heap in self._heaps(kind, alone=alone)
            if heap[0][0] <= now
        ]
        return min(heaps)[-1] if heaps else None

    def _heaps(self, kind: str, *, alone: bool) -> Iterator[tuple[int, _Heap]]:
        """Yield `(priority, heap)` of those in which one waits; it is the first one."""
        heaps = self._waiting.get((kind, alone), {})
        for priority, heap in list(heaps.items()):
            while heap and not self._is_waiting(*heap[0]):
                heappop(heap)
            if heap:
                yield priority, heap
            else:
                del heaps[priority]

    def _is_waiting(self, due_at: int, job_id: int) -> bool:
        job = self._jobs.get(job_id)
        return job is not None and job.state is JobState.WAITING and job.due_at == due_at

    async def finish(self, endings: Sequence[Ending], *, now: int) -> list[bool]:
        """Say what became of attempts."""
        held = []
        for ending in endings:
            job = self._held(ending.lease)
            held.append(job is not None)
            if job is not None:
                self._keep(_ended(job, ending, now))
        await trio.lowlevel.checkpoint()
        return held

    async def extend(self, leases: Sequence[Lease], *, lease_until: int) -> list[bool]:
        """Keep jobs longer."""
        jobs = [self._held(lease) for lease in leases]
        for job in jobs:
            if job is not None:
                self._keep(replace(job, lease_until=lease_until))
        await trio.lowlevel.checkpoint()
        return [job is not None for job in jobs]

    def _held(self, lease: Lease) -> Job | None:
        job = self._jobs.get(lease.id)
        if job is None or job.state is not JobState.RUNNING or job.attempts != lease.attempt:
            return None
        return job

    async def withdraw(self, kind: str, keys: Sequence[str]) -> int:
        """Remove jobs that wait."""
        ids = [self._ids.get((kind, key), 0) for key in dict.fromkeys(keys)]
        count = self._remove(ids, JobState.WAITING)
        await trio.lowlevel.checkpoint()
        return count

    def _remove(self, ids: Sequence[int], state: JobState) -> int:
        jobs = [self._jobs[job_id] for job_id in ids if job_id in self._jobs]
        found = [job for job in jobs if job.state is state]
        for job in found:
            self._forget(job)
        return len(found)

    async def next_due(self, kinds: Sequence[str]) -> NextDue:
        """Return when the next jobs may be claimed."""
        leases = [job.lease_until for kind in kinds for job in self._running.get(kind, {}).values()]
        dues = [self._first_due(kind, alone=False) for kind in kinds]
        alone = [self._first_due(kind, alone=True) for kind in kinds]
        await trio.lowlevel.checkpoint()
        return NextDue(_first([*leases, *dues]), _first(alone))

    def _first_due(self, kind: str, *, alone: bool) -> int | None:
        return min((heap[0][0] for _, heap in self._heaps(kind, alone=alone)), default=None)

    # --- looking after them --------------------------------------------------------------

    async def listed(
        self, state: JobState, *, kind: str = "", after: int = 0, limit: int
    ) -> list[Job]:
        """Return jobs in a state, the newest first."""
        await trio.lowlevel.checkpoint()
        found = (
            job
            for job in reversed(self._jobs.values())
            if job.state is state and kind in ("", job.kind) and (not after or job.id < after)
        )
        return list(islice(found, limit))

    async def requeue(self, ids: Sequence[int], *, now: int) -> int:
        """Let dead jobs wait again with all their attempts, due at once."""
        jobs = [self._jobs[job_id] for job_id in dict.fromkeys(ids) if job_id in self._jobs]
        dead = [job for job in jobs if job.state is JobState.DEAD]
        for job in dead:
            self._forget(job)
            waiting = replace(job, state=JobState.WAITING, attempts=0, due_at=now, finished_at=0)
            self._keep(replace(waiting, id=self._next_id()))
        await trio.lowlevel.checkpoint()
        return len(dead)

    async def drop(self, ids: Sequence[int]) -> int:
        """Remove dead jobs."""
        count = self._remove(list(dict.fromkeys(ids)), JobState.DEAD)
        await trio.lowlevel.checkpoint()
        return count

    async def counts(self) -> list[JobCounts]:
        """Return how many jobs there are, by kind."""
        await trio.lowlevel.checkpoint()
        return [
            JobCounts(
                kind=kind,
                waiting=counts[JobState.WAITING],
                running=counts[JobState.RUNNING],
                dead=counts[JobState.DEAD],
                oldest_due_at=_first(
                    [self._first_due(kind, alone=alone) for alone in (False, True)]
                )
                or 0,
            )
            for kind, counts in sorted(self._counts.items())
            if counts.total() > counts[JobState.DONE]
        ]

    async def prune(self, *, done_before: int, limit: int) -> int:
        """Forget jobs done before a moment (ms)."""
        count = 0
        while count < limit and self._done and self._done[0][0] < done_before:
            _, job_id = self._done.popleft()
            self._forget(self._jobs[job_id])
            count += 1
        await trio.lowlevel.checkpoint()
        return count


def _first(dues: Sequence[int | None]) -> int | None:
    return min((due for due in dues if due is not None), default=None)


def _let_go(job: Job, now: int) -> Job:
    """Return what becomes of a job whose lease has ended."""
    free = replace(job, lease_until=0, error=LEASE_ENDED, lost=job.lost + 1)
    if job.attempts >= job.attempts_max:
        return replace(free, state=JobState.DEAD, finished_at=now)
    return replace(free, state=JobState.WAITING, attempts_max=job.attempts_max + (job.lost == 0))


def _ended(job: Job, ending: Ending, now: int) -> Job:
    """Return what becomes of a job whose attempt has ended."""
    free = replace(job, lease_until=0, error=ending.error[:ERROR_CHARS_MAX] or job.error)
    if ending.is_returned:
        return replace(
            free,
            state=JobState.WAITING,
            due_at=now if ending.retry_at is None else ending.retry_at,
            attempts_max=job.attempts_max + 1,
        )
    if not ending.error:
        return replace(free, state=JobState.DONE, payload=b"", finished_at=now)
    if ending.retry_at is None or job.attempts >= job.attempts_max:
        return replace(free, state=JobState.DEAD, finished_at=now)
    return replace(free, state=JobState.WAITING, due_at=ending.retry_at)
