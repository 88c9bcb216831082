"""Laws of leases: while its handler runs a job is nobody else's, and it ends with the lease."""

from functools import partial

import pytest
import trio
from job_book import Book, one
from scene import NOW_MS, settled
from stage import open_stage

from triolet._model.errors import StoreUnavailable
from triolet.ports.jobs import JobState, NewJob


async def test_a_lease_is_extended_for_as_long_as_the_handler_runs():
    async with open_stage(2) as stage:
        book = Book(takes_s=300)
        for scene in stage:
            scene.engine.jobs.handle("report", book, timeout_s=400)
        await stage[0].engine.jobs.add("report", "2026")
        await trio.sleep(310)

        assert (book.begun, book.done) == (1, ["2026"])
        done = await one(stage[0].engine.jobs, JobState.DONE)
        assert (done.attempts, done.error) == (1, "")
        await trio.sleep(60)
        assert stage[0].store.count("jobs.extend") + stage[1].store.count("jobs.extend") <= 21


@pytest.mark.parametrize("begins_s", [0.01, 7, 8, 14.9])
async def test_one_extension_may_fail_and_the_next_one_be_slow(scene, begins_s):
    """Whenever the job was claimed between two of them."""
    book = Book(takes_s=100)
    scene.engine.jobs.handle("report", book, timeout_s=200)
    await trio.sleep(begins_s)
    await scene.engine.jobs.add("report", "2026")
    scene.store.script("jobs.extend", error=StoreUnavailable("busy"))
    scene.store.script("jobs.extend", hook=partial(trio.sleep, 5))
    await trio.sleep(101)

    assert (book.begun, book.done) == (1, ["2026"])


async def test_a_handler_whose_lease_cannot_be_extended_ends_before_another_begins():
    async with open_stage(2) as stage:
        running = most = 0
        began = []

        async def handler(job):
            nonlocal running, most
            running, most = running + 1, max(most, running + 1)
            began.append(trio.current_time())
            try:
                await trio.sleep(100)
            finally:
                running -= 1

        for scene in stage:
            scene.engine.jobs.handle("report", handler, timeout_s=200)
            scene.store.always("jobs.extend", StoreUnavailable("gone"))
        await stage[0].engine.jobs.add("report", "2026")
        await trio.sleep(59)
        assert running == 0
        await trio.sleep(10)

        assert (most, len(began)) == (1, 2)
        assert began[1] >= 60
        for scene in stage:
            scene.store.always("jobs.extend")
        await trio.sleep(100)
        assert (await one(stage[0].engine.jobs, JobState.DONE)).attempts == 2


async def test_a_handler_whose_job_is_anothers_is_cancelled(scene, caplog):
    """By a clock that is far ahead, say."""
    book = Book(takes_s=100)
    scene.engine.jobs.handle("report", book, timeout_s=200)
    await scene.engine.jobs.add("report", "2026")
    await settled()
    far = NOW_MS + 10**6
    await scene.store.real.jobs.claim(["report"], now=far, lease_until=2 * far, limit=1)
    await trio.sleep(20)

    assert (await scene.engine.jobs.statistics()).running_here == 0
    assert "is another worker's by now" in caplog.text
    await trio.sleep(100)
    assert book.done == []


async def test_what_was_claimed_ahead_and_never_begun_is_left_to_others():
    """Its lease may have ended while a handler held the loop's turn."""
    async with open_stage(1, jobs_lease_s=4) as stage:
        scene = stage[0]
        jobs, book = scene.engine.jobs, Book()
        jobs.handle("mail", book, concurrency=1)
        for key in "abcdef":
            await jobs.add("mail", key)
        await settled()
        # The next ones are expected to be as quick, so several are claimed ahead.
        book.takes_s = 1.5
        scene.store.always("jobs.extend", StoreUnavailable("gone"))
        for key in "ghijkl":
            await jobs.add("mail", key)
        await trio.sleep(30)

        assert sorted(set(book.done)) == list("abcdefghijkl")
        assert len(book.done) == 12


async def test_a_worker_that_has_lost_all_that_it_held_claims_again():
    """Whatever it knew of when to claim: what it has lost is somebody's to do, perhaps its own."""
    async with open_stage(1, jobs_lease_s=4) as stage:
        scene, done = stage[0], []

        async def handler(job):
            if job.key == "300" and job.attempts == 1:
                await trio.sleep(100)
            done.append(job.key)

        jobs = scene.engine.jobs
        await jobs.add_many([NewJob(kind="mail", key=str(number)) for number in range(900)])
        jobs.handle("mail", handler, concurrency=1)
        await settled()
        # By those that were quick many were claimed ahead, and the house is full of them.
        assert len(await jobs.listed(JobState.RUNNING, limit=1000)) > 400
        scene.store.always("jobs.extend", StoreUnavailable("gone"))
        await trio.sleep(2.9)
        assert len(done) == 300
        await trio.sleep(3)
        scene.store.always("jobs.extend")
        await trio.sleep(5)

        assert len(done) == len(set(done)) == 900
