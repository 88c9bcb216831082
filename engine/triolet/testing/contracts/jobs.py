"""The contract of `ports.jobs.JobStore`: one key one job, one worker, in order, at least once."""

import trio

from ...ports.jobs import (
    ERROR_CHARS_MAX,
    LEASE_ENDED,
    Ending,
    Job,
    JobCounts,
    JobState,
    JobStore,
    Lease,
    NewJob,
)
from .home import BEGINNING_MS as NOW
from .home import Contract, Home

# Later than any lease that ends in a test.
_FAR = NOW + 1_000_000


def new(
    key: str, kind: str = "k", *, due_at: int = 0, priority: int = 0, attempts: int = 10
) -> NewJob:
    """Return a job to add."""
    return NewJob(
        kind=kind,
        key=key,
        payload=key.encode(),
        due_at=due_at,
        priority=priority,
        attempts_max=attempts,
    )


async def claim(
    jobs: JobStore, *kinds: str, now: int = NOW, until: int = _FAR, limit: int = 100
) -> list[Job]:
    """Claim jobs of kinds, of `k` if none is given."""
    return await jobs.claim(kinds or ("k",), now=now, lease_until=until, limit=limit)


def lease(job: Job) -> Lease:
    """Return the right to a job as it was claimed."""
    return Lease(job.id, job.attempts)


def keys(jobs: list[Job]) -> list[str]:
    """Return the keys of jobs."""
    return [job.key for job in jobs]


async def die(jobs: JobStore, *keys: str) -> list[int]:
    """Have jobs that are dead; return their ids."""
    await jobs.add([new(key) for key in keys], now=NOW)
    dying = await claim(jobs)
    await jobs.finish([Ending(lease=lease(job), error="no") for job in dying], now=NOW)
    return [job.id for job in dying]


class JobQueueContract(Contract):
    """What is added is claimed, in order, by one."""

    async def test_what_is_added_is_claimed_as_it_was(self, home: Home) -> None:
        """Every field, and ids that grow."""
        async with self.open_store(home) as store:
            added = [new("a"), new("b", due_at=NOW - 5, priority=3, attempts=2)]
            assert [True, True] == await store.jobs.add(added, now=NOW)
            second, first = await claim(store.jobs)
            assert first == Job(
                id=first.id,
                kind="k",
                key="a",
                payload=b"a",
                priority=0,
                due_at=NOW,
                attempts_max=10,
                state=JobState.RUNNING,
                attempts=1,
                added_at=NOW,
                lease_until=_FAR,
            )
            assert (3, NOW - 5, 2) == (second.priority, second.due_at, second.attempts_max)
            assert 0 < first.id < second.id
            assert [] == await claim(store.jobs)

    async def test_what_is_added_is_durable(self, home: Home) -> None:
        """And what was finished stays so."""
        self.require_durable()
        async with self.open_store(home) as store:
            await store.jobs.add([new("a"), new("b"), new("c")], now=NOW)
            done, running = await claim(store.jobs, limit=2)
            await store.jobs.finish([Ending(lease=lease(done))], now=NOW)
        async with self.open_store(home) as store:
            assert ["c"] == keys(await claim(store.jobs))
            assert [False, False] == await store.jobs.add([new("a"), new("b")], now=NOW)
            assert [True] == await store.jobs.finish([Ending(lease=lease(running))], now=NOW)
            (job,) = await claim(store.jobs, now=_FAR, until=_FAR + 1)
            await store.jobs.add([new("d")], now=NOW)
            (last,) = await claim(store.jobs)
            assert ("c", True) == (job.key, last.id > job.id > running.id)

    async def test_the_order(self, home: Home) -> None:
        """The higher priority first, then the earlier due, then the earlier added."""
        async with self.open_store(home) as store:
            await store.jobs.add(
                [
                    new("later", due_at=NOW - 1),
                    new("low", due_at=NOW - 9, priority=-100),
                    new("early", due_at=NOW - 2),
                    new("later too", due_at=NOW - 1),
                    new("high", priority=100),
                    new("not yet", due_at=NOW + 1, priority=100),
                    new("other kind", "j", due_at=NOW - 2),
                ],
                now=NOW,
            )
            first = await claim(store.jobs, "k", "j", limit=3)
            rest = await claim(store.jobs, "k", "j")
            assert ["high", "early", "other kind"] == keys(first)
            assert ["later", "later too", "low"] == keys(rest)
            assert ["not yet"] == keys(await claim(store.jobs, now=NOW + 1))

    async def test_kinds_are_apart(self, home: Home) -> None:
        """Only what is asked for is claimed, and the same key may be of several kinds."""
        async with self.open_store(home) as store:
            assert [True] * 2 == await store.jobs.add([new("a", "j"), new("a", "k")], now=NOW)
            assert ["k"] == [job.kind for job in await claim(store.jobs, "k", "l")]
            assert [] == await claim(store.jobs, "k", "l")
            assert ["j"] == [job.kind for job in await claim(store.jobs, "j")]

    async def test_one_key_is_one_job(self, home: Home) -> None:
        """While it waits, runs, is dead, or is remembered as done; in one call, too."""
        async with self.open_store(home) as store:
            jobs = store.jobs
            assert [True, False] == await jobs.add([new("a"), new("a", priority=9)], now=NOW)
            assert [False, True] == await jobs.add([new("a"), new("b")], now=NOW)
            first, second = await claim(jobs)
            assert (b"a", 0) == (first.payload, first.priority)
            assert [False, False] == await jobs.add([new("a"), new("b")], now=NOW)
            endings = [Ending(lease=lease(first)), Ending(lease=lease(second), error="no")]
            assert [True, True] == await jobs.finish(endings, now=NOW)
            assert [False, False] == await jobs.add([new("a"), new("b")], now=NOW + 1)
            assert 0 == await jobs.prune(done_before=NOW, limit=10)
            assert [False] == await jobs.add([new("a")], now=NOW + 1)
            assert 1 == await jobs.prune(done_before=NOW + 1, limit=10)
            assert [True, False] == await jobs.add([new("a"), new("b")], now=NOW + 1)

    async def test_claimers_at_the_same_time_get_other_jobs(self, home: Home) -> None:
        """Each job once, whoever claims."""
        async with self.open_store(home) as store:
            await store.jobs.add([new(str(number)) for number in range(300)], now=NOW)
            claimed: list[list[Job]] = []

            async def work() -> None:
                while some := await claim(store.jobs, limit=7):
                    claimed.append(some)

            async with trio.open_nursery() as nursery:
                for _ in range(8):
                    nursery.start_soon(work)
            ids = [job.id for some in claimed for job in some]
            assert (300, 300) == (len(ids), len(set(ids)))

    async def test_nothing_is_asked_and_nothing_happens(self, home: Home) -> None:
        """Of no jobs, no kinds, no keys."""
        async with self.open_store(home) as store:
            jobs = store.jobs
            assert [] == await jobs.add([], now=NOW) == await jobs.finish([], now=NOW)
            assert [] == await jobs.extend([], lease_until=NOW)
            assert [] == await jobs.claim([], now=NOW, lease_until=_FAR, limit=1)
            assert 0 == await jobs.withdraw("k", []) == await jobs.drop([])
            assert 0 == await jobs.requeue([], now=NOW)
            assert None is await jobs.next_due([])
            assert [] == await jobs.counts()

    async def test_text_of_all_kinds(self, home: Home) -> None:
        """As long as may be, and not in ASCII."""
        async with self.open_store(home) as store:
            job = NewJob(kind="ö" * 64, key="🙂" * 200, payload=bytes(range(256)) * 256)
            await store.jobs.add([job], now=NOW)
            (found,) = await claim(store.jobs, job.kind)
            assert (job.kind, job.key, job.payload) == (found.kind, found.key, found.payload)


class JobLeaseContract(Contract):
    """A claimed job is nobody else's until its lease ends, and then it is no more its own."""

    async def test_a_lease_that_ends_gives_the_job_to_others(self, home: Home) -> None:
        """Not before; its attempt counts, and says so."""
        async with self.open_store(home) as store:
            await store.jobs.add([new("a")], now=NOW)
            await claim(store.jobs, until=NOW + 10)
            assert [] == await claim(store.jobs, now=NOW + 9)
            assert [] == await claim(store.jobs, "j", now=NOW + 10)
            (again,) = await claim(store.jobs, now=NOW + 10)
            assert (2, LEASE_ENDED) == (again.attempts, again.error)

    async def test_it_is_taken_in_its_order(self, home: Home) -> None:
        """Like one that waits."""
        async with self.open_store(home) as store:
            await store.jobs.add([new("low", priority=1), new("high", priority=2)], now=NOW)
            assert 2 == len(await claim(store.jobs, until=NOW + 10))
            await store.jobs.add([new("higher", priority=3), new("lowest")], now=NOW)
            found = await claim(store.jobs, now=NOW + 10, limit=3)
            assert ["higher", "high", "low"] == keys(found)

    async def test_the_last_attempt_that_never_ends_is_a_death(self, home: Home) -> None:
        """It is not returned."""
        async with self.open_store(home) as store:
            await store.jobs.add([new("a", attempts=1)], now=NOW)
            (job,) = await claim(store.jobs, until=NOW + 10)
            assert [] == await claim(store.jobs, now=NOW + 11)
            (dead,) = await store.jobs.listed(JobState.DEAD, limit=10)
            assert (job.id, LEASE_ENDED, NOW + 11) == (dead.id, dead.error, dead.finished_at)
            assert [False] == await store.jobs.finish([Ending(lease=lease(job))], now=NOW + 12)

    async def test_who_lost_the_lease_changes_nothing(self, home: Home) -> None:
        """Neither ends it nor keeps it; the one who has it does."""
        async with self.open_store(home) as store:
            jobs = store.jobs
            await jobs.add([new("a")], now=NOW)
            (late,) = await claim(jobs, until=NOW + 10)
            (mine,) = await claim(jobs, now=NOW + 10)
            for ending in (
                Ending(lease=lease(late)),
                Ending(lease=lease(late), error="no"),
                Ending(lease=lease(late), error="no", retry_at=NOW),
                Ending(lease=lease(late), is_returned=True),
                Ending(lease=Lease(mine.id + 1, 1)),
            ):
                assert [False] == await jobs.finish([ending], now=NOW + 11)
            assert [False, True] == await jobs.extend([lease(late), lease(mine)], lease_until=_FAR)
            assert [True] == await jobs.finish([Ending(lease=lease(mine))], now=NOW + 12)
            assert [False] == await jobs.extend([lease(mine)], lease_until=_FAR)
            assert [False] == await jobs.finish([Ending(lease=lease(mine))], now=NOW + 13)

    async def test_who_is_late_and_not_missed_still_ends_it(self, home: Home) -> None:
        """A lease is lost when a claim finds that it has ended."""
        async with self.open_store(home) as store:
            await store.jobs.add([new("a")], now=NOW)
            (job,) = await claim(store.jobs, until=NOW + 10)
            assert [True] == await store.jobs.finish([Ending(lease=lease(job))], now=NOW + 20)
            assert [] == await claim(store.jobs, now=NOW + 20)

    async def test_a_lease_is_extended(self, home: Home) -> None:
        """Then it ends later."""
        async with self.open_store(home) as store:
            await store.jobs.add([new("a"), new("b")], now=NOW)
            first, _ = await claim(store.jobs, until=NOW + 10)
            assert [True] == await store.jobs.extend([lease(first)], lease_until=NOW + 30)
            assert ["b"] == keys(await claim(store.jobs, now=NOW + 20))
            (again,) = await claim(store.jobs, now=NOW + 30)
            assert (first.id, 2) == (again.id, again.attempts)


class JobEndingContract(Contract):
    """What becomes of attempts."""

    async def test_done_is_done(self, home: Home) -> None:
        """The payload is gone, the key is remembered."""
        async with self.open_store(home) as store:
            await store.jobs.add([new("a")], now=NOW)
            (job,) = await claim(store.jobs)
            await store.jobs.finish([Ending(lease=lease(job))], now=NOW + 5)
            (done,) = await store.jobs.listed(JobState.DONE, limit=10)
            assert (job.id, "a", b"", 1) == (done.id, done.key, done.payload, done.attempts)
            assert (NOW + 5, "", 0) == (done.finished_at, done.error, done.lease_until)
            assert [] == await claim(store.jobs, now=_FAR + 1)

    async def test_what_failed_waits_until_it_is_tried_again(self, home: Home) -> None:
        """With what it said; its attempts are counted, and at the last one it dies."""
        async with self.open_store(home) as store:
            await store.jobs.add([new("a", attempts=3)], now=NOW)
            for attempt in (1, 2):
                (job,) = await claim(store.jobs, now=NOW + 10 * attempt)
                assert (attempt, b"a") == (job.attempts, job.payload)
                retry_at = NOW + 10 * (attempt + 1)
                failed = Ending(lease=lease(job), error=f"no {attempt}", retry_at=retry_at)
                assert [True] == await store.jobs.finish([failed], now=NOW)
                assert [] == await claim(store.jobs, now=retry_at - 1)
                (waiting,) = await store.jobs.listed(JobState.WAITING, limit=1)
                assert (f"no {attempt}", retry_at) == (waiting.error, waiting.due_at)
            (job,) = await claim(store.jobs, now=NOW + 30)
            last = Ending(lease=lease(job), error="no 3", retry_at=NOW + 40)
            assert [True] == await store.jobs.finish([last], now=NOW + 31)
            assert [] == await claim(store.jobs, now=_FAR + 1)
            (dead,) = await store.jobs.listed(JobState.DEAD, limit=1)
            assert (3, "no 3", b"a", NOW + 31) == (
                (dead.attempts, dead.error, dead.payload, dead.finished_at)
            )

    async def test_what_is_never_tried_again_is_dead_at_once(self, home: Home) -> None:
        """Whatever attempts it has left; a long error is cut."""
        async with self.open_store(home) as store:
            await store.jobs.add([new("a")], now=NOW)
            (job,) = await claim(store.jobs)
            await store.jobs.finish([Ending(lease=lease(job), error="é" * 5000)], now=NOW)
            (dead,) = await store.jobs.listed(JobState.DEAD, limit=1)
            assert (1, "é" * ERROR_CHARS_MAX) == (dead.attempts, dead.error)

    async def test_what_is_given_back_costs_no_attempt(self, home: Home) -> None:
        """Even the last one; and its former worker is fenced all the same."""
        async with self.open_store(home) as store:
            jobs = store.jobs
            await jobs.add([new("a", attempts=1), new("b", due_at=NOW - 1)], now=NOW)
            second, first = await claim(jobs)
            endings = [
                Ending(lease=lease(first), is_returned=True),
                Ending(lease=lease(second), is_returned=True, retry_at=NOW + 20),
            ]
            assert [True, True] == await jobs.finish(endings, now=NOW + 10)
            assert [False, False] == await jobs.finish(endings, now=NOW + 10)
            assert [] == await claim(jobs, now=NOW + 9)
            (again,) = await claim(jobs, now=NOW + 10)
            assert ("a", b"a", "") == (again.key, again.payload, again.error)
            assert again.attempts > first.attempts
            assert [False] == await jobs.finish([Ending(lease=lease(first))], now=NOW + 11)
            failed = Ending(lease=lease(again), error="no", retry_at=NOW + 12)
            assert [True] == await jobs.finish([failed], now=NOW + 11)
            assert ["a"] == keys(await jobs.listed(JobState.DEAD, limit=1))
            assert ["b"] == keys(await claim(jobs, now=NOW + 20))

    async def test_many_endings_at_once(self, home: Home) -> None:
        """Of all sorts, more than fit into one statement."""
        async with self.open_store(home) as store:
            jobs = store.jobs
            await jobs.add([new(str(number)) for number in range(600)], now=NOW)
            claimed = await claim(jobs, limit=600)
            sorts = [
                lambda job: Ending(lease=lease(job)),
                lambda job: Ending(lease=lease(job), error="no"),
                lambda job: Ending(lease=lease(job), error="no", retry_at=NOW + 1),
                lambda job: Ending(lease=lease(job), is_returned=True),
                lambda job: Ending(lease=Lease(job.id, 7)),
            ]
            endings = [sorts[index % 5](job) for index, job in enumerate(claimed)]
            assert [True, True, True, True, False] * 120 == await jobs.finish(endings, now=NOW)
            expected = JobCounts(kind="k", waiting=240, running=120, dead=120, oldest_due_at=NOW)
            assert [expected] == await jobs.counts()


class JobKeepingContract(Contract):
    """Looking after them."""

    async def test_withdrawing(self, home: Home) -> None:
        """What waits goes, also for another try; what runs goes on; the key is free."""
        async with self.open_store(home) as store:
            jobs = store.jobs
            await jobs.add([new("runs", priority=2), new("fails", priority=1)], now=NOW)
            runs, fails = await claim(jobs)
            await jobs.finish([Ending(lease=lease(fails), error="no", retry_at=NOW)], now=NOW)
            await jobs.add([new("a"), new("b"), new("a", "j")], now=NOW)
            assert 2 == await jobs.withdraw("k", ["runs", "fails", "a", "a", "none"])
            assert ["b"] == keys(await claim(jobs))
            assert [True] == await jobs.finish([Ending(lease=lease(runs))], now=NOW)
            assert [True, True] == await jobs.add([new("a"), new("fails")], now=NOW)
            assert 2 == len(await claim(jobs, limit=9))
            assert ["a"] == keys(await claim(jobs, "j"))

    async def test_when_the_next_one_may_be_claimed(self, home: Home) -> None:
        """The earliest due of those that wait, or the end of a lease; of these kinds alone."""
        async with self.open_store(home) as store:
            jobs = store.jobs
            assert None is await jobs.next_due(["k"])
            await jobs.add(
                [
                    new("a", due_at=NOW + 30, priority=9),
                    new("b", due_at=NOW + 20),
                    new("c", "j", due_at=NOW + 10),
                ],
                now=NOW,
            )
            assert NOW + 20 == await jobs.next_due(["k"])
            assert NOW + 10 == await jobs.next_due(["k", "j"])
            assert None is await jobs.next_due(["l"])
            assert 2 == len(await claim(jobs, now=NOW + 30, until=NOW + 50))
            assert NOW + 50 == await jobs.next_due(["k"])
            await jobs.add([new("d", due_at=NOW + 40)], now=NOW)
            assert NOW + 40 == await jobs.next_due(["k"])

    async def test_listing(self, home: Home) -> None:
        """The newest first, by state and kind, page by page."""
        async with self.open_store(home) as store:
            jobs = store.jobs
            await jobs.add([new(str(n), "kj"[n % 2]) for n in range(6)], now=NOW)
            found = await jobs.listed(JobState.WAITING, limit=4)
            assert ["5", "4", "3", "2"] == keys(found)
            rest = await jobs.listed(JobState.WAITING, after=found[-1].id, limit=4)
            assert ["1", "0"] == keys(rest)
            assert ["5", "3"] == keys(await jobs.listed(JobState.WAITING, kind="j", limit=2))
            await claim(jobs, limit=2)
            assert ["2", "0"] == keys(await jobs.listed(JobState.RUNNING, limit=9))
            after = found[-1].id
            assert ["0"] == keys(await jobs.listed(JobState.RUNNING, after=after, limit=9))
            for state in (JobState.DONE, JobState.DEAD):
                assert (
                    []
                    == await jobs.listed(state, limit=9)
                    == await jobs.listed(state, kind="k", limit=9)
                )

    async def test_requeueing(self, home: Home) -> None:
        """Dead ones wait again, with all their attempts, as if they were added now."""
        async with self.open_store(home) as store:
            jobs = store.jobs
            first, second = await die(jobs, "a", "b")
            await jobs.add([new("c", due_at=NOW + 1)], now=NOW)
            (waits,) = await jobs.listed(JobState.WAITING, limit=1)
            assert 1 == await jobs.requeue([first, first, waits.id, 10**9], now=NOW + 5)
            assert ["b"] == keys(await jobs.listed(JobState.DEAD, limit=9))
            assert [False] == await jobs.add([new("a")], now=NOW + 5)
            _, again = await claim(jobs, now=NOW + 5)
            assert ("a", 1, b"a", NOW + 5) == (
                (again.key, again.attempts, again.payload, again.due_at)
            )
            assert again.id > waits.id
            assert [False] == await jobs.finish([Ending(lease=Lease(first, 1))], now=NOW + 6)
            assert [True] == await jobs.finish([Ending(lease=lease(again))], now=NOW + 6)
            assert 1 == await jobs.requeue([second], now=NOW + 5)

    async def test_dropping(self, home: Home) -> None:
        """Dead ones go, and nothing else; the key is free."""
        async with self.open_store(home) as store:
            jobs = store.jobs
            first, second = await die(jobs, "a", "b")
            await jobs.add([new("c")], now=NOW)
            (waits,) = await jobs.listed(JobState.WAITING, limit=1)
            assert 1 == await jobs.drop([first, first, waits.id, 10**9])
            assert [second] == [job.id for job in await jobs.listed(JobState.DEAD, limit=9)]
            assert [True, False] == await jobs.add([new("a"), new("b")], now=NOW)

    async def test_counting(self, home: Home) -> None:
        """By kind; what is done does not count."""
        async with self.open_store(home) as store:
            jobs = store.jobs
            await die(jobs, "x")
            added = [new("a"), new("b"), new("c", due_at=NOW - 7), new("d", priority=9)]
            await jobs.add([*added, new("a", "j")], now=NOW)
            first, _ = await claim(jobs, limit=2)
            assert [
                JobCounts(kind="j", waiting=1, running=0, dead=0, oldest_due_at=NOW),
                JobCounts(kind="k", waiting=2, running=2, dead=1, oldest_due_at=NOW),
            ] == await jobs.counts()
            await claim(jobs, "j")
            await jobs.finish([Ending(lease=lease(first))], now=NOW)
            assert [
                JobCounts(kind="j", waiting=0, running=1, dead=0),
                JobCounts(kind="k", waiting=2, running=1, dead=1, oldest_due_at=NOW),
            ] == await jobs.counts()

    async def test_pruning(self, home: Home) -> None:
        """Those done first go first, at most so many; nothing else goes."""
        async with self.open_store(home) as store:
            jobs = store.jobs
            await die(jobs, "dead")
            await jobs.add([new(str(number)) for number in range(5)], now=NOW)
            for at, job in enumerate(await claim(jobs)):
                await jobs.finish([Ending(lease=lease(job))], now=NOW + at)
            await jobs.add([new("runs")], now=NOW)
            await claim(jobs)
            await jobs.add([new("waits")], now=NOW)
            assert 2 == await jobs.prune(done_before=NOW + 4, limit=2)
            assert ["4", "3", "2"] == keys(await jobs.listed(JobState.DONE, limit=9))
            assert 2 == await jobs.prune(done_before=NOW + 4, limit=9)
            assert 0 == await jobs.prune(done_before=NOW + 4, limit=9)
            assert ["4"] == keys(await jobs.listed(JobState.DONE, limit=9))
            (counts,) = await jobs.counts()
            assert (1, 1, 1) == (counts.waiting, counts.running, counts.dead)


class JobContract(JobQueueContract, JobLeaseContract, JobEndingContract, JobKeepingContract):
    """Every sentence of the port. Subclass it, say how a store is opened, and run pytest."""
