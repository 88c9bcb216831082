"""Opening a store: lock, file, schema, threads; and closing it in the opposite order."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import final

import trio

from ..._model.errors import ConfigurationError, TrioletError
from ..._model.limits import Limits
from ...ports.clock import Entropy
from . import schema
from .checkpoints import CHECKPOINT_CHANGES, Checkpointer
from .connections import connect_writer, prepare_writer
from .failures import primary_code, unavailable
from .files import TO_SERVERS, make_private, sole_server
from .ledger import Ledger
from .readers import Readers
from .recent import WINDOW_ENTRIES, Recent
from .writer import Writer


@final
class Opened:
    """The running parts of a store."""

    __slots__ = ("ledger", "readers", "writer")

    def __init__(self, ledger: Ledger, readers: Readers, writer: Writer) -> None:
        self.ledger = ledger
        self.readers = readers
        self.writer = writer


def open_file(path: Path, epoch: str, *, may_be_unfinished: bool = False) -> sqlite3.Connection:
    """Open the file for writing, in the newest schema. Blocks.

    Raises:
        ConfigurationError: it cannot be opened, is no database of ours, or holds a part of
            another store's rows.
        SchemaTooNew: a newer Triolet has written it.
        StoreUnavailable: the disk failed.
    """
    make_private(path)
    try:
        connection = connect_writer(path)
    except sqlite3.Error as error:
        raise _refused(path, error) from error
    try:
        version = schema.check(connection, str(path))
        prepare_writer(connection)
        schema.migrate(connection, version, schema.MIGRATIONS)
        schema.begin_log(connection, epoch)
        if schema.is_unfinished(connection) and not may_be_unfinished:
            raise ConfigurationError(
                f"the store at {path} is an unfinished copy of another one: "
                "let `triolet copy` finish it, or remove it"
            )
    except sqlite3.Error as error:
        connection.close()
        raise _refused(path, error) from error
    except BaseException:
        connection.close()
        raise
    return connection


def _refused(path: Path, error: sqlite3.Error) -> TrioletError:
    if primary_code(error) in {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CANTOPEN}:
        return ConfigurationError(f"cannot open the store at {path}: {error}")
    return unavailable(error)


@asynccontextmanager
async def opened(
    path: Path,
    *,
    entropy: Entropy,
    limits: Limits,
    window_entries: int = WINDOW_ENTRIES,
    checkpoint_changes: int = CHECKPOINT_CHANGES,
    may_be_unfinished: bool = False,
    advice: str = TO_SERVERS,
) -> AsyncIterator[Opened]:
    """Run a store's threads while the block runs.

    Args:
        path: the database file.
        entropy: names the first epoch of a new store.
        limits: how many writes may wait, and how many connections read.
        window_entries: how many entries are folded at once; small ones are for tests.
        checkpoint_changes: rows changed between two checkpoints; likewise.
        may_be_unfinished: whether it may hold a part of another store's rows.
        advice: what to do if a server has it open.
    """
    with sole_server(path, advice=advice):
        open_it = partial(open_file, path, entropy.token(), may_be_unfinished=may_be_unfinished)
        connection = await trio.to_thread.run_sync(open_it)
        recent = Recent(window_entries)
        ledger = Ledger(connection, recent)
        readers = Readers(path, recent, connections_max=limits.store_readers_max)
        checkpointer = Checkpointer(path, changes=checkpoint_changes)
        writer = Writer(jobs_max=limits.writes_pending_max)
        writer.after_job = lambda: checkpointer.after_write(connection, ledger.changes)
        checkpointer.start()
        writer.start()
        try:
            # Before the first read, which needs to know what is not folded yet.
            await writer.do(ledger.load)
            await trio.to_thread.run_sync(readers.open)
            yield Opened(ledger, readers, writer)
        finally:
            with trio.CancelScope(shield=True):
                await writer.stop()
                await readers.close()
                await trio.to_thread.run_sync(checkpointer.stop)
                # The last connection carries the write-ahead log over and removes it.
                await trio.to_thread.run_sync(connection.close)
