"""The writer's connection: transactions, and what it remembers of the tables between them.

What is remembered is only a copy. A transaction that fails leaves the tables as they were and
the copy in doubt, so the copy is thrown away and read again before the next one.
"""

import logging
import sqlite3
from collections.abc import Callable
from itertools import islice
from typing import Final, TypeVar, final

from ...ports.store import Duplicate
from .._digests import prefix
from .failures import at_commit, is_of_a_draft, unavailable
from .forgetting import Forgetting
from .journal import Journal
from .recent import Recent
from .rows import SEQ
from .runs import Place, Runs
from .schema import AT, HEAD, N
from .segments import Segments
from .sieve import probe
from .upkeep import Upkeep

T = TypeVar("T")

logger = logging.getLogger(__name__)

# Rooms remembered, about 200 bytes each; beyond it the oldest quarter is forgotten.
_ROOMS_MAX: Final = 65_536

_ROOM: Final = f"""
    SELECT r.id, r.acl_ver, r.floor, {HEAD}, {N}, {AT} FROM rooms r WHERE r.name = ?
"""  # noqa: S608 - the columns are ours

# Kept with each cid in one byte.
_OPS_MAX: Final = 256


@final
class Room:
    """What an append needs to know of a room."""

    __slots__ = ("acl_ver", "at", "before_cid", "floor", "head", "id", "n", "name")

    def __init__(
        self, name: str, row: tuple[int, int, int, int, int, int], before_cid: str
    ) -> None:
        self.name = name
        self.id, self.acl_ver, self.floor, self.head, self.n, self.at = row
        # What is digested before a sender and a cid.
        self.before_cid = before_cid

    @property
    def place(self) -> Place:
        """Whose entries are meant."""
        return Place(self.id, self.name, self.floor)


@final
class Ledger:
    """Used by the writer's thread alone, but for `recent.view`."""

    def __init__(self, connection: sqlite3.Connection, recent: Recent) -> None:
        self.connection = connection
        self.recent = recent
        self.segments = Segments()
        self.forgetting = Forgetting(self.segments)
        self.journal = Journal()
        self.upkeep = Upkeep(recent, self.segments, self.journal)
        # Of documents written since the store was opened.
        self.document_bytes = 0
        self.next_batch = 1
        self.gen = 1
        # The code of each op, as kept with cids.
        self.ops: dict[str, int] = {}
        self.rooms: dict[str, Room] = {}
        self._salt = ""
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

    def write(self, work: Callable[[], T]) -> T:
        """Do in one transaction what is no append: whatever SQLite says, it is no draft's fault.

        Raises:
            StoreUnavailable: nothing was stored.
            OutcomeUnknown: it may have been.
        """
        try:
            return self.transact(work)
        except sqlite3.Error as error:
            raise unavailable(error) from error

    @property
    def changes(self) -> int:
        """Rows changed since the store was opened, large ones counting one for each page."""
        written = self.journal.bytes + self.upkeep.run_bytes + self.document_bytes
        return self.connection.total_changes + written // 4096

    def load(self) -> None:
        """Read again what is remembered; inside a transaction, as it has left the tables."""
        connection = self.connection
        self.rooms.clear()
        self._salt, self.gen, self.next_batch = connection.execute(
            "SELECT salt, gen, max(indexed, coalesce((SELECT max(batch) FROM journal), 0)) + 1 "
            "FROM store"
        ).fetchone()
        self.ops = dict(connection.execute("SELECT op, code FROM ops"))
        self.recent.load(connection, self._salt, self.ops)
        self.journal.load(connection)
        self.segments.load(connection)
        self.forgetting.reset()
        self.upkeep.load(connection)
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
            room = self.rooms[name] = Room(name, row, prefix(self._salt, row[0]))
            last = self.runs().last(room.id)
            if last is not None and last[SEQ] > room.head:
                _, _, room.head, room.n, _, _, at, *_ = last
                room.at = max(room.at, at)
        return room

    def add_room(self, name: str, room_id: int, at: int) -> Room:
        """Remember a room just made, and return it."""
        row = (room_id, 0, 0, 0, 0, at)
        room = self.rooms[name] = Room(name, row, prefix(self._salt, room_id))
        return room

    def forget_room(self, name: str) -> None:
        """Have a room read again when it is next asked for."""
        self.rooms.pop(name, None)

    def first(self, key: bytes) -> Duplicate | None:
        """Return what a digest's cid became, or None."""
        found = None
        for window in (self.recent.filling, self.recent.folding):
            if window is not None and found is None:
                found = window.cids.find(key, *probe(key))
        found = found or self.segments.find(self.connection, key)
        if found is None:
            return None
        seq, at, code = found
        return Duplicate(seq, at, next(op for op, other in self.ops.items() if other == code))

    def know_op(self, op: str) -> int:
        """Return an op's code, which it gets if it has none."""
        code = self.ops.get(op)
        if code is None:
            code = len(self.ops)
            if code >= _OPS_MAX:
                raise ValueError(f"there are {_OPS_MAX} ops already")
            self.connection.execute("INSERT INTO ops VALUES (?, ?)", (code, op))
            self.ops[op] = code
        return code

    def runs(self) -> Runs:
        """Return where entries are, this transaction's included."""
        return Runs(self.connection, self.recent.view.windows, self.next_batch)
