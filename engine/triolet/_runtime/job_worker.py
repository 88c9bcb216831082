"""What does the jobs of one kind: claims them, a little ahead, and calls the handler.

Claims cost a commit each, so as many are taken as the handler does within `jobs_ahead_s`: one
that takes a millisecond gets hundreds at once, one that takes a minute gets what it can begin.

Whoever ends the process takes with it all that was claimed. So a job that was lost like that is
never claimed ahead again, and one that was lost twice is done alone: one of them on a node at a
time, whatever their kinds, beside those that never were (`ports.jobs` says what it costs them).
"""

import logging
import math
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias, final

import trio
from msgspec import Struct
from msgspec.structs import replace

from .._domain.retrying import pause_s
from .._model.errors import Abandon, Retry, StoreError
from .._model.limits import Limits
from ..ports.clock import Clock, Entropy
from ..ports.jobs import ERROR_CHARS_MAX, Ending, Job, JobStore, NextDue
from .complaint import Complaint
from .failing import leaves_of, only_cancelled
from .job_endings import JobEndings
from .job_held import HeldJob
from .job_leases import JobLeases

logger = logging.getLogger(__name__)

Handler: TypeAlias = Callable[[Job], Awaitable[None]]

# Between two tries of a store that does not answer.
_RETRY_S: Final = 1.0
# How much the last job counts in what a job is expected to take.
_NEWEST_PART: Final = 0.1


@final
class Task(Struct, frozen=True, kw_only=True):
    """How the jobs of a kind are done.

    Attributes:
        concurrency: so many at once on this node.
        timeout_s: an attempt that takes longer has failed.
    """

    kind: str
    handler: Handler
    concurrency: int
    timeout_s: float


@final
class Hall(Struct, frozen=True, eq=False):
    """What the workers of a node share."""

    store: JobStore
    leases: JobLeases
    endings: JobEndings
    clock: Clock
    entropy: Entropy
    limits: Limits
    # Held by who does a job alone.
    alone: trio.Lock


@final
class Worker:
    """See the module.

    Attributes:
        running: how many handlers are at work.
    """

    def __init__(self, task: Task, hall: Hall) -> None:
        self._task = task
        self._hall = hall
        self._limits = hall.limits
        self.running = 0
        # Claimed, and not begun.
        self._queue: deque[HeldJob] = deque()
        self._hands = 0
        # Whether one of them is wanted for a job that is done alone; and told when one is free.
        self._is_hand_wanted = False
        self._hand_freed = trio.Event()
        # Whether the next job that is due is not claimed before a hand is free for it.
        self._is_cut = False
        # Set while one is due that is done alone.
        self._is_due_alone = trio.Event()
        # When to ask in any case what is due (monotonic, s).
        self._ask_by = -math.inf
        # When there may be something to claim (ms); and when to look in any case (monotonic, s):
        # wall clocks may be set back.
        self._due_at = 0
        self._look_by = -math.inf
        self._news = trio.Event()
        self._is_leaving = False
        self._is_claiming = False
        # Set while no hand is at work, and nothing is being claimed.
        self._is_idle = trio.Event()
        self._is_idle.set()
        # What a job takes, s; at first the most careful guess.
        self._took_s = math.inf
        self._failures = Complaint(logger, now=trio.current_time)
        self._complaint = Complaint(logger, now=trio.current_time)

    # --- told by others ------------------------------------------------------------------

    def wake_at(self, due_at: int) -> None:
        """Know that there may be something to claim at a time (ms)."""
        if due_at < self._due_at:
            self._due_at = due_at
            self._news.set()

    def leave(self) -> None:
        """Claim no more, and give back what is not begun."""
        self._is_leaving = True
        self._news.set()
        now = self._hall.clock.now_ms()
        while self._queue:
            held = self._queue.popleft()
            self._hall.endings.put(held, held.returned(now=now))

    async def wait_idle(self) -> None:
        """Wait until no handler is at work, and it is known what was claimed."""
        await self._is_idle.wait()

    def _began(self) -> None:
        if self._is_idle.is_set():
            self._is_idle = trio.Event()

    def _ended(self) -> None:
        if not self._hands and not self._is_claiming:
            self._is_idle.set()

    # --- claiming ------------------------------------------------------------------------

    async def run(self, nursery: trio.Nursery) -> None:
        """Claim jobs and have them done in `nursery`, until told to leave."""
        nursery.start_soon(self._run_alone, nursery)
        while not self._is_leaving:
            room = self._room()
            wait_s = self._wait_s()
            if room and wait_s <= 0:
                self._is_claiming = True
                self._began()
                try:
                    await self._claim(room, nursery)
                finally:
                    self._is_claiming = False
                    self._ended()
                continue
            self._news = trio.Event()
            with trio.move_on_after(wait_s if room else math.inf):
                await self._news.wait()

    def _room(self) -> int:
        """Return how many to claim: none while all are busy, and half of what is wanted is here."""
        concurrency = self._task.concurrency
        if self._is_cut and not self._free():
            return 0
        soon = int(concurrency * self._limits.jobs_ahead_s / max(self._took_s, 1e-6))
        wanted = min(concurrency + soon, max(concurrency, self._limits.jobs_batch_max))
        here = len(self._queue) + self.running
        if here >= concurrency and here > wanted // 2:
            return 0
        return min(wanted - here, self._limits.jobs_batch_max)

    def _free(self) -> int:
        """Return how many of those that are claimed now can begin at once."""
        hands = self._task.concurrency - self._is_hand_wanted - self._hands
        return 0 if self._queue else max(0, hands)

    def _wait_s(self) -> float:
        """Return how long to wait for what is due, s."""
        wait_s = (self._due_at - self._hall.clock.now_ms()) / 1000
        return min(wait_s, self._look_by - trio.current_time())

    async def _claim(self, room: int, nursery: trio.Nursery) -> None:
        hall = self._hall
        wait_s = self._pause_of_looks_s()
        self._look_by = trio.current_time() + wait_s
        self._due_at = look_at = hall.clock.now_ms() + int(1000 * wait_s)
        held_until = hall.leases.held_until()
        begin = min(room, self._free())
        try:
            jobs = await hall.store.claim(
                [self._task.kind],
                now=hall.clock.now_ms(),
                lease_until=hall.leases.until_ms(),
                limit=room,
                ahead=room - begin,
            )
            self._take(jobs, held_until, nursery)
            is_full = len(jobs) == room
            self._is_cut = len(jobs) == begin < room and _is_never_ahead(jobs)
            goes_on = is_full or self._is_cut
            if goes_on:
                self._due_at = 0
            if not self._is_leaving and (not goes_on or trio.current_time() >= self._ask_by):
                self._ask_by = self._look_by
                await self._ask(look_at)
                self._is_cut = self._is_cut and not is_full
        except StoreError as error:
            self._complaint.again(f"jobs cannot be claimed: {error!r}")
            self.wake_at(hall.clock.now_ms() + int(1000 * _RETRY_S))
        else:
            self._complaint.over("jobs are claimed again")

    async def _ask(self, look_at: int) -> None:
        """Know when there is something to claim again; at `look_at` (ms) in any case."""
        due = await self._hall.store.next_due([self._task.kind])
        now = self._hall.clock.now_ms()
        self._is_cut = due.at is not None and due.at <= now
        if due.alone_at is not None and due.alone_at <= now:
            self._is_due_alone.set()
            due = NextDue(due.at, None)
        self.wake_at(min((at for at in (due.at, due.alone_at) if at is not None), default=look_at))

    def _pause_of_looks_s(self) -> float:
        """Return how long not to look for what nobody has told of; not all nodes at once."""
        check_s = self._limits.jobs_check_s
        return self._hall.entropy.uniform(0.75 * check_s, check_s)

    def _take(self, jobs: list[Job], held_until: float, nursery: trio.Nursery) -> None:
        for job in jobs:
            held = HeldJob(job, held_until, self.wake_at)
            self._hall.leases.hold(held)
            self._queue.append(held)
        if self._is_leaving:
            self.leave()
        self._start_hands(nursery)

    def _start_hands(self, nursery: trio.Nursery) -> None:
        free = self._task.concurrency - self._is_hand_wanted - self._hands
        for _ in range(min(free, len(self._queue))):
            self._hands += 1
            self._began()
            nursery.start_soon(self._work)

    # --- those that were lost --------------------------------------------------------------

    async def _run_alone(self, nursery: trio.Nursery) -> None:
        """Do what is claimed alone, until told to leave."""
        while not self._is_leaving:
            await self._is_due_alone.wait()
            async with self._hall.alone:
                await self._take_hand()
                try:
                    await self._do_alone()
                finally:
                    self._hands -= 1
                    self._start_hands(nursery)
                    self._ended()
                    self._news.set()

    async def _take_hand(self) -> None:
        """Have one of the hands for a job that is done alone, when one is free."""
        self._is_hand_wanted = True
        try:
            while self._hands >= self._task.concurrency:
                self._hand_freed = trio.Event()
                await self._hand_freed.wait()
            self._hands += 1
            self._began()
        finally:
            self._is_hand_wanted = False

    async def _do_alone(self) -> None:
        hall = self._hall
        if self._is_leaving:
            return
        held_until = hall.leases.held_until()
        try:
            job = await hall.store.claim_alone(
                [self._task.kind], now=hall.clock.now_ms(), lease_until=hall.leases.until_ms()
            )
        except StoreError as error:
            self._complaint.again(f"jobs cannot be claimed: {error!r}")
            job = None
        if job is None:
            # Until it is asked for again.
            self._is_due_alone = trio.Event()
            return
        held = HeldJob(job, held_until, self.wake_at)
        hall.leases.hold(held)
        if self._is_leaving:
            hall.endings.put(held, held.returned(now=hall.clock.now_ms()))
        elif held.is_ours():
            await self._attempt(held)
            await hall.endings.wait_room()
        else:
            hall.leases.let_go(held)

    # --- doing ---------------------------------------------------------------------------

    async def _work(self) -> None:
        """Do one job after the other, until none waits here or the hand is wanted."""
        try:
            while self._queue and self._hands + self._is_hand_wanted <= self._task.concurrency:
                held = self._queue.popleft()
                if held.is_ours():
                    await self._attempt(held)
                else:
                    self._hall.leases.let_go(held)
                # Also when all that was here is lost: nobody else tells that there is room.
                if self._room():
                    self._news.set()
                await self._hall.endings.wait_room()
        finally:
            self._hands -= 1
            self._hand_freed.set()
            self._ended()
            if self._is_cut:
                self._news.set()

    async def _attempt(self, held: HeldJob) -> None:
        """Call the handler, and have written what became of it.

        Raises:
            Cancelled: the node leaves; the job is given back.
        """
        began = trio.current_time()
        self.running += 1
        try:
            with held.begin(timeout_s=self._task.timeout_s) as scope:
                await self._task.handler(held.job)
            ending = self._cut_short(held) if scope.cancelled_caught else held.done()
        except Exception as error:  # noqa: BLE001 - a handler's errors are the job's
            ending = self._failed(held, error)
        except BaseException as error:  # noqa: BLE001 - what remains of it is raised
            self._hall.endings.put(held, held.returned(now=self._hall.clock.now_ms()))
            raise only_cancelled(error) from None
        finally:
            self.running -= 1
        if ending is None:
            self._hall.leases.let_go(held)
        else:
            self._hall.endings.put(held, ending)
        self._took(trio.current_time() - began)

    def _took(self, took_s: float) -> None:
        before_s = self._took_s if self._took_s < math.inf else took_s
        self._took_s = before_s + _NEWEST_PART * (took_s - before_s)

    # --- failing -------------------------------------------------------------------------

    def _cut_short(self, held: HeldJob) -> Ending | None:
        """Return what became of an attempt that was cancelled; None: another may have the job."""
        if not held.is_ours():
            logger.warning("job %d was cancelled: its lease could not be kept", held.job.id)
            return None
        return self._failed(held, trio.TooSlowError(f"it took {self._task.timeout_s} s"))

    def _failed(self, held: HeldJob, error: Exception) -> Ending:
        job, reasons = held.job, leaves_of(error)
        abandoned = [one for one in reasons if isinstance(one, Abandon)]
        wishes = [one for one in reasons if isinstance(one, Retry)]
        telling = abandoned or wishes or reasons
        said = _storable("; ".join(f"{type(one).__name__}: {one}" for one in telling))
        # What errors say may be private: whoever may see the job reads it there.
        name = f"job {job.id} ({job.kind}), attempt {job.attempts} of {job.attempts_max}"
        logger.debug("%s failed", name, exc_info=error)
        if abandoned or job.attempts >= job.attempts_max:
            self._failures.again(f"{name}: dead by {type(telling[0]).__name__}")
            return held.failed(said, retry_at=None)
        wait_s = self._pause_s(job, wishes)
        self._failures.again(f"{name}: {type(telling[0]).__name__}, again in {wait_s:.1f} s")
        return held.failed(said, retry_at=self._hall.clock.now_ms() + int(1000 * wait_s))

    def _pause_s(self, job: Job, wishes: list[Retry]) -> float:
        limits = self._limits
        wished = [one.after_s for one in wishes if one.after_s is not None]
        if wished:
            return min(max(0.0, *wished), limits.jobs_retry_s_max)
        chance = self._hall.entropy.uniform(0, 1)
        return pause_s(
            job.attempts, first_s=limits.jobs_retry_s, most_s=limits.jobs_retry_s_max, chance=chance
        )


def _is_never_ahead(jobs: list[Job]) -> bool:
    """Whether the last one could not have been claimed ahead: where one is, there are more.

    Then it is claimed again, and not asked first what is due: of jobs with one attempt that does
    half of what a second can do.
    """
    return bool(jobs) and not replace(jobs[-1], attempts=jobs[-1].attempts - 1).may_be_ahead()


def _storable(said: str) -> str:
    """Return what an error said as every store can keep it: names of files may be no text."""
    text = said[:ERROR_CHARS_MAX].replace("\0", "").encode(errors="backslashreplace").decode()
    return text[:ERROR_CHARS_MAX]
