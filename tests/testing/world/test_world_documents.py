"""Laws of documents on the simulated disk: they fail as everything else on it does."""

import pytest
import trio
from trio.testing import MockClock

from triolet._model.errors import OutcomeUnknown, StoreUnavailable
from triolet.ports.documents import Change
from triolet.testing.world.chance import SeededEntropy
from triolet.testing.world.disk import Disk, Doom, NodeStore, Speed


def on_disk(scene, **speed):
    async def run():
        disk = Disk(SeededEntropy(1, "disk"), Speed(**speed))
        died = []
        store = NodeStore(disk, lambda: (died.append(True), store.cut()))
        await scene(disk, store)

    trio.run(run, clock=MockClock(autojump_threshold=0))


async def version(disk):
    (found,) = await disk.memory.documents.read(["a"])
    return 0 if found is None else found.version


def test_a_full_disk_takes_nothing_and_tells_everything():
    async def scene(disk, store):
        assert await store.documents.write([Change("a", b"1", expires_at=1)])
        assert await store.documents.write([Change("b", b"2")])
        disk.is_full = True
        with pytest.raises(StoreUnavailable, match="full"):
            await store.documents.write([Change("b", b"3")])
        with pytest.raises(StoreUnavailable, match="full"):
            await store.documents.prune(now=2, limit=9)
        (found,) = await store.documents.read(["b"])
        assert [found] == await store.documents.scan("b", limit=9)
        assert found.value == b"2"
        disk.mend()
        assert await store.documents.prune(now=2, limit=9) == 1

    on_disk(scene)


@pytest.mark.parametrize(("doom", "expected"), [(Doom.BEFORE, 0), (Doom.AFTER, 1)])
def test_a_node_dies_before_or_after_the_commit_and_never_hears_of_it(doom, expected):
    async def scene(disk, store):
        store.doom = doom
        with pytest.raises(StoreUnavailable, match="dead"):
            await store.documents.write([Change("a", b"")])
        assert await version(disk) == expected
        for call in (
            store.documents.read(["a"]),
            store.documents.scan("a", limit=1),
            store.documents.write([Change("a", b"")]),
        ):
            with pytest.raises(StoreUnavailable, match="dead"):
                await call
        assert await version(disk) == expected

    on_disk(scene)


def test_an_unknown_outcome_is_found_out_by_reading():
    """Both happen: that it was written, and that it was not."""

    async def scene(disk, store):
        found = set()
        for _ in range(20):
            before = await version(disk)
            with pytest.raises(OutcomeUnknown):
                await store.documents.write([Change("a", b"", before)])
            found.add((await version(disk)) - before)
        assert found == {0, 1}

    on_disk(scene, unknown=1.0)
