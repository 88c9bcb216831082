"""Reading all rows of a store in memory, and taking those of another store."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import final

import trio

from ..._model.entries import Record
from ...ports.documents import Document
from ...ports.jobs import Job
from ...ports.people import Person, Revocation
from ...ports.store import Duplicate, Membership, RoomSpec
from ...ports.transfer import (
    CidRow,
    FoldedRow,
    MemberRow,
    Origin,
    Page,
    Place,
    RoomRow,
    Row,
    Section,
    Source,
    Target,
    TombstoneRow,
)
from .._digests import digest
from .._transfers import after_in_room, is_changed, is_taken, only, place_to_begin_at, split_after
from .documents import HeldDocuments
from .held import Held
from .room import Room, Seat
from .store import MemoryStore

# A row, what names it among its section's rows, and the bytes that count.
_Numbered = tuple[Row, str, int]

_EVERYTHING = 1 << 62


@final
class MemorySource(Source):
    """The rows of a store in memory, which must not change meanwhile."""

    def __init__(self, store: MemoryStore) -> None:
        self._held = store.held
        self._cids = sorted(_cids(self._held), key=lambda row: row.key)

    async def origin(self) -> Origin:
        """Return what the store is."""
        await trio.lowlevel.checkpoint()
        held, rooms = self._held, list(self._held.rooms.values())
        counts = (
            len(rooms),
            sum(len(room.records) for room in rooms),
            sum(len(room.seats) for room in rooms),
            len(held.people),
            len(held.revoked),
            len(self._cids),
            len(held.tombstones),
            len(held.documents.keys),
            len(list(held.jobs)),
        )
        steps = sum(job.attempts + len(job.state.value) for job in held.jobs)
        version = held.documents.version
        return Origin(
            salt=held.salt,
            epochs=tuple(held.epochs),
            version=version,
            last_job=held.jobs.last_id,
            state=f"{counts} {sum(room.head for room in rooms)} {version} {steps}",
            counts=counts,
        )

    async def rows(self, section: Section, *, after: str, rows_max: int, bytes_max: int) -> Page:
        """Return rows of a section, those after `after`."""
        await trio.lowlevel.checkpoint()
        found: list[Row] = []
        size = 0
        for row, name, row_bytes in self._after(section, after):
            size += row_bytes
            if len(found) == rows_max or (found and size > bytes_max):
                return Page(found, after)
            found.append(row)
            after = name
        return Page(found, None)

    def _after(self, section: Section, after: str) -> Iterator[_Numbered]:
        number, rest = split_after(after) if section in _BY_ROOM else (0, after)
        rooms = [room for room in self._held.rooms.values() if room.number >= number]
        if section == Section.PEOPLE:
            return _people(self._held, after)
        if section == Section.REVOCATIONS:
            return _revocations(self._held, after)
        if section == Section.TOMBSTONES:
            return _tombstones(self._held, int(after or 0))
        if section == Section.DOCUMENTS:
            return _documents(self._held.documents, after)
        if section == Section.JOBS:
            later = (job for job in self._held.jobs if job.id > int(after or 0))
            return ((job, str(job.id), len(job.payload)) for job in later)
        if section == Section.CIDS:
            start = bisect_right(self._cids, after, key=lambda row: row.key.hex())
            return ((row, row.key.hex(), 0) for row in self._cids[start:])
        return _BY_ROOM[section](rooms, number, rest)


def _cids(held: Held) -> Iterator[CidRow]:
    for room in held.rooms.values():
        before = room.before_cid(held.salt)
        for (sender, cid), first in room.cids.items():
            yield CidRow(digest(before, sender, cid), first.seq, first.at, first.op)
    for key, first in held.foreign.items():
        yield CidRow(key, first.seq, first.at, first.op)


def _rooms(rooms: Iterable[Room], number: int, rest: str) -> Iterator[_Numbered]:
    del rest
    for room in rooms:
        if room.number > number:
            row = RoomRow(room.number, room.at, room.state())
            yield row, after_in_room(room.number, ""), 0


def _entries(rooms: Iterable[Room], number: int, rest: str) -> Iterator[_Numbered]:
    for room in rooms:
        after = int(rest or 0) if room.number == number else 0
        for record in room.records[max(after - room.floor, 0) :]:
            yield record, after_in_room(room.number, record.seq), len(record.packed)


def _members(rooms: Iterable[Room], number: int, rest: str) -> Iterator[_Numbered]:
    for room in rooms:
        for user in sorted(room.seats):
            membership = room.membership(user)
            if membership is not None and (room.number > number or user > rest):
                row = MemberRow(room.name, membership)
                yield row, after_in_room(room.number, user), 0


def _folded(rooms: Iterable[Room], number: int, rest: str) -> Iterator[_Numbered]:
    for room in rooms:
        after = int(rest or 0) if room.number == number else 0
        messages, _ = room.messages(
            "", before=None, after=after, limit=_EVERYTHING, bytes_max=_EVERYTHING
        )
        for message in filter(is_changed, messages):
            yield FoldedRow(room.name, message), after_in_room(room.number, message.seq), 0


_BY_ROOM = {
    Section.ROOMS: _rooms,
    Section.ENTRIES: _entries,
    Section.MEMBERS: _members,
    Section.FOLDED: _folded,
}


def _people(held: Held, after: str) -> Iterator[_Numbered]:
    for user in sorted(held.people):
        if user > after:
            yield held.people[user], user, 0


def _revocations(held: Held, after: str) -> Iterator[_Numbered]:
    for subject, not_before in sorted(held.revoked.items()):
        if subject > after:
            yield Revocation(subject, not_before), subject, 0


def _tombstones(held: Held, after: int) -> Iterator[_Numbered]:
    for row in sorted(held.tombstones.values(), key=lambda row: row.number):
        if row.number > after:
            yield row, str(row.number), 0


def _documents(held: HeldDocuments, after: str) -> Iterator[_Numbered]:
    for key in held.keys[bisect_right(held.keys, after) :]:
        document = held.by_key[key]
        yield document, key, len(document.value)


@final
class MemoryTarget(Target):
    """Takes another store's rows into a store in memory that holds nothing."""

    def __init__(self, store: MemoryStore) -> None:
        self._held = store.held

    async def begin(self, origin: Origin) -> Place:
        """Become the store that `origin` is; return the place to go on from."""
        await trio.lowlevel.checkpoint()
        held = self._held
        place = place_to_begin_at(
            origin,
            salt=held.salt,
            is_empty=not (
                held.rooms
                or held.people
                or held.revoked
                or held.tombstones
                or held.documents.keys
                or any(held.jobs)
            ),
            under_way=held.transfer,
        )
        if place is None:
            place = Place()
            held.salt, held.epochs = origin.salt, list(origin.epochs)
            held.documents.version = max(held.documents.version, origin.version)
            held.jobs.last_id = max(held.jobs.last_id, origin.last_job)
            held.transfer = (origin.state, place)
        return place

    async def take(self, rows: Sequence[Row], *, after: Place, upto: Place) -> None:
        """Take the rows between two places."""
        await trio.lowlevel.checkpoint()
        assert self._held.transfer is not None, "it was begun"
        state, place = self._held.transfer
        if not is_taken(place, after=after, upto=upto):
            _TAKE[after.section](self._held, rows)
            self._held.transfer = (state, upto)

    async def settle(self) -> None:
        """Do nothing: what follows from rows was made with them."""
        await trio.lowlevel.checkpoint()

    async def finish(self) -> None:
        """Be a store like any other."""
        self._held.transfer = None
        await trio.lowlevel.checkpoint()


def _take_rooms(held: Held, rows: Sequence[Row]) -> None:
    for row in only(rows, RoomRow):
        state = row.state
        spec = RoomSpec(kind=state.kind, title=state.title, public=state.public)
        room = Room(state.room, spec, state.epoch, row.number)
        held.add(room)
        room.at = row.at
        room.lineage = list(state.lineage)
        room.acl_ver = state.acl_ver
        room.head, room.n = state.head, state.n
        room.floor, room.floor_n = state.floor, state.floor_n


def _take_entries(held: Held, rows: Sequence[Row]) -> None:
    for record in only(rows, Record):
        held.rooms[record.room].restore(record)


def _take_members(held: Held, rows: Sequence[Row]) -> None:
    for row in only(rows, MemberRow):
        room = held.rooms[row.room]
        room.seats[row.membership.user] = _seat(row.membership)
        held.inboxes.setdefault(row.membership.user, {})[room.name] = room


def _seat(membership: Membership) -> Seat:
    seat = Seat(membership.role, membership.delivered, membership.read_n)
    seat.read = membership.read
    return seat


def _take_people(held: Held, rows: Sequence[Row]) -> None:
    held.people.update({person.user: person for person in only(rows, Person)})


def _take_revocations(held: Held, rows: Sequence[Row]) -> None:
    held.revoked.update({one.subject: one.not_before for one in only(rows, Revocation)})


def _take_cids(held: Held, rows: Sequence[Row]) -> None:
    for row in only(rows, CidRow):
        held.foreign[row.key] = Duplicate(row.seq, row.at, row.op)


def _take_tombstones(held: Held, rows: Sequence[Row]) -> None:
    for row in only(rows, TombstoneRow):
        held.tombstones[row.room] = row
        held.last_number = max(held.last_number, row.number)


def _take_documents(held: Held, rows: Sequence[Row]) -> None:
    for document in only(rows, Document):
        held.documents.put(document)


def _take_jobs(held: Held, rows: Sequence[Row]) -> None:
    for job in only(rows, Job):
        held.jobs.restore(job)


_TAKE = {
    Section.ROOMS: _take_rooms,
    Section.ENTRIES: _take_entries,
    Section.MEMBERS: _take_members,
    Section.PEOPLE: _take_people,
    Section.REVOCATIONS: _take_revocations,
    Section.CIDS: _take_cids,
    Section.TOMBSTONES: _take_tombstones,
    Section.DOCUMENTS: _take_documents,
    Section.JOBS: _take_jobs,
}
