"""Laws of jobs that are lost with their process: who ends it spends no attempts but its own."""

from collections import Counter
from functools import partial

import pytest
import trio
from job_book import Book, one
from scene import CountedEntropy, VirtualClock, settled

from triolet._model.errors import StoreUnavailable
from triolet._model.limits import Limits
from triolet._runtime.jobs import Jobs
from triolet.adapters.memory.jobs import MemoryJobs
from triolet.ports.jobs import LEASE_ENDED, JobState, NewJob

ATTEMPTS = 10
LIMITS = Limits()


class Way:
    """What one life of a process has of the store: nothing more when it has ended."""

    def __init__(self, store):
        self._store = store
        self.is_over = False

    def __getattr__(self, name):
        return partial(self._ask, getattr(self._store, name))

    async def _ask(self, method, *args, **more):
        if self.is_over:
            await trio.lowlevel.checkpoint()
            raise StoreUnavailable("the process has ended")
        return await method(*args, **more)


class Process:
    """A process that begins again whenever a job has ended it: nothing of it is written then."""

    def __init__(self, store, *, kinds=("mail",), concurrency=16, takes_s=0.001):
        self.store = store
        self.kinds = kinds
        self.concurrency = concurrency
        self.takes_s = takes_s
        self.begun = Counter()
        self.lives = 0

    async def run(self):
        while True:
            self.lives += 1
            way = Way(self.store)
            with trio.CancelScope() as life:
                jobs = Jobs(way, VirtualClock(), CountedEntropy(), LIMITS, None)
                for kind in self.kinds:
                    handler = partial(self.handle, way, life)
                    jobs.handle(kind, handler, concurrency=self.concurrency)
                await jobs.run()
            await trio.sleep(1)

    async def handle(self, way, life, job):
        self.begun[job.key] += 1
        if job.key.startswith("poison"):
            way.is_over = True
            life.cancel()
        await trio.sleep(self.takes_s)


async def added(store, keys, kind="mail", attempts_max=ATTEMPTS):
    jobs = [NewJob(kind=kind, key=key, attempts_max=attempts_max) for key in keys]
    await store.add(jobs, now=VirtualClock().now_ms())


async def drained(store):
    while any(counts.waiting or counts.running for counts in await store.counts()):  # noqa: ASYNC110 - in the store
        await trio.sleep(1)


def left(job):
    """Return how many attempts a job has that is done."""
    return job.attempts_max - job.attempts


@pytest.mark.parametrize("nodes", [1, 2])
@pytest.mark.parametrize("place", [0, 250])
async def test_a_job_that_ends_its_process_is_dead_in_the_end_and_all_others_are_done(
    autojump_clock, place, nodes
):
    """An attempt counts where it began; and with the same neighbour none begins a third time."""
    store = MemoryJobs()
    keys = [str(number) for number in range(500)]
    await added(store, [*keys[:place], "poison", *keys[place:]])
    processes = [Process(store) for _ in range(nodes)]
    async with trio.open_nursery() as nursery:
        for process in processes:
            nursery.start_soon(process.run)
        with trio.fail_after(3600):
            await drained(store)
        nursery.cancel_scope.cancel()

    begun = sum((process.begun for process in processes), Counter())
    (dead,) = await store.listed(JobState.DEAD, limit=9)
    assert (dead.key, dead.error, begun["poison"]) == ("poison", LEASE_ENDED, ATTEMPTS + 1)
    done = await store.listed(JobState.DONE, limit=1000)
    assert sorted(job.key for job in done) == sorted(keys)
    assert [job.key for job in done if ATTEMPTS - left(job) > begun[job.key]] == []
    assert max(begun[key] for key in keys) <= 3
    assert min(left(job) for job in done) >= ATTEMPTS - 2
    assert sum(process.lives for process in processes) == ATTEMPTS + 1 + nodes


async def test_what_is_on_its_last_attempt_is_never_claimed_before_it_begins(autojump_clock):
    """So who may be tried once only is begun at most once, and none dies that never began."""
    store = MemoryJobs()
    keys = [str(number) for number in range(200)]
    await added(store, [*keys[:100], "poison", *keys[100:]], attempts_max=1)
    process = Process(store, concurrency=4)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(process.run)
        with trio.fail_after(600):
            await drained(store)
        nursery.cancel_scope.cancel()

    assert set(process.begun.values()) == {1}
    dead = {job.key for job in await store.listed(JobState.DEAD, limit=9)}
    assert "poison" in dead
    assert len(dead) <= 4
    assert len(process.begun) == 201


async def test_what_may_be_tried_once_costs_a_claim_for_as_many_as_begin(scene):
    """What is due is not asked between claims that each find as many as there are hands."""
    done = []

    async def handler(job):
        await trio.sleep(0.001)
        done.append(job.key)

    jobs = [NewJob(kind="mail", key=str(number), attempts_max=1) for number in range(400)]
    await scene.engine.jobs.add_many(jobs)
    scene.engine.jobs.handle("mail", handler, concurrency=8)
    await trio.sleep(LIMITS.jobs_check_s)

    assert len(done) == 400
    # At first, at the end, and where it is not known yet how long one takes; which hand is free
    # first is chance: 5 or 6 questions and 54 to 60 claims in 60 runs. Once it was one for each.
    assert scene.store.count("jobs.next_due") <= 12
    assert 50 <= scene.store.count("jobs.claim") <= 100


async def test_what_is_done_alone_has_its_turn_between_those_that_may_be_tried_once(scene):
    """Also where the claims of these go on and on."""
    done = []

    async def handler(job):
        await trio.sleep(0.1)
        done.append(job.key)

    clock = scene.engine.clock
    jobs = [NewJob(kind="mail", key=str(number), attempts_max=1) for number in range(1000)]
    await scene.engine.jobs.add_many(jobs[:10])
    scene.engine.jobs.handle("mail", handler, concurrency=1)
    await trio.sleep(2)
    assert len(done) == 10
    await lost_twice(scene.store.real.jobs, clock, mail="a")
    await scene.engine.jobs.add_many(jobs[10:])
    await trio.sleep(2 * LIMITS.jobs_check_s)

    # They are not all done by then.
    assert "a" in done
    assert len(done) < 800


# --- alone -------------------------------------------------------------------------------------


async def lost_twice(store, clock, **kinds):
    """Have jobs of each kind that were lost twice: `kind=keys`."""
    for kind, keys in kinds.items():
        await store.add([NewJob(kind=kind, key=key) for key in keys], now=clock.now_ms())
        for _ in range(3):
            now = clock.now_ms()
            await store.claim([kind], now=now, lease_until=now, limit=100)


async def test_those_that_were_lost_twice_are_done_one_at_a_time_whatever_their_kinds(scene):
    """Beside others, which go on as ever."""
    jobs, running, seen, done = scene.engine.jobs, set(), [], []

    async def handler(job):
        running.add((job.key, job.lost))
        seen.append(sum(lost > 1 for _, lost in running))
        await trio.sleep(1)
        running.discard((job.key, job.lost))
        done.append((job.key, trio.current_time()))

    await lost_twice(scene.store.real.jobs, scene.engine.clock, mail="ab", push="cd")
    for kind in ("mail", "push"):
        await jobs.add_many([NewJob(kind=kind, key=f"new {number}") for number in range(8)])
        jobs.handle(kind, handler, concurrency=4)
    await trio.sleep(10)

    assert max(seen) == 1
    assert len(done) == 20
    lost = [(key, at) for key, at in done if not key.startswith("new")]
    assert sorted(key for key, _ in lost) == ["a", "b", "c", "d"]
    # The first one when the first hand is free.
    assert [at for _, at in lost] == pytest.approx([2, 3, 4, 5], abs=0.5)
    assert max(at for key, at in done if key.startswith("new")) < 5


async def test_it_takes_one_of_the_hands_of_its_kind(scene):
    """Also where all of them are always at work."""
    jobs, done, running, most = scene.engine.jobs, [], 0, 0

    async def handler(job):
        nonlocal running, most
        running, most = running + 1, max(most, running + 1)
        await trio.sleep(0.1)
        running -= 1
        done.append(job.key)

    await jobs.add_many([NewJob(kind="mail", key=f"new {number}") for number in range(200)])
    await lost_twice(scene.store.real.jobs, scene.engine.clock, push="a")
    await lost_twice(scene.store.real.jobs, scene.engine.clock, other="b")
    for kind in ("mail", "push", "other"):
        jobs.handle(kind, handler, concurrency=1)
    await trio.sleep(1)
    assert most <= 3
    assert {"a", "b"} < set(done)


async def test_the_only_hand_does_it_between_others(scene):
    jobs, done = scene.engine.jobs, []
    running = 0

    async def handler(job):
        nonlocal running
        running += 1
        assert running == 1
        await trio.sleep(0.1)
        running -= 1
        done.append(job.key)

    await lost_twice(scene.store.real.jobs, scene.engine.clock, mail="a")
    await jobs.add_many([NewJob(kind="mail", key=f"new {number}") for number in range(200)])
    jobs.handle("mail", handler, concurrency=1)
    await trio.sleep(6)
    assert "a" in done
    await trio.sleep(20)
    assert len(done) == 201


async def test_what_fails_alone_is_tried_alone_again(scene):
    begun = []

    async def handler(job):
        begun.append((job.lost, trio.current_time()))
        if len(begun) == 1:
            raise OSError("no")

    await lost_twice(scene.store.real.jobs, scene.engine.clock, mail="a")
    scene.engine.jobs.handle("mail", handler)
    await trio.sleep(20)

    assert [lost for lost, _ in begun] == [2, 2]
    assert [at for _, at in begun] == pytest.approx([0, 12], abs=0.1)
    assert (await one(scene.engine.jobs, JobState.DONE)).key == "a"


async def test_what_cannot_be_claimed_alone_is_asked_for_again(scene, caplog):
    done = []

    async def handler(job):
        await trio.lowlevel.checkpoint()
        done.append(job.key)

    await lost_twice(scene.store.real.jobs, scene.engine.clock, mail="a")
    scene.store.always("jobs.claim_alone", StoreUnavailable("gone"))
    scene.engine.jobs.handle("mail", handler)
    await trio.sleep(10)
    assert done == []
    assert scene.store.count("jobs.claim_alone") <= 4
    assert "jobs cannot be claimed" in caplog.text
    scene.store.always("jobs.claim_alone")
    await trio.sleep(6)

    assert done == ["a"]


async def test_what_is_done_alone_is_given_back_when_the_node_leaves(scene):
    await lost_twice(scene.store.real.jobs, scene.engine.clock, mail="ab")
    scene.engine.jobs.handle("mail", Book(takes_s=100))
    await settled()
    assert (await one(scene.engine.jobs, JobState.RUNNING)).key == "a"
    await scene.engine.jobs.leave()

    assert {job.key for job in await scene.engine.jobs.listed(JobState.WAITING)} == {"a", "b"}
