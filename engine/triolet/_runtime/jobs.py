"""The durable job queue, as hosts and the engine's own parts use it: `engine.jobs`.

    async def send_invoice(job: Job) -> None:
        await billing.send(job.payload, idempotency_key=job.key)

    engine.jobs.handle("invoice", send_invoice, concurrency=4)
    await engine.jobs.add("invoice", "2026-11/anna", b"…", delay_s=60)

What was added is done at least once, by one node at a time, whatever crashes. A handler that
raises is called again after a pause that grows; `Retry` and `Abandon` say it otherwise. The
promises are those of `ports.jobs`.
"""

import logging
from collections.abc import Sequence
from datetime import time
from typing import Final, final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import trio
from msgspec import Struct

from .._model.errors import StoreError
from .._model.limits import Limits
from .._wire.peers import ANY_KIND, JobsAdded
from ..ports.clock import Clock, Entropy
from ..ports.jobs import JOBS_MAX, Job, JobCounts, JobState, JobStore, NewJob
from .job_adding import Adding
from .job_endings import JobEndings
from .job_leases import JobLeases
from .job_schedules import Daily, Interval, Schedule, Slots
from .job_worker import Hall, Handler, Task, Worker
from .nodes import ALL_NODES, Nodes

logger = logging.getLogger(__name__)

CONCURRENCY_MAX: Final = 1000
# Other nodes are rung at most so often: a claim each is what it costs.
_RING_INTERVAL_S: Final = 0.05
# Between two looks for what was done long ago, and two steps of one, so that work comes first.
_FORGET_INTERVAL_S: Final = 60.0
_FORGET_STEP_S: Final = 0.05
# How long counts are told again without being counted; and how much longer than counting takes:
# of a million that wait it takes the database a second.
_COUNTS_KEPT_S: Final = 1.0
_COUNTS_KEPT_TIMES: Final = 20


@final
class JobStatistics(Struct, frozen=True, kw_only=True):
    """How the queue does.

    Attributes:
        kinds: by name, on all nodes, as they were at most a second ago; where that takes long
            to count, at most twenty times as long ago.
        running_here: handlers at work on this node.
        oldest_due_at: of those that wait (ms), 0: none.
    """

    kinds: tuple[JobCounts, ...]
    running_here: int
    oldest_due_at: int


@final
class Jobs:
    """See the module. `nodes`: None where there are no others."""

    def __init__(
        self, store: JobStore, clock: Clock, entropy: Entropy, limits: Limits, nodes: Nodes | None
    ) -> None:
        self._store = store
        self._clock = clock
        self._limits = limits
        self._nodes = nodes
        self._adding = Adding(store, clock, limits, self._added)
        self._leases = JobLeases(store, clock, limits)
        self._endings = JobEndings(store, self._leases, clock, limits)
        self._hall = Hall(store, self._leases, self._endings, clock, entropy, limits, trio.Lock())
        self._workers: dict[str, Worker] = {}
        self._schedules: dict[str, Schedule] = {}
        # Where handlers run; None before and after that.
        self._nursery: trio.Nursery | None = None
        self._scope = trio.CancelScope()
        self._has_left = trio.Event()
        # Kinds that other nodes have not been told of.
        self._untold: dict[str, None] = {}
        self._news = trio.Event()
        self._counts: list[JobCounts] = []
        # When they are counted again (monotonic, s), by one task at a time.
        self._counts_due = float("-inf")
        self._counting = trio.Lock()
        if nodes is not None:
            nodes.handle(JobsAdded, self._added_elsewhere)

    # --- what hosts use ------------------------------------------------------------------

    def handle(
        self,
        kind: str,
        handler: Handler,
        *,
        concurrency: int | None = None,
        timeout_s: float | None = None,
    ) -> None:
        """Have jobs of a kind done on this node by `await handler(job)`.

        When it returns, the job is done. When it raises `Retry`, or anything that is no fault of
        the whole program, it has failed and is called again later, `attempts_max` times in all;
        when it raises `Abandon`, it never is. It may be called twice for one job: where that
        matters, it has what it does happen once by `job.key`.

        Args:
            kind: of which there is no handler yet.
            handler: in Trio, and in the engine's thread: it never blocks.
            concurrency: so many at once on this node; `Limits.jobs_running_max` if not given.
            timeout_s: it is cancelled after so long; `Limits.jobs_timeout_s` if not given.

        Raises:
            ValueError: there is a handler, or a number is out of its bounds.
        """
        concurrency = concurrency or self._limits.jobs_running_max
        timeout_s = timeout_s or self._limits.jobs_timeout_s
        if kind in self._workers:
            raise ValueError(f"jobs of kind {kind!r} have a handler already")
        if not 1 <= concurrency <= CONCURRENCY_MAX or timeout_s <= 0:
            raise ValueError(f"1 to {CONCURRENCY_MAX} at once, each for more than 0 s")
        NewJob(kind=kind, key="any")
        task = Task(kind=kind, handler=handler, concurrency=concurrency, timeout_s=timeout_s)
        worker = self._workers[kind] = Worker(task, self._hall)
        if self._nursery is not None:
            self._nursery.start_soon(worker.run, self._nursery)

    async def add(
        self,
        kind: str,
        key: str,
        payload: bytes = b"",
        *,
        delay_s: float = 0,
        priority: int = 0,
        attempts_max: int = 10,
    ) -> bool:
        """Have something done later, by whichever node has a handler; return whether it is new.

        When this returns, a crash does not lose it. A job of the same kind and key that waits,
        runs, is dead, or was done within `Limits.jobs_keep_done_s` is the same one: then nothing
        changes, and it is not new.

        Args:
            kind: 1 to 64 characters.
            key: 1 to 200 characters; names what is done, so that it is done once.
            payload: at most 64 KiB, for the handler.
            delay_s: not before so long from now.
            priority: -100 to 100, the higher first.
            attempts_max: 1 to 1,000; then it is dead.

        Raises:
            StoreUnavailable: it is not added.
            OutcomeUnknown: it may have been; adding it again finds out.
            ValueError: a field is out of its bounds.
        """
        due_at = self._clock.now_ms() + int(1000 * delay_s) if delay_s else 0
        job = NewJob(
            kind=kind,
            key=key,
            payload=payload,
            priority=priority,
            due_at=due_at,
            attempts_max=attempts_max,
        )
        (is_new,) = await self._adding.add([job])
        return is_new

    async def add_many(self, jobs: Sequence[NewJob]) -> list[bool]:
        """Add up to 1,000 jobs, all or none; return which are new, in their order.

        Raises:
            StoreUnavailable: none is added.
            OutcomeUnknown: they may have been; adding them again finds out.
            ValueError: there are more.
        """
        return await self._adding.add(jobs)

    async def withdraw(self, kind: str, keys: Sequence[str]) -> int:
        """Remove jobs that wait, up to 1,000 at once, and return how many; what runs goes on.

        Raises:
            StoreError: some may be left.
        """
        return await self._store.withdraw(kind, keys)

    def every(self, kind: str, *, interval_s: float) -> None:
        """Have a job of this kind done every so often, once over all nodes.

        Its key is the slot's time, in UTC. Slots that pass while no node runs are done once, when
        one runs again. All nodes say the same.

        Raises:
            ValueError: the kind has a schedule, or the interval is below a second.
        """
        if interval_s < 1:
            raise ValueError(f"every {interval_s} s is too often; once a second is not")
        self._schedule(kind, Interval(int(1000 * interval_s)))

    def daily(self, kind: str, *, at: time, zone: str = "UTC") -> None:
        """Have a job of this kind done every day at a time of day, once over all nodes.

        See `every`. `zone`: a name of the IANA database, `Europe/Berlin`.

        Raises:
            ValueError: the kind has a schedule, or there is no such zone.
        """
        try:
            self._schedule(kind, Daily(at, ZoneInfo(zone)))
        except ZoneInfoNotFoundError:
            raise ValueError(f"there is no time zone {zone!r} here") from None

    def _schedule(self, kind: str, slots: Slots) -> None:
        if kind in self._schedules:
            raise ValueError(f"jobs of kind {kind!r} have a schedule already")
        schedule = Schedule(kind, slots, self._clock, self.add_many)
        self._schedules[kind] = schedule
        if self._nursery is not None:
            self._nursery.start_soon(schedule.run)

    # --- looking after them --------------------------------------------------------------

    async def statistics(self) -> JobStatistics:
        """Return how the queue does.

        Raises:
            StoreUnavailable: it could not be counted.
        """
        async with self._counting:
            began = trio.current_time()
            if began >= self._counts_due:
                self._counts = await self._store.counts()
                ended = trio.current_time()
                kept_s = max(_COUNTS_KEPT_S, _COUNTS_KEPT_TIMES * (ended - began))
                self._counts_due = ended + kept_s
        dues = [counts.oldest_due_at for counts in self._counts if counts.oldest_due_at]
        return JobStatistics(
            kinds=tuple(self._counts),
            running_here=sum(worker.running for worker in self._workers.values()),
            oldest_due_at=min(dues, default=0),
        )

    async def listed(
        self, state: JobState, *, kind: str = "", after: int = 0, limit: int = 100
    ) -> list[Job]:
        """Return jobs in a state, the newest first; see `ports.jobs`.

        Raises:
            StoreUnavailable: they could not be read.
        """
        return await self._store.listed(state, kind=kind, after=after, limit=limit)

    async def requeue(self, ids: Sequence[int]) -> int:
        """Have dead jobs tried again from the beginning, up to 1,000; return how many.

        Raises:
            StoreError: some may not be.
        """
        count = await self._store.requeue(ids, now=self._clock.now_ms())
        self._wake(ANY_KIND, 0)
        self._tell([ANY_KIND])
        return count

    async def drop(self, ids: Sequence[int]) -> int:
        """Remove dead jobs, up to 1,000; return how many.

        Raises:
            StoreError: some may be left.
        """
        return await self._store.drop(ids)

    # --- living --------------------------------------------------------------------------

    async def run(self) -> None:
        """Work, for as long as the engine lives."""
        async with trio.open_nursery() as nursery:
            for run in (
                self._adding.run,
                self._endings.run,
                self._leases.run,
                self._ring,
                self._forget,
            ):
                nursery.start_soon(run)
            await self._work()

    async def _work(self) -> None:
        try:
            with self._scope:
                async with trio.open_nursery() as self._nursery:
                    for worker in self._workers.values():
                        self._nursery.start_soon(worker.run, self._nursery)
                    for schedule in self._schedules.values():
                        self._nursery.start_soon(schedule.run)
                    await trio.sleep_forever()
        finally:
            # Also where another of the engine's tasks has failed: whoever leaves waits for it.
            self._nursery = None
            self._has_left.set()

    async def leave(self) -> None:
        """Claim nothing more, let handlers end for a while, and give back what is left.

        `add` goes on. Being cancelled does not end it: it takes a bounded time.
        """
        if self._nursery is None:
            return
        with trio.CancelScope(shield=True):
            await self._leave()

    async def _leave(self) -> None:
        for worker in self._workers.values():
            worker.leave()
        with trio.move_on_after(self._limits.jobs_drain_s):
            for worker in self._workers.values():
                await worker.wait_idle()
        self._scope.cancel()
        await self._has_left.wait()
        with trio.move_on_after(self._limits.close_timeout_s) as scope:
            await self._endings.wait_written()
        if scope.cancelled_caught:
            logger.warning("what became of the last jobs is not written; they are done again")
        self._tell(list(self._workers))

    # --- telling others ------------------------------------------------------------------

    def _added(self, jobs: Sequence[NewJob]) -> None:
        """Wake who does them, here and elsewhere."""
        soon = self._clock.now_ms() + int(1000 * self._limits.jobs_check_s)
        dues: dict[str, int] = {}
        for job in jobs:
            dues[job.kind] = min(job.due_at, dues.get(job.kind, job.due_at))
        for kind, due_at in dues.items():
            self._wake(kind, due_at)
        self._tell([kind for kind, due_at in dues.items() if due_at < soon])

    def _wake(self, kind: str, due_at: int) -> None:
        workers = self._workers
        for worker in workers.values() if kind == ANY_KIND else (workers.get(kind),):
            if worker is not None:
                worker.wake_at(due_at)

    def _tell(self, kinds: Sequence[str]) -> None:
        if self._nodes is not None and kinds:
            self._untold.update(dict.fromkeys(kinds))
            self._news.set()

    async def _ring(self) -> None:
        while self._nodes is not None:
            await self._news.wait()
            self._news = trio.Event()
            kinds, self._untold = tuple(self._untold), {}
            self._nodes.ring_if_idle(ALL_NODES, JobsAdded(kinds))
            await trio.sleep(_RING_INTERVAL_S)

    def _added_elsewhere(self, node: str, message: JobsAdded) -> None:
        del node
        for kind in message.kinds:
            self._wake(kind, 0)

    # --- forgetting ----------------------------------------------------------------------

    async def _forget(self) -> None:
        """Forget keys of jobs that were done long ago, a little at a time."""
        keep_ms = int(1000 * self._limits.jobs_keep_done_s)
        while True:
            await trio.sleep(_FORGET_INTERVAL_S)
            pruned = JOBS_MAX
            while pruned >= JOBS_MAX:
                done_before = self._clock.now_ms() - keep_ms
                try:
                    pruned = await self._store.prune(done_before=done_before, limit=JOBS_MAX)
                except StoreError as error:
                    logger.warning("done jobs are remembered for longer: %s", error)
                    break
                await trio.sleep(_FORGET_STEP_S)
