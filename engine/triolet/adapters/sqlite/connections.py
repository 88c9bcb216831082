"""How connections are opened: the writer's, the checkpointer's and the readers'."""

import sqlite3
from pathlib import Path
from typing import Final

# Another program (a backup tool, a shell) may hold the write lock for so long before a batch
# is told that the store is unavailable.
BUSY_TIMEOUT_MS: Final = 2000

# Pages kept in memory: 64 MiB for the one writer, so that folding `cids` of a few million
# messages does not read; 8 MiB for each reader, several hundred pages of history.
_WRITER_CACHE_KIB: Final = 64 * 1024
_READER_CACHE_KIB: Final = 8 * 1024

# What a `-wal` file may keep on disk once it starts again; it is larger only under load.
_WAL_BYTES_KEPT: Final = 64 * 1024 * 1024

# Statement texts kept prepared: each bulk statement has four.
_STATEMENTS_KEPT: Final = 256


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=_STATEMENTS_KEPT,
        timeout=BUSY_TIMEOUT_MS / 1000,
    )


def connect_writer(path: Path) -> sqlite3.Connection:
    """Open the connection that writes; `prepare_writer` it when the file is known as ours."""
    return _connect(path, "rw")


def prepare_writer(connection: sqlite3.Connection) -> None:
    """Set what is kept in the file or costs a write."""
    for pragma in (
        f"cache_size = -{_WRITER_CACHE_KIB}",
        "temp_store = MEMORY",
        "journal_mode = WAL",
        # FULL: COMMIT returns after the sync. NORMAL would lose acknowledged messages.
        "synchronous = FULL",
        # `checkpoints` decides when.
        "wal_autocheckpoint = 0",
        f"journal_size_limit = {_WAL_BYTES_KEPT}",
        # An erased or pruned body is overwritten with zeros, also on pages set free. Plain
        # messages delete nothing, so it costs them nothing. The `-wal` file may hold it until
        # the next checkpoint or two overwrite it; a clean close removes that file.
        "secure_delete = ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


def connect_checkpointer(path: Path) -> sqlite3.Connection:
    """Open the connection that carries pages from the write-ahead log into the database."""
    connection = _connect(path, "rw")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    return connection


def connect_reader(path: Path) -> sqlite3.Connection:
    """Open a connection that only reads."""
    connection = _connect(path, "ro")
    connection.execute(f"PRAGMA cache_size = -{_READER_CACHE_KIB}")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("PRAGMA query_only = ON")
    return connection
