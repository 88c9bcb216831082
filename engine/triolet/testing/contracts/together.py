"""The contract of calls beside each other: cancellation, snapshots, reads during writes."""

import pytest
import trio

from ..._model.errors import StoreUnavailable
from ...ports.store import Duplicate, Store
from . import drafting as d
from .home import Contract, Home


class TogetherContract(Contract):
    """Reads see one state and do not wait for writes; cancelling harms nobody else."""

    async def test_a_cancelled_append_is_stored(self, home: Home) -> None:
        """A batch that was handed over is stored, whatever happens to the task."""
        async with self.open_store(home) as store:
            await d.append(store, d.founding("a", "anna"))
            with trio.CancelScope() as scope:
                scope.cancel()
                await store.append([d.say("a", "anna", "1")])
            # The next batch is stored after it.
            outcome = await d.append_one(store, d.say("a", "anna", "1"))
            assert isinstance(outcome, Duplicate)
            assert 2 == (await d.state(store, "a")).head

    async def test_appends_take_effect_in_the_order_of_the_calls(self, home: Home) -> None:
        """A batch is handed over before the call's first checkpoint."""
        async with self.open_store(home) as store:
            await d.append(store, d.founding("a", "anna"))
            async with trio.open_nursery() as nursery:
                for i in range(20):
                    nursery.start_soon(store.append, [d.say("a", "anna", str(i), str(i))])
                    await trio.lowlevel.checkpoint()
            texts = d.texts((await d.history(store, "a")).messages)
            assert [str(i) for i in range(20)] == texts

    async def test_cancelled_reads_harm_nobody(self, home: Home) -> None:
        """Reads may be cancelled; later ones are answered."""
        async with self.open_store(home) as store:
            await d.append(store, d.founding("a", "anna"), d.say("a", "anna", "1"))
            for _ in range(30):
                with trio.CancelScope() as scope:
                    scope.cancel()
                    await store.room("a")
            with trio.move_on_after(0.001):
                while True:
                    await d.history(store, "a")
            assert 2 == (await d.state(store, "a")).head
            assert 1 == len((await d.history(store, "a")).messages)

    async def test_a_read_sees_what_was_appended(self, home: Home) -> None:
        """A read begun after `append` has returned sees the batch."""
        async with self.open_store(home) as store:
            await d.append(store, d.founding("a", "anna"))
            for i in range(20):
                (record,) = await d.append(store, d.say("a", "anna", str(i), str(i)))
                slice_ = await d.history(store, "a", limit=1)
                assert ([record.seq], record.seq) == (d.seqs(slice_.messages), slice_.head)
                assert record.seq == (await store.heads(["a"]))["a"][1]

    async def test_a_read_sees_no_half_batch(self, home: Home) -> None:
        """Each read sees one state of the whole store, never half a batch."""
        async with self.open_store(home) as store:
            rooms = ["a", "b"]
            await d.append(store, *(d.founding(room, "anna") for room in rooms))
            seen = 0
            async with trio.open_nursery() as nursery:
                done = trio.Event()
                nursery.start_soon(_write_pairs, store, done)
                while not done.is_set():
                    (_, one), (_, other) = (await store.heads(rooms)).values()
                    assert one == other
                    slice_ = await d.history(store, "a")
                    assert list(range(2, slice_.head + 1)) == d.seqs(slice_.messages)
                    page = await store.page("b", after=1, upto=d.ALL, limit=999, bytes_max=d.ALL)
                    assert list(range(2, len(page) + 2)) == d.seqs(page)
                    seen += 1
            assert seen > 0
            assert 101 == (await d.state(store, "b")).head

    async def test_a_closed_store_refuses(self, home: Home) -> None:
        """After the block ends a durable store's calls raise `StoreUnavailable`."""
        self.require_durable()
        async with self.open_store(home) as store:
            await d.append(store, d.founding("a", "anna"))
        with pytest.raises(StoreUnavailable):
            await store.append([d.say("a", "anna", "1")])
        with pytest.raises(StoreUnavailable):
            await store.room("a")


async def _write_pairs(store: Store, done: trio.Event) -> None:
    for i in range(50):
        batch = [d.say(room, "anna", f"{i}-{j}") for j in range(2) for room in ("a", "b")]
        await d.append(store, *batch)
    done.set()
