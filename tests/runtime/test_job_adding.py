"""Laws of adding: many go together, each hears of its own, and what waits is bounded."""

import pytest
import trio
from scene import open_scene, settled

from triolet._model.errors import OutcomeUnknown, StoreUnavailable
from triolet.ports.jobs import NewJob


def some(*keys):
    return [NewJob(kind="mail", key=key) for key in keys]


async def test_what_is_added_while_others_are_kept_goes_together(scene):
    held = scene.store.script("jobs.add", before=True)
    answers = {}

    async def add(name, *keys):
        answers[name] = await scene.engine.jobs.add_many(some(*keys))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(add, "first", "a")
        await held.entered.wait()
        nursery.start_soon(add, "second", "a", "b")
        await settled()
        nursery.start_soon(add, "third", "b", "c")
        nursery.start_soon(add, "none")
        await settled()
        held.release()

    assert answers == {
        "first": [True],
        "second": [False, True],
        "third": [False, True],
        "none": [],
    }
    assert scene.store.count("jobs.add") == 2


async def test_each_caller_is_told_what_failed(scene):
    for error in (StoreUnavailable("full"), OutcomeUnknown("lost")):
        scene.store.script("jobs.add", error_after=error)
        with pytest.raises(type(error), match=str(error)):
            await scene.engine.jobs.add("mail", "anna")
    # It was kept all the same.
    assert not await scene.engine.jobs.add("mail", "anna")


async def test_more_than_may_wait_is_refused_at_once():
    async with open_scene(jobs_pending_max=3) as scene:
        held = scene.store.script("jobs.add", before=True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(scene.engine.jobs.add_many, some("a", "b"))
            await held.entered.wait()
            nursery.start_soon(scene.engine.jobs.add_many, some("c"))
            await settled()
            with pytest.raises(StoreUnavailable, match="too many jobs"):
                await scene.engine.jobs.add("mail", "d")
            held.release()
        assert await scene.engine.jobs.add("mail", "d")


async def test_a_thousand_go_at_once_and_no_more(scene):
    keys = [str(number) for number in range(1001)]
    with pytest.raises(ValueError, match="1001 jobs at once"):
        await scene.engine.jobs.add_many(some(*keys))
    assert all(await scene.engine.jobs.add_many(some(*keys[1:])))


async def test_who_stops_waiting_has_added_all_the_same(scene):
    held = scene.store.script("jobs.add", before=True)
    with trio.move_on_after(1):
        await scene.engine.jobs.add("mail", "anna")
    held.release()
    await settled()

    assert not await scene.engine.jobs.add("mail", "anna")


async def test_who_adds_when_the_engine_ends_is_told():
    errors = []

    async def add(engine, key):
        try:
            await engine.jobs.add("mail", key)
        except (OutcomeUnknown, StoreUnavailable) as error:
            errors.append(type(error))

    async with trio.open_nursery() as nursery, open_scene(inspect=False) as scene:
        held = scene.store.script("jobs.add", before=True)
        nursery.start_soon(add, scene.engine, "a")
        await held.entered.wait()
        nursery.start_soon(add, scene.engine, "b")
        await settled()

    assert sorted(errors, key=str) == [OutcomeUnknown, StoreUnavailable]
