"""Laws of things told seldom: at once after a silence, then at intervals, and none forgotten."""

import pytest
import trio
from scene import settled

from triolet._runtime.coalescer import Coalescer

INTERVAL_S = 10


class Told:
    """What was handed over, and when; the next round can be held or failed."""

    def __init__(self):
        self.rounds = []
        self.held = None
        self.error = None
        self.running = 0

    async def handle(self, keys):
        self.rounds.append((trio.current_time(), keys))
        self.running += 1
        try:
            assert self.running == 1, "two rounds at once"
            if self.held is not None:
                await self.held.wait()
            if self.error is not None:
                error, self.error = self.error, None
                raise error
        finally:
            self.running -= 1


@pytest.fixture
def told():
    return Told()


@pytest.fixture
def coalescer(told):
    return Coalescer(told.handle, interval_s=INTERVAL_S)


async def test_the_first_mark_is_told_at_once_the_next_after_an_interval(told, coalescer, nursery):
    nursery.start_soon(coalescer.run)
    await settled()
    coalescer.mark("a")
    coalescer.mark("b")
    coalescer.mark("a")
    await settled()
    coalescer.mark("c")
    await trio.sleep(INTERVAL_S - 1)
    coalescer.mark("d")
    await trio.sleep(2)

    assert told.rounds == [(0, ["a", "b"]), (INTERVAL_S, ["c", "d"])]


async def test_silence_is_forgotten(told, coalescer, nursery):
    nursery.start_soon(coalescer.run)
    coalescer.mark("a")
    await trio.sleep(95)
    coalescer.mark("b")
    await settled()

    assert told.rounds == [(0, ["a"]), (95, ["b"])]


async def test_what_is_unmarked_is_not_told(told, coalescer, nursery):
    coalescer.mark("a")
    coalescer.mark("b")
    coalescer.unmark("a")
    coalescer.unmark("never marked")
    nursery.start_soon(coalescer.run)
    await settled()

    assert told.rounds == [(0, ["b"])]


async def test_a_flush_tells_now(told, coalescer):
    coalescer.mark("a")

    await coalescer.flush()
    await coalescer.flush()

    assert told.rounds == [(0, ["a"])]


async def test_after_a_flush_everything_marked_before_has_been_told(told, coalescer, nursery):
    """Also what another round had taken already: whoever flushes relies on it being done."""
    told.held = trio.Event()
    nursery.start_soon(coalescer.run)
    coalescer.mark("a")
    await settled()
    flushed = trio.Event()

    async def flush():
        await coalescer.flush()
        flushed.set()

    nursery.start_soon(flush)
    await settled()
    assert not flushed.is_set()
    told.held.set()
    await settled()

    assert flushed.is_set()


async def test_rounds_never_overlap(told, coalescer, nursery):
    """Their writes would reach the store in any order, and the older one could win."""
    told.held = trio.Event()
    nursery.start_soon(coalescer.run)
    coalescer.mark("a")
    await settled()
    coalescer.mark("a")
    nursery.start_soon(coalescer.flush)
    await settled()
    told.held.set()
    await settled()

    assert [keys for _, keys in told.rounds] == [["a"], ["a"]]


async def test_a_cancelled_flush_forgets_nothing(told, coalescer, nursery):
    """Sessions flush too, and may be cancelled; what they had taken is told by the next round."""
    told.held = trio.Event()
    coalescer.mark("a")
    with trio.move_on_after(1):
        await coalescer.flush()
    coalescer.mark("b")
    told.held = None

    nursery.start_soon(coalescer.run)
    await settled()

    assert [sorted(keys) for _, keys in told.rounds] == [["a"], ["a", "b"]]


async def test_a_cancelled_flush_wakes_the_next_round(told, coalescer, nursery):
    nursery.start_soon(coalescer.run)
    await settled()
    told.held = trio.Event()
    coalescer.mark("a")
    with trio.move_on_after(0):
        await coalescer.flush()
    told.held = None
    await trio.sleep(3 * INTERVAL_S)

    assert told.rounds[-1][1] == ["a"]
    assert len(told.rounds) <= 2
