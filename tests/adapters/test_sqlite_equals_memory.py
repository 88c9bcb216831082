"""Whatever is done to both, the store in SQLite and the store in memory say the same.

The SQLite store here folds every few entries in slices of one, keeps runs of two, carries its
log over all the time, and is reopened and copied in the middle.
"""

import shutil
from contextlib import asynccontextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store_pair import Pair, compare, steps

from triolet._model.limits import Limits
from triolet.adapters.sqlite import SqliteStore, runs, segments, upkeep
from triolet.adapters.sqlite.opening import opened
from triolet.testing.contracts import CountingEntropy, Home


@asynccontextmanager
async def open_restless(home, path, *, window_entries):
    # An opening draws a name for a first epoch; drawing it elsewhere keeps both in step.
    async with opened(
        path,
        entropy=CountingEntropy(),
        limits=Limits(),
        window_entries=window_entries,
        checkpoint_changes=10,
    ) as parts:
        yield SqliteStore(parts, clock=home.clock, entropy=home.entropy)


async def check_copy(pair):
    """What a crash would leave, between two transactions, is opened and says the same."""
    target = pair.home.path / f"copy{pair.count}"
    target.mkdir(exist_ok=True)

    def copy():
        for path in pair.home.path.glob("s.db*"):
            shutil.copy(path, target / path.name)

    await pair.other._writer.do(copy)
    async with open_restless(pair.home, target / "s.db", window_entries=2) as store:
        await compare(pair.memory, store)


@pytest.fixture
def _small_runs(monkeypatch):
    monkeypatch.setattr(runs, "RUN_ENTRIES_MAX", 2)
    monkeypatch.setattr(segments, "FAN_IN", 2)
    monkeypatch.setattr(segments, "_ROW_RECORDS", 1)
    monkeypatch.setattr(upkeep, "_SLICE_MIN", 1)


@pytest.mark.usefixtures("_small_runs")
@settings(
    max_examples=30,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(script=st.lists(steps, max_size=14), window_entries=st.integers(1, 12))
async def test_both_stores_say_the_same(tmp_path_factory, script, window_entries):
    home = Home(tmp_path_factory.mktemp("pair"))

    def open_sqlite():
        return open_restless(home, home.path / "s.db", window_entries=window_entries)

    await Pair(home, open_sqlite, check_copy).play(script)
