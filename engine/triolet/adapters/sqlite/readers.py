"""A few read-only connections, and threads that read with them.

A read is one transaction: it sees one state, and in WAL mode it never waits for the writer.
A connection belongs to a thread from the read's beginning to its end, whether somebody still
waits for the answer or not: the thread puts it back itself.
"""

import queue
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar, final

import trio

from ..._model.errors import StoreUnavailable
from .connections import connect_reader
from .failures import unavailable
from .recent import Recent
from .snapshot import Snapshot

T = TypeVar("T")

# A snapshot is too old for what memory keeps if a whole window was folded since it was taken:
# some 50 ms at full load. Twice in a row has not been seen.
_ATTEMPTS: Final = 5

# While the store closes, reads that still run are interrupted so often.
_INTERRUPT_INTERVAL_S: Final = 0.01


@final
class Readers:
    """The pool. At most as many reads run as there are connections; others wait in order."""

    def __init__(self, path: Path, recent: Recent, *, connections_max: int) -> None:
        self._path = path
        self._recent = recent
        self._limiter = trio.CapacityLimiter(connections_max)
        self._idle: queue.SimpleQueue[sqlite3.Connection] = queue.SimpleQueue()
        self._all: list[sqlite3.Connection] = []
        self._closed = False

    def open(self) -> None:
        """Open the connections. Blocks.

        Raises:
            StoreUnavailable: the file could not be read.
        """
        try:
            for _ in range(int(self._limiter.total_tokens)):
                connection = connect_reader(self._path)
                self._all.append(connection)
                self._idle.put(connection)
        except sqlite3.Error as error:
            raise unavailable(error) from error

    async def close(self) -> None:
        """End reads that nobody waits for any more, and close the connections."""
        self._closed = True
        while self._limiter.borrowed_tokens:
            # Again and again: an interrupt between two statements of a read is lost.
            for connection in self._all:
                connection.interrupt()
            await trio.sleep(_INTERRUPT_INTERVAL_S)
        for connection in self._all:
            connection.close()

    async def read(self, work: Callable[[Snapshot], T]) -> T:
        """Have `work` read one state of the store, in a thread.

        Cancelling abandons the thread; its connection serves others when it has finished.

        Raises:
            StoreUnavailable: the file could not be read.
        """
        if self._closed:
            await trio.lowlevel.checkpoint()
            raise StoreUnavailable("the store is closed")
        return await trio.to_thread.run_sync(
            self._read, work, abandon_on_cancel=True, limiter=self._limiter
        )

    def _read(self, work: Callable[[Snapshot], T]) -> T:
        connection = self._idle.get_nowait()
        try:
            if self._closed:
                raise StoreUnavailable("the store is closed")
            for _ in range(_ATTEMPTS):
                connection.execute("BEGIN")
                snapshot = Snapshot(connection, self._recent)
                if snapshot.is_covered:
                    return work(snapshot)
                connection.execute("ROLLBACK")
            raise StoreUnavailable("reading is slower than writing")
        except sqlite3.Error as error:
            raise unavailable(error) from error
        finally:
            try:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
            finally:
                self._idle.put(connection)
