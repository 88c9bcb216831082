"""The contract of `ports.jobs.JobStore`: one key one job, one worker, in order, at least once."""

import trio

from ...ports.jobs import (
    LEASE_ENDED,
    Ending,
    Job,
    JobState,
    Lease,
    NewJob,
)
from . import jobbing as j
from .home import Contract, Home
from .job_endings import JobEndingContract, JobKeepingContract
from .job_losses import JobLossContract


class JobQueueContract(Contract):
    """What is added is claimed, in order, by one."""

    async def test_what_is_added_is_claimed_as_it_was(self, home: Home) -> None:
        """Every field, and ids that grow."""
        async with self.open_store(home) as store:
            added = [j.new("a"), j.new("b", due_at=j.NOW - 5, priority=3, attempts=2)]
            assert [True, True] == await store.jobs.add(added, now=j.NOW)
            second, first = await j.claim(store.jobs)
            assert first == Job(
                id=first.id,
                kind="k",
                key="a",
                payload=b"a",
                priority=0,
                due_at=j.NOW,
                attempts_max=10,
                state=JobState.RUNNING,
                attempts=1,
                added_at=j.NOW,
                lease_until=j.FAR,
            )
            assert (3, j.NOW - 5, 2) == (second.priority, second.due_at, second.attempts_max)
            assert 0 < first.id < second.id
            assert [] == await j.claim(store.jobs)

    async def test_what_is_added_is_durable(self, home: Home) -> None:
        """And what was finished stays so."""
        self.require_durable()
        async with self.open_store(home) as store:
            await store.jobs.add([j.new("a"), j.new("b"), j.new("c")], now=j.NOW)
            done, running = await j.claim(store.jobs, limit=2)
            await store.jobs.finish([Ending(lease=j.lease(done))], now=j.NOW)
        async with self.open_store(home) as store:
            assert ["c"] == j.keys(await j.claim(store.jobs))
            assert [False, False] == await store.jobs.add([j.new("a"), j.new("b")], now=j.NOW)
            assert [True] == await store.jobs.finish([Ending(lease=j.lease(running))], now=j.NOW)
            (job,) = await j.claim(store.jobs, now=j.FAR, until=j.FAR + 1)
            await store.jobs.add([j.new("d")], now=j.NOW)
            (last,) = await j.claim(store.jobs)
            assert ("c", True) == (job.key, last.id > job.id > running.id)

    async def test_the_order(self, home: Home) -> None:
        """The higher priority first, then the earlier due, then the earlier added."""
        async with self.open_store(home) as store:
            await store.jobs.add(
                [
                    j.new("later", due_at=j.NOW - 1),
                    j.new("low", due_at=j.NOW - 9, priority=-100),
                    j.new("early", due_at=j.NOW - 2),
                    j.new("later too", due_at=j.NOW - 1),
                    j.new("high", priority=100),
                    j.new("not yet", due_at=j.NOW + 1, priority=100),
                    j.new("other kind", "j", due_at=j.NOW - 2),
                ],
                now=j.NOW,
            )
            first = await j.claim(store.jobs, "k", "j", limit=3)
            rest = await j.claim(store.jobs, "k", "j")
            assert ["high", "early", "other kind"] == j.keys(first)
            assert ["later", "later too", "low"] == j.keys(rest)
            assert ["not yet"] == j.keys(await j.claim(store.jobs, now=j.NOW + 1))

    async def test_kinds_are_apart(self, home: Home) -> None:
        """Only what is asked for is claimed, and the same key may be of several kinds."""
        async with self.open_store(home) as store:
            assert [True] * 2 == await store.jobs.add([j.new("a", "j"), j.new("a", "k")], now=j.NOW)
            assert ["k"] == [job.kind for job in await j.claim(store.jobs, "k", "l")]
            assert [] == await j.claim(store.jobs, "k", "l")
            assert ["j"] == [job.kind for job in await j.claim(store.jobs, "j")]

    async def test_one_key_is_one_job(self, home: Home) -> None:
        """While it waits, runs, is dead, or is remembered as done; in one call, too."""
        async with self.open_store(home) as store:
            jobs = store.jobs
            assert [True, False] == await jobs.add([j.new("a"), j.new("a", priority=9)], now=j.NOW)
            assert [False, True] == await jobs.add([j.new("a"), j.new("b")], now=j.NOW)
            first, second = await j.claim(jobs)
            assert (b"a", 0) == (first.payload, first.priority)
            assert [False, False] == await jobs.add([j.new("a"), j.new("b")], now=j.NOW)
            endings = [Ending(lease=j.lease(first)), Ending(lease=j.lease(second), error="no")]
            assert [True, True] == await jobs.finish(endings, now=j.NOW)
            assert [False, False] == await jobs.add([j.new("a"), j.new("b")], now=j.NOW + 1)
            assert 0 == await jobs.prune(done_before=j.NOW, limit=10)
            assert [False] == await jobs.add([j.new("a")], now=j.NOW + 1)
            assert 1 == await jobs.prune(done_before=j.NOW + 1, limit=10)
            assert [True, False] == await jobs.add([j.new("a"), j.new("b")], now=j.NOW + 1)

    async def test_claimers_at_the_same_time_get_other_jobs(self, home: Home) -> None:
        """Each job once, whoever claims."""
        async with self.open_store(home) as store:
            await store.jobs.add([j.new(str(number)) for number in range(300)], now=j.NOW)
            claimed: list[list[Job]] = []

            async def work() -> None:
                while some := await j.claim(store.jobs, limit=7):
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
            assert [] == await jobs.add([], now=j.NOW) == await jobs.finish([], now=j.NOW)
            assert [] == await jobs.extend([], lease_until=j.NOW)
            assert [] == await jobs.claim([], now=j.NOW, lease_until=j.FAR, limit=1)
            assert 0 == await jobs.withdraw("k", []) == await jobs.drop([])
            assert 0 == await jobs.requeue([], now=j.NOW)
            assert None is (await jobs.next_due([])).at
            assert [] == await jobs.counts()

    async def test_text_of_all_kinds(self, home: Home) -> None:
        """As long as may be, and not in ASCII."""
        async with self.open_store(home) as store:
            job = NewJob(kind="ö" * 64, key="🙂" * 200, payload=bytes(range(256)) * 256)
            await store.jobs.add([job], now=j.NOW)
            (found,) = await j.claim(store.jobs, job.kind)
            assert (job.kind, job.key, job.payload) == (found.kind, found.key, found.payload)


class JobLeaseContract(Contract):
    """A claimed job is nobody else's until its lease ends, and then it is no more its own."""

    async def test_a_lease_that_ends_gives_the_job_to_others(self, home: Home) -> None:
        """Not before; the next attempt is another one, and what became of the last is said."""
        async with self.open_store(home) as store:
            await store.jobs.add([j.new("a")], now=j.NOW)
            await j.claim(store.jobs, until=j.NOW + 10)
            assert [] == await j.claim(store.jobs, now=j.NOW + 9)
            assert [] == await j.claim(store.jobs, "j", now=j.NOW + 10)
            (again,) = await j.claim(store.jobs, now=j.NOW + 10)
            assert (2, LEASE_ENDED) == (again.attempts, again.error)

    async def test_it_is_taken_in_its_order(self, home: Home) -> None:
        """Like one that waits."""
        async with self.open_store(home) as store:
            await store.jobs.add([j.new("low", priority=1), j.new("high", priority=2)], now=j.NOW)
            assert 2 == len(await j.claim(store.jobs, until=j.NOW + 10))
            await store.jobs.add([j.new("higher", priority=3), j.new("lowest")], now=j.NOW)
            found = await j.claim(store.jobs, now=j.NOW + 10, limit=3)
            assert ["higher", "high", "low"] == j.keys(found)

    async def test_the_last_attempt_that_never_ends_is_a_death(self, home: Home) -> None:
        """It is not returned."""
        async with self.open_store(home) as store:
            await store.jobs.add([j.new("a", attempts=1)], now=j.NOW)
            (job,) = await j.claim(store.jobs, until=j.NOW + 10)
            assert [] == await j.claim(store.jobs, now=j.NOW + 11)
            (dead,) = await store.jobs.listed(JobState.DEAD, limit=10)
            assert (job.id, LEASE_ENDED, j.NOW + 11) == (dead.id, dead.error, dead.finished_at)
            assert [False] == await store.jobs.finish([Ending(lease=j.lease(job))], now=j.NOW + 12)

    async def test_who_lost_the_lease_changes_nothing(self, home: Home) -> None:
        """Neither ends it nor keeps it; the one who has it does."""
        async with self.open_store(home) as store:
            jobs = store.jobs
            await jobs.add([j.new("a")], now=j.NOW)
            (late,) = await j.claim(jobs, until=j.NOW + 10)
            (mine,) = await j.claim(jobs, now=j.NOW + 10)
            for ending in (
                Ending(lease=j.lease(late)),
                Ending(lease=j.lease(late), error="no"),
                Ending(lease=j.lease(late), error="no", retry_at=j.NOW),
                Ending(lease=j.lease(late), is_returned=True),
                Ending(lease=Lease(mine.id + 1, 1)),
            ):
                assert [False] == await jobs.finish([ending], now=j.NOW + 11)
            assert [False, True] == await jobs.extend(
                [j.lease(late), j.lease(mine)], lease_until=j.FAR
            )
            assert [True] == await jobs.finish([Ending(lease=j.lease(mine))], now=j.NOW + 12)
            assert [False] == await jobs.extend([j.lease(mine)], lease_until=j.FAR)
            assert [False] == await jobs.finish([Ending(lease=j.lease(mine))], now=j.NOW + 13)

    async def test_who_is_late_and_not_missed_still_ends_it(self, home: Home) -> None:
        """A lease is lost when a claim finds that it has ended."""
        async with self.open_store(home) as store:
            await store.jobs.add([j.new("a")], now=j.NOW)
            (job,) = await j.claim(store.jobs, until=j.NOW + 10)
            assert [True] == await store.jobs.finish([Ending(lease=j.lease(job))], now=j.NOW + 20)
            assert [] == await j.claim(store.jobs, now=j.NOW + 20)

    async def test_a_lease_is_extended(self, home: Home) -> None:
        """Then it ends later."""
        async with self.open_store(home) as store:
            await store.jobs.add([j.new("a"), j.new("b")], now=j.NOW)
            first, _ = await j.claim(store.jobs, until=j.NOW + 10)
            assert [True] == await store.jobs.extend([j.lease(first)], lease_until=j.NOW + 30)
            assert ["b"] == j.keys(await j.claim(store.jobs, now=j.NOW + 20))
            (again,) = await j.claim(store.jobs, now=j.NOW + 30)
            assert (first.id, 2) == (again.id, again.attempts)


class JobContract(
    JobQueueContract, JobLeaseContract, JobLossContract, JobEndingContract, JobKeepingContract
):
    """Every sentence of the port. Subclass it, say how a store is opened, and run pytest."""
