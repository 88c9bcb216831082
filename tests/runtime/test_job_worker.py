"""Laws of a worker: what is raised is tried again, and as much is claimed as is done soon."""

import logging

import pytest
import trio
from job_book import Book, one
from scene import NOW_MS, open_scene, settled

import triolet
from triolet._model.errors import StoreUnavailable
from triolet.ports.jobs import JobState, NewJob


async def added(jobs, count, kind="mail"):
    for start in range(0, count, 1000):
        numbers = range(start, min(count, start + 1000))
        await jobs.add_many([NewJob(kind=kind, key=str(number)) for number in numbers])


def claims(scene):
    """Return how many each claim wanted."""
    calls = [(args, more) for name, args, more in scene.store.calls if name == "jobs.claim"]
    return [more["limit"] for (kinds, *_), more in calls if "mail" in kinds]


# --- failing -----------------------------------------------------------------------------------


async def test_what_raises_is_tried_again_after_pauses_that_double_until_it_is_dead(scene):
    book, begun = Book(), []
    book.fails = [KeyError("a"), OSError("b"), ValueError("c\0d")]

    async def handler(job):
        begun.append((job.attempts, job.error, trio.current_time()))
        await book(job)

    scene.engine.jobs.handle("mail", handler)
    await scene.engine.jobs.add("mail", "anna", b"x", attempts_max=3)
    await trio.sleep(60)

    # Chance is in the middle here: three quarters of 4 and of 8 s.
    assert [error for _, error, _ in begun] == ["", "KeyError: 'a'", "OSError: b"]
    assert [at for _, _, at in begun] == pytest.approx([0, 3, 9], abs=0.02)
    dead = await one(scene.engine.jobs, JobState.DEAD)
    assert (dead.attempts, dead.error, dead.payload) == (3, "ValueError: cd", b"x")


async def test_a_handler_says_when_it_wants_to_be_called_again(scene):
    book = Book()
    book.fails = [
        triolet.Retry("busy", after_s=30),
        triolet.Retry("still busy"),
        ExceptionGroup("", [OSError("x"), triolet.Retry("gone", after_s=1e9)]),
        triolet.Retry("now", after_s=-5),
    ]
    scene.engine.jobs.handle("mail", book)
    await scene.engine.jobs.add("mail", "anna")
    await trio.sleep(29.9)
    assert book.begun == 1
    await trio.sleep(0.2)
    assert book.begun == 2
    await trio.sleep(6.1)
    assert book.begun == 3
    waiting = await one(scene.engine.jobs, JobState.WAITING)
    assert waiting.error == "Retry: gone"
    assert waiting.due_at - NOW_MS == pytest.approx(1000 * (trio.current_time() + 3600), abs=300)
    await trio.sleep(3600)

    assert (book.begun, book.done) == (5, ["anna"])


async def test_a_handler_gives_a_job_up(scene):
    book = Book()
    book.fails = [ExceptionGroup("", [triolet.Retry("busy"), triolet.Abandon("gone")])]
    scene.engine.jobs.handle("mail", book)
    await scene.engine.jobs.add("mail", "anna")
    await settled()

    dead = await one(scene.engine.jobs, JobState.DEAD)
    assert (dead.error, dead.attempts, book.begun) == ("Abandon: gone", 1, 1)


async def test_a_handler_that_takes_too_long_has_failed(scene):
    book = Book(takes_s=11)
    scene.engine.jobs.handle("mail", book, timeout_s=10)
    await scene.engine.jobs.add("mail", "anna", attempts_max=1)
    await trio.sleep(10.1)

    dead = await one(scene.engine.jobs, JobState.DEAD)
    assert (dead.error, book.done) == ("TooSlowError: it took 10 s", [])


async def test_what_an_error_says_can_be_kept_by_every_store(scene):
    """A name that the file system has in no UTF-8, say: half a character."""
    book = Book()
    book.fails = [OSError("caf\udce9\0.txt" + "\udce9" * 1000)]
    scene.engine.jobs.handle("mail", book)
    await scene.engine.jobs.add("mail", "anna", attempts_max=1)
    await settled()

    dead = await one(scene.engine.jobs, JobState.DEAD)
    assert dead.error.encode().startswith(rb"OSError: caf\udce9.txt\udce9")
    assert len(dead.error) == 1000


async def test_the_log_says_what_failed_but_not_what_errors_and_keys_hold(scene, caplog):
    book = Book()
    book.fails = [ValueError("https://push.example/secret"), triolet.Abandon("secret, too")]
    scene.engine.jobs.handle("mail", book)
    with caplog.at_level(logging.INFO, "triolet"):
        await scene.engine.jobs.add("mail", "device-of-anna")
        await trio.sleep(20)

    assert "job 1 (mail), attempt 1 of 10: ValueError, again in 3.0 s" in caplog.text
    assert "secret" not in caplog.text
    assert "anna" not in caplog.text


async def test_what_a_handler_raises_on_its_way_out_harms_nobody():
    async with open_scene(inspect=False) as scene:

        async def handler(job):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep_forever)
                try:
                    await trio.sleep_forever()
                finally:
                    raise ValueError(job.key)

        scene.engine.jobs.handle("mail", handler)
        await scene.engine.jobs.add("mail", "anna")
        await settled()
        await scene.engine.jobs.leave()

        assert (await one(scene.engine.jobs, JobState.WAITING)).attempts_max == 11


# --- claiming ----------------------------------------------------------------------------------


async def test_what_takes_long_is_claimed_one_by_one(scene):
    """Others may do it sooner."""
    book = Book(takes_s=1)
    await added(scene.engine.jobs, 10)
    scene.engine.jobs.handle("mail", book, concurrency=2)
    await trio.sleep(0.5)
    assert len(await scene.engine.jobs.listed(JobState.RUNNING)) == 2
    await trio.sleep(6)

    assert len(book.done) == 10
    assert max(claims(scene)) == 2


async def test_what_is_done_at_once_is_claimed_by_the_hundreds(scene):
    book = Book()
    await added(scene.engine.jobs, 5000)
    scene.engine.jobs.handle("mail", book, concurrency=2)
    await trio.sleep(0.2)

    assert len(set(book.done)) == len(book.done) == 5000
    wanted = claims(scene)
    assert wanted[0] == 2
    assert max(wanted) == 500
    assert len(wanted) < 40


async def test_a_full_house_never_stands_empty(scene):
    """As many as may be are at work all the time, whatever a job takes."""
    book = Book(takes_s=0.1)
    await added(scene.engine.jobs, 200)
    scene.engine.jobs.handle("mail", book, concurrency=10)
    await trio.sleep(2.05)

    assert len(book.done) == 200


async def test_a_clock_that_is_set_back_holds_nothing_up(scene):
    """What nobody has told of is looked for as often as ever, and not in an hour."""
    book = Book()
    scene.engine.jobs.handle("mail", book)
    await settled()
    scene.engine.clock.ahead_ms = -3_600_000
    now = scene.engine.clock.now_ms()
    await scene.store.real.jobs.add([NewJob(kind="mail", key="anna")], now=now)
    await trio.sleep(scene.limits.jobs_check_s + 0.1)

    assert book.done == ["anna"]


async def test_a_store_that_is_gone_is_asked_again(scene, caplog):
    book = Book()
    scene.engine.jobs.handle("mail", book)
    await settled()
    scene.store.always("jobs.claim", StoreUnavailable("gone"))
    await scene.engine.jobs.add("mail", "anna")
    await trio.sleep(10)
    assert book.done == []
    assert "jobs cannot be claimed" in caplog.text
    scene.store.always("jobs.claim")
    await trio.sleep(1.1)

    assert book.done == ["anna"]
    assert "jobs are claimed again" in caplog.text


# --- ending ------------------------------------------------------------------------------------


async def test_what_is_done_while_the_store_is_gone_is_written_when_it_is_back(scene, caplog):
    book = Book()
    scene.engine.jobs.handle("mail", book)
    scene.store.always("jobs.finish", StoreUnavailable("gone"))
    await scene.engine.jobs.add("mail", "anna")
    await trio.sleep(20)
    assert (await one(scene.engine.jobs, JobState.RUNNING)).attempts == 1
    scene.store.always("jobs.finish")
    await trio.sleep(1)

    assert (await one(scene.engine.jobs, JobState.DONE)).attempts == 1
    assert book.done == ["anna"]
    assert "what became of jobs cannot be written" in caplog.text


async def test_no_more_is_done_than_can_be_written():
    """Endings wait for the store, and then the handlers do, too."""
    async with open_scene(jobs_batch_max=10) as scene:
        book = Book()
        await added(scene.engine.jobs, 200)
        scene.store.always("jobs.finish", StoreUnavailable("gone"))
        scene.engine.jobs.handle("mail", book, concurrency=4)
        await trio.sleep(30)
        assert 20 <= len(book.done) <= 24
        scene.store.always("jobs.finish")
        await trio.sleep(2)

        assert len(set(book.done)) == len(book.done) == 200


async def test_what_was_somebody_elses_by_then_is_left_to_them(scene):
    book = Book(takes_s=1)
    scene.engine.jobs.handle("mail", book)
    await scene.engine.jobs.add("mail", "anna")
    await settled()
    far = NOW_MS + 10**6
    (theirs,) = await scene.store.real.jobs.claim(["mail"], now=far, lease_until=2 * far, limit=1)
    await trio.sleep(2)

    assert (theirs.attempts, book.done) == (2, ["anna"])
    assert (await one(scene.engine.jobs, JobState.RUNNING)).attempts == 2
