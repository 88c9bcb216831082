"""The SQLite store's files: whose they are, what they survive, what is refused."""

import os
import signal
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import trio

import triolet
from triolet._model.errors import ConfigurationError, SchemaTooNew, StoreUnavailable
from triolet._model.limits import Limits
from triolet.adapters.sqlite import open_sqlite_store, opening, readers, schema
from triolet.ports.store import Appended, Duplicate
from triolet.testing.contracts import Home
from triolet.testing.contracts import drafting as d

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(triolet.__file__).parents[1])}


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


def open_at(path, home):
    return open_sqlite_store(path, clock=home.clock, entropy=home.entropy, limits=Limits())


# --- modes and locks ---------------------------------------------------------------------


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX's")
async def test_files_are_their_owners_alone(home):
    """What is made is made 0600, its directory 0700; what exists keeps its mode."""
    old_umask = os.umask(0)
    try:
        path = home.path / "new" / "dir" / "store.db"
        async with open_at(path, home) as store:
            await d.append(store, d.founding("a", "anna"))
            assert 0o700 == stat.S_IMODE(path.parent.stat().st_mode)
            names = sorted(file.name for file in path.parent.iterdir())
            assert ["store.db", "store.db-shm", "store.db-wal", "store.db.lock"] == names
            for file in path.parent.iterdir():
                assert 0o600 == stat.S_IMODE(file.stat().st_mode), file
        path.chmod(0o640)
        async with open_at(path, home):
            assert 0o640 == stat.S_IMODE(path.stat().st_mode)
    finally:
        os.umask(old_umask)


async def test_a_second_server_is_refused(home):
    """One server a store; the error names the path, and the lock is free afterwards."""
    path = home.path / "store.db"
    async with open_at(path, home):
        with pytest.raises(ConfigurationError, match=str(path)):
            async with open_at(path, home):
                pytest.fail("opened twice")
    async with open_at(path, home):
        pass


async def test_places_where_no_store_can_be_are_refused(home):
    """A directory, and a path through a file, are told as settings that cannot work."""
    (home.path / "file").write_bytes(b"")
    (home.path / "dir.db").mkdir()
    for path in (home.path / "dir.db", home.path / "file" / "store.db"):
        with pytest.raises(ConfigurationError, match=str(path.parent)):
            async with open_at(path, home):
                pytest.fail("opened")


async def test_paths_may_hold_any_character(home):
    """The path reaches SQLite as it is, though it goes there as a URI."""
    path = home.path / "a b?c#d%41é" / "store.db"
    async with open_at(str(path), home) as store:
        await d.append(store, d.founding("a", "anna"))
    assert path.exists()


# --- whose file, which schema ------------------------------------------------------------


async def test_other_files_are_refused_and_left_alone(home):
    """Neither another program's database nor a file that is none is touched."""
    foreign = home.path / "foreign.db"
    with sqlite3.connect(foreign) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    text = home.path / "text.db"
    text.write_text("this is no database, and long enough to be seen as none" * 100)
    for path in (foreign, text):
        before = path.read_bytes()
        with pytest.raises(ConfigurationError, match=path.name):
            async with open_at(path, home):
                pytest.fail("opened")
        assert before == path.read_bytes()


async def test_a_newer_schema_is_refused_and_left_alone(home):
    """The error says which schema was found and which are known."""
    path = home.path / "store.db"
    async with open_at(path, home) as store:
        await d.append(store, d.founding("a", "anna"))
    newer = len(schema.MIGRATIONS) + 1
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {newer}")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(SchemaTooNew, match=f"schema {newer}.* up to {newer - 1}"):
        async with open_at(path, home):
            pytest.fail("opened")
    assert before == path.read_bytes()


async def test_a_layout_that_is_gone_is_refused_and_left_alone(home):
    """Files of development versions kept a row an entry; they are told apart from strangers'."""
    path = home.path / "store.db"
    connection = sqlite3.connect(path)
    connection.executescript(
        "CREATE TABLE log (seq); PRAGMA application_id = 0x5452494F; PRAGMA user_version = 1"
    )
    connection.close()
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match="a development version"):
        async with open_at(path, home):
            pytest.fail("opened")
    assert before == path.read_bytes()


async def test_an_older_schema_is_brought_up_to_date(home, monkeypatch):
    """Each later step runs once, in order, and what was stored stays."""
    path = home.path / "store.db"
    async with open_at(path, home) as store:
        await d.append(store, d.founding("a", "anna"), d.say("a", "anna", "1"))
        entries = await d.log(store, "a")
    steps = (
        ("CREATE TABLE later (x)", "INSERT INTO later VALUES (1)"),
        ("UPDATE later SET x = x + 1",),
    )
    migrations = schema.MIGRATIONS + steps
    monkeypatch.setattr(schema, "MIGRATIONS", migrations)
    for _ in range(2):
        async with open_at(path, home) as store:
            assert entries == await d.log(store, "a")
        connection = sqlite3.connect(path)
        assert (2,) == connection.execute("SELECT x FROM later").fetchone()
        assert (len(migrations),) == connection.execute("PRAGMA user_version").fetchone()
        connection.close()


def test_a_failed_migration_leaves_the_file_as_it_was(tmp_path):
    """Each step is one transaction, its number included."""
    connection = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    good, bad = ("CREATE TABLE one (x)",), ("CREATE TABLE two (x)", "NONSENSE")
    with pytest.raises(sqlite3.OperationalError):
        schema.migrate(connection, 0, (good, bad))
    names = connection.execute("SELECT name FROM sqlite_schema").fetchall()
    assert [("one",)] == names
    assert (1,) == connection.execute("PRAGMA user_version").fetchone()
    schema.migrate(connection, 1, (good, bad[:1]))
    assert (2,) == connection.execute("PRAGMA user_version").fetchone()
    connection.close()


@pytest.mark.parametrize("what", ["connect_writer", "prepare_writer", "connect_reader"])
async def test_a_disk_that_fails_while_opening(home, monkeypatch, what):
    """`StoreUnavailable`, nothing left running, and the lock free for the next try."""

    def fail(_):
        error = sqlite3.OperationalError("made to fail")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR
        raise error

    path = home.path / "store.db"
    with monkeypatch.context() as patch:
        patch.setattr(readers if what == "connect_reader" else opening, what, fail)
        with pytest.raises(StoreUnavailable):
            async with open_at(path, home):
                pytest.fail("opened")
    async with open_at(path, home) as store:
        await d.append(store, d.founding("a", "anna"))


# --- disks that fill up ------------------------------------------------------------------

BODY = "x" * 20_000


async def _until_full(store):
    """Append until the store says that nothing was stored; return how many were."""
    for count in range(1000):
        try:
            await d.append(store, d.say("a", "anna", f"c{count}", BODY))
        except StoreUnavailable:
            return count
    return pytest.fail("the disk is never full")


async def _check_full(store, count):
    """See that exactly `count` messages are there, and that nothing is known of the next."""
    assert list(range(2, 2 + count)) == d.seqs((await d.history(store, "a")).messages)
    assert await store.find("a", "anna", f"c{count}") is None
    with pytest.raises(StoreUnavailable):
        await d.append(store, d.say("a", "anna", f"c{count}", BODY))


async def _check_recovered(store, count):
    """See that the log goes on without a gap, and that what was stored is known."""
    (record,) = await d.append(store, d.say("a", "anna", f"c{count}", BODY))
    assert count + 2 == record.seq
    outcome = await d.append_one(store, d.say("a", "anna", "c0", BODY))
    assert isinstance(outcome, Duplicate)
    assert count + 2 == len(await d.log(store, "a"))


async def test_a_full_database_stores_nothing_and_recovers(home):
    """SQLite's own bound on the file: full, still readable, and writable with room again."""
    async with open_at(home.path / "store.db", home) as store:
        await d.append(store, d.founding("a", "anna"))
        execute = store._ledger.connection.execute
        await store._writer.do(lambda: execute("PRAGMA max_page_count = 100").fetchone())
        count = await _until_full(store)
        assert count > 5
        await _check_full(store, count)
        await store._writer.do(lambda: execute("PRAGMA max_page_count = 100000").fetchone())
        await _check_recovered(store, count)


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a tmpfs")
async def test_a_full_disk_stores_nothing_and_recovers(home):
    """A real disk without room: ENOSPC at the write-ahead log."""
    disk = home.path / "disk"
    disk.mkdir()
    options = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or (await trio.run_process(options, check=False)).returncode:
        pytest.skip("only root may mount a tmpfs")
    try:
        ballast = disk / "ballast"
        ballast.write_bytes(b"x" * 2_000_000)
        async with open_at(disk / "store.db", home) as store:
            await d.append(store, d.founding("a", "anna"))
            count = await _until_full(store)
            assert count > 5
            await _check_full(store, count)
            ballast.unlink()
            await _check_recovered(store, count)
        async with open_at(disk / "store.db", home) as store:
            assert count + 2 == len(await d.log(store, "a"))
    finally:
        await trio.run_process(["umount", str(disk)])


# What the processes share; the contract's helpers would import pytest, which takes a second.
PRELUDE = """
import sys, trio
from pathlib import Path
from triolet._model.entries import Message
from triolet._model.errors import StoreUnavailable
from triolet._model.limits import Limits
from triolet._wire.codec import pack_fact
from triolet.adapters.sqlite import SqliteStore, open_sqlite_store
from triolet.adapters.sqlite.opening import opened
from triolet.adapters.system import SystemClock, SystemEntropy
from triolet.ports.store import Draft, RoomSpec

def say(room, cid, text):
    fact = Message({"text": text})
    return Draft(room=room, sender="anna", cid=cid, op="send", facts=((fact, pack_fact(fact)),))

def make(room):
    return Draft(
        room=room, sender="anna", cid="m", op="create", facts=(), create=RoomSpec(kind="group")
    )

async def append(store, *drafts):
    return [one for outcome in await store.append(drafts) for one in outcome.records]

async def count(store):
    return len(await store.page("a", after=0, upto=9999, limit=9999, bytes_max=10**9))
"""

LIMITED = (
    PRELUDE
    + """
import resource

async def main():
    clock, entropy = SystemClock(), SystemEntropy()
    async with open_sqlite_store(
        sys.argv[1], clock=clock, entropy=entropy, limits=Limits()
    ) as store:
        await append(store, make("a"))
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, hard))
        for number in range(1000):
            try:
                await append(store, say("a", f"c{number}", "x" * 20_000))
            except StoreUnavailable:
                break
        assert number == await count(store)
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        (record,) = await append(store, say("a", f"c{number}", "x"))
        assert record.seq == number + 1
        print(number)

trio.run(main)
"""
)


@pytest.mark.skipif(sys.platform != "linux", reason="uses RLIMIT_FSIZE")
async def test_a_file_that_may_not_grow_stores_nothing_and_recovers(home):
    """A write that fails for another reason (EFBIG): SQLite's I/O error."""
    command = [sys.executable, "-c", LIMITED, str(home.path / "store.db")]
    done = await trio.run_process(command, capture_stdout=True, env=ENVIRONMENT)
    count = int(done.stdout)
    assert count > 5
    async with open_at(home.path / "store.db", home) as store:
        assert count + 1 == len(await d.log(store, "a"))


# --- processes that die ------------------------------------------------------------------

WRITER = (
    PRELUDE
    + """
async def main():
    entropy = SystemEntropy()
    async with opened(
        Path(sys.argv[1]), entropy=entropy, limits=Limits(),
        window_entries=40, checkpoint_changes=100,
    ) as parts:
        store = SqliteStore(parts, clock=SystemClock(), entropy=entropy)
        if await store.room("a") is None:
            await append(store, make("a"), make("b"))
        batch = 0
        while True:
            batch += 1
            drafts = [
                say(room, f"{sys.argv[2]}-{batch}-{i}", "hello")
                for room in "ab" for i in range(5)
            ]
            for record in await append(store, *drafts):
                print(record.room, record.seq, record.cid, flush=True)

trio.run(main)
"""
)


@pytest.mark.skipif(os.name != "posix", reason="kills with SIGKILL")
async def test_what_was_acknowledged_survives_kill_9(home):
    """A killed writer loses nothing it has acknowledged; the log has no gap; cids are known."""
    path = home.path / "store.db"
    acknowledged = []
    for life in range(2):
        command = [sys.executable, "-c", WRITER, str(path), str(life)]
        process = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE, env=ENVIRONMENT)
        text = b""
        while text.count(b"\n") < 300:
            text += await process.stdout.receive_some(4096)
        process.send_signal(signal.SIGKILL)
        while more := await process.stdout.receive_some(4096):
            text += more
        await process.wait()
        acknowledged += [line.split() for line in text.decode().split("\n")[:-1]]
    async with open_at(path, home) as store:
        for room in ("a", "b"):
            entries = await d.log(store, room)
            assert list(range(1, len(entries) + 1)) == d.seqs(entries)
            cids = {entry.seq: entry.cid for entry in entries}
            for name, seq, cid in acknowledged:
                if name == room:
                    assert cid == cids[int(seq)]
                    found = await store.find(room, "anna", cid)
                    assert found is not None
                    assert int(seq) == found.seq
            again = await d.append_one(store, d.say(room, "anna", entries[-1].cid))
            assert isinstance(again, Duplicate)
            assert isinstance(await d.append_one(store, d.say(room, "anna", "new")), Appended)
