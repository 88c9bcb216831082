"""Documents in the file: a row each, found by a unique index.

Not in the index itself (WITHOUT ROWID), where values above 1,000 bytes spread over pages that
every search passes: 30,000 of 1,500 bytes are 4.7 KB each there, and 2.1 KB so. What is small is
read as fast either way.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final, final

import trio

from ...ports.clock import Clock
from ...ports.documents import Change, Document, Documents
from .._documents import Span, check_changes, check_keys, check_scan, is_key, span
from .bulk import Among
from .grouping import Grouping
from .known import KEYS_MAX, Known
from .ledger import Ledger
from .readers import Readers
from .snapshot import Snapshot

_COLUMNS: Final = "key, value, version, expires_at"
_PRESENT: Final = "(expires_at = 0 OR expires_at > ?)"
# Those that have expired, too: what is known outlives a clock that is set back.
_READ: Final = Among(f"SELECT {_COLUMNS} FROM documents WHERE key IN ({{}})")  # noqa: S608 - ours
_VERSIONS: Final = Among(f"SELECT key, version FROM documents WHERE {_PRESENT} AND key IN ({{}})")  # noqa: S608 - ours
# Keys in one IN.
_KEYS: Final = 256
_SCAN: Final = f"""
    SELECT {_COLUMNS} FROM documents WHERE {_PRESENT} AND key < ? AND key {{}} ?
    ORDER BY key {{}} LIMIT ?"""  # noqa: S608 - ours
_NEXT_VERSION: Final = "UPDATE store SET version = version + 1 RETURNING version"
_PUT: Final = """
    INSERT INTO documents (key, value, version, expires_at) VALUES (?, ?, ?, ?)
    ON CONFLICT (key) DO UPDATE SET value = excluded.value, version = excluded.version,
        expires_at = excluded.expires_at"""
_REMOVE: Final = "DELETE FROM documents WHERE key = ?"
# The index of what expires is in the order in which it does.
_PRUNE: Final = """
    DELETE FROM documents WHERE rowid IN (
        SELECT rowid FROM documents WHERE expires_at > 0 AND expires_at <= ?
        ORDER BY expires_at LIMIT ?)
    RETURNING key"""


@final
class SqliteDocuments(Documents):
    """Reads are of a snapshot, or of what is known of it; writes share transactions.

    `known` is settled by the grouping after each.
    """

    def __init__(
        self,
        readers: Readers,
        grouping: Grouping,
        ledger: Ledger,
        *,
        known: Known,
        clock: Clock,
    ) -> None:
        self._readers = readers
        self._grouping = grouping
        self._ledger = ledger
        self._known = known
        self._clock = clock

    async def read(self, keys: Sequence[str]) -> list[Document | None]:
        """Return the documents of these keys, in their order, None where there is none."""
        check_keys(keys)
        now = self._clock.now_ms()
        if len(keys) > KEYS_MAX:
            found = await self._readers.read(partial(_read, keys=keys))
        elif (known := self._known.find(keys)) is None:
            found = await self._read_and_know(keys)
        else:
            await trio.lowlevel.checkpoint()
            return [_present(one, now) for one in known]
        return [_present(found.get(key), now) for key in keys]

    async def _read_and_know(self, keys: Sequence[str]) -> dict[str, Document]:
        reading, found = self._known.begin(keys), None
        try:
            found = await self._readers.read(partial(_read, keys=keys))
        finally:
            self._known.end(reading, found)
        return found

    async def scan(
        self, prefix: str, *, after: str = "", limit: int, descending: bool = False
    ) -> list[Document]:
        """Return documents whose keys begin with `prefix`, by key, those behind `after`."""
        check_scan(prefix, after, limit)
        within = span(prefix, after, descending=descending)
        now = self._clock.now_ms()
        return await self._readers.read(
            lambda snapshot: _scan(snapshot, within, now, limit=limit, descending=descending)
        )

    async def write(self, changes: Sequence[Change]) -> bool:
        """Make all changes, or none: False, if a version was another than a change says."""
        check_changes(changes)
        work = partial(_write, self._ledger, self._known, tuple(changes), self._clock.now_ms())
        return await self._grouping.do(work)

    async def prune(self, *, now: int, limit: int) -> int:
        """Remove documents with `0 < expires_at <= now` (ms), at most `limit`."""
        return await self._grouping.do(partial(_prune, self._ledger, self._known, now, limit))


def _parts(keys: Sequence[str]) -> Iterator[list[str]]:
    for start in range(0, len(keys), _KEYS):
        yield list(keys[start : start + _KEYS])


def _read(snapshot: Snapshot, *, keys: Sequence[str]) -> dict[str, Document]:
    return {
        row[0]: Document(*row)
        for part in _parts([key for key in keys if is_key(key)])
        for row in _READ.execute(snapshot.connection, part).fetchall()
    }


def _scan(
    snapshot: Snapshot, within: Span, now: int, *, limit: int, descending: bool
) -> list[Document]:
    sql = _SCAN.format(">" if within.is_behind else ">=", "DESC" if descending else "ASC")
    rows = snapshot.connection.execute(sql, (now, within.end, within.first, limit)).fetchall()
    return [Document(*row) for row in rows]


def _present(document: Document | None, now: int) -> Document | None:
    is_gone = document is not None and 0 < document.expires_at <= now
    return None if is_gone else document


def _write(ledger: Ledger, known: Known, changes: Sequence[Change], now: int) -> bool:
    """Judge all, then change all; nothing is changed by what is judged False."""
    connection = ledger.connection
    expected = {one.key: one.version for one in changes if one.version is not None}
    present: dict[str, int] = {}
    for part in _parts(list(expected)):
        present.update(_VERSIONS.execute(connection, part, now).fetchall())
    if any(version != present.get(key, 0) for key, version in expected.items()):
        return False
    known.doubt(one.key for one in changes)
    (version,) = connection.execute(_NEXT_VERSION).fetchone()
    for one in changes:
        if one.value is None:
            connection.execute(_REMOVE, (one.key,))
        else:
            connection.execute(_PUT, (one.key, one.value, version, one.expires_at))
            ledger.document_bytes += len(one.value)
    return True


def _prune(ledger: Ledger, known: Known, now: int, limit: int) -> int:
    keys = [key for (key,) in ledger.connection.execute(_PRUNE, (now, limit)).fetchall()]
    known.doubt(keys)
    return len(keys)
