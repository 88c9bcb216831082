"""The store in SQLite keeps the contract, and what a file on a disk adds to it."""

import errno
import socket
import sqlite3
import threading
from contextlib import asynccontextmanager

import pytest
import trio

from triolet._model.errors import ErrorCode, OutcomeUnknown, StoreUnavailable
from triolet._model.limits import Limits
from triolet.adapters.sqlite import (
    SqliteStore,
    checkpoints,
    ledger,
    open_sqlite_source,
    open_sqlite_store,
    open_sqlite_target,
    runs,
    segments,
    upkeep,
)
from triolet.adapters.sqlite.opening import opened
from triolet.adapters.sqlite.recent import View
from triolet.ports.store import Appended, Duplicate, RoomSpec
from triolet.testing.contracts import Home, StoreContract, TransferContract
from triolet.testing.contracts import drafting as d

PATIENCE_S = 60


class TestSqliteStore(StoreContract):
    durable = True

    def open_store(self, home: Home):
        return open_plain(home)


def open_plain(home, limits=None):
    return open_sqlite_store(
        home.path / "store.db",
        clock=home.clock,
        entropy=home.entropy,
        limits=limits or Limits(),
    )


@asynccontextmanager
async def open_restless(home, *, window_entries=3, checkpoint_changes=20):
    """A store that folds every few entries, in slices, and carries its log over all the time."""
    async with opened(
        home.path / "store.db",
        entropy=home.entropy,
        limits=Limits(),
        window_entries=window_entries,
        checkpoint_changes=checkpoint_changes,
    ) as parts:
        yield SqliteStore(parts, clock=home.clock, entropy=home.entropy)


class TestRestlessSqliteStore(StoreContract):
    """Whatever of the log is folded, and however far: nothing of it is to be seen."""

    durable = True

    @pytest.fixture(autouse=True)
    def _small_runs(self, monkeypatch):
        monkeypatch.setattr(runs, "RUN_ENTRIES_MAX", 2)
        monkeypatch.setattr(segments, "FAN_IN", 2)
        monkeypatch.setattr(segments, "_ROW_RECORDS", 1)
        monkeypatch.setattr(upkeep, "_SLICE_MIN", 1)

    def open_store(self, home: Home):
        return open_restless(home)


class TestSqliteTransfer(TransferContract):
    durable = True

    def open_store(self, home: Home):
        return open_plain(home)

    def open_source(self, home: Home, *, may_be_unfinished: bool = False):
        return open_sqlite_source(
            home.path / "store.db",
            entropy=home.entropy,
            limits=Limits(),
            may_be_unfinished=may_be_unfinished,
        )

    def open_target(self, home: Home):
        return open_sqlite_target(home.path / "store.db", entropy=home.entropy)


class TestRestlessSqliteTransfer(TestSqliteTransfer):
    """Of a store that folds every few entries, in runs of two."""

    @pytest.fixture(autouse=True)
    def _small_runs(self, monkeypatch):
        monkeypatch.setattr(runs, "RUN_ENTRIES_MAX", 2)
        monkeypatch.setattr(segments, "FAN_IN", 2)
        monkeypatch.setattr(segments, "_ROW_RECORDS", 1)
        monkeypatch.setattr(upkeep, "_SLICE_MIN", 1)

    def open_store(self, home: Home):
        return open_restless(home)


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


# --- writes and reads beside each other --------------------------------------------------


async def test_a_read_does_not_wait_for_the_writer(home):
    """While a transaction is open and stuck, reads see the state before it."""
    async with open_plain(home) as store:
        await d.append(store, d.founding("a", "anna"))
        stuck, go_on = threading.Event(), threading.Event()

        def hold():
            store._ledger.connection.execute("UPDATE rooms SET title = 'new'")
            stuck.set()
            assert go_on.wait(PATIENCE_S)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(store._write, hold)
            await trio.to_thread.run_sync(stuck.wait)
            assert "" == (await d.state(store, "a")).title
            assert 1 == len(await d.log(store, "a"))
            go_on.set()
        assert "new" == (await d.state(store, "a")).title


async def test_an_abandoned_read_keeps_its_connection_until_it_ends(home):
    """A cancelled read's connection serves nobody else while its thread still uses it."""
    async with open_plain(home, Limits(store_readers_max=1)) as store:
        await d.append(store, d.founding("a", "anna"))
        stuck, go_on = threading.Event(), threading.Event()
        ended = []

        def hold(snapshot):
            stuck.set()
            assert go_on.wait(PATIENCE_S)
            ended.append(snapshot.room("a").head)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(store._read, hold)
            await trio.to_thread.run_sync(stuck.wait)
            nursery.cancel_scope.cancel()
        states = []
        async with trio.open_nursery() as nursery:

            async def read():
                states.append((await d.state(store, "a"), list(ended)))

            nursery.start_soon(read)
            await trio.testing.wait_all_tasks_blocked()
            assert [] == states
            go_on.set()
        assert (1, [1]) == (states[0][0].head, states[0][1])


async def test_closing_waits_for_abandoned_reads(home):
    """No thread outlives the block."""
    before = threading.active_count()
    stuck = threading.Event()

    def spin(snapshot):
        stuck.set()
        endless = "WITH RECURSIVE t(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM t) "
        snapshot.connection.execute(endless + "SELECT count(*) FROM t").fetchone()

    async with open_plain(home) as store, trio.open_nursery() as nursery:
        nursery.start_soon(store._read, spin)
        await trio.to_thread.run_sync(stuck.wait)
        nursery.cancel_scope.cancel()
    names = [thread.name for thread in threading.enumerate() if "sqlite" in thread.name]
    assert [] == names
    assert threading.active_count() <= before + 2  # Trio keeps idle threads for a while


async def test_a_read_that_waits_while_the_store_closes_is_refused(home):
    """A read in the queue for a connection does not use one that is about to be closed."""
    stuck, go_on = threading.Event(), threading.Event()
    errors = []

    def hold(_snapshot):
        stuck.set()
        assert go_on.wait(PATIENCE_S)

    async def wait(store):
        try:
            await store.room("a")
        except StoreUnavailable as error:
            errors.append(str(error))

    bounds = Limits(store_readers_max=1)
    async with trio.open_nursery() as nursery, open_plain(home, bounds) as store:
        nursery.start_soon(store._read, hold)
        await trio.to_thread.run_sync(stuck.wait)
        nursery.start_soon(wait, store)
        await trio.testing.wait_all_tasks_blocked()
        store._readers._closed = True
        go_on.set()
    assert ["the store is closed"] == errors


async def test_a_snapshot_too_old_is_taken_again(home):
    """A reader never misses what memory has dropped: it begins anew, and at last gives up."""
    async with open_plain(home) as store:
        await d.append(store, d.founding("a", "anna"), d.say("a", "anna", "1"))
        recent = store._ledger.recent
        view, recent.view = recent.view, View(10_000, ())
        with pytest.raises(StoreUnavailable):
            await d.log(store, "a")
        recent.view = view
        assert 2 == len(await d.log(store, "a"))


async def test_too_many_waiting_writes_are_refused(home):
    """The writer's queue is bounded; nothing of a refused call is stored."""
    async with open_plain(home, Limits(writes_pending_max=2)) as store:
        await d.append(store, d.founding("a", "anna"))
        outcomes = []

        async def write(number):
            try:
                outcomes.append(await d.append_one(store, d.say("a", "anna", str(number))))
            except StoreUnavailable as error:
                outcomes.append(error)

        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(write, number)
        refused = [one for one in outcomes if isinstance(one, StoreUnavailable)]
        assert 3 == len(refused)
        assert 3 == (await d.state(store, "a")).head


async def test_who_stops_waiting_for_a_write_disturbs_no_other(home):
    """The write is done all the same, and what wakes its caller late wakes nobody too early."""
    async with open_plain(home) as store:
        await d.append(store, d.founding("a", "anna"))
        for number in range(20):
            with trio.CancelScope() as scope:
                scope.cancel()
                await d.append(store, d.say("a", "anna", f"left {number}"))
            (record,) = await d.append(store, d.say("a", "anna", f"awaited {number}"))
            assert f"awaited {number}" == record.cid
        assert 41 == (await d.state(store, "a")).head
        assert len(store._writer._left) <= 1


async def test_writes_go_on_while_no_more_files_may_be_opened(home, monkeypatch):
    """Whoever waits is then woken without a socket; the sockets come back when they may."""

    def fails(*_how):
        raise OSError(errno.EMFILE, "no")

    async with open_plain(home) as store:
        await d.append(store, d.founding("a", "anna"))
        with monkeypatch.context() as patch:
            patch.setattr(socket, "socketpair", fails)
            async with trio.open_nursery() as nursery:
                for number in range(5):
                    nursery.start_soon(d.append, store, d.say("a", "anna", f"at once {number}"))
            with trio.CancelScope() as scope:
                scope.cancel()
                await d.append(store, d.say("a", "anna", "left"))
            (record,) = await d.append(store, d.say("a", "anna", "awaited"))
            assert "awaited" == record.cid
        await d.append(store, d.say("a", "anna", "as ever"))
        assert 9 == (await d.state(store, "a")).head


# --- transactions that fail --------------------------------------------------------------


class Failing:
    """A connection on which statements fail, once each, by how they begin."""

    def __init__(self, connection, errors, *, after=False):
        self._connection = connection
        self._errors = errors
        self._after = after

    def __getattr__(self, name):
        return getattr(self._connection, name)

    def execute(self, sql, *params):
        beginning = next((one for one in self._errors if sql.startswith(one)), None)
        if beginning is None:
            return self._connection.execute(sql, *params)
        error = self._errors.pop(beginning)
        if self._after:
            self._connection.execute(sql, *params)
        raise error


def failing(store, *beginnings, code, after=False):
    led = store._ledger
    errors = {one: sqlite3_error(code) for one in beginnings}
    led.connection = Failing(led.connection, errors, after=after)


def sqlite3_error(code):
    error = sqlite3.OperationalError("made to fail")
    error.sqlite_errorcode = code
    return error


FULL, IOERR_WRITE, IOERR_FSYNC = 13, 10 | 3 << 8, 10 | 4 << 8


@pytest.mark.parametrize("code", [FULL, IOERR_WRITE])
@pytest.mark.parametrize(
    "beginning", ["BEGIN", "INSERT INTO rooms", "INSERT INTO journal", "COMMIT"]
)
async def test_a_failed_transaction_stores_nothing(home, beginning, code):
    """Whatever fails: nothing of the batch is stored or remembered, and the next one is."""
    async with open_plain(home) as store:
        await d.append(store, d.founding("a", "anna", "ben"), d.say("a", "anna", "0"))
        failing(store, beginning, code=code)
        batch = [
            d.say("a", "anna", "1"),
            d.seat("a", "anna", "2", "ben", None, revokes=True),
            d.founding("b", "anna"),
        ]
        with pytest.raises(StoreUnavailable):
            await store.append(batch)
        state = await d.state(store, "a")
        assert (3, 1, 0, 2) == (state.head, state.n, state.acl_ver, state.members)
        assert 3 == len(await d.log(store, "a"))
        assert await store.room("b") is None
        assert await store.find("a", "anna", "1") is None
        records = await d.append(store, *batch)
        assert [4, 5, 1] == d.seqs(records)
        assert records[:2] == await store.page("a", after=3, upto=9, limit=9, bytes_max=d.ALL)


async def test_a_failed_rollback_is_made_up_for(home):
    """A transaction that cannot even be rolled back is, before the next one begins."""
    async with open_plain(home) as store:
        await d.append(store, d.founding("a", "anna"))
        failing(store, "INSERT INTO journal", "ROLLBACK", code=IOERR_WRITE)
        with pytest.raises(StoreUnavailable):
            await d.append(store, d.say("a", "anna", "1"))
        (record,) = await d.append(store, d.say("a", "anna", "2"))
        assert 2 == record.seq
        assert ["2"] == [message.cid for message in (await d.history(store, "a")).messages]


async def test_a_disk_that_fails_while_drafts_are_tried_one_by_one(home):
    """What is not a draft's fault fails the batch, also in the search for the draft at fault."""
    async with open_plain(home) as store:
        await d.append(store, d.founding("a", "anna"))
        failing(store, "RELEASE", code=FULL)
        batch = [d.say("a", "anna", "1"), d.say("a", "\ud800", "2")]
        with pytest.raises(StoreUnavailable):
            await store.append(batch)
        failing(store, "INSERT INTO journal", code=FULL)
        with pytest.raises(StoreUnavailable):
            await store.append(batch)
        assert 1 == (await d.state(store, "a")).head
        assert 2 == len(await store.append(batch))


async def test_a_commit_that_may_have_counted_is_found_out_by_repeating(home):
    """A failed sync → `OutcomeUnknown`; the same batch again answers with duplicates."""
    async with open_plain(home) as store:
        await d.append(store, d.founding("a", "anna"))
        failing(store, "COMMIT", code=IOERR_FSYNC, after=True)
        batch = [d.say("a", "anna", "1")]
        with pytest.raises(OutcomeUnknown):
            await store.append(batch)
        assert [Duplicate(2, home.clock.ms, "send")] == await store.append(batch)


async def test_other_writes_fail_with_store_errors(home):
    """Only `StoreError`s leave the adapter, whatever SQLite says."""
    async with open_plain(home) as store:
        for code in (FULL, 1, 19):  # full, a general error, a constraint
            failing(store, "BEGIN", code=code)
            with pytest.raises(StoreUnavailable):
                await store.put_marks([])
        await store.put_marks([])


async def test_what_cannot_be_kept_fails_alone(home):
    """An error specific to one draft rejects that one; its neighbours are stored."""
    async with open_plain(home) as store:
        await d.append(store, d.founding("a", "anna", "ben"))
        outcomes = await store.append(
            [
                d.say("a", "anna", "1", "one"),
                d.say("a", "\ud800", "2"),
                d.seat("a", "anna", "3", "ben", "admin"),
                # Its membership is written before its row fails.
                d.draft("a", "anna", "4", d.Member("zoe", "member"), op="\ud800"),
                d.say("a", "ben", "5", "two"),
                d.say("a", "anna", "1", "one"),
            ]
        )
        kinds = [Appended, type(outcomes[1]), Appended, type(outcomes[1]), Appended, Duplicate]
        assert kinds == [type(outcome) for outcome in outcomes]
        assert d.is_rejected(outcomes[1], ErrorCode.INTERNAL)
        assert d.is_rejected(outcomes[3], ErrorCode.INTERNAL)
        assert ["one", "two"] == d.texts((await d.history(store, "a")).messages)
        assert await store.membership("a", "zoe") is None
        state = await d.state(store, "a")
        assert (5, 2) == (state.head, state.members)


async def test_the_writer_remembers_a_bounded_number_of_rooms(home, monkeypatch):
    """Rooms beyond the bound are forgotten, and read again when they are needed."""
    monkeypatch.setattr(ledger, "_ROOMS_MAX", 4)
    async with open_plain(home) as store:
        for i in range(20):
            await d.append(store, d.founding(f"r{i}", "anna"), d.say(f"r{i}", "anna", "1"))
            assert len(store._ledger.rooms) <= 5
        for i in range(20):
            (record,) = await d.append(store, d.say(f"r{i}", "anna", "2"))
            assert 3 == record.seq


# --- memory, disk and cost ---------------------------------------------------------------


async def test_memory_keeps_a_bounded_number_of_windows(home):
    """Entries are folded as others come: at most three windows, whatever was written."""
    async with open_restless(home, window_entries=50) as store:
        await d.append(store, d.founding("a", "anna"), d.founding("b", "anna"))
        for i in range(60):
            room = "ab"[i % 2]
            await d.append(store, *(d.say(room, "anna", f"{i}-{j}") for j in range(10)))
            windows = store._ledger.recent.view.windows
            assert len(windows) <= 3
            assert sum(window.count for window in windows) <= 200
        messages = (await d.history(store, "a")).messages
        assert list(range(2, 302)) == d.seqs(messages)


async def test_the_write_ahead_log_is_bounded(home):
    """A busy writer's log starts again and again from its beginning."""
    async with open_restless(home, checkpoint_changes=200) as store:
        await d.append(store, d.founding("a", "anna"))
        for i in range(300):
            await d.append(store, *(d.say("a", "anna", f"{i}-{j}") for j in range(4)))
        size = (home.path / "store.db-wal").stat().st_size
        # Without restarts it would be more than 6 MB.
        assert size < 2_000_000


async def test_a_failed_checkpoint_is_only_put_off(home, monkeypatch):
    """Checkpoints that fail, in either thread, lose nothing and are tried again."""
    made = checkpoints.connect_checkpointer
    monkeypatch.setattr(
        checkpoints,
        "connect_checkpointer",
        lambda path: Failing(made(path), {"PRAGMA wal_checkpoint": sqlite3_error(FULL)}),
    )
    async with open_restless(home, checkpoint_changes=8) as store:
        await d.append(store, d.founding("a", "anna"))
        checkpointer, restarts = store._writer.after_job.__closure__, []
        (checkpointer,) = (
            cell.cell_contents
            for cell in checkpointer
            if isinstance(cell.cell_contents, checkpoints.Checkpointer)
        )
        restart = checkpointer._restart_log

        def restart_badly(writer):
            bad = Failing(writer, {} if restarts else {"PRAGMA wal_ch": sqlite3_error(FULL)})
            restarts.append(restart(bad))
            return restarts[-1]

        checkpointer._restart_log = restart_badly
        count = 0
        while len(restarts) < 3:
            count += 1
            await d.append(store, d.say("a", "anna", str(count)))
        assert [False, True, True] == restarts[:3]
        assert count + 1 == len(await d.log(store, "a"))


async def test_erased_text_is_not_left_in_the_file(home):
    """`secure_delete`: once the store is closed, nothing on disk holds an erased body."""
    secret = "correct horse battery staple"
    async with open_plain(home) as store:
        await d.append(store, d.founding("a", "anna"), d.say("a", "anna", "1", secret))
        await d.append(store, d.say("a", "anna", "2", secret * 1000))
        await d.append(store, d.edit("a", "anna", "3", 2, secret))
        await d.append(store, d.delete("a", "anna", "4", 2), d.delete("a", "anna", "5", 3))
    assert not (home.path / "store.db-wal").exists()
    assert secret.encode() not in (home.path / "store.db").read_bytes()


async def test_what_was_said_in_a_deleted_room_is_not_left_in_the_file(home):
    """Neither of what was folded, nor of what the journal held, nor of edits or the title."""
    secret = "correct horse battery staple"
    async with open_plain(home) as store:
        await d.append(store, d.founding("a", "anna", spec=RoomSpec(kind="group", title=secret)))
        await d.append(store, d.say("a", "anna", "0", secret))
        await store.prune(older_than=1, entries_max=0, limit=1)  # folds what there is
        await d.append(store, *(d.say("a", "anna", f"s{n}", secret * n) for n in range(300)))
        await d.append(store, d.edit("a", "anna", "3", 2, secret), d.founding("b", "anna"))
        await d.append_one(store, d.draft("a", "anna", "x", op="delete_room", deletes=True))
        while await store.clear_deleted(limit=100) is not None:
            await d.append(store, d.say("b", "anna", home.entropy.token(), "meanwhile"))
        for table in ("members", "inboxes", "places", "edits", "bodies"):
            counted = f"SELECT count(*) FROM {table} WHERE room_id = 1"
            left = await store._read(lambda s, sql=counted: s.connection.execute(sql).fetchone())
            assert left == (0,), table
    assert not (home.path / "store.db-wal").exists()
    assert secret.encode() not in (home.path / "store.db").read_bytes()


async def test_a_step_of_clearing_is_short(home):
    """A large room holds the writer for no longer than a step: other writes come between."""
    async with open_plain(home) as store:
        await d.append(store, d.founding("a", "anna"), d.founding("b", "anna"))
        for part in range(10):
            await d.append(store, *(d.say("a", "anna", f"{part}-{n}") for n in range(2000)))
        await d.append_one(store, d.draft("a", "anna", "x", op="delete_room", deletes=True))
        changes = []
        write = store._write

        async def counted(work):
            before = store._ledger.connection.total_changes
            result = await write(work)
            changes.append(store._ledger.connection.total_changes - before)
            return result

        store._write = counted
        while await store.clear_deleted(limit=1000) is not None:
            pass
        assert len(changes) > 20
        assert max(changes) < 1000


async def _cost(store, ask):
    """Count the virtual machine's steps of one read, in tens."""
    steps = 0

    def count():
        nonlocal steps
        steps += 1

    def read(snapshot):
        snapshot.connection.set_progress_handler(count, 10)
        try:
            ask(snapshot)
        finally:
            snapshot.connection.set_progress_handler(None, 0)

    await store._read(read)
    return steps


async def test_reading_costs_the_same_in_large_rooms(home):
    """The cost of a page does not grow with the room, nor with what points at other messages."""
    from triolet.adapters.sqlite import directory, reading

    bounds = {"limit": 50, "bytes_max": d.ALL}
    asks = {
        "last": lambda s: reading.history(s, "a", "anna", before=None, after=None, **bounds),
        "old": lambda s: reading.history(s, "a", "anna", before=70, after=None, **bounds),
        "next": lambda s: reading.history(s, "a", "anna", before=None, after=5, **bounds),
        "page": lambda s: reading.page(s, "a", after=5, upto=99, **bounds),
        "n_at": lambda s: reading.n_at(s, "a", 60),
        "find": lambda s: reading.find(s, "a", "anna", "5"),
        "inbox": lambda s: directory.inbox(s, "anna", after=None, limit=9),
    }
    async with open_restless(home, window_entries=100, checkpoint_changes=8192) as store:
        await d.append(store, d.founding("a", "anna"))
        costs = []
        for size in (300, 6000):
            head = (await d.state(store, "a")).head
            await d.append(store, *(d.say("a", "anna", str(head + i)) for i in range(size)))
            # After the last message, a crowd of entries that are none.
            (last,) = (await d.history(store, "a", limit=1)).messages
            crowd = [d.react("a", f"u{i}", f"{head}-{i}", last.seq) for i in range(size)]
            await d.append(store, *crowd)
            await store._settle()
            costs.append({name: await _cost(store, ask) for name, ask in asks.items()})
        small, large = costs
        for name in asks:
            assert large[name] <= 1.3 * small[name] + 20, (name, small, large)
