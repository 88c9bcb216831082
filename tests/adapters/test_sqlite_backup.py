"""Laws of backups: a whole store of one moment, for its owner alone, or no file at all."""

import stat

import pytest
import trio

from triolet._model.errors import StoreUnavailable
from triolet._model.limits import Limits
from triolet.adapters.sqlite import open_sqlite_store
from triolet.adapters.sqlite.backup import back_up
from triolet.adapters.system import SystemClock, SystemEntropy
from triolet.testing.contracts import drafting as d

TRIES = 20


def opened(path):
    return open_sqlite_store(path, clock=SystemClock(), entropy=SystemEntropy(), limits=Limits())


async def filled(store, count):
    await d.append(store, d.founding("a", "anna", "ben"))
    for number in range(count):
        await d.append(store, d.say("a", "anna", str(number)))


async def test_a_backup_is_the_store_as_it_was(tmp_path):
    async with opened(tmp_path / "a.db") as store:
        await filled(store, 20)
        size = await back_up(tmp_path / "a.db", tmp_path / "copy.db")
        await d.append(store, d.say("a", "anna", "later"))

    assert size == (tmp_path / "copy.db").stat().st_size
    async with opened(tmp_path / "copy.db") as copy:
        state = await copy.room("a")
        assert (state.n, state.members) == (20, 2)
        page = await copy.page("a", after=0, upto=99, limit=99, bytes_max=10**6)
        assert [record.seq for record in page] == list(range(1, state.head + 1))
        # It goes on as a store of its own.
        await d.append(copy, d.say("a", "ben", "here"))


async def test_a_store_that_is_written_to_goes_on_meanwhile(tmp_path):
    async with opened(tmp_path / "a.db") as store:
        await filled(store, 50)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(back_up, tmp_path / "a.db", tmp_path / "copy.db")
            for number in range(50):
                await d.append(store, d.say("a", "ben", str(number)))

    async with opened(tmp_path / "copy.db") as copy:
        state = await copy.room("a")
        assert 50 <= state.n <= 100
        page = await copy.page("a", after=0, upto=999, limit=999, bytes_max=10**6)
        assert len(page) == state.head


async def test_it_is_for_its_owner_alone(tmp_path):
    async with opened(tmp_path / "a.db") as store:
        await filled(store, 1)
        await back_up(tmp_path / "a.db", tmp_path / "copy.db")

    assert stat.S_IMODE((tmp_path / "copy.db").stat().st_mode) == 0o600
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("target", ["nowhere/copy.db", "a.db/copy.db"])
async def test_what_cannot_be_written_leaves_nothing(tmp_path, target):
    async with opened(tmp_path / "a.db") as store:
        await filled(store, 1)
        with pytest.raises(StoreUnavailable):
            await back_up(tmp_path / "a.db", tmp_path / target)

    assert not list(tmp_path.rglob("*.part"))


async def test_what_is_no_store_is_not_copied(tmp_path):
    (tmp_path / "a.db").write_text("this is no database, whatever its name may say" * 100)
    with pytest.raises(StoreUnavailable):
        await back_up(tmp_path / "a.db", tmp_path / "copy.db")

    assert not (tmp_path / "copy.db").exists()


async def test_who_gives_up_stops_it_and_leaves_nothing(tmp_path):
    async with opened(tmp_path / "a.db") as store:
        await filled(store, 1)
        # Pages that take SQLite far longer to copy than it is waited for.
        connection = store._ledger.connection
        await store._writer.do(
            lambda: connection.execute(
                "CREATE TABLE filler AS WITH RECURSIVE n(i) AS "
                "(SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40000) "
                "SELECT i, randomblob(1000) AS b FROM n"
            )
        )
        # It may be done, on a busy machine, before it is known that it is late.
        for _ in range(TRIES):
            with trio.move_on_after(0.02) as scope:
                await back_up(tmp_path / "a.db", tmp_path / "copy.db")
            if scope.cancelled_caught:
                break
            (tmp_path / "copy.db").unlink()

    assert scope.cancelled_caught
    assert not list(tmp_path.glob("copy.db*"))
