"""Laws of pages: one read for all who ask the same, never too many, never an erased body."""

import pytest
import trio
from scene import CountedEntropy, ScriptedStore, VirtualClock, settled

from triolet._model.entries import Delete, Member, Message
from triolet._model.errors import StoreUnavailable
from triolet._model.limits import Limits
from triolet._runtime.flusher import Flusher
from triolet._runtime.pages import Pages
from triolet._runtime.room import Room
from triolet._wire.codec import pack_fact, unpack_fact
from triolet.adapters.memory import MemoryStore
from triolet.ports.store import Draft, RoomSpec

LIMITS = Limits(page_entries_max=3, pages_inflight_max=2)


@pytest.fixture
async def store():
    return ScriptedStore(MemoryStore(clock=VirtualClock(), entropy=CountedEntropy()))


@pytest.fixture
async def pages(store, nursery, kept):
    return Pages(store, LIMITS, nursery.start_soon, lambda room, items: kept.append((room, items)))


@pytest.fixture
def kept():
    """What is kept for others: the room, and the items read of it."""
    return []


def seqs_of(items):
    return [item.record.seq for item in items]


async def write(store, name, *facts, create=False):
    draft = Draft(
        room=name,
        sender="anna",
        cid=f"c{len(store.calls)}",
        op="create" if create else "send",
        facts=tuple((fact, pack_fact(fact)) for fact in facts),
        create=RoomSpec(kind="group") if create else None,
    )
    (outcome,) = await store.append([draft])
    return outcome.records


async def make(store, name="tea", count=7):
    """Make a room with `count` messages after its first entry."""
    await write(store, name, Member("anna", "owner"), create=True)
    for number in range(count):
        await write(store, name, Message({"text": str(number)}))
    return room_of(await store.room(name))


def room_of(state):
    return Room(
        state, Flusher(), outbox_bytes_high=1000, ring_entries_max=10, ring_bytes_max=10_000
    )


async def read(pages, room, after, into):
    into.append(seqs_of(await pages.read(room, after)))


async def test_a_page_ends_at_the_head_and_at_its_limit(store, pages):
    room = await make(store, count=5)

    first = await pages.read(room, 0)
    last = await pages.read(room, 3)
    bounded = await pages.read(room, 0, upto=2)

    assert list(map(seqs_of, (first, last, bounded))) == [
        [1, 2, 3],
        [4, 5, 6],
        [1, 2],
    ]


async def test_who_asks_the_same_at_the_same_time_is_served_by_one_read(store, pages, nursery):
    room = await make(store)
    step = store.script("page", before=True)
    found = []
    for _ in range(5):
        nursery.start_soon(read, pages, room, 2, found)
    await settled()
    step.release()
    await settled()

    assert found == [[3, 4, 5]] * 5
    assert store.count("page") == 1
    assert pages._pages == {}


async def test_nothing_is_kept_here_once_all_are_served(store, pages):
    room = await make(store)

    await pages.read(room, 2)
    await pages.read(room, 2)

    assert store.count("page") == 2


async def test_what_was_read_is_given_away_to_be_kept(store, pages, kept, nursery):
    """Once a read, whoever waits for it; they all get the same items, encoded at most once."""
    room = await make(store)
    found = []

    async def reader():
        found.append(await pages.read(room, 2))

    for _ in range(2):
        nursery.start_soon(reader)
    await settled()

    assert kept == [(room, found[0])]
    assert found[0] is found[1]


async def test_what_a_deletion_or_a_new_epoch_has_passed_is_not_kept(store, pages, kept, nursery):
    """It is old: others must not see it."""
    room = await make(store)
    step = store.script("page", after=True)
    nursery.start_soon(read, pages, room, 4, [])
    await settled()
    await delete(store, room, 2)
    step.release()
    await settled()
    assert [seqs_of(items) for _, items in kept] == [[5, 6, 7]]

    step = store.script("page", after=True)
    nursery.start_soon(read, pages, room, 2, [])
    await settled()
    room.epoch = "another"
    step.release()
    await settled()
    assert len(kept) == 1


async def test_no_more_than_the_limit_are_read_at_once(store, pages, nursery):
    room = await make(store)
    steps = [store.script("page", before=True) for _ in range(5)]
    found = []
    for after in range(5):
        nursery.start_soon(read, pages, room, after, found)
    await settled()
    assert sum(step.entered.is_set() for step in steps) == LIMITS.pages_inflight_max

    for step in steps:
        step.release()
    await settled()

    assert len(found) == 5


async def test_a_failure_is_told_to_all_who_wait(store, pages, nursery):
    room = await make(store)
    step = store.script("page", before=True, error=StoreUnavailable("no"))
    failures = []

    async def fail():
        with pytest.raises(StoreUnavailable):
            await pages.read(room, 2)
        failures.append(1)

    for _ in range(3):
        nursery.start_soon(fail)
    await settled()
    step.release()
    await settled()

    assert (len(failures), pages._pages) == (3, {})
    assert seqs_of(await pages.read(room, 2)) == [3, 4, 5]


async def test_a_reader_who_gives_up_takes_nothing_from_the_others(store, pages, nursery):
    """A cancelled session never cancels the page that others wait for."""
    room = await make(store)
    step = store.script("page", before=True)
    found = []
    with trio.move_on_after(1):
        async with trio.open_nursery() as first:
            first.start_soon(read, pages, room, 2, [])
            await settled()
            nursery.start_soon(read, pages, room, 2, found)
            await trio.sleep_forever()
    step.release()
    await settled()

    assert found == [[3, 4, 5]]
    assert pages._pages == {}


async def test_a_page_read_before_a_deletion_is_read_again(store, pages, nursery):
    room = await make(store)
    step = store.script("page", after=True)
    found = []

    async def reader():
        found.extend(await pages.read(room, 1))

    nursery.start_soon(reader)
    await step.entered.wait()
    await settled()
    await delete(store, room, 2)
    step.release()
    await settled()

    assert [unpack_fact(item.record.packed).erased for item in found] == [True, False, False]
    assert store.count("page") == 2


async def test_who_joins_an_old_page_after_a_deletion_does_not_get_it(store, pages, nursery):
    """The page is as old as its first reader's question, not as the last one's."""
    room = await make(store)
    step = store.script("page", after=True)
    early, late = [], []

    async def reader(into):
        into.extend(await pages.read(room, 1))

    nursery.start_soon(reader, early)
    await settled()
    await delete(store, room, 2)
    nursery.start_soon(reader, late)
    await settled()
    step.release()
    await settled()

    assert [unpack_fact(found[0].record.packed).erased for found in (early, late)] == [True, True]


async def test_a_page_of_a_room_that_was_dropped_is_not_given_to_its_successor(
    store, pages, nursery
):
    """Deletions are counted in a loaded room: another one of the same name counts anew."""
    room = await make(store)
    step = store.script("page", after=True)
    nursery.start_soon(read, pages, room, 1, [])
    await settled()
    await write(store, "tea", Delete(2))
    successor = room_of(await store.room("tea"))
    found = []

    async def reader():
        found.extend(await pages.read(successor, 1))

    nursery.start_soon(reader)
    await settled()
    step.release()
    await settled()

    assert unpack_fact(found[0].record.packed).erased


async def delete(store, room, target):
    for record in await write(store, "tea", Delete(target)):
        room.apply(record)
