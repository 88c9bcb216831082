"""Laws of the simulated disk: what fails has done nothing, what dies may have, and all is one."""

import pytest
import trio
from trio.testing import MockClock

from triolet._model.entries import Message
from triolet._model.errors import OutcomeUnknown, StoreUnavailable
from triolet._wire.codec import pack_fact
from triolet.ports.store import Draft, Duplicate, RoomSpec
from triolet.testing.world.chance import SeededEntropy
from triolet.testing.world.disk import Disk, Doom, NodeStore, Speed


def draft(cid, **more):
    fact = Message({"text": cid})
    return Draft(
        room="tea", sender="anna", cid=cid, op="send", facts=((fact, pack_fact(fact)),), **more
    )


def on_disk(scene, **speed):
    async def run():
        disk = Disk(SeededEntropy(1, "disk"), Speed(**speed))
        await disk.memory.append([draft("first", create=RoomSpec(kind="group"))])
        died = []
        store = NodeStore(disk, lambda: (died.append(True), store.cut()))
        await scene(disk, store, died)

    trio.run(run, clock=MockClock(autojump_threshold=0))


async def head(disk):
    return (await disk.memory.room("tea")).head


def test_a_full_disk_takes_nothing_and_tells_everything():
    async def scene(disk, store, died):
        disk.is_full = True
        with pytest.raises(StoreUnavailable, match="full"):
            await store.append([draft("a")])
        assert (await store.room("tea")).head == 1
        disk.mend()
        await store.append([draft("a")])
        assert await head(disk) == 2

    on_disk(scene)


@pytest.mark.parametrize(("doom", "expected"), [(Doom.BEFORE, 1), (Doom.AFTER, 2)])
def test_a_node_dies_before_or_after_the_commit_and_never_hears_of_it(doom, expected):
    async def scene(disk, store, died):
        store.doom = doom
        with pytest.raises(StoreUnavailable, match="dead"):
            await store.append([draft("a")])
        assert died == [True]
        assert await head(disk) == expected
        with pytest.raises(StoreUnavailable, match="dead"):
            await store.append([draft("b")])
        assert await head(disk) == expected

    on_disk(scene)


def test_a_call_that_is_held_waits_and_then_goes_on():
    async def scene(disk, store, died):
        store.hold()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.append, [draft("a")])
            await trio.sleep(60)
            assert await head(disk) == 1
            store.release()
        assert await head(disk) == 2

    on_disk(scene)


def test_a_call_that_is_held_when_its_node_dies_does_nothing():
    async def scene(disk, store, died):
        store.hold()
        with pytest.RaisesGroup(StoreUnavailable):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(store.append, [draft("a")])
                await trio.sleep(1)
                store.cut()
        assert await head(disk) == 1

    on_disk(scene)


def test_an_unknown_outcome_is_found_out_by_the_same_batch():
    """Both happen: that it was stored, and that it was not."""

    async def scene(disk, store, died):
        found = set()
        for number in range(20):
            before = await head(disk)
            with pytest.raises(OutcomeUnknown):
                await store.append([draft(f"a{number}")])
            stored = await head(disk) - before
            disk.unknown = 0.0
            (outcome,) = await store.append([draft(f"a{number}")])
            disk.unknown = 1.0
            assert isinstance(outcome, Duplicate) == bool(stored)
            assert await head(disk) == before + 1
            found.add(stored)
        assert found == {0, 1}

    on_disk(scene, unknown=1.0)


def test_a_search_reaches_the_disk_for_each_page():
    async def scene(disk, store, died):
        bounds = {"before": None, "limit": 9, "scan_max": 999}
        found = await store.search("tea", "anna", "FIRST", **bounds)
        assert [1] == [message.seq for message in found.messages]
        await disk.memory.append([draft(f"c{i}") for i in range(300)])
        pages, history = [], store.history

        async def told(*asked, **rest):
            pages.append(await history(*asked, **rest))
            return pages[-1]

        store.history = told
        await store.search("tea", "anna", "first", **bounds)
        assert [200, 101] == [len(page.messages) for page in pages]
        store.cut()
        with pytest.raises(StoreUnavailable, match="dead"):
            await store.search("tea", "anna", "first", **bounds)

    on_disk(scene)
