"""A copy of the database while it is written to: one snapshot, in one file, for its owner alone.

`VACUUM INTO` reads one snapshot from beginning to end, however much is written meanwhile; the
backup API would begin again with each write of the server's. It runs in a thread, on a connection
of its own. As long as it reads, the write-ahead log grows.
"""

import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import final

import trio

from ..._model.errors import ConfigurationError, StoreError, StoreUnavailable
from .connections import connect_reader
from .failures import unavailable
from .files import make_private


async def back_up(source: Path, target: Path) -> int:
    """Copy a store's file as it is now, and return how many bytes the copy has.

    Only a whole copy gets its name, and it is on the disk then.

    Args:
        source: the database, which a server may have open.
        target: the new file, in a folder that exists.

    Raises:
        StoreError: it could not be read, or the copy not be written.
    """
    copying = _Copying(source, target)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(copying.interrupt_if_cancelled)
        with trio.CancelScope(shield=True):
            result = await trio.to_thread.run_sync(copying.run)
        nursery.cancel_scope.cancel()
    if isinstance(result, StoreError):
        raise result
    return result


@final
class _Copying:
    """One copy, made in a thread, which SQLite alone can stop."""

    def __init__(self, source: Path, target: Path) -> None:
        self._source = source
        self._target = target
        self._part = target.with_name(f"{target.name}.part")
        self._connection: sqlite3.Connection | None = None
        self._is_unwanted = False

    async def interrupt_if_cancelled(self) -> None:
        """Have it end soon, if whoever asked for it has gone; else that does nothing."""
        try:
            await trio.sleep_forever()
        finally:
            self._is_unwanted = True
            if self._connection is not None:
                self._connection.interrupt()

    def run(self) -> int | StoreError:
        """Make the copy; return its bytes, or why there is none. Blocks."""
        try:
            self._part.unlink(missing_ok=True)
            make_private(self._part)
            self._copy()
            _sync(self._part)
            self._part.rename(self._target)
            _sync(self._target.parent)
            return self._target.stat().st_size
        except sqlite3.Error as error:
            return unavailable(error)
        except (OSError, ConfigurationError) as error:
            return StoreUnavailable(f"the backup cannot be written: {error}")
        finally:
            with suppress(OSError):  # the folder may be none
                self._part.unlink(missing_ok=True)

    def _copy(self) -> None:
        connection = connect_reader(self._source)
        try:
            connection.execute("PRAGMA query_only = OFF")
            self._connection = connection
            if not self._is_unwanted:
                connection.execute("VACUUM INTO ?", (str(self._part),))
        finally:
            self._connection = None
            connection.close()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
