"""The contract of `ports.jobs.JobStore`: jobs whose lease ends, and what that costs them."""

from ...ports.jobs import LEASE_ENDED, LOST_ALONE, Ending, Job, JobState, JobStore
from . import jobbing as j
from .home import Contract, Home


async def lose(jobs: JobStore, times: int = 1) -> None:
    """Have all that is due claimed so often, and nobody say what became of it."""
    for _ in range(times):
        await j.claim(jobs, until=j.NOW)
        while await jobs.claim_alone(["k"], now=j.NOW, lease_until=j.NOW) is not None:
            pass
        # What is let go waits; nothing of another kind does.
        await jobs.claim(["k"], now=j.NOW, lease_until=j.NOW, limit=1)


async def claim_alone(jobs: JobStore, *kinds: str, now: int = j.NOW) -> Job | None:
    """Claim one alone, of `k` if no kind is given."""
    return await jobs.claim_alone(kinds or ("k",), now=now, lease_until=j.FAR)


class JobLossContract(Contract):
    """Who ends a process does not spend the attempts of what it had claimed."""

    async def test_ahead_is_what_may_be_lost(self, home: Home) -> None:
        """Up to the first that has only one attempt left; what begins at once may be any."""
        async with self.open_store(home) as store:
            jobs = store.jobs
            added = [j.new("a", attempts=1), j.new("b"), j.new("c", attempts=2)]
            await jobs.add([*added, j.new("last", attempts=1), j.new("d")], now=j.NOW)
            assert ["a", "b", "c"] == j.keys(await j.claim(jobs, limit=5, ahead=4))
            assert [] == await j.claim(jobs, limit=5, ahead=5)
            assert ["last", "d"] == j.keys(await j.claim(jobs, limit=5, ahead=4))

    async def test_what_is_ahead_is_taken_in_its_order(self, home: Home) -> None:
        """Of several priorities and kinds; who may not be ahead ends it for all behind."""
        async with self.open_store(home) as store:
            jobs = store.jobs
            added = [j.new("low", priority=-1), j.new("high", priority=1), j.new("j", "j")]
            await jobs.add([*added, j.new("end", "j", attempts=1), j.new("k")], now=j.NOW)
            assert ["high", "j"] == j.keys(await j.claim(jobs, "k", "j", limit=9, ahead=8))
            assert ["end", "k", "low"] == j.keys(await j.claim(jobs, "k", "j", limit=9, ahead=8))

    async def test_the_first_loss_costs_no_attempt(self, home: Home) -> None:
        """It may never have begun; the next one costs one, and its worker stays fenced."""
        async with self.open_store(home) as store:
            jobs = store.jobs
            await jobs.add([j.new("a", attempts=2)], now=j.NOW)
            for lost, attempts, attempts_max in ((0, 1, 2), (1, 2, 3)):
                (job,) = await j.claim(jobs, until=j.NOW)
                expected = (lost, attempts, attempts_max)
                assert expected == (job.lost, job.attempts, job.attempts_max)
                assert job.error == (LEASE_ENDED if lost else "")
            assert [] == await j.claim(jobs)
            alone = await claim_alone(jobs)
            assert alone is not None
            assert (2, 3, 3) == (alone.lost, alone.attempts, alone.attempts_max)
            assert [False] == await jobs.finish([Ending(lease=j.lease(job))], now=j.NOW)

    async def test_what_was_lost_is_claimed_ahead_no_more(self, home: Home) -> None:
        """It is taken where it can begin."""
        async with self.open_store(home) as store:
            jobs = store.jobs
            await jobs.add([j.new("lost")], now=j.NOW)
            await j.claim(jobs, until=j.NOW)
            await jobs.add([j.new("new", priority=1), j.new("later")], now=j.NOW)
            assert ["new"] == j.keys(await j.claim(jobs, limit=3, ahead=3))
            assert ["lost", "later"] == j.keys(await j.claim(jobs, limit=3, ahead=2))

    async def test_what_was_lost_twice_is_claimed_alone(self, home: Home) -> None:
        """One at a time, in their order, by nobody who claims several."""
        async with self.open_store(home) as store:
            jobs = store.jobs
            await jobs.add([j.new("a"), j.new("b", priority=1)], now=j.NOW)
            assert None is (await jobs.next_due(["k"])).alone_at
            await lose(jobs, LOST_ALONE)
            await jobs.add([j.new("new", due_at=j.NOW + 9)], now=j.NOW)
            assert j.NOW == (await jobs.next_due(["k"])).alone_at
            assert None is (await jobs.next_due(["j"])).alone_at
            assert j.NOW + 9 == (await jobs.next_due(["k"])).at
            assert [] == await j.claim(jobs)
            assert None is await claim_alone(jobs, now=j.NOW - 1)
            assert None is await claim_alone(jobs, "j")
            found = [await claim_alone(jobs, "j", "k") for _ in range(3)]
            assert ["b", "a", None] == [job and job.key for job in found]
            assert None is (await jobs.next_due(["k"])).alone_at
            (counts,) = await jobs.counts()
            assert (1, 2) == (counts.waiting, counts.running)

    async def test_alone_it_is_a_job_like_others(self, home: Home) -> None:
        """It fails and waits, is counted, listed and withdrawn, and ends."""
        async with self.open_store(home) as store:
            jobs = store.jobs
            await jobs.add([j.new("a"), j.new("b")], now=j.NOW)
            await lose(jobs, LOST_ALONE)
            (counts,) = await jobs.counts()
            assert (2, 0, j.NOW) == (counts.waiting, counts.running, counts.oldest_due_at)
            assert ["b", "a"] == j.keys(await jobs.listed(JobState.WAITING, limit=9))
            assert 1 == await jobs.withdraw("k", ["b"])
            job = await claim_alone(jobs)
            assert job is not None
            failed = Ending(lease=j.lease(job), error="no", retry_at=j.NOW + 5)
            assert [True] == await jobs.finish([failed], now=j.NOW)
            assert j.NOW + 5 == (await jobs.next_due(["k"])).alone_at
            assert None is await claim_alone(jobs)
            again = await claim_alone(jobs, now=j.NOW + 5)
            assert again is not None
            assert [True] == await jobs.extend([j.lease(again)], lease_until=j.FAR + 1)
            assert [True] == await jobs.finish([Ending(lease=j.lease(again))], now=j.NOW)
            assert ["a"] == j.keys(await jobs.listed(JobState.DONE, limit=9))

    async def test_what_is_lost_to_the_last_is_dead_and_tried_alone_again(self, home: Home) -> None:
        """With its cause; how often it was lost is remembered where it is requeued."""
        async with self.open_store(home) as store:
            jobs = store.jobs
            await jobs.add([j.new("a", attempts=2)], now=j.NOW)
            await lose(jobs, 3)
            (dead,) = await jobs.listed(JobState.DEAD, limit=9)
            assert (3, 3, 3, LEASE_ENDED) == (
                (dead.lost, dead.attempts, dead.attempts_max, dead.error)
            )
            assert 1 == await jobs.requeue([dead.id], now=j.NOW)
            assert [] == await j.claim(jobs)
            again = await claim_alone(jobs)
            assert again is not None
            assert ("a", 1, 3) == (again.key, again.attempts, again.lost)
