"""Taking another store's rows into a file: entries as runs, as if they had been folded.

One thread at a time, one transaction a call, and how far it is in the same transaction.
"""

import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final, TypeVar, final

import trio

from ...ports.clock import Entropy
from ...ports.transfer import Origin, Place, Row, Section, Target
from .._transfers import is_taken, place_to_begin_at
from . import schema
from .failures import at_commit, unavailable
from .files import sole_server
from .opening import open_file
from .restoring import TAKE, Restoring

T = TypeVar("T")

# What it has in memory of the file, and how many pages its log may have: 64 and 32 MiB.
_CACHE_KIB: Final = 65_536
_LOG_PAGES: Final = 8192


@asynccontextmanager
async def open_sqlite_target(
    path: str | os.PathLike[str], *, entropy: Entropy
) -> AsyncIterator[Target]:
    """Open the file at `path`, made when there is none, to take another store's rows.

    Raises:
        ConfigurationError: it cannot be opened, is another program's, or a server has it open.
        SchemaTooNew: a newer Triolet has written it.
        StoreUnavailable: the disk failed while it was opened.
    """
    file = Path(path)
    with sole_server(file, advice="stop it, and copy into a file that is new"):
        open_it = partial(open_file, file, entropy.token(), may_be_unfinished=True)
        connection = await trio.to_thread.run_sync(open_it)
        try:
            yield SqliteTarget(connection)
        finally:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(connection.close)


@final
class SqliteTarget(Target):
    """Owns the only connection to the file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        for pragma in (
            f"cache_size = -{_CACHE_KIB}",
            f"wal_autocheckpoint = {_LOG_PAGES}",
            # A power cut takes whole transactions back, and what says how far it is with them.
            "synchronous = NORMAL",
            # Nothing that is removed here was ever a body.
            "secure_delete = OFF",
        ):
            connection.execute(f"PRAGMA {pragma}")

    async def begin(self, origin: Origin) -> Place:
        """Become the store that `origin` is, if empty; return the place to go on from."""
        return await self._do(partial(_begin, self._connection, origin))

    async def take(self, rows: Sequence[Row], *, after: Place, upto: Place) -> None:
        """Take the rows between two places, and know the second one, in one transaction."""
        await self._do(partial(_take, self._connection, rows, after, upto))

    async def settle(self) -> None:
        """Merge the cids, a part with each transaction."""
        merge = Restoring(self._connection).merge_some
        while await self._do(merge):
            pass

    async def finish(self) -> None:
        """Be a store like any other from now on."""
        await self._do(partial(_finish, self._connection))

    async def _do(self, work: Callable[[], T]) -> T:
        # Not abandoned: whoever is cancelled waits for the transaction to end.
        return await trio.to_thread.run_sync(_transact, self._connection, work)


def _transact(connection: sqlite3.Connection, work: Callable[[], T]) -> T:
    """Do `work` in one transaction.

    Raises:
        StoreUnavailable: nothing was stored.
        OutcomeUnknown: it may have been.
    """
    try:
        connection.execute("BEGIN IMMEDIATE")
        result = work()
    except sqlite3.Error as error:
        _roll_back(connection)
        raise unavailable(error) from error
    except BaseException:
        _roll_back(connection)
        raise
    try:
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        _roll_back(connection)
        raise at_commit(error) from error
    return result


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def _under_way(connection: sqlite3.Connection) -> tuple[str, Place] | None:
    if not schema.is_unfinished(connection):
        return None
    state, section, after, rows = connection.execute(
        "SELECT state, section, after, rows FROM transfer"
    ).fetchone()
    return state, Place(Section(section), after, rows)


def _begin(connection: sqlite3.Connection, origin: Origin) -> Place:
    execute = connection.execute
    salt, is_used = execute(
        "SELECT salt, EXISTS (SELECT 1 FROM rooms) OR EXISTS (SELECT 1 FROM journal)"
        " OR EXISTS (SELECT 1 FROM people) OR EXISTS (SELECT 1 FROM revocations)"
        " OR EXISTS (SELECT 1 FROM tombstones) OR EXISTS (SELECT 1 FROM documents)"
        " OR EXISTS (SELECT 1 FROM jobs) FROM store"
    ).fetchone()
    place = place_to_begin_at(
        origin, salt=salt, is_empty=not is_used, under_way=_under_way(connection)
    )
    if place is None:
        place = Place()
        execute(schema.TRANSFER)
        execute("INSERT INTO transfer VALUES (1, ?, ?, ?, ?)", (origin.state, *_row(place)))
        execute("DELETE FROM generations")
        epochs = list(enumerate(origin.epochs, 1))
        connection.executemany("INSERT INTO generations VALUES (?, ?)", epochs)
        execute(
            "UPDATE store SET gen = ?, salt = ?, version = max(version, ?)",
            (len(epochs), origin.salt, origin.version),
        )
        # There is a row already if there has ever been a job, and of two only one counts.
        own = execute("DELETE FROM sqlite_sequence WHERE name = 'jobs' RETURNING seq").fetchall()
        last_job = max([origin.last_job, *(last for (last,) in own)])
        execute("INSERT INTO sqlite_sequence VALUES ('jobs', ?)", (last_job,))
    return place


def _row(place: Place) -> tuple[int, str, int]:
    return int(place.section), place.after, place.rows


def _take(connection: sqlite3.Connection, rows: Sequence[Row], after: Place, upto: Place) -> None:
    under_way = _under_way(connection)
    assert under_way is not None, "it was begun"
    if not is_taken(under_way[1], after=after, upto=upto):
        TAKE[after.section](Restoring(connection), rows)
        connection.execute("UPDATE transfer SET section = ?, after = ?, rows = ?", _row(upto))


def _finish(connection: sqlite3.Connection) -> None:
    if schema.is_unfinished(connection):
        connection.execute("DROP TABLE transfer")
