"""Another store's rows, as this one keeps them."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Final, final

from ..._model.entries import Edit, React, Record
from ..._wire.codec import unpack_fact
from ...ports.documents import Document
from ...ports.jobs import Job
from ...ports.people import Person, Revocation
from ...ports.transfer import CidRow, MemberRow, RoomRow, Section, TombstoneRow
from ...ports.transfer import Row as Taken
from .._job_rows import CODES
from .._transfers import only
from . import effects
from .bulk import Bulk, Params
from .cids import record
from .ledger import Room
from .recent import MESSAGES, OTHERS, Lane
from .rows import KINDS, MESSAGE, SEQ, pack_rows
from .runs import cut
from .segments import Segments, merged
from .upkeep import PLACES, RUNS

_ROOMS: Final = Bulk(
    "INSERT INTO rooms (id, name, kind, title, public, acl_ver, members, floor, floor_n, "
    "oldest_at) VALUES ",
    "(?,?,?,?,?,?,?,?,?,?)",
)
_LINEAGE: Final = Bulk("INSERT INTO lineage VALUES ", "(?,?,?)")
_MEMBERS: Final = Bulk("INSERT INTO members VALUES ", "(?,?,?,?,?,?)")
_INBOXES: Final = Bulk("INSERT INTO inboxes VALUES ", "(?,?,?)")
_PEOPLE: Final = Bulk("INSERT INTO people VALUES ", "(?,?,?,?)")
_DOCUMENTS: Final = Bulk(
    "INSERT INTO documents (key, value, version, expires_at) VALUES ", "(?,?,?,?)"
)
_JOBS: Final = Bulk("INSERT INTO jobs VALUES ", "(?,?,?,?,?,?,?,?,?,?,?,?,?,?)")
_TOMBSTONES: Final = Bulk("INSERT INTO tombstones VALUES ", "(?,?,?,?,?,?,?,1,1)")
_REVOCATIONS: Final = Bulk("INSERT INTO revocations VALUES ", "(?,?)")
_KIND_OF: Final = {kind: code for code, kind in enumerate(KINDS)}

# Entries that came with a transfer were in no batch of this store's journal.
_NO_BATCH: Final = 0
# Records merged in one transaction.
_MERGED_AT_ONCE: Final = 100_000

_room_of = attrgetter("room")


@final
class Restoring:
    """Inside one transaction, or several one after the other in which nobody else writes."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._merging: Iterator[int] | None = None
        self._segments: Segments | None = None

    def rooms(self, rows: Sequence[Taken]) -> None:
        """Make rooms that have no entries yet."""
        gens = dict(self._connection.execute("SELECT epoch, gen FROM generations"))
        rooms: Params = []
        lineage: Params = []
        for number, at, state in ((row.number, row.at, row.state) for row in only(rows, RoomRow)):
            rooms += (number, state.room, state.kind, state.title, state.public, state.acl_ver)
            # The time of the oldest entry comes with it.
            oldest_at = at if state.head == state.floor else 0
            rooms += (state.members, state.floor, state.floor_n, oldest_at)
            for epoch, first_seq in state.lineage:
                lineage += (number, gens[epoch], first_seq)
        _ROOMS.run(self._connection, rooms)
        _LINEAGE.run(self._connection, lineage)

    def entries(self, rows: Sequence[Taken]) -> None:
        """Keep entries in runs, and fold them."""
        (last_run,) = self._connection.execute("SELECT max(id) FROM runs").fetchone()
        run = (last_run or 0) + 1
        runs: Params = []
        places: Params = []
        for name, records in groupby(only(rows, Record), key=_room_of):
            room = self._room(name)
            lanes = self._lanes(room, records)
            for lane in (MESSAGES, OTHERS):
                for part in cut(lanes[lane]):
                    _, _, last, n, _, _, at, *_ = part[-1]
                    runs += (run, pack_rows(part))
                    places += (room.id, lane, part[0][SEQ], last, n, at, run)
                    run += 1
        RUNS.run(self._connection, runs)
        PLACES.run(self._connection, places)

    def _room(self, name: str) -> Room:
        """Return a room, whose head is not known."""
        row = self._connection.execute(
            "SELECT id, acl_ver, floor, 0, 0, 0 FROM rooms WHERE name = ?", (name,)
        ).fetchone()
        return Room(name, row, "")

    def _lanes(self, room: Room, records: Iterable[Record]) -> tuple[Lane, Lane]:
        lanes: tuple[Lane, Lane] = ([], [])
        for one in records:
            kind = _KIND_OF[one.kind]
            lanes[MESSAGES if kind == MESSAGE else OTHERS].append(
                (
                    _NO_BATCH,
                    room.id,
                    one.seq,
                    one.n,
                    kind,
                    one.sender,
                    one.at,
                    one.cid,
                    None,
                    one.packed,
                )
            )
            if one.seq == room.floor + 1:
                self._connection.execute(
                    "UPDATE rooms SET oldest_at = ? WHERE id = ?", (one.at, room.id)
                )
            if one.kind in ("edit", "react"):
                room.head, room.at = one.seq, one.at
                self._fold(room, one)
        return lanes

    def _fold(self, room: Room, one: Record) -> None:
        fact = unpack_fact(one.packed)
        assert isinstance(fact, Edit | React), "the kind says so"
        if fact.target <= room.floor:
            return
        if isinstance(fact, Edit):
            effects.edit(self._connection, room, fact, one.packed)
        else:
            effects.react(self._connection, room, fact, one.sender)

    def members(self, rows: Sequence[Taken]) -> None:
        """Seat members; their rooms know how many there are."""
        members: Params = []
        inboxes: Params = []
        for name, seats in groupby(only(rows, MemberRow), key=_room_of):
            room_id = self._room(name).id
            for one in (row.membership for row in seats):
                members += (room_id, one.user, one.role, one.delivered, one.read, one.read_n)
                inboxes += (one.user, name, room_id)
        _MEMBERS.run(self._connection, members)
        _INBOXES.run(self._connection, inboxes)

    def people(self, rows: Sequence[Taken]) -> None:
        """Keep people."""
        params: Params = []
        for one in only(rows, Person):
            params += (one.user, one.status, one.last_seen, one.visible_to)
        _PEOPLE.run(self._connection, params)

    def revocations(self, rows: Sequence[Taken]) -> None:
        """Keep revocations."""
        params: Params = []
        for one in only(rows, Revocation):
            params += (one.subject, one.not_before)
        _REVOCATIONS.run(self._connection, params)

    def documents(self, rows: Sequence[Taken]) -> None:
        """Keep documents, with the versions that they had."""
        params: Params = []
        for one in only(rows, Document):
            params += (one.key, one.value, one.version, one.expires_at)
        _DOCUMENTS.run(self._connection, params)

    def jobs(self, rows: Sequence[Taken]) -> None:
        """Keep jobs under their ids; what ran is its worker's until the lease ends."""
        params: Params = []
        for one in only(rows, Job):
            params += (one.id, one.kind, one.key, one.payload, one.priority, one.due_at)
            params += (one.attempts_max, CODES[one.state], one.attempts, one.added_at)
            params += (one.lease_until, one.error, one.finished_at, one.lost)
        _JOBS.run(self._connection, params)

    # --- cids ----------------------------------------------------------------------------

    def tombstones(self, rows: Sequence[Taken]) -> None:
        """Know rooms that were deleted; nothing of them came with the rows."""
        tombstones: Params = []
        for row in only(rows, TombstoneRow):
            first = row.first
            tombstones += (row.number, row.room, row.sender, row.cid, first.op, first.seq, first.at)
        _TOMBSTONES.run(self._connection, tombstones)

    def cids(self, rows: Sequence[Taken]) -> None:
        """Keep cids in a segment of their own, and merge small ones."""
        ops = dict(self._connection.execute("SELECT op, code FROM ops"))
        found = only(rows, CidRow)
        if not found:
            return
        for op in dict.fromkeys([row.op for row in found]):
            if op not in ops:
                ops[op] = len(ops)
                self._connection.execute("INSERT INTO ops VALUES (?, ?)", (ops[op], op))
        records = [record(row.key, row.seq, row.at, ops[row.op]) for row in found]
        segments = Segments()
        segments.load(self._connection)
        segments.keep(self._connection, records, oldest_at=min(row.at for row in found))
        while sources := segments.due():
            for _ in merged(segments, self._connection, sources):
                pass

    def merge_some(self) -> bool:
        """Merge all segments into one, a part at a time; return whether there is more."""
        if self._segments is None:
            self._segments = Segments()
            self._segments.load(self._connection)
        segments, done = self._segments, 0
        while done < _MERGED_AT_ONCE:
            if self._merging is None and len(segments.used) > 1:
                sources = sorted(segments.used, key=lambda one: one.level, reverse=True)
                self._merging = merged(segments, self._connection, sources)
            if self._merging is not None:
                count = next(self._merging, None)
                if count is None:
                    self._merging = None
                done += count or 0
            elif segments.unused:
                segments.remove(self._connection)
                done += 1000
            else:
                return False
        return True


TAKE: Final = {
    Section.ROOMS: Restoring.rooms,
    Section.ENTRIES: Restoring.entries,
    Section.MEMBERS: Restoring.members,
    Section.PEOPLE: Restoring.people,
    Section.REVOCATIONS: Restoring.revocations,
    Section.CIDS: Restoring.cids,
    Section.TOMBSTONES: Restoring.tombstones,
    Section.DOCUMENTS: Restoring.documents,
    Section.JOBS: Restoring.jobs,
}
