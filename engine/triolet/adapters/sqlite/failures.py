"""SQLite's exceptions, told apart: the disk's fault, one draft's fault, or unknown outcome."""

import sqlite3
from typing import Final

import msgspec

from ..._model.errors import OutcomeUnknown, StoreError, StoreUnavailable

# Primary result codes (https://sqlite.org/rescode.html) that say nothing about what was
# written, only about the file, the disk, the memory or a lock.
_OF_THE_PLACE: Final = {
    sqlite3.SQLITE_PERM: "no permission",
    sqlite3.SQLITE_BUSY: "another program holds the database",
    sqlite3.SQLITE_LOCKED: "the database is locked",
    sqlite3.SQLITE_NOMEM: "out of memory",
    sqlite3.SQLITE_READONLY: "the database is read-only",
    sqlite3.SQLITE_INTERRUPT: "interrupted",
    sqlite3.SQLITE_IOERR: "the disk failed",
    sqlite3.SQLITE_CORRUPT: "the database is damaged",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_CANTOPEN: "the database cannot be opened",
    sqlite3.SQLITE_PROTOCOL: "the database is locked",
    sqlite3.SQLITE_NOTADB: "this is no database",
}

# What a draft with impossible values raises: text that is no Unicode, numbers beyond 64 bits,
# a body beyond SQLite's bound, a fact that is none.
_OF_A_DRAFT: Final = (
    sqlite3.Error,
    OverflowError,
    UnicodeError,
    TypeError,
    ValueError,
    msgspec.MsgspecError,
)


def primary_code(error: BaseException) -> int:
    """Return SQLite's primary result code, 0 when there is none."""
    code = getattr(error, "sqlite_errorcode", None)
    return code & 0xFF if isinstance(code, int) else 0


def is_of_a_draft(error: BaseException) -> bool:
    """Whether an error can have been caused by what one draft holds."""
    return isinstance(error, _OF_A_DRAFT) and primary_code(error) not in _OF_THE_PLACE


def unavailable(error: sqlite3.Error) -> StoreError:
    """Return the error to raise where nothing was stored."""
    what = _OF_THE_PLACE.get(primary_code(error), "the database refused")
    return StoreUnavailable(f"{what}: {error}")


def at_commit(error: sqlite3.Error) -> StoreError:
    """Return the error to raise where COMMIT failed.

    A failed write leaves no commit mark. A failed sync may leave one, which counts if the
    machine stops before the next commit overwrites it.
    """
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_IOERR_FSYNC:
        return OutcomeUnknown(f"the disk failed to sync: {error}")
    return unavailable(error)
