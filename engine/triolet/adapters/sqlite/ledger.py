"""The writer's connection: transactions, and what it remembers of the tables between them.

What is remembered is only a copy. A transaction that fails leaves the tables as they were and
the copy in doubt, so the copy is thrown away and read again before the next one.
"""

import logging
import sqlite3
from collections.abc import Callable
from itertools import islice
from typing import Final, TypeVar, final

from .failures import at_commit, is_of_a_draft, unavailable
from .indexing import Indexer
from .places import Places
from .recent import WINDOW_ENTRIES, Recent

T = TypeVar("T")

logger = logging.getLogger(__name__)

# Rooms remembered, about 200 bytes each; beyond it the oldest quarter is forgotten.
_ROOMS_MAX: Final = 65_536

_ROOM: Final = """
    SELECT r.id, r.acl_ver, r.floor, h.head, h.n, h.at
    FROM rooms r JOIN heads h ON h.room_id = r.id WHERE r.name = ?"""


@final
class Room:
    """What an append needs to know of a room."""

    __slots__ = ("acl_ver", "at", "floor", "head", "id", "n", "name")

    def __init__(self, name: str, row: tuple[int, int, int, int, int, int]) -> None:
        self.name = name
        self.id, self.acl_ver, self.floor, self.head, self.n, self.at = row


@final
class Ledger:
    """Used by the writer's thread alone, but for `recent.view`."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        recent: Recent,
        *,
        window_entries: int = WINDOW_ENTRIES,
    ) -> None:
        self.connection = connection
        self.recent = recent
        self.indexer = Indexer(connection, recent, window_entries=window_entries)
        self.next_id = 1
        self.gen = 1
        self.body_bytes = 0
        self.rooms: dict[str, Room] = {}
        self._is_current = False

    def transact(self, work: Callable[[], T]) -> T:
        """Do `work` in one transaction.

        Raises:
            StoreUnavailable: nothing was stored.
            OutcomeUnknown: it may have been.
            Exception: nothing was stored, because of a value (see `is_of_a_draft`).
        """
        try:
            if not self._is_current:
                self._recover()
            self.connection.execute("BEGIN IMMEDIATE")
            result = work()
        except sqlite3.Error as error:
            self._abandon()
            if is_of_a_draft(error):
                raise
            raise unavailable(error) from error
        except BaseException:
            self._abandon()
            raise
        try:
            self.connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._abandon()
            raise at_commit(error) from error
        if len(self.rooms) > _ROOMS_MAX:
            for name in list(islice(self.rooms, _ROOMS_MAX // 4)):
                del self.rooms[name]
        return result

    @property
    def changes(self) -> int:
        """Rows changed since the store was opened, a body counting one for each page it fills."""
        return self.connection.total_changes + self.body_bytes // 4096

    def load(self) -> None:
        """Read again what is remembered; inside a transaction, as it has left the tables."""
        self.rooms.clear()
        self.recent.load(self.connection)
        self.indexer.reset()
        last_id, self.gen = self.connection.execute(
            "SELECT max(indexed, coalesce((SELECT max(id) FROM log), 0)), gen FROM store"
        ).fetchone()
        self.next_id = last_id + 1
        self._is_current = True

    def _recover(self) -> None:
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")
        self.load()

    def _abandon(self) -> None:
        self._is_current = False
        # Full disks and failed writes have rolled back by themselves. A rollback that fails
        # is tried again by `_recover`, whose caller is told.
        if self.connection.in_transaction:
            try:
                self.connection.execute("ROLLBACK")
            except sqlite3.Error:
                logger.exception("a rollback failed, and is tried again with the next write")

    def room(self, name: str) -> Room | None:
        """Return a room as this transaction has left it, or None."""
        room = self.rooms.get(name)
        if room is None:
            row = self.connection.execute(_ROOM, (name,)).fetchone()
            if row is None:
                return None
            room = self.rooms[name] = Room(name, row)
        return room

    def add_room(self, room: Room) -> None:
        """Remember a room just made."""
        self.rooms[room.name] = room

    def forget_room(self, name: str) -> None:
        """Have a room read again when it is next asked for."""
        self.rooms.pop(name, None)

    def places(self) -> Places:
        """Return where entries are, this transaction's included."""
        return Places(self.connection, self.recent.view.windows)
