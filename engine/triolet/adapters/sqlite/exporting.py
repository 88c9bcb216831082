"""Reading all rows of a store in a file, a page at a time, each from a snapshot.

No server writes meanwhile, so all snapshots are of one state.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final, final

import trio

from ..._model.errors import ConfigurationError
from ..._model.limits import Limits
from ...ports.clock import Entropy
from ...ports.documents import Document
from ...ports.jobs import Job
from ...ports.people import Person, Revocation
from ...ports.store import Duplicate, Membership
from ...ports.transfer import (
    CidRow,
    FoldedRow,
    MemberRow,
    Origin,
    Page,
    RoomRow,
    Row,
    Section,
    Source,
    TombstoneRow,
)
from .._digests import DIGEST_BYTES
from .._job_rows import job_of
from .._transfers import after_in_room, split_after
from . import reading, segments
from .cids import RECORD_BYTES, split, value_of
from .memtable import MEMTABLE_BITS
from .opening import opened
from .readers import Readers
from .recent import MESSAGES
from .rows import AT as AT_OF
from .rows import FACT, SEQ, records_of
from .schema import AT, HEAD
from .snapshot import ROOM_COLUMNS, Snapshot
from .snapshot import RoomRow as Kept

_ROOMS: Final = f"SELECT {ROOM_COLUMNS}, {AT} FROM rooms r WHERE r.id > ? ORDER BY r.id LIMIT ?"  # noqa: S608 - ours
_ROOMS_FROM: Final = f"SELECT {ROOM_COLUMNS} FROM rooms r WHERE r.id >= ? ORDER BY r.id LIMIT ?"  # noqa: S608 - ours
# Rooms whose entries are looked for with one question.
_ROOMS_PER_PAGE: Final = 1000
_CHANGED_ROOM: Final = f"""
    SELECT {ROOM_COLUMNS} FROM rooms r WHERE r.id >= ? AND (
        EXISTS (SELECT 1 FROM bodies WHERE room_id = r.id)
        OR EXISTS (SELECT 1 FROM reaction_counts WHERE room_id = r.id))
    ORDER BY r.id LIMIT 1"""  # noqa: S608 - ours
_CHANGED: Final = """
    SELECT target FROM bodies WHERE room_id = ? AND target > ?
    UNION SELECT target FROM reaction_counts WHERE room_id = ? AND target > ?
    ORDER BY 1 LIMIT ?"""
_MEMBERS: Final = """
    SELECT m.room_id, r.name, m.user, m.role, m.delivered, m.read, m.read_n
    FROM members m CROSS JOIN rooms r ON r.id = m.room_id
    WHERE (m.room_id, m.user) > (?, ?) ORDER BY m.room_id, m.user LIMIT ?"""
_COUNTS: Final = f"""
    SELECT (SELECT count(*) FROM rooms), (SELECT count(*) FROM members),
        (SELECT count(*) FROM people), (SELECT count(*) FROM revocations),
        (SELECT coalesce(sum({HEAD} - r.floor), 0) FROM rooms r),
        (SELECT coalesce(sum(count), 0) FROM segments WHERE level >= 0),
        (SELECT count(*) FROM tombstones), (SELECT count(*) FROM documents),
        (SELECT count(*) FROM jobs), (SELECT coalesce(sum(attempts + state), 0) FROM jobs),
        (SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'jobs'),
        (SELECT version FROM store)"""  # noqa: S608 - ours

_JOBS: Final = "SELECT * FROM jobs WHERE id > ? ORDER BY id LIMIT ?"
_DOCUMENTS: Final = (
    "SELECT key, value, version, expires_at FROM documents WHERE key > ? ORDER BY key LIMIT ?"
)

# Records of cids that are sorted at once; those of a page's last part may be once more.
_CIDS_PER_PART: Final = 1024


@asynccontextmanager
async def open_sqlite_source(
    path: str | os.PathLike[str],
    *,
    entropy: Entropy,
    limits: Limits,
    may_be_unfinished: bool = False,
) -> AsyncIterator[Source]:
    """Open the store in the file at `path` to read all its rows.

    Raises:
        ConfigurationError: there is none, a server has it open, or it is an unfinished copy.
        SchemaTooNew: a newer Triolet has written it.
        StoreUnavailable: the disk failed while it was opened.
    """
    file = Path(path)
    if not await trio.Path(file).exists():
        raise ConfigurationError(f"there is no store at {file}")
    async with opened(
        file,
        entropy=entropy,
        limits=limits,
        may_be_unfinished=may_be_unfinished,
        advice="stop it before you copy",
    ) as parts:
        yield SqliteSource(parts.readers)


@final
class SqliteSource(Source):
    """Reads with a store's readers."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers

    async def origin(self) -> Origin:
        """Return what the store is."""
        return await self._readers.read(_origin)

    async def rows(self, section: Section, *, after: str, rows_max: int, bytes_max: int) -> Page:
        """Return rows of a section, those after `after`."""
        if section in _LARGE:
            work = partial(_LARGE[section], after=after, rows_max=rows_max, bytes_max=bytes_max)
        else:
            work = partial(_SMALL[section], after=after, rows_max=rows_max)
        return await self._readers.read(work)


def _origin(snapshot: Snapshot) -> Origin:
    execute = snapshot.connection.execute
    rooms, members, people, revocations, entries, cids, *others, steps, last_job, version = execute(
        _COUNTS
    ).fetchone()
    recent: dict[int, None] = {}
    for window in snapshot.windows:
        recent.update(dict.fromkeys(key >> 1 for key in window.lanes))
        if window.last_batch > snapshot.indexed:
            cids += sum(map(len, window.cids.buckets)) // RECORD_BYTES
    for room_id in recent:
        row = execute(f"SELECT {HEAD} FROM rooms r WHERE r.id = ?", (room_id,)).fetchone()  # noqa: S608 - ours
        last = snapshot.runs.last(room_id)
        if row is not None and last is not None:
            entries += max(last[SEQ] - row[0], 0)
    epochs = [epoch for (epoch,) in execute("SELECT epoch FROM generations ORDER BY gen")]
    counts = (rooms, entries, members, people, revocations, cids, *others)
    return Origin(
        salt=snapshot.salt,
        epochs=tuple(epochs),
        version=version,
        last_job=last_job,
        state=f"{snapshot.batch} {len(epochs)} {version} {counts} {steps}",
        counts=counts,
    )


def _rooms(snapshot: Snapshot, *, after: str, rows_max: int) -> Page:
    rows: list[Row] = []
    number, _ = split_after(after)
    for row in snapshot.connection.execute(_ROOMS, (number, rows_max)).fetchall():
        room, at = snapshot.current(Kept._make(row[:-1])), row[-1]
        last = snapshot.runs.last(room.id)
        rows.append(
            RoomRow(room.id, at if last is None else max(at, last[AT_OF]), snapshot.state(room))
        )
        number = room.id
    return Page(rows, after_in_room(number, "") if len(rows) == rows_max else None)


def _entries(snapshot: Snapshot, *, after: str, rows_max: int, bytes_max: int) -> Page:
    rows: list[Row] = []
    number, rest = split_after(after)
    seq = int(rest or 0)
    count = 0
    # Not all of them at once: most pages are of a few rooms, and each has its head looked up.
    for row in snapshot.connection.execute(_ROOMS_FROM, (number, _ROOMS_PER_PAGE)):
        count += 1
        room = snapshot.current(Kept._make(row))
        if room.id != number:
            number, seq = room.id, 0
        while seq < room.head and rows_max > len(rows) and (bytes_max > 0 or not rows):
            some = reading.entries(
                snapshot,
                room,
                after=seq,
                upto=room.head,
                limit=rows_max - len(rows),
                bytes_max=bytes_max,
            )
            if not some:
                break
            bytes_max -= sum([len(row[FACT]) for row in some])
            if bytes_max < 0 and rows:
                return Page(rows, after_in_room(number, seq))
            seq = some[-1][SEQ]
            rows += records_of(room.name, some)
        if len(rows) == rows_max or (bytes_max <= 0 and rows):
            return Page(rows, after_in_room(number, seq))
    is_over = count < _ROOMS_PER_PAGE
    return Page(rows, None if is_over else after_in_room(number, seq))


def _members(snapshot: Snapshot, *, after: str, rows_max: int) -> Page:
    rows: list[Row] = []
    number, user = split_after(after)
    for row in snapshot.connection.execute(_MEMBERS, (number, user, rows_max)):
        number, room, user, role, delivered, read, read_n = row
        membership = Membership(user=user, role=role, delivered=delivered, read=read, read_n=read_n)
        rows.append(MemberRow(room, membership))
    return Page(rows, after_in_room(number, user) if len(rows) == rows_max else None)


def _people(snapshot: Snapshot, *, after: str, rows_max: int) -> Page:
    found = snapshot.connection.execute(
        "SELECT user, status, last_seen, visible_to FROM people WHERE user > ? "
        "ORDER BY user LIMIT ?",
        (after, rows_max),
    )
    rows = [Person(*row) for row in found]
    return Page(rows, rows[-1].user if len(rows) == rows_max else None)


def _revocations(snapshot: Snapshot, *, after: str, rows_max: int) -> Page:
    found = snapshot.connection.execute(
        "SELECT user, not_before FROM revocations WHERE user > ? ORDER BY user LIMIT ?",
        (after, rows_max),
    )
    rows = [Revocation(*row) for row in found]
    return Page(rows, rows[-1].subject if len(rows) == rows_max else None)


def _tombstones(snapshot: Snapshot, *, after: str, rows_max: int) -> Page:
    found = snapshot.connection.execute(
        "SELECT room_id, name, sender, cid, seq, at, op FROM tombstones WHERE room_id > ? "
        "ORDER BY room_id LIMIT ?",
        (int(after or 0), rows_max),
    )
    rows = [
        TombstoneRow(number, room, sender, cid, Duplicate(*first))
        for number, room, sender, cid, *first in found
    ]
    return Page(rows, str(rows[-1].number) if len(rows) == rows_max else None)


def _cids(snapshot: Snapshot, *, after: str, rows_max: int) -> Page:
    """All cids in the order of their digests, merged from where they are."""
    execute = snapshot.connection.execute
    last = bytes.fromhex(after)
    ops = dict(execute("SELECT code, op FROM ops"))
    used = execute("SELECT id, bits, count FROM segments WHERE level >= 0").fetchall()
    tables = [(number, bits) for number, bits, _ in used]
    count = sum(count for _, _, count in used)
    bits = max(MEMTABLE_BITS, (count // _CIDS_PER_PART).bit_length())
    windows = [window for window in snapshot.windows if window.last_batch > snapshot.indexed]
    rows: list[CidRow] = []
    for prefix in range(int.from_bytes(last[:4], "big") >> 32 - bits if last else 0, 1 << bits):
        records = segments.between(snapshot.connection, tables, prefix, bits)
        for window in windows:
            bucket = bytes(window.cids.buckets[prefix >> bits - MEMTABLE_BITS])
            records += [one for one in split(bucket) if segments.begins(one, prefix, bits)]
        for one in sorted(records):
            if one[:DIGEST_BYTES] > last:
                seq, at, code = value_of(one)
                rows.append(CidRow(one[:DIGEST_BYTES], seq, at, ops[code]))
        if len(rows) >= rows_max:
            del rows[rows_max:]
            return Page(rows, rows[-1].key.hex())
    return Page(rows, None)


def _documents(snapshot: Snapshot, *, after: str, rows_max: int, bytes_max: int) -> Page:
    rows: list[Document] = []
    for row in snapshot.connection.execute(_DOCUMENTS, (after, rows_max)):
        document = Document(*row)
        bytes_max -= len(document.value)
        if bytes_max < 0 and rows:
            return Page(rows, rows[-1].key)
        rows.append(document)
    return Page(rows, rows[-1].key if len(rows) == rows_max else None)


def _jobs(snapshot: Snapshot, *, after: str, rows_max: int, bytes_max: int) -> Page:
    rows: list[Job] = []
    for row in snapshot.connection.execute(_JOBS, (int(after or 0), rows_max)):
        job = job_of(row)
        bytes_max -= len(job.payload)
        if bytes_max < 0 and rows:
            return Page(rows, str(rows[-1].id))
        rows.append(job)
    return Page(rows, str(rows[-1].id) if len(rows) == rows_max else None)


_SMALL: Final = {
    Section.ROOMS: _rooms,
    Section.MEMBERS: _members,
    Section.PEOPLE: _people,
    Section.REVOCATIONS: _revocations,
    Section.CIDS: _cids,
    Section.TOMBSTONES: _tombstones,
}


def _folded(snapshot: Snapshot, *, after: str, rows_max: int, bytes_max: int) -> Page:
    """Some of one room's changed messages; the next page goes on, perhaps in another one."""
    number, rest = split_after(after)
    row = snapshot.connection.execute(_CHANGED_ROOM, (number,)).fetchone()
    if row is None:
        return Page((), None)
    room = snapshot.current(Kept._make(row))
    seq = max(int(rest or 0) if room.id == number else 0, room.floor)
    changed = _CHANGED, (room.id, seq, room.id, seq, rows_max)
    targets = [target for (target,) in snapshot.connection.execute(*changed)]
    found = (snapshot.runs.at(room.place, MESSAGES, target) for target in targets)
    parts = ([row] for row in found if row is not None)
    messages, more = reading.folded(snapshot, room, "", parts, limit=rows_max, bytes_max=bytes_max)
    rows = [FoldedRow(room.name, message) for message in messages]
    if more:
        return Page(rows, after_in_room(room.id, messages[-1].seq))
    if len(targets) == rows_max:
        return Page(rows, after_in_room(room.id, targets[-1]))
    return Page(rows, after_in_room(room.id + 1, ""))


# What can be of any size.
_LARGE: Final = {
    Section.ENTRIES: _entries,
    Section.DOCUMENTS: _documents,
    Section.JOBS: _jobs,
    Section.FOLDED: _folded,
}
