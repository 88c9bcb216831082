"""Laws of `adapters.postgres.backoff`: one at a time once it goes badly, and not too often."""

import pytest
import trio

from triolet._model.errors import StoreUnavailable
from triolet.adapters.postgres.backoff import Backoff
from triolet.testing.entropy import CountingEntropy


def a_backoff():
    return Backoff(CountingEntropy(), most_s=2)


async def test_everybody_may_as_long_as_it_goes_well(autojump_clock):
    """A pool that fills connects several times at once."""
    backoff = a_backoff()

    backoff.begin()
    backoff.begin()

    assert 0 == backoff.left_s


async def test_pauses_grow_to_the_limit(autojump_clock):
    """Twice as long each time, spread over the upper half, and never above the limit."""
    backoff, pauses = a_backoff(), []
    for _ in range(9):
        backoff.begin()
        backoff.failed()
        backoff.end()
        pauses.append(backoff.left_s)
        await trio.sleep(backoff.left_s)

    assert [0.0375, 0.075, 0.15, 0.3, 0.6, 1.2, 1.5, 1.5, 1.5] == pytest.approx(pauses)


async def test_who_comes_too_early_is_told_when(autojump_clock):
    """It is no use to wait here: the caller's request is answered now."""
    backoff = a_backoff()
    backoff.failed()

    with pytest.raises(StoreUnavailable) as caught:
        backoff.begin()

    assert caught.value.retry_after_ms == pytest.approx(38, abs=1)
    await trio.sleep(0.04)
    backoff.begin()


async def test_one_at_a_time_tries_a_place_that_is_gone(autojump_clock):
    """Ten tasks that wait for the same silence learn nothing from each other."""
    backoff = a_backoff()
    backoff.failed()
    await trio.sleep(1)
    backoff.begin()

    with pytest.raises(StoreUnavailable):
        backoff.begin()
    backoff.end()
    backoff.begin()


async def test_a_success_opens_it(autojump_clock):
    """And the next pause is the first one's again."""
    backoff = a_backoff()
    for _ in range(5):
        backoff.failed()
    backoff.succeeded()

    backoff.begin()
    backoff.begin()
    backoff.failed()
    assert 0.0375 == pytest.approx(backoff.left_s)
