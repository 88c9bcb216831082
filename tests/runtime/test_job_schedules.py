"""Laws of schedules: each slot once, at the time on the wall, and missed ones once in all."""

from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from job_book import Book
from scene import CountedEntropy, VirtualClock

from triolet._model.errors import StoreUnavailable
from triolet._model.limits import Limits
from triolet._runtime.engine import Engine
from triolet._runtime.job_schedules import Daily, Interval, slot_name
from triolet.adapters.memory import MemoryStore
from triolet.ports.jobs import JobState

BERLIN = ZoneInfo("Europe/Berlin")
moments = st.integers(1_600_000_000_000, 1_900_000_000_000)


@given(moments, st.integers(1000, 10**9))
def test_the_next_slot_is_the_first_one_after_now(now, interval_ms):
    slot = Interval(interval_ms).after(now)

    assert now < slot <= now + interval_ms
    assert slot % interval_ms == 0


@given(moments, st.times(timezones=st.none()), st.sampled_from([BERLIN, ZoneInfo("UTC")]))
def test_a_daily_slot_comes_within_a_day_and_the_hour_that_clocks_are_set(now, at, zone):
    slot = Daily(at.replace(microsecond=0), zone).after(now)

    assert now < slot <= now + 25 * 3_600_000


@pytest.mark.parametrize(
    ("now", "slot"),
    [
        ("2026-11-26T01:00", "2026-11-26T01:30:00Z"),
        ("2026-11-26T01:30", "2026-11-27T01:30:00Z"),
        # At 02:00 it is 03:00: half past two is half past three.
        ("2026-03-28T12:00", "2026-03-29T01:30:00Z"),
        ("2026-03-29T01:30", "2026-03-30T00:30:00Z"),
        # At 03:00 it is 02:00 again: the first half past two counts.
        ("2026-10-24T12:00", "2026-10-25T00:30:00Z"),
        ("2026-10-25T00:30", "2026-10-26T01:30:00Z"),
    ],
)
def test_half_past_two_in_berlin(now, slot):
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC)
    found = Daily(time(2, 30), BERLIN).after(int(1000 * moment.timestamp()))

    assert slot_name(found) == slot


async def test_a_zone_that_is_none_is_an_error(scene):
    with pytest.raises(ValueError, match="no time zone 'Europe/Nowhere'"):
        scene.engine.jobs.daily("digest", at=time(8), zone="Europe/Nowhere")
    with pytest.raises(ValueError, match="too often"):
        scene.engine.jobs.every("digest", interval_s=0.5)


async def test_a_daily_job_is_done_at_its_time(scene):
    book, clock = Book(), scene.engine.clock
    slot = Daily(time(8, 0), BERLIN).after(clock.now_ms())
    clock.ahead_ms += slot - clock.now_ms() - 90_000
    scene.engine.jobs.handle("digest", book)
    scene.engine.jobs.daily("digest", at=time(8, 0), zone="Europe/Berlin")
    await trio.sleep(85)
    assert book.done == []
    await trio.sleep(15)
    assert book.done == [slot_name(slot)]
    # A clock that is set meanwhile is looked at within a minute.
    clock.ahead_ms += 86_400_000
    await trio.sleep(65)

    assert book.done == [slot_name(slot), slot_name(slot + 86_400_000)]


async def test_slots_that_pass_while_no_node_runs_are_done_once():
    clock, entropy = VirtualClock(), CountedEntropy()
    store, book = MemoryStore(clock=clock, entropy=entropy), Book()

    def a_node():
        return Engine(store=store, gate=None, clock=clock, entropy=entropy, limits=Limits())

    for pause_s in (10 * 3600, 0):
        async with a_node() as engine:
            engine.jobs.handle("sweep", book)
            engine.jobs.every("sweep", interval_s=60)
            await trio.sleep(130)
        await trio.sleep(pause_s)

    # Two, the one that waited, and two more.
    assert len(book.done) == len(set(book.done)) == 5
    assert book.at[2] == pytest.approx(10 * 3600 + 130, abs=1)
    (waiting,) = await store.jobs.listed(JobState.WAITING, limit=9)
    assert waiting.due_at > clock.now_ms()


async def test_a_slot_that_cannot_be_added_is_added_later(scene, caplog):
    book = Book()
    scene.engine.jobs.handle("sweep", book)
    scene.store.always("jobs.add", StoreUnavailable("gone"))
    scene.engine.jobs.every("sweep", interval_s=60)
    await trio.sleep(30)
    scene.store.always("jobs.add")
    await trio.sleep(100)

    assert len(book.done) >= 1
    assert "a slot of sweep cannot be added" in caplog.text
