"""Another store's rows, as this one keeps them: columns, and one statement a table."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

from ..._model.entries import React, Record
from ..._wire.codec import unpack_fact
from ...ports.documents import Document
from ...ports.jobs import Job
from ...ports.people import Person, Revocation
from ...ports.transfer import CidRow, MemberRow, RoomRow, Section, TombstoneRow
from ...ports.transfer import Row as Taken
from .._job_rows import CODES
from .._transfers import only
from .drafts import columns_of
from .kinds import BOOLS, BYTEAS, INT2S, INT4S, INT8S, TEXTS, Kind
from .pool import Transaction
from .statement import Statement

# A page of rows is written, or what follows from all of them: nobody waits for the answer.
PATIENT_S: Final = 3600

_GENS: Final = Statement("SELECT epoch, gen FROM triolet.generations")
_NUMBERS: Final = Statement(
    "SELECT name, id, floor FROM triolet.rooms WHERE name = ANY ($1)", TEXTS
)


def _insert(table: str, names: str, *kinds: Kind, after: str = "") -> Statement:
    """Return the statement that inserts columns into a table, in the order of the rows."""
    places = ", ".join(f"${i}" for i in range(1, len(kinds) + 1))
    return Statement(
        f"INSERT INTO triolet.{table} ({names}) {after} SELECT {names}"  # noqa: S608 - ours
        f" FROM unnest({places}) WITH ORDINALITY u({names}, i) ORDER BY i",
        *kinds,
        writes=True,
        within_s=PATIENT_S,
    )


_ROOMS: Final = _insert(
    "rooms",
    "id, floor, floor_n, oldest_at, members, born, public, name, kind, title",
    *(INT8S, INT8S, INT8S, INT8S, INT4S, INT4S, BOOLS, TEXTS, TEXTS, TEXTS),
    after="OVERRIDING SYSTEM VALUE",
)
_HEADS: Final = _insert(
    "heads", "room_id, head, n, at, acl_ver, gen", INT8S, INT8S, INT8S, INT8S, INT8S, INT4S
)
_LINEAGE: Final = _insert("lineage", "room_id, gen, first_seq", INT8S, INT4S, INT8S)
_MESSAGES: Final = _insert(
    "messages",
    "room_id, seq, n, at, sender, cid, packed, rest",
    *(INT8S, INT8S, INT8S, INT8S, TEXTS, TEXTS, BYTEAS, BYTEAS),
)
_OTHERS: Final = _insert(
    "others",
    "room_id, seq, n, at, target, kind, sender, cid, packed",
    *(INT8S, INT8S, INT8S, INT8S, INT8S, INT2S, TEXTS, TEXTS, BYTEAS),
)
_OLDEST: Final = Statement(
    "UPDATE triolet.rooms r SET oldest_at = u.at FROM unnest($1, $2) u(id, at) WHERE r.id = u.id",
    INT8S,
    INT8S,
    writes=True,
)
_UNREACT: Final = Statement(
    "DELETE FROM triolet.reactions x USING unnest($1, $2, $3, $4) u(room_id, target, emoji, usr)"
    " WHERE (x.room_id, x.target, x.emoji, x.usr) = (u.room_id, u.target, u.emoji, u.usr)",
    INT8S,
    INT8S,
    TEXTS,
    TEXTS,
    writes=True,
)
_REACT: Final = Statement(
    "INSERT INTO triolet.reactions (room_id, target, emoji, usr, seq)"
    " SELECT * FROM unnest($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
    INT8S,
    INT8S,
    TEXTS,
    TEXTS,
    INT8S,
    writes=True,
)
_MEMBERS: Final = _insert(
    "members",
    "room_id, delivered, read, read_n, usr, role",
    *(INT8S, INT8S, INT8S, INT8S, TEXTS, TEXTS),
)
_INBOXES: Final = _insert("inboxes", "room_id, usr, room", INT8S, TEXTS, TEXTS)
_PEOPLE: Final = _insert("people", "usr, status, last_seen, visible_to", TEXTS, TEXTS, INT8S, TEXTS)
_DOCUMENTS: Final = _insert(
    "documents", "version, expires_at, key, value", INT8S, INT8S, TEXTS, BYTEAS
)
_JOBS: Final = _insert(
    "jobs",
    "id, kind, key, payload, priority, due_at, attempts_max, state, attempts, added_at, "
    "lease_until, error, finished_at, lost",
    *(INT8S, TEXTS, TEXTS, BYTEAS, INT2S, INT8S, INT4S, INT2S, INT4S, INT8S),
    *(INT8S, TEXTS, INT8S, INT2S),
)
_TOMBSTONES: Final = _insert(
    "tombstones",
    "room_id, seq, at, is_cleared, name, sender, cid, op",
    *(INT8S, INT8S, INT8S, BOOLS, TEXTS, TEXTS, TEXTS, TEXTS),
)
_REVOCATIONS: Final = _insert("revocations", "usr, not_before", TEXTS, INT8S)
_CIDS: Final = _insert("foreign_cids", "key, seq, at, op", BYTEAS, INT8S, INT8S, TEXTS)


async def _columns(
    transaction: Transaction, statement: Statement, rows: Iterable[tuple[object, ...]]
) -> None:
    columns = [list(column) for column in zip(*rows, strict=True)]
    if columns:
        await transaction.run(statement, *columns)


async def _rooms(transaction: Transaction, rows: Sequence[Taken]) -> None:
    gens: dict[str, int] = dict(await transaction.run(_GENS))
    taken = [(row.number, row.at, row.state) for row in only(rows, RoomRow)]
    await _columns(
        transaction,
        _ROOMS,
        [
            (
                number,
                state.floor,
                state.floor_n,
                # The time of the oldest entry comes with it.
                at if state.head == state.floor else 0,
                state.members,
                gens[state.lineage[0][0]],
                state.public,
                state.room,
                state.kind,
                state.title,
            )
            for number, at, state in taken
        ],
    )
    present = max(gens.values())
    await _columns(
        transaction,
        _HEADS,
        [(number, one.head, one.n, at, one.acl_ver, present) for number, at, one in taken],
    )
    await _columns(
        transaction,
        _LINEAGE,
        [
            (number, gens[epoch], first_seq)
            for number, _, state in taken
            for epoch, first_seq in state.lineage[1:]
        ],
    )


async def _numbers(transaction: Transaction, names: Iterable[str]) -> dict[str, tuple[int, int]]:
    """Return number and floor of rooms by name."""
    found = await transaction.run(_NUMBERS, list(dict.fromkeys(names)))
    return {name: (number, floor) for name, number, floor in found}


async def _entries(transaction: Transaction, rows: Sequence[Taken]) -> None:
    records = only(rows, Record)
    rooms = await _numbers(transaction, [one.room for one in records])
    messages: list[tuple[object, ...]] = []
    others: list[tuple[object, ...]] = []
    oldest: list[tuple[object, ...]] = []
    reacts: list[tuple[int, Record, React]] = []
    for one in records:
        number, floor = rooms[one.room]
        fact = unpack_fact(one.packed)
        kept = columns_of(fact, one.packed)
        place = (number, one.seq, one.n, one.at)
        if one.kind == "message":
            messages.append((*place, one.sender, one.cid, kept.packed, kept.rest))
        else:
            others.append((*place, kept.target, kept.kind, one.sender, one.cid, kept.packed))
        if one.seq == floor + 1:
            oldest.append((number, one.at))
        if isinstance(fact, React) and fact.target > floor:
            reacts.append((number, one, fact))
    await _columns(transaction, _MESSAGES, messages)
    await _columns(transaction, _OTHERS, others)
    await _columns(transaction, _OLDEST, oldest)
    await _react(transaction, reacts)


async def _react(transaction: Transaction, reacts: Iterable[tuple[int, Record, React]]) -> None:
    """Put and take back reactions as one: what is taken back first, and what is put at last."""
    gone: dict[tuple[object, ...], None] = {}
    put: dict[tuple[object, ...], int] = {}
    for number, one, fact in reacts:
        name = (number, fact.target, fact.emoji, one.sender)
        if fact.on:
            put.setdefault(name, one.seq)
        else:
            gone[name] = None
            put.pop(name, None)
    await _columns(transaction, _UNREACT, gone)
    await _columns(transaction, _REACT, [(*name, seq) for name, seq in put.items()])


async def _members(transaction: Transaction, rows: Sequence[Taken]) -> None:
    taken = only(rows, MemberRow)
    rooms = await _numbers(transaction, [row.room for row in taken])
    members = [(rooms[row.room][0], row.room, row.membership) for row in taken]
    await _columns(
        transaction,
        _MEMBERS,
        [
            (room_id, one.delivered, one.read, one.read_n, one.user, one.role)
            for room_id, _, one in members
        ],
    )
    await _columns(
        transaction, _INBOXES, [(room_id, one.user, room) for room_id, room, one in members]
    )


async def _people(transaction: Transaction, rows: Sequence[Taken]) -> None:
    taken = [(one.user, one.status, one.last_seen, one.visible_to) for one in only(rows, Person)]
    await _columns(transaction, _PEOPLE, taken)


async def _revocations(transaction: Transaction, rows: Sequence[Taken]) -> None:
    taken = [(one.subject, one.not_before) for one in only(rows, Revocation)]
    await _columns(transaction, _REVOCATIONS, taken)


async def _tombstones(transaction: Transaction, rows: Sequence[Taken]) -> None:
    taken = [
        (row.number, row.first.seq, row.first.at, True, row.room, row.sender, row.cid, row.first.op)
        for row in only(rows, TombstoneRow)
    ]
    await _columns(transaction, _TOMBSTONES, taken)


async def _cids(transaction: Transaction, rows: Sequence[Taken]) -> None:
    taken = [(row.key, row.seq, row.at, row.op) for row in only(rows, CidRow)]
    await _columns(transaction, _CIDS, taken)


async def _documents(transaction: Transaction, rows: Sequence[Taken]) -> None:
    taken = [(one.version, one.expires_at, one.key, one.value) for one in only(rows, Document)]
    await _columns(transaction, _DOCUMENTS, taken)


async def _jobs(transaction: Transaction, rows: Sequence[Taken]) -> None:
    taken = [
        (
            *(job.id, job.kind, job.key, job.payload, job.priority, job.due_at, job.attempts_max),
            *(CODES[job.state], job.attempts, job.added_at),
            *(job.lease_until, job.error, job.finished_at, job.lost),
        )
        for job in only(rows, Job)
    ]
    await _columns(transaction, _JOBS, taken)


TAKE: Final[dict[Section, Callable[[Transaction, Sequence[Taken]], Awaitable[None]]]] = {
    Section.ROOMS: _rooms,
    Section.ENTRIES: _entries,
    Section.MEMBERS: _members,
    Section.PEOPLE: _people,
    Section.REVOCATIONS: _revocations,
    Section.CIDS: _cids,
    Section.TOMBSTONES: _tombstones,
    Section.DOCUMENTS: _documents,
    Section.JOBS: _jobs,
}
