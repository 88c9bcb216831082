"""Reading all rows of a store, in one transaction that keeps everybody else from writing."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final, final

import msgspec

from ..._model.errors import StoreUnavailable
from ..._model.limits import Limits
from ...ports.clock import Entropy
from ...ports.documents import Document
from ...ports.people import Person, Revocation
from ...ports.store import Duplicate
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
from .._digests import digest, prefix
from .._job_rows import job_of
from .._transfers import after_in_room, split_after
from . import deleting
from .address import parse
from .connection import Connection, connect
from .failures import Lost
from .identity import of_a_copy, refuse_servers, refuse_unfinished, salt_of
from .jobs import COLUMNS
from .kinds import BYTEA, INT8, TEXT
from .migrations import migrate
from .reading import folded, membership, records, state
from .schema import steps
from .statement import Rows, Statement

# Whoever writes waits for the end of the copy, or for its own patience's.
_BEGIN: Final = """
BEGIN ISOLATION LEVEL REPEATABLE READ;
SET LOCAL lock_timeout = '5s';
LOCK TABLE triolet.heads, triolet.members, triolet.people, triolet.revocations, triolet.cids,
    triolet.documents, triolet.jobs, triolet.store IN SHARE MODE
"""
_COUNTS: Final = Statement("""
    SELECT (SELECT count(*) FROM triolet.rooms),
        (SELECT coalesce(sum(h.head - r.floor), 0)::bigint
            FROM triolet.rooms r JOIN triolet.heads h ON h.room_id = r.id),
        (SELECT count(*) FROM triolet.members),
        (SELECT count(*) FROM triolet.people),
        (SELECT count(*) FROM triolet.revocations),
        (SELECT count(*) FROM triolet.cids) + (SELECT count(*) FROM triolet.foreign_cids),
        (SELECT count(*) FROM triolet.tombstones),
        (SELECT count(*) FROM triolet.documents),
        (SELECT count(*) FROM triolet.jobs),
        (SELECT coalesce(sum(attempts + state), 0)::bigint FROM triolet.jobs),
        (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM triolet.job_ids),
        (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM triolet.document_versions),
        (SELECT coalesce(sum(head), 0)::bigint FROM triolet.heads),
        ARRAY(SELECT epoch FROM triolet.generations ORDER BY gen)""")
_ROOMS: Final = Statement(
    "SELECT s.*, h.at FROM triolet.states s JOIN triolet.heads h ON h.room_id = s.id"
    " WHERE s.id > $1 ORDER BY s.id LIMIT $2",
    INT8,
    INT8,
)
_ENTRIES: Final = Statement(
    "SELECT * FROM triolet.entries_after($1, $2, $3, $4)", INT8, INT8, INT8, INT8
)
_MEMBERS: Final = Statement(
    "SELECT m.room_id, r.name, m.usr, m.role, m.delivered, m.read, m.read_n FROM ("
    " SELECT * FROM triolet.members WHERE (room_id, usr) > ($1, $2) ORDER BY room_id, usr LIMIT $3"
    ") m JOIN triolet.rooms r ON r.id = m.room_id ORDER BY m.room_id, m.usr",
    INT8,
    TEXT,
    INT8,
)
_PEOPLE: Final = Statement(
    "SELECT usr, status, last_seen, visible_to FROM triolet.people"
    " WHERE usr > $1 ORDER BY usr LIMIT $2",
    TEXT,
    INT8,
)
_REVOCATIONS: Final = Statement(
    "SELECT usr, not_before FROM triolet.revocations WHERE usr > $1 ORDER BY usr LIMIT $2",
    TEXT,
    INT8,
)
_CIDS: Final = Statement(
    "SELECT room_id, sender, cid, seq, at, op FROM triolet.cids"
    " WHERE (room_id, sender, cid) > ($1, $2, $3) ORDER BY room_id, sender, cid LIMIT $4",
    INT8,
    TEXT,
    TEXT,
    INT8,
)
_TOMBSTONES: Final = Statement(
    "SELECT room_id, name, sender, cid, seq, at, op FROM triolet.tombstones"
    " WHERE room_id > $1 ORDER BY room_id LIMIT $2",
    INT8,
    INT8,
)
_FOREIGN: Final = Statement(
    "SELECT key, seq, at, op FROM triolet.foreign_cids WHERE key > $1 ORDER BY key LIMIT $2",
    BYTEA,
    INT8,
)
_DOCUMENTS: Final = Statement(
    "SELECT key, value, version, expires_at FROM ("
    " SELECT *, sum(octet_length(value)) OVER (ORDER BY key) AS size, row_number() OVER () AS i"
    " FROM (SELECT * FROM triolet.documents WHERE key > $1 ORDER BY key LIMIT $2) x"
    ") y WHERE size <= $3 OR i = 1 ORDER BY key",
    TEXT,
    INT8,
    INT8,
)
_JOBS: Final = Statement(
    f"SELECT {COLUMNS} FROM ("  # noqa: S608 - ours
    " SELECT *, sum(octet_length(payload)) OVER (ORDER BY id) AS size, row_number() OVER () AS i"
    " FROM (SELECT * FROM triolet.jobs WHERE id > $1 ORDER BY id LIMIT $2) x"
    ") y WHERE size <= $3 OR i = 1 ORDER BY id",
    INT8,
    INT8,
    INT8,
)
_FOLDED: Final = Statement("SELECT * FROM triolet.changed_after($1, $2, $3)", INT8, INT8, INT8)

# A changed message holds a body and up to fifty emojis with ten names each.
_FOLDED_MAX: Final = 500

# What names a cid among all: room, sender and cid; or, after those, a digest.
_name_of_cid: Final = msgspec.json.Decoder(tuple[int, str, str] | str).decode
_pack: Final = msgspec.json.Encoder().encode


@asynccontextmanager
async def open_postgres_source(
    url: str, *, entropy: Entropy, limits: Limits, may_be_unfinished: bool = False
) -> AsyncIterator[Source]:
    """Open the store in the database at `url` to read all its rows.

    Raises:
        ConfigurationError: the URL is none, a server uses the database, or it holds an
            unfinished copy.
        SchemaTooNew: a newer Triolet has written it.
        StoreUnavailable: it cannot be reached.
    """
    url = of_a_copy(url)
    await migrate(url, steps(), timeout_s=limits.postgres_connect_timeout_s)
    connection = await connect(parse(url), timeout_s=limits.postgres_connect_timeout_s)
    try:
        source = PostgresSource(connection)
        await source.begin(entropy.token(), may_be_unfinished=may_be_unfinished)
        yield source
    finally:
        connection.close()


@final
class PostgresSource(Source):
    """One transaction's snapshot."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._salt = ""

    async def begin(self, salt: str, *, may_be_unfinished: bool) -> None:
        """Keep writers away, and know the store's salt, or give it one."""
        await refuse_servers(self._run)
        if not may_be_unfinished:
            await refuse_unfinished(self._run)
        self._salt = await salt_of(self._run, salt)
        # A page has no place for what is left of rooms that are no more.
        await deleting.clear_all(self._run)
        try:
            await self._connection.script(_BEGIN)
        except Lost as lost:
            raise _lost(lost) from lost

    async def _run(self, statement: Statement, *parameters: object) -> Rows:
        try:
            return await self._connection.run(statement, parameters)
        except Lost as lost:
            raise _lost(lost) from lost

    async def origin(self) -> Origin:
        """Return what the store is."""
        ((*counts, steps, last_job, version, heads, epochs),) = await self._run(_COUNTS)
        return Origin(
            salt=self._salt,
            epochs=tuple(epochs),
            version=version,
            last_job=last_job,
            state=f"{heads} {len(epochs)} {version} {counts} {steps}",
            counts=tuple(counts),
        )

    async def rows(self, section: Section, *, after: str, rows_max: int, bytes_max: int) -> Page:
        """Return rows of a section, those after `after`."""
        match section:
            case Section.ROOMS:
                return await self._rooms(after, rows_max)
            case Section.ENTRIES:
                return await self._entries(after, rows_max, bytes_max)
            case Section.MEMBERS:
                return await self._members(after, rows_max)
            case Section.PEOPLE:
                people = await self._run(_PEOPLE, after, rows_max)
                return _named([Person(*row) for row in people], rows_max)
            case Section.REVOCATIONS:
                revocations = await self._run(_REVOCATIONS, after, rows_max)
                return _named([Revocation(*row) for row in revocations], rows_max)
            case Section.CIDS:
                return await self._cids(after, rows_max)
            case Section.TOMBSTONES:
                return await self._tombstones(after, rows_max)
            case Section.DOCUMENTS:
                return await self._documents(after, rows_max, bytes_max)
            case Section.JOBS:
                jobs = await self._run(_JOBS, int(after or 0), rows_max, bytes_max)
                return Page([job_of(row) for row in jobs], str(jobs[-1][0]) if jobs else None)
            case Section.FOLDED:
                return await self._folded(after, min(rows_max, _FOLDED_MAX))

    async def _rooms(self, after: str, rows_max: int) -> Page:
        number, _ = split_after(after)
        found = await self._run(_ROOMS, number, rows_max)
        rows = [RoomRow(row[0], row[-1], state(row[1:-1])) for row in found]
        return Page(rows, after_in_room(found[-1][0], "") if len(rows) == rows_max else None)

    async def _entries(self, after: str, rows_max: int, bytes_max: int) -> Page:
        number, rest = split_after(after)
        found = await self._run(_ENTRIES, number, int(rest or 0), rows_max, bytes_max)
        rows: list[Row] = []
        size = 0
        for row in found:
            (record,) = records(row[1], [row[2:]], bytes_max=bytes_max)
            size += len(record.packed)
            if rows and size > bytes_max:
                break
            rows.append(record)
            after = after_in_room(row[0], record.seq)
        return Page(rows, after if rows else None)

    async def _members(self, after: str, rows_max: int) -> Page:
        found = await self._run(_MEMBERS, *split_after(after), rows_max)
        rows = [MemberRow(row[1], membership(row[2:])) for row in found]
        is_over = len(rows) < rows_max
        return Page(rows, None if is_over else after_in_room(found[-1][0], found[-1][2]))

    async def _cids(self, after: str, rows_max: int) -> Page:
        name = _name_of_cid(after) if after else (0, "", "")
        if isinstance(name, str):
            rest = await self._run(_FOREIGN, bytes.fromhex(name), rows_max)
            rows = [CidRow(*row) for row in rest]
            is_over = len(rows) < rows_max
            return Page(rows, None if is_over else _pack(rows[-1].key.hex()).decode())
        found = await self._run(_CIDS, *name, rows_max)
        rows = [
            CidRow(digest(prefix(self._salt, room_id), sender, cid), seq, at, op)
            for room_id, sender, cid, seq, at, op in found
        ]
        following = found[-1][:3] if len(rows) == rows_max else ""
        return Page(rows, _pack(following).decode())

    async def _tombstones(self, after: str, rows_max: int) -> Page:
        found = await self._run(_TOMBSTONES, int(after or 0), rows_max)
        rows = [
            TombstoneRow(number, room, sender, cid, Duplicate(*first))
            for number, room, sender, cid, *first in found
        ]
        return Page(rows, str(found[-1][0]) if len(rows) == rows_max else None)

    async def _documents(self, after: str, rows_max: int, bytes_max: int) -> Page:
        found = await self._run(_DOCUMENTS, after, rows_max, bytes_max)
        return Page([Document(*row) for row in found], found[-1][0] if found else None)

    async def _folded(self, after: str, rows_max: int) -> Page:
        number, rest = split_after(after)
        found = await self._run(_FOLDED, number, int(rest or 0), rows_max)
        rows = [FoldedRow(row[2], folded(row[3:])) for row in found if row[3] is not None]
        is_over = len(found) < rows_max
        return Page(rows, None if is_over else after_in_room(*found[-1][:2]))


def _named(rows: Sequence[Person | Revocation], rows_max: int) -> Page:
    if len(rows) < rows_max:
        return Page(rows, None)
    last = rows[-1]
    return Page(rows, last.user if isinstance(last, Person) else last.subject)


def _lost(lost: Lost) -> StoreUnavailable:
    return StoreUnavailable(f"the connection was lost: {lost}")
