"""Laws of `adapters.postgres.tasks`: what a block raises leaves it as it is."""

import pytest
import trio
import trio.testing

from triolet._model.errors import StoreUnavailable
from triolet.adapters.postgres.tasks import open_tasks


async def test_what_the_block_raises_is_not_in_a_group():
    """And its tasks have ended."""
    ended = False

    async def task():
        nonlocal ended
        try:
            await trio.sleep_forever()
        finally:
            ended = True

    async def block():
        async with open_tasks() as nursery:
            nursery.start_soon(task)
            await trio.testing.wait_all_tasks_blocked()
            raise StoreUnavailable("gone")

    with pytest.raises(StoreUnavailable):
        await block()
    assert ended


async def test_a_task_that_fails_is_seen():
    """A defect of ours is no silence."""

    async def task():
        raise ZeroDivisionError

    async def block():
        async with open_tasks() as nursery:
            nursery.start_soon(task)
            await trio.sleep_forever()

    with pytest.raises(ExceptionGroup) as caught:
        await block()
    assert isinstance(caught.value.exceptions[0], ZeroDivisionError)


async def test_cancelling_the_block_cancels_it_all():
    """As anywhere in Trio."""
    with trio.move_on_after(0) as scope:
        async with open_tasks() as nursery:
            nursery.start_soon(trio.sleep_forever)
            await trio.sleep_forever()
    assert scope.cancelled_caught
