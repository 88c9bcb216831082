"""The contract of `ports.jobs.JobStore`: what becomes of attempts, and looking after jobs."""

from ...ports.jobs import (
    ERROR_CHARS_MAX,
    Ending,
    JobCounts,
    JobState,
    Lease,
)
from . import jobbing as j
from .home import Contract, Home


class JobEndingContract(Contract):
    """What becomes of attempts."""

    async def test_done_is_done(self, home: Home) -> None:
        """The payload is gone, the key is remembered."""
        async with self.open_store(home) as store:
            await store.jobs.add([j.new("a")], now=j.NOW)
            (job,) = await j.claim(store.jobs)
            await store.jobs.finish([Ending(lease=j.lease(job))], now=j.NOW + 5)
            (done,) = await store.jobs.listed(JobState.DONE, limit=10)
            assert (job.id, "a", b"", 1) == (done.id, done.key, done.payload, done.attempts)
            assert (j.NOW + 5, "", 0) == (done.finished_at, done.error, done.lease_until)
            assert [] == await j.claim(store.jobs, now=j.FAR + 1)

    async def test_what_failed_waits_until_it_is_tried_again(self, home: Home) -> None:
        """With what it said; its attempts are counted, and at the last one it dies."""
        async with self.open_store(home) as store:
            await store.jobs.add([j.new("a", attempts=3)], now=j.NOW)
            for attempt in (1, 2):
                (job,) = await j.claim(store.jobs, now=j.NOW + 10 * attempt)
                assert (attempt, b"a") == (job.attempts, job.payload)
                retry_at = j.NOW + 10 * (attempt + 1)
                failed = Ending(lease=j.lease(job), error=f"no {attempt}", retry_at=retry_at)
                assert [True] == await store.jobs.finish([failed], now=j.NOW)
                assert [] == await j.claim(store.jobs, now=retry_at - 1)
                (waiting,) = await store.jobs.listed(JobState.WAITING, limit=1)
                assert (f"no {attempt}", retry_at) == (waiting.error, waiting.due_at)
            (job,) = await j.claim(store.jobs, now=j.NOW + 30)
            last = Ending(lease=j.lease(job), error="no 3", retry_at=j.NOW + 40)
            assert [True] == await store.jobs.finish([last], now=j.NOW + 31)
            assert [] == await j.claim(store.jobs, now=j.FAR + 1)
            (dead,) = await store.jobs.listed(JobState.DEAD, limit=1)
            assert (3, "no 3", b"a", j.NOW + 31) == (
                (dead.attempts, dead.error, dead.payload, dead.finished_at)
            )

    async def test_what_is_never_tried_again_is_dead_at_once(self, home: Home) -> None:
        """Whatever attempts it has left; a long error is cut."""
        async with self.open_store(home) as store:
            await store.jobs.add([j.new("a")], now=j.NOW)
            (job,) = await j.claim(store.jobs)
            await store.jobs.finish([Ending(lease=j.lease(job), error="é" * 5000)], now=j.NOW)
            (dead,) = await store.jobs.listed(JobState.DEAD, limit=1)
            assert (1, "é" * ERROR_CHARS_MAX) == (dead.attempts, dead.error)

    async def test_what_is_given_back_costs_no_attempt(self, home: Home) -> None:
        """Even the last one; and its former worker is fenced all the same."""
        async with self.open_store(home) as store:
            jobs = store.jobs
            await jobs.add([j.new("a", attempts=1), j.new("b", due_at=j.NOW - 1)], now=j.NOW)
            second, first = await j.claim(jobs)
            endings = [
                Ending(lease=j.lease(first), is_returned=True),
                Ending(lease=j.lease(second), is_returned=True, retry_at=j.NOW + 20),
            ]
            assert [True, True] == await jobs.finish(endings, now=j.NOW + 10)
            assert [False, False] == await jobs.finish(endings, now=j.NOW + 10)
            assert [] == await j.claim(jobs, now=j.NOW + 9)
            (again,) = await j.claim(jobs, now=j.NOW + 10)
            assert ("a", b"a", "") == (again.key, again.payload, again.error)
            assert again.attempts > first.attempts
            assert [False] == await jobs.finish([Ending(lease=j.lease(first))], now=j.NOW + 11)
            failed = Ending(lease=j.lease(again), error="no", retry_at=j.NOW + 12)
            assert [True] == await jobs.finish([failed], now=j.NOW + 11)
            assert ["a"] == j.keys(await jobs.listed(JobState.DEAD, limit=1))
            assert ["b"] == j.keys(await j.claim(jobs, now=j.NOW + 20))

    async def test_many_endings_at_once(self, home: Home) -> None:
        """Of all sorts, more than fit into one statement."""
        async with self.open_store(home) as store:
            jobs = store.jobs
            await jobs.add([j.new(str(number)) for number in range(600)], now=j.NOW)
            claimed = await j.claim(jobs, limit=600)
            sorts = [
                lambda job: Ending(lease=j.lease(job)),
                lambda job: Ending(lease=j.lease(job), error="no"),
                lambda job: Ending(lease=j.lease(job), error="no", retry_at=j.NOW + 1),
                lambda job: Ending(lease=j.lease(job), is_returned=True),
                lambda job: Ending(lease=Lease(job.id, 7)),
            ]
            endings = [sorts[index % 5](job) for index, job in enumerate(claimed)]
            assert [True, True, True, True, False] * 120 == await jobs.finish(endings, now=j.NOW)
            expected = JobCounts(kind="k", waiting=240, running=120, dead=120, oldest_due_at=j.NOW)
            assert [expected] == await jobs.counts()


class JobKeepingContract(Contract):
    """Looking after them."""

    async def test_withdrawing(self, home: Home) -> None:
        """What waits goes, also for another try; what runs goes on; the key is free."""
        async with self.open_store(home) as store:
            jobs = store.jobs
            await jobs.add([j.new("runs", priority=2), j.new("fails", priority=1)], now=j.NOW)
            runs, fails = await j.claim(jobs)
            await jobs.finish([Ending(lease=j.lease(fails), error="no", retry_at=j.NOW)], now=j.NOW)
            await jobs.add([j.new("a"), j.new("b"), j.new("a", "j")], now=j.NOW)
            assert 2 == await jobs.withdraw("k", ["runs", "fails", "a", "a", "none"])
            assert ["b"] == j.keys(await j.claim(jobs))
            assert [True] == await jobs.finish([Ending(lease=j.lease(runs))], now=j.NOW)
            assert [True, True] == await jobs.add([j.new("a"), j.new("fails")], now=j.NOW)
            assert 2 == len(await j.claim(jobs, limit=9))
            assert ["a"] == j.keys(await j.claim(jobs, "j"))

    async def test_when_the_next_one_may_be_claimed(self, home: Home) -> None:
        """The earliest due of those that wait, or the end of a lease; of these kinds alone."""
        async with self.open_store(home) as store:
            jobs = store.jobs
            assert None is (await jobs.next_due(["k"])).at
            await jobs.add(
                [
                    j.new("a", due_at=j.NOW + 30, priority=9),
                    j.new("b", due_at=j.NOW + 20),
                    j.new("c", "j", due_at=j.NOW + 10),
                ],
                now=j.NOW,
            )
            assert j.NOW + 20 == (await jobs.next_due(["k"])).at
            assert j.NOW + 10 == (await jobs.next_due(["k", "j"])).at
            assert None is (await jobs.next_due(["l"])).at
            assert 2 == len(await j.claim(jobs, now=j.NOW + 30, until=j.NOW + 50))
            assert j.NOW + 50 == (await jobs.next_due(["k"])).at
            await jobs.add([j.new("d", due_at=j.NOW + 40)], now=j.NOW)
            assert j.NOW + 40 == (await jobs.next_due(["k"])).at

    async def test_listing(self, home: Home) -> None:
        """The newest first, by state and kind, page by page."""
        async with self.open_store(home) as store:
            jobs = store.jobs
            await jobs.add([j.new(str(n), "kj"[n % 2]) for n in range(6)], now=j.NOW)
            found = await jobs.listed(JobState.WAITING, limit=4)
            assert ["5", "4", "3", "2"] == j.keys(found)
            rest = await jobs.listed(JobState.WAITING, after=found[-1].id, limit=4)
            assert ["1", "0"] == j.keys(rest)
            assert ["5", "3"] == j.keys(await jobs.listed(JobState.WAITING, kind="j", limit=2))
            await j.claim(jobs, limit=2)
            assert ["2", "0"] == j.keys(await jobs.listed(JobState.RUNNING, limit=9))
            after = found[-1].id
            assert ["0"] == j.keys(await jobs.listed(JobState.RUNNING, after=after, limit=9))
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
            first, second = await j.die(jobs, "a", "b")
            await jobs.add([j.new("c", due_at=j.NOW + 1)], now=j.NOW)
            (waits,) = await jobs.listed(JobState.WAITING, limit=1)
            assert 1 == await jobs.requeue([first, first, waits.id, 10**9], now=j.NOW + 5)
            assert ["b"] == j.keys(await jobs.listed(JobState.DEAD, limit=9))
            assert [False] == await jobs.add([j.new("a")], now=j.NOW + 5)
            _, again = await j.claim(jobs, now=j.NOW + 5)
            assert ("a", 1, b"a", j.NOW + 5) == (
                (again.key, again.attempts, again.payload, again.due_at)
            )
            assert again.id > waits.id
            assert [False] == await jobs.finish([Ending(lease=Lease(first, 1))], now=j.NOW + 6)
            assert [True] == await jobs.finish([Ending(lease=j.lease(again))], now=j.NOW + 6)
            assert 1 == await jobs.requeue([second], now=j.NOW + 5)

    async def test_dropping(self, home: Home) -> None:
        """Dead ones go, and nothing else; the key is free."""
        async with self.open_store(home) as store:
            jobs = store.jobs
            first, second = await j.die(jobs, "a", "b")
            await jobs.add([j.new("c")], now=j.NOW)
            (waits,) = await jobs.listed(JobState.WAITING, limit=1)
            assert 1 == await jobs.drop([first, first, waits.id, 10**9])
            assert [second] == [job.id for job in await jobs.listed(JobState.DEAD, limit=9)]
            assert [True, False] == await jobs.add([j.new("a"), j.new("b")], now=j.NOW)

    async def test_counting(self, home: Home) -> None:
        """By kind; what is done does not count."""
        async with self.open_store(home) as store:
            jobs = store.jobs
            await j.die(jobs, "x")
            added = [j.new("a"), j.new("b"), j.new("c", due_at=j.NOW - 7), j.new("d", priority=9)]
            await jobs.add([*added, j.new("a", "j")], now=j.NOW)
            first, _ = await j.claim(jobs, limit=2)
            assert [
                JobCounts(kind="j", waiting=1, running=0, dead=0, oldest_due_at=j.NOW),
                JobCounts(kind="k", waiting=2, running=2, dead=1, oldest_due_at=j.NOW),
            ] == await jobs.counts()
            await j.claim(jobs, "j")
            await jobs.finish([Ending(lease=j.lease(first))], now=j.NOW)
            assert [
                JobCounts(kind="j", waiting=0, running=1, dead=0),
                JobCounts(kind="k", waiting=2, running=1, dead=1, oldest_due_at=j.NOW),
            ] == await jobs.counts()

    async def test_pruning(self, home: Home) -> None:
        """Those done first go first, at most so many; nothing else goes."""
        async with self.open_store(home) as store:
            jobs = store.jobs
            await j.die(jobs, "dead")
            await jobs.add([j.new(str(number)) for number in range(5)], now=j.NOW)
            for at, job in enumerate(await j.claim(jobs)):
                await jobs.finish([Ending(lease=j.lease(job))], now=j.NOW + at)
            await jobs.add([j.new("runs")], now=j.NOW)
            await j.claim(jobs)
            await jobs.add([j.new("waits")], now=j.NOW)
            assert 2 == await jobs.prune(done_before=j.NOW + 4, limit=2)
            assert ["4", "3", "2"] == j.keys(await jobs.listed(JobState.DONE, limit=9))
            assert 2 == await jobs.prune(done_before=j.NOW + 4, limit=9)
            assert 0 == await jobs.prune(done_before=j.NOW + 4, limit=9)
            assert ["4"] == j.keys(await jobs.listed(JobState.DONE, limit=9))
            (counts,) = await jobs.counts()
            assert (1, 1, 1) == (counts.waiting, counts.running, counts.dead)
