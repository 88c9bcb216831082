"""Laws of the job queue: done at least once, by one node, as soon as it is due, and given back."""

import pytest
import trio
from job_book import Book, one
from scene import NOW_MS, open_scene, settled
from stage import open_stage

import triolet
from triolet._model.errors import StoreUnavailable
from triolet.ports.jobs import JobCounts, JobState, NewJob


def asked(scene, method):
    """Return how often the store was asked about `mail`; the engine has jobs of its own."""
    calls = [args for name, args, _ in scene.store.calls if name == f"jobs.{method}"]
    return sum("mail" in kinds for kinds, *_ in calls)


# --- adding and doing --------------------------------------------------------------------------


async def test_what_is_added_is_done_at_once_with_its_payload(scene):
    seen = []

    async def handler(job):
        seen.append((job.kind, job.key, job.payload, job.attempts, job.state))

    scene.engine.jobs.handle("mail", handler)
    assert await scene.engine.jobs.add("mail", "anna", b"hello")
    await settled()

    assert seen == [("mail", "anna", b"hello", 1, JobState.RUNNING)]
    assert (await one(scene.engine.jobs, JobState.DONE)).key == "anna"
    assert trio.current_time() < 0.1


async def test_one_key_is_one_job_for_a_day_after_it_was_done(scene):
    jobs, book = scene.engine.jobs, Book()
    assert await jobs.add("mail", "anna")
    assert not await jobs.add("mail", "anna")
    jobs.handle("mail", book)
    await trio.sleep(61)
    assert not await jobs.add("mail", "anna")
    scene.engine.clock.ahead_ms += 86_400_000
    await trio.sleep(61)

    assert await jobs.add("mail", "anna")
    await settled()
    assert book.done == ["anna", "anna"]


async def test_what_is_delayed_is_done_when_it_is_due(scene):
    jobs, book = scene.engine.jobs, Book()
    jobs.handle("mail", book)
    await jobs.add("mail", "late", delay_s=100)
    await jobs.add("mail", "soon", delay_s=7)
    await trio.sleep(120)

    assert book.done == ["soon", "late"]
    assert book.at == pytest.approx([7, 100], abs=0.01)


async def test_the_more_urgent_is_done_first_and_no_more_at_once_than_said(scene):
    jobs, book = scene.engine.jobs, Book(takes_s=1)
    for number in range(6):
        await jobs.add("mail", str(number), priority=number)
    jobs.handle("mail", book, concurrency=2)
    await trio.sleep(0.5)
    assert (book.begun, (await jobs.statistics()).running_here) == (2, 2)
    await trio.sleep(5)

    assert [set(book.done[at : at + 2]) for at in (0, 2, 4)] == [set("54"), set("32"), set("10")]
    assert book.at == pytest.approx([1, 1, 2, 2, 3, 3], abs=0.01)


async def test_many_are_added_and_withdrawn(scene):
    jobs, book = scene.engine.jobs, Book()
    added = [NewJob(kind="mail", key=key, due_at=NOW_MS + 5000) for key in ("a", "b", "a")]
    assert await jobs.add_many(added) == [True, True, False]
    assert await jobs.withdraw("mail", ["a", "c"]) == 1
    jobs.handle("mail", book)
    await trio.sleep(10)

    assert book.done == ["b"]


async def test_a_handler_is_one_and_its_numbers_make_sense(scene):
    jobs, book = scene.engine.jobs, Book()
    jobs.handle("mail", book)
    with pytest.raises(ValueError, match="a handler already"):
        jobs.handle("mail", book)
    for wrong in ({"concurrency": 1001}, {"timeout_s": -1}):
        with pytest.raises(ValueError, match="at once"):
            jobs.handle("push", book, **wrong)
    with pytest.raises(ValueError, match="kind is"):
        jobs.handle("", book)


async def test_without_a_handler_here_nothing_is_claimed_or_asked_for(scene):
    await scene.engine.jobs.add("mail", "anna")
    await trio.sleep(50)

    assert asked(scene, "claim") == asked(scene, "next_due") == 0
    assert (await one(scene.engine.jobs, JobState.WAITING)).attempts == 0


async def test_an_idle_handler_asks_twice_in_five_seconds(scene):
    """Claims, and when to claim; what is added makes it ask at once."""
    scene.engine.jobs.handle("mail", Book())
    await trio.sleep(100)

    assert 20 <= asked(scene, "claim") <= 27
    assert asked(scene, "next_due") == asked(scene, "claim")


# --- schedules ---------------------------------------------------------------------------------


async def test_a_schedule_is_a_job_for_each_slot(scene):
    jobs, book = scene.engine.jobs, Book()
    jobs.handle("sweep", book)
    jobs.every("sweep", interval_s=60)
    await trio.sleep(190)

    assert len(book.done) == 3
    assert all(key.endswith(":00Z") for key in book.done)
    with pytest.raises(ValueError, match="a schedule already"):
        jobs.every("sweep", interval_s=30)


# --- other nodes -------------------------------------------------------------------------------


async def test_what_one_node_adds_another_does_at_once():
    async with open_stage(2) as stage:
        book = Book()
        stage[1].engine.jobs.handle("mail", book)
        await settled()
        await stage[0].engine.jobs.add("mail", "anna")
        await trio.sleep(0.1)

        assert book.done == ["anna"]


async def test_what_nobody_has_heard_of_is_done_within_the_time_of_a_sweep():
    async with open_stage(2) as stage:
        book = Book()
        stage[1].engine.jobs.handle("mail", book)
        await settled()
        stage.bus.lose()
        await stage[0].engine.jobs.add("mail", "anna")
        await trio.sleep(5.1)

        assert book.done == ["anna"]


async def test_a_slot_is_done_once_over_all_nodes():
    async with open_stage(3) as stage:
        book = Book()
        for scene in stage:
            scene.engine.jobs.handle("sweep", book)
            scene.engine.jobs.every("sweep", interval_s=10)
        await trio.sleep(65)

        assert len(book.done) == len(set(book.done)) == 6


async def test_dead_jobs_of_one_node_are_tried_again_by_another():
    async with open_stage(2) as stage:
        book = Book()
        book.fails = [triolet.Abandon("no such user")]
        stage[1].engine.jobs.handle("mail", book)
        jobs = stage[0].engine.jobs
        await jobs.add("mail", "anna")
        await trio.sleep(0.1)
        dead = await one(jobs, JobState.DEAD)
        assert (dead.error, dead.attempts) == ("Abandon: no such user", 1)

        assert await jobs.requeue([dead.id]) == 1
        await trio.sleep(0.1)
        assert book.done == ["anna"]
        assert await jobs.drop([dead.id]) == 0


# --- looking after them ------------------------------------------------------------------------


async def test_counts_are_told_again_for_a_second(scene):
    jobs = scene.engine.jobs
    assert (await jobs.statistics()).kinds == ()
    await jobs.add("mail", "anna", delay_s=50)
    assert (await jobs.statistics()).kinds == ()
    await trio.sleep(1)
    found = await jobs.statistics()

    due_at = NOW_MS + 50_000
    counts = JobCounts(kind="mail", waiting=1, running=0, dead=0, oldest_due_at=due_at)
    assert (found.kinds, found.running_here, found.oldest_due_at) == ((counts,), 0, due_at)
    assert scene.store.count("jobs.counts") == 2


async def test_counts_that_take_long_are_made_once_for_all_who_ask_and_told_for_longer(scene):
    slow = scene.store.script("jobs.counts", after=True)
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(scene.engine.jobs.statistics)
        await trio.sleep(2)
        slow.release()
    for _ in range(39):
        await trio.sleep(1)
        await scene.engine.jobs.statistics()
    assert scene.store.count("jobs.counts") == 1
    await trio.sleep(1.1)
    await scene.engine.jobs.statistics()
    assert scene.store.count("jobs.counts") == 2


async def test_a_store_that_cannot_forget_is_asked_again(scene):
    scene.store.script("jobs.prune", error=StoreUnavailable("busy"))
    await trio.sleep(125)

    assert scene.store.count("jobs.prune") == 2


# --- leaving -----------------------------------------------------------------------------------


async def test_a_node_that_leaves_lets_handlers_end():
    async with open_scene(inspect=False) as scene:
        jobs, book = scene.engine.jobs, Book(takes_s=3)
        jobs.handle("mail", book, concurrency=1)
        await jobs.add("mail", "a")
        await jobs.add("mail", "b")
        await trio.sleep(1)
        await scene.engine.drain()

        assert book.done == ["a"]
        waiting = await one(jobs, JobState.WAITING)
        assert (waiting.key, waiting.attempts, waiting.attempts_max) == ("b", 0, 10)
        # It still keeps what others are to do.
        assert await jobs.add("mail", "c")
        await trio.sleep(10)
        assert book.done == ["a"]


async def test_what_handlers_leave_is_given_back_and_costs_no_attempt():
    async with open_scene(inspect=False) as scene:
        jobs, book = scene.engine.jobs, Book(takes_s=60)
        jobs.handle("mail", book)
        await jobs.add("mail", "a", attempts_max=1)
        await trio.sleep(1)
        began = trio.current_time()
        await jobs.leave()

        assert trio.current_time() - began == pytest.approx(5, abs=0.1)
        waiting = await one(jobs, JobState.WAITING)
        assert (waiting.attempts, waiting.attempts_max, waiting.lease_until) == (1, 2, 0)
        assert waiting.due_at == NOW_MS + 6000
        assert book.done == []


async def test_what_is_given_back_another_node_begins_at_once():
    async with open_stage(2, inspect=False) as stage:
        slow, quick = Book(takes_s=60), Book()
        stage[0].engine.jobs.handle("mail", slow)
        await stage[0].engine.jobs.add("mail", "anna")
        await settled()
        stage[1].engine.jobs.handle("mail", quick)
        await settled()
        await stage[0].engine.jobs.leave()
        await trio.sleep(0.1)

        assert (slow.done, quick.done) == ([], ["anna"])


async def test_when_the_engine_ends_its_jobs_are_given_back_too():
    async with open_scene(inspect=False) as scene:
        scene.engine.jobs.handle("mail", Book(takes_s=60))
        await scene.engine.jobs.add("mail", "a")
        await settled()
    (waiting,) = await scene.store.real.jobs.listed(JobState.WAITING, limit=9)
    assert waiting.key == "a"


async def test_what_is_being_claimed_when_the_node_leaves_is_given_back_too():
    """It would be nobody's until the lease ends, and an attempt the poorer."""
    async with open_scene(inspect=False) as scene:
        jobs, book = scene.engine.jobs, Book()
        jobs.handle("mail", book)
        await settled()
        claim = scene.store.script("jobs.claim", after=True)
        await jobs.add("mail", "a", attempts_max=1)
        await claim.entered.wait()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(jobs.leave)
            await trio.sleep(1)
            claim.release()

        waiting = await one(jobs, JobState.WAITING)
        assert (waiting.key, waiting.attempts, waiting.attempts_max) == ("a", 1, 2)
        assert (trio.current_time(), book.begun) == (pytest.approx(1, abs=0.1), 0)


async def test_a_claim_without_an_answer_does_not_hold_up_the_leaving_for_long():
    async with open_scene(inspect=False) as scene:
        scene.engine.jobs.handle("mail", Book())
        await settled()
        claim = scene.store.script("jobs.claim", before=True)
        await scene.engine.jobs.add("mail", "a")
        await claim.entered.wait()
        await scene.engine.jobs.leave()

        assert trio.current_time() == pytest.approx(scene.limits.jobs_drain_s, abs=0.1)


async def test_what_is_added_when_the_engine_has_ended_is_refused():
    async with open_scene(inspect=False) as scene:
        pass
    with trio.fail_after(1), pytest.raises(StoreUnavailable, match="ended"):
        await scene.engine.jobs.add("mail", "a")


async def test_a_store_that_is_gone_does_not_hold_up_the_leaving():
    async with open_scene(inspect=False) as scene:
        jobs, book = scene.engine.jobs, Book(takes_s=1)
        jobs.handle("mail", book)
        await jobs.add("mail", "a")
        await settled()
        scene.store.always("jobs.finish", StoreUnavailable("gone"))
        await jobs.leave()

        assert trio.current_time() < 3
        assert book.done == ["a"]
