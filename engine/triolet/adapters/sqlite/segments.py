"""All cids that are folded: segments, each holding its digests' records in rows of a page.

A log-structured merge tree. A window becomes one segment, written from its first row to its
last; eight segments of a level are merged into one of the next level. So a record is written
once for each level, 24 bytes beside others, and a store of 10^7 has 4 levels. Kept as rows of
one table sorted by room and cid, each new one touched a page of its own there: 7 KB written,
and 49 µs a message instead of 17, from 10^6 on.

Which segments a digest may be in is known by their sieves, which are in memory.
"""

import sqlite3
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Final, final

from msgspec import Struct

from ...ports.store import Duplicate
from .._digests import DIGEST_BITS, DIGEST_BYTES
from .bulk import Bulk, Params
from .cids import RECORD_BYTES, found_in, split
from .memtable import MEMTABLE_BITS
from .sieve import Sieve, probe

# Segments of a level that are merged into one of the next. With 4, records would be written
# half as often again; with 16, twice as many sieves would be asked.
FAN_IN: Final = 8

# Records of a row, at most, on average: with 24 bytes each they fit in a page of 4,096.
_ROW_RECORDS: Final = 128
# A row is chosen by less than the first 32 bits of a digest.
_ROW_BITS_MAX: Final = 31
# A merge takes eight rows at a time.
_ROWS_BITS: Final = 3

# Of a segment that is being written, or has been merged into another: nobody reads it, and its
# rows are being removed.
_UNUSED: Final = -1

_ROWS: Final = Bulk("INSERT INTO cids (id, packed) VALUES ", "(?,?)")
# Rows removed in one step.
_REMOVED: Final = 8
_REMOVE: Final = (
    "DELETE FROM cids WHERE id IN (SELECT id FROM cids WHERE id BETWEEN ? AND ? LIMIT ?)"
)


def row_id(segment: int, bucket: int) -> int:
    """Return the id of the row that holds the digests that begin with `bucket`."""
    return segment << 32 | bucket


@final
class Segment(Struct, kw_only=True):
    """One segment.

    Attributes:
        bits: how many bits of a digest choose its row.
        oldest_at: no record is of a draft before it (ms).
    """

    id: int
    level: int
    bits: int
    count: int
    oldest_at: int
    sieve: Sieve

    def rows(
        self, connection: sqlite3.Connection, prefix: int, bits: int
    ) -> Iterator[tuple[int, bytes]]:
        """Yield id and records of the rows with digests that begin with `prefix`, `bits` wide.

        A row of fewer bits is yielded for each prefix that begins with its own, whole.
        """
        yield from rows_of(connection, self.id, self.bits, prefix, bits)

    def write(
        self, connection: sqlite3.Connection, first: int, buckets: Sequence[bytes | bytearray]
    ) -> None:
        """Write the rows from `first` on."""
        rows: Params = []
        for bucket, records in enumerate(buckets, first):
            if records:
                rows += (row_id(self.id, bucket), records)
                self.count += len(records) // RECORD_BYTES
        _ROWS.run(connection, rows)


@final
class Segments:
    """The segments of a store. Lives in the writer's thread, inside transactions."""

    def __init__(self) -> None:
        # Newest first: a retry is of late.
        self.used: list[Segment] = []
        self.unused: list[int] = []
        # The one that is being merged from others, and how far.
        self.merging: Segment | None = None
        self._next_id = 1

    def load(self, connection: sqlite3.Connection) -> None:
        """Read what there is; what was not finished is begun anew."""
        self.used, self.unused, self.merging = [], [], None
        self._next_id = 1
        for number, level, bits, count, oldest_at, sieve in connection.execute(
            "SELECT g.id, g.level, g.bits, g.count, g.oldest_at, s.packed "
            "FROM segments g LEFT JOIN sieves s ON s.segment = g.id ORDER BY g.id DESC"
        ):
            self._next_id = max(self._next_id, number + 1)
            if level == _UNUSED:
                self.unused.append(number)
            else:
                self.used.append(
                    Segment(
                        id=number,
                        level=level,
                        bits=bits,
                        count=count,
                        oldest_at=oldest_at,
                        sieve=Sieve.unpack(sieve),
                    )
                )

    def find(self, connection: sqlite3.Connection, key: bytes) -> tuple[int, int, int] | None:
        """Return seq, at and op code of a digest, or None."""
        place, pattern = probe(key)
        for segment in self.used:
            if segment.sieve.lets_through(place, pattern):
                found = find_in_row(connection, segment.id, segment.bits, key)
                if found is not None:
                    return found
        return None

    # --- making and merging --------------------------------------------------------------

    def keep(self, connection: sqlite3.Connection, records: list[bytes], *, oldest_at: int) -> None:
        """Keep some records in a new segment; their digests may all be near each other."""
        records.sort()
        first, last = (int.from_bytes(one[:4], "big") for one in (records[0], records[-1]))
        # How many bits tell them apart by a row each, if they are spread evenly between them.
        spread = 32 - (last - first + 1).bit_length() + (len(records) // _ROW_RECORDS).bit_length()
        sieve = Sieve(len(records))
        sieve.add_all(records)
        made = self.begin(
            connection,
            bits=min(max(MEMTABLE_BITS, spread), _ROW_BITS_MAX),
            oldest_at=oldest_at,
            sieve=sieve,
        )
        rows: dict[int, list[bytes]] = {}
        for one in records:
            rows.setdefault(int.from_bytes(one[:4], "big") >> 32 - made.bits, []).append(one)
        for bucket, some in rows.items():
            made.write(connection, bucket, [b"".join(some)])
        self.finish(connection, made)

    def begin(
        self,
        connection: sqlite3.Connection,
        *,
        level: int = 0,
        bits: int,
        oldest_at: int,
        sieve: Sieve,
    ) -> Segment:
        """Begin a segment; nobody reads it before it is finished."""
        segment = Segment(
            id=self._next_id, level=level, bits=bits, count=0, oldest_at=oldest_at, sieve=sieve
        )
        self._next_id += 1
        connection.execute(
            "INSERT INTO segments (id, level, bits, count, oldest_at) VALUES (?, ?, ?, 0, ?)",
            (segment.id, _UNUSED, bits, oldest_at),
        )
        return segment

    def finish(self, connection: sqlite3.Connection, made: Segment) -> None:
        """Let a segment be read from now on."""
        connection.execute(
            "UPDATE segments SET level = ?, count = ? WHERE id = ?",
            (made.level, made.count, made.id),
        )
        connection.execute("INSERT INTO sieves VALUES (?, ?)", (made.id, made.sieve.pack()))
        self.used.insert(0, made)

    def disuse(self, connection: sqlite3.Connection, segment: Segment) -> None:
        """Let a segment not be read any more, and its rows be removed."""
        connection.execute("UPDATE segments SET level = ? WHERE id = ?", (_UNUSED, segment.id))
        connection.execute("DELETE FROM sieves WHERE segment = ?", (segment.id,))
        self.used.remove(segment)
        self.unused.append(segment.id)

    def due(self) -> list[Segment]:
        """Return the oldest eight of the lowest level that has so many, or nothing."""
        levels: dict[int, list[Segment]] = {}
        for segment in reversed(self.used):
            levels.setdefault(segment.level, []).append(segment)
        for level in sorted(levels):
            if len(levels[level]) >= FAN_IN:
                return levels[level][:FAN_IN]
        return []

    def remove(self, connection: sqlite3.Connection) -> None:
        """Remove some rows of a segment that is not used any more."""
        number = self.unused[-1]
        bounds = row_id(number, 0), row_id(number + 1, 0) - 1
        cursor = connection.execute(_REMOVE, (*bounds, _REMOVED))
        if cursor.rowcount < _REMOVED:
            connection.execute("DELETE FROM segments WHERE id = ?", (number,))
            self.unused.pop()


def merged(
    segments: Segments, connection: sqlite3.Connection, sources: list[Segment]
) -> Iterator[int]:
    """Merge segments into one of the next level, a part at a time; yields records merged."""
    count = sum(source.count for source in sources)
    target = segments.merging = segments.begin(
        connection,
        level=sources[0].level + 1,
        bits=max(MEMTABLE_BITS, (count // _ROW_RECORDS).bit_length()),
        oldest_at=min(source.oldest_at for source in sources),
        sieve=Sieve(count),
    )
    # Eight rows at a time, some 1,000 records: a third of a millisecond.
    bits = target.bits - _ROWS_BITS
    tables = [(source.id, source.bits) for source in sources]
    for prefix in range(1 << bits):
        records = between(connection, tables, prefix, bits)
        records.sort()
        target.write(connection, prefix << _ROWS_BITS, _buckets(records, target.bits, prefix))
        target.sieve.add_all(records)
        yield len(records)
    segments.finish(connection, target)
    for source in sources:
        segments.disuse(connection, source)
    segments.merging = None


def begins(record: bytes, prefix: int, bits: int) -> bool:
    """Whether a record's digest begins with `prefix`, `bits` wide."""
    return int.from_bytes(record[:4], "big") >> 32 - bits == prefix


def _buckets(records: list[bytes], bits: int, prefix: int) -> list[bytes]:
    """Return the eight buckets, `bits` wide, of sorted records that begin with `prefix`."""
    buckets = []
    start = 0
    for bucket in range(prefix << _ROWS_BITS, prefix + 1 << _ROWS_BITS):
        # The first digest of the next bucket; after the last one there is none.
        following = (bucket + 1 << DIGEST_BITS - bits).to_bytes(DIGEST_BYTES + 1, "big")[1:]
        end = bisect_left(records, following, start) if any(following) else len(records)
        buckets.append(b"".join(records[start:end]))
        start = end
    return buckets


# --- reading, in any thread --------------------------------------------------------------


def rows_of(
    connection: sqlite3.Connection, segment: int, bits_kept: int, prefix: int, bits: int
) -> sqlite3.Cursor:
    """Return a cursor over id and records of the rows of a segment; see `Segment.rows`."""
    more = bits_kept - bits
    first = prefix << more if more >= 0 else prefix >> -more
    last = (prefix + 1 << more) - 1 if more >= 0 else first
    return connection.execute(
        "SELECT id, packed FROM cids WHERE id BETWEEN ? AND ? ORDER BY id",
        (row_id(segment, first), row_id(segment, last)),
    )


def between(
    connection: sqlite3.Connection, tables: Sequence[tuple[int, int]], prefix: int, bits: int
) -> list[bytes]:
    """Return the records whose digests begin with `prefix`, of segments by id and bits."""
    records: list[bytes] = []
    for segment, bits_kept in tables:
        for _, packed in rows_of(connection, segment, bits_kept, prefix, bits):
            some = split(packed)
            if bits_kept < bits:
                some = [one for one in some if begins(one, prefix, bits)]
            records += some
    return records


def find_in_row(
    connection: sqlite3.Connection, segment: int, bits: int, key: bytes
) -> tuple[int, int, int] | None:
    """Return seq, at and op code of a digest in one segment, or None."""
    bucket = int.from_bytes(key[:4], "big") >> 32 - bits
    row = connection.execute(
        "SELECT packed FROM cids WHERE id = ?", (row_id(segment, bucket),)
    ).fetchone()
    return None if row is None else found_in(row[0], key)


def find(connection: sqlite3.Connection, key: bytes) -> tuple[int, int, int] | None:
    """Return seq, at and op code of a digest, as a snapshot's tables know it, or None."""
    used = connection.execute("SELECT id, bits FROM segments WHERE level >= 0 ORDER BY id DESC")
    for segment, bits in used.fetchall():
        found = find_in_row(connection, segment, bits, key)
        if found is not None:
            return found
    return None


def duplicate(connection: sqlite3.Connection, found: tuple[int, int, int]) -> Duplicate:
    """Return what was found as the port has it."""
    seq, at, code = found
    (op,) = connection.execute("SELECT op FROM ops WHERE code = ?", (code,)).fetchone()
    return Duplicate(seq, at, op)
