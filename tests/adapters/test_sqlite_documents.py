"""Laws of documents in a file: small writes share a sync, and a disk that fails is told of."""

import sqlite3
import threading
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from triolet._model.errors import OutcomeUnknown, StoreUnavailable
from triolet._model.limits import Limits
from triolet.adapters.sqlite import open_sqlite_store, schema
from triolet.ports.documents import VALUE_BYTES_MAX, Change
from triolet.testing.contracts import Home
from triolet.testing.contracts import drafting as d

FULL, IOERR_FSYNC = 13, 10 | 4 << 8


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


def open_plain(home, **limits):
    return open_sqlite_store(
        home.path / "store.db", clock=home.clock, entropy=home.entropy, limits=Limits(**limits)
    )


@asynccontextmanager
async def stalled(store):
    """Have the writing thread do nothing while the block runs; then all that was handed over."""
    begun, gate = threading.Event(), threading.Event()

    def hold():
        begun.set()
        gate.wait()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(store._writer.do, hold)
        await trio.to_thread.run_sync(begun.wait)
        try:
            yield nursery
            await trio.testing.wait_all_tasks_blocked()
        finally:
            gate.set()


class Failing:
    """A connection whose next statement with such a beginning fails, done or not."""

    def __init__(self, connection, beginning, code, *, is_done=False):
        self._connection, self._beginning = connection, beginning
        self._error = sqlite3.OperationalError("made to fail")
        self._error.sqlite_errorcode = code
        self._is_done = is_done

    def __getattr__(self, name):
        return getattr(self._connection, name)

    def execute(self, sql, *params):
        if self._error is None or not sql.strip().startswith(self._beginning):
            return self._connection.execute(sql, *params)
        error, self._error = self._error, None
        if self._is_done:
            self._connection.execute(sql, *params)
        raise error


async def test_writes_that_wait_at_the_same_time_share_a_transaction(home):
    """Each is judged by itself, in the order of the calls, on what those before it have left."""
    async with open_plain(home) as store:
        answers, statements = {}, []

        async def write(number, version):
            change = Change("a", b"%d" % number, version)
            answers[number] = await store.documents.write([change])

        async with stalled(store) as nursery:
            for number in range(6):
                nursery.start_soon(write, number, 0 if number % 2 else None)
                await trio.testing.wait_all_tasks_blocked()
            store._ledger.connection.set_trace_callback(statements.append)
        assert {number: number % 2 == 0 for number in range(6)} == answers
        assert 1 == statements.count("COMMIT")
        (found,) = await store.documents.read(["a"])
        assert (b"4", 3) == (found.value, found.version)


async def test_a_transaction_is_of_a_bounded_number_of_writes(home):
    """An append behind many of them waits for a part."""
    async with open_plain(home) as store:
        statements = []
        async with stalled(store) as nursery:
            for number in range(130):
                nursery.start_soon(store.documents.write, [Change(str(number), b"")])
            await trio.testing.wait_all_tasks_blocked()
            store._ledger.connection.set_trace_callback(statements.append)
        assert 3 == statements.count("COMMIT")
        assert all(await store.documents.read([str(number) for number in range(130)]))


async def test_whoever_is_cancelled_keeps_nobody_from_writing(home):
    """The work of a caller that has gone is done in its turn, and the others' with it."""
    async with open_plain(home) as store:
        async with stalled(store) as nursery:
            with trio.move_on_after(0.01):
                await store.documents.write([Change("left", b"")])
            nursery.start_soon(store.documents.write, [Change("a", b"")])
            nursery.start_soon(store.documents.write, [Change("b", b"")])
        assert all(await store.documents.read(["left", "a", "b"]))


async def test_what_the_writer_does_not_take_is_done_by_nobody(home):
    """Too much waits → `StoreUnavailable`, and nothing was changed."""
    async with open_plain(home, writes_pending_max=3) as store:
        async with stalled(store) as nursery:
            for key in ("a", "b"):
                nursery.start_soon(store.documents.write, [Change(key, b"")])
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(StoreUnavailable, match="too many"):
                await store.documents.write([Change("c", b"")])
        found = await store.documents.read(["a", "b", "c"])
        assert [True, True, False] == [one is not None for one in found]


@pytest.mark.parametrize("beginning", ["BEGIN", "INSERT INTO documents", "UPDATE store", "COMMIT"])
async def test_a_disk_that_fails_has_changed_nothing(home, beginning):
    """All that shared the transaction are told; the next write is made."""
    async with open_plain(home) as store:
        told = []

        async def write(key):
            with pytest.raises(StoreUnavailable, match="full") as caught:
                await store.documents.write([Change(key, b"")])
            told.append(caught.value)

        async with stalled(store) as nursery:
            for key in ("a", "b"):
                nursery.start_soon(write, key)
            ledger = store._ledger
            ledger.connection = Failing(ledger.connection, beginning, FULL)
        one, other = told
        assert one is not other
        assert [None, None] == await store.documents.read(["a", "b"])
        assert await store.documents.write([Change("a", b"", 0), Change("b", b"", 0)])


async def test_what_cannot_be_written_at_all_keeps_nobody_elses_from_being_written(home):
    """A key of a job that is no text, say: others of its transaction have no part in it."""
    failed = []

    async with open_plain(home) as store:

        async def withdraw():
            try:
                await store.jobs.withdraw("mail", ["half of \udc80"])
            except UnicodeEncodeError as error:
                failed.append(error)

        async with stalled(store) as nursery:
            nursery.start_soon(store.documents.write, [Change("a", b"1")])
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(withdraw)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(store.documents.write, [Change("b", b"2")])
        found = await store.documents.read(["a", "b"])

    assert [one.value for one in found] == [b"1", b"2"]
    assert len(failed) == 1


async def test_a_sync_that_fails_may_have_written(home):
    """`OutcomeUnknown` for all of them; reading finds out."""
    async with open_plain(home) as store:

        async def write(key):
            with pytest.raises(OutcomeUnknown):
                await store.documents.write([Change(key, b"")])

        async with stalled(store) as nursery:
            for key in ("a", "b"):
                nursery.start_soon(write, key)
            ledger = store._ledger
            ledger.connection = Failing(ledger.connection, "COMMIT", IOERR_FSYNC, is_done=True)
        assert all(await store.documents.read(["a", "b"]))
        assert await store.documents.write([Change("a", None)])


async def test_large_values_do_not_let_the_log_grow(home):
    """They count as the pages that they are when a checkpoint is due: 200 MB are written here."""
    async with open_plain(home) as store:
        largest = 0
        for number in range(80):
            value = bytes([number]) * VALUE_BYTES_MAX
            changes = [Change(f"{number % 4}/{at}", value) for at in range(10)]
            assert await store.documents.write(changes)
            largest = max(largest, (home.path / "store.db-wal").stat().st_size)
        # Each of them as one would be a checkpoint in 2 GB.
        assert largest < 120_000_000


async def test_a_removed_document_is_not_left_in_the_file(home):
    """Once the store is closed, nothing on disk holds a value that was removed or replaced."""
    secret = b"correct horse battery staple"
    async with open_plain(home) as store:
        for change in (Change("a", secret), Change("a", b""), Change("b", secret * 999)):
            assert await store.documents.write([change])
        assert await store.documents.write([Change("b", None)])
    assert secret not in (home.path / "store.db").read_bytes()


async def test_a_file_without_documents_gets_a_place_for_them(home, monkeypatch):
    """What a store of an earlier layout holds stays, and documents go beside it."""
    before = schema.MIGRATIONS[: schema.MIGRATIONS.index(schema._DOCUMENTS)]
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", before)
        async with open_plain(home) as store:
            await d.append(store, d.founding("a", "anna"), d.say("a", "anna", "1"))
            entries = await d.log(store, "a")
    for version in (1, 2):
        async with open_plain(home) as store:
            assert entries == await d.log(store, "a")
            assert await store.documents.write([Change("a", b"")])
            (found,) = await store.documents.read(["a"])
            assert version == found.version


async def test_reading_costs_the_same_among_many(home):
    """A document, a page of a scan and what has expired are found by an index."""
    async with open_plain(home) as store:
        connection = store._ledger.connection
        plans = []

        def explain(sql):
            if sql.lstrip().startswith(("SELECT key", "DELETE")):
                plans.append(connection.execute(f"EXPLAIN QUERY PLAN {sql}").fetchall())

        await store.documents.write([Change("a", b"", 0)])
        connection.set_trace_callback(explain)
        await store.documents.write([Change("a", b"", 1)])
        await store.documents.prune(now=1, limit=1)
        connection.set_trace_callback(None)
        steps = [row[-1] for plan in plans for row in plan]
        assert len(steps) >= 3
        assert [step for step in steps if step.startswith("SCAN")] == []
        await store._readers.read(lambda snapshot: _explain_reads(snapshot.connection))


def _explain_reads(connection):
    from triolet.adapters.sqlite import documents

    for beyond, order in ((">", "ASC"), (">=", "DESC")):
        sql = documents._SCAN.format(beyond, order)
        plan = connection.execute(f"EXPLAIN QUERY PLAN {sql}", (1, "b", "a", 9)).fetchall()
        (step,) = [row[-1] for row in plan]
        assert "USING INDEX sqlite_autoindex_documents_1 (key>? AND key<?)" in step
