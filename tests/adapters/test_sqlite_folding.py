"""Recent entries and folded ones: where the border lies is never to be seen."""

import threading
from contextlib import asynccontextmanager

import pytest
import trio

from triolet._model.limits import Limits
from triolet.adapters.sqlite import SqliteStore, reading, retention, runs, segments, upkeep
from triolet.adapters.sqlite.cids import split
from triolet.adapters.sqlite.opening import opened
from triolet.adapters.sqlite.rows import unpack_rows
from triolet.adapters.sqlite.snapshot import Snapshot
from triolet.testing.contracts import Home
from triolet.testing.contracts import drafting as d


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


@pytest.fixture(autouse=True)
def _small_runs(monkeypatch):
    monkeypatch.setattr(runs, "RUN_ENTRIES_MAX", 3)
    monkeypatch.setattr(segments, "FAN_IN", 2)
    monkeypatch.setattr(segments, "_ROW_RECORDS", 1)
    monkeypatch.setattr(upkeep, "_SLICE_MIN", 1)


@asynccontextmanager
async def open_folding(home, *, window_entries):
    async with opened(
        home.path / "store.db",
        entropy=home.entropy,
        limits=Limits(),
        window_entries=window_entries,
    ) as parts:
        yield SqliteStore(parts, clock=home.clock, entropy=home.entropy)


def rows(store, table):
    return store._ledger.connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


def cids(store):
    """Count the cids that the tables know."""
    rows = store._ledger.connection.execute("SELECT packed FROM cids")
    return sum(len(split(packed)) for (packed,) in rows)


async def test_nothing_is_folded_before_a_window_is_full(home):
    """A batch writes the journal; `places` and `cids` follow window by window."""
    async with open_folding(home, window_entries=10) as store:
        await d.append(store, d.founding("a", "anna"))
        await d.append(store, *(d.say("a", "anna", str(i)) for i in range(8)))
        assert (0, 0) == (rows(store, "places"), rows(store, "cids"))
        for i in range(8, 20):
            await d.append(store, d.say("a", "anna", str(i)))
        assert 1 == rows(store, "segments WHERE level = 0")
        assert cids(store) >= 10
        assert 21 == len(await d.log(store, "a"))


async def test_a_fold_may_stop_anywhere(home):
    """A process that dies in the middle of a fold leaves nothing that is lost or doubled."""
    for cut in range(14):
        place = home.another()
        async with open_folding(place, window_entries=5) as store:
            await d.append(store, d.founding("a", "anna"), d.founding("b", "anna"))
            for i in range(cut):
                await d.append(store, d.say("ab"[i % 2], "anna", f"1-{i}"))
        for life in (2, 3):
            async with open_folding(place, window_entries=5) as store:
                for i in range(3):
                    await d.append(store, d.say("a", "anna", f"{life}-{i}"))
                await store._settle()
                entries = await d.log(store, "a")
                assert list(range(1, len(entries) + 1)) == d.seqs(entries), cut
                for entry in entries[1:]:
                    assert await store.find("a", "anna", entry.cid) is not None


async def test_a_reader_sees_its_state_however_far_folding_goes(home):
    """A snapshot taken before a fold, looked into after it, misses nothing."""
    async with open_folding(home, window_entries=6) as store:
        await d.append(store, d.founding("a", "anna"))
        await d.append(store, *(d.say("a", "anna", str(i)) for i in range(4)))
        begun, go_on = threading.Event(), threading.Event()
        found = []

        def read_late(snapshot):
            begun.set()
            assert go_on.wait(10)
            late = Snapshot(snapshot.connection, store._ledger.recent)
            assert late.is_covered
            page = reading.page(late, "a", after=0, upto=d.ALL, limit=99, bytes_max=d.ALL)
            found.extend(d.seqs(page))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(store._read, read_late)
            await trio.to_thread.run_sync(begun.wait)
            await d.append(store, *(d.say("a", "anna", f"x{i}") for i in range(2)))
            while not rows(store, "store WHERE indexed >= 3"):
                await store._settle()
            go_on.set()
        assert [1, 2, 3, 4, 5] == found


async def test_retention_leaves_what_is_not_folded(home):
    """The log is all that knows a cid until it is folded, so such entries stay until then."""
    async with open_folding(home, window_entries=1000) as store:
        await d.append(store, d.founding("a", "anna"))
        await d.append(store, *(d.say("a", "anna", str(i)) for i in range(4)))

        def remove():
            return retention.remove(
                store._ledger,
                [retention.Due(1, "a")],
                older_than=0,
                entries_max=1,
                limit=9,
            )

        (step,) = await store._write(remove)
        assert (0, True) == (step.removed, step.is_done)
        assert [("a", 4, 3)] == await store.prune(older_than=0, entries_max=1, limit=9)
    async with open_folding(home, window_entries=1000) as store:
        assert await store.find("a", "anna", "0") is not None


async def test_what_was_folded_for_removed_messages_goes_with_them(home, monkeypatch):
    """Edits and reactions of removed messages leave no rows behind, however many they are."""
    monkeypatch.setattr(retention, "ROWS_PER_STEP", 7)
    async with open_folding(home, window_entries=4) as store:
        await d.append(store, d.founding("a", "anna"), d.say("a", "anna", "1"))
        await d.append(store, *(d.edit("a", "anna", f"e{i}", 2, "x") for i in range(10)))
        await d.append(store, *(d.react("a", f"u{i}", "r", 2, f"e{i}") for i in range(10)))
        await d.append(store, d.say("a", "anna", "2"), d.react("a", "ben", "s", 23))
        assert (10, 11, 11) == tuple(
            rows(store, table) for table in ("edits", "reactions", "reaction_counts")
        )
        while await store.prune(older_than=0, entries_max=3, limit=5):
            pass
        assert (0, 1, 1) == tuple(
            rows(store, table) for table in ("edits", "reactions", "reaction_counts")
        )
        # No run holds anything but the three that stay.
        assert rows(store, "places") == rows(store, "runs") <= 3
        found = store._ledger.connection.execute("SELECT packed FROM runs")
        assert 3 == sum(len(unpack_rows(packed)) for (packed,) in found)
