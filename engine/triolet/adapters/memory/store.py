"""The store in memory. No thread, no disk: a call takes effect at once, then the task yields.

It serves deterministic worlds: it iterates no set, and time and chance come from the ports.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from heapq import nsmallest
from typing import final

import trio

from ..._model.entries import Member, Record
from ...ports.clock import Clock, Entropy
from ...ports.store import (
    Appended,
    Draft,
    Duplicate,
    HistorySlice,
    InboxItem,
    Mark,
    Membership,
    Outcome,
    RoomDeleted,
    RoomState,
    SearchSlice,
    Stale,
    Store,
    StoredRoom,
)
from ...ports.transfer import TombstoneRow
from .._drafts import NO_ROOM, ROOM_EXISTED, ROOM_EXISTS, is_message, refusal, repeated
from .._search import search
from .documents import MemoryDocuments
from .held import Held
from .people import MemoryPeople
from .room import Room


@asynccontextmanager
async def open_memory_store(*, clock: Clock, entropy: Entropy) -> AsyncIterator[Store]:
    """Open a store that forgets everything when the block ends."""
    await trio.lowlevel.checkpoint()
    yield MemoryStore(clock=clock, entropy=entropy)


@final
class MemoryStore(MemoryPeople, Store):
    """Everything in dicts. A write takes effect before the call's only checkpoint."""

    def __init__(self, *, clock: Clock, entropy: Entropy) -> None:
        self._clock = clock
        self._entropy = entropy
        super().__init__(Held(entropy.token()))
        self.documents = MemoryDocuments(self.held.documents, clock)
        self.jobs = self.held.jobs

    # --- the log -------------------------------------------------------------------------

    async def append(self, batch: Sequence[Draft]) -> list[Outcome]:
        """Store a batch in order."""
        outcomes = self.append_now(batch)
        await trio.lowlevel.checkpoint()
        return outcomes

    def append_now(self, batch: Sequence[Draft]) -> list[Outcome]:
        """Store a batch in order: nothing is ever waited for."""
        now_ms = self._clock.now_ms()
        return [self._append(draft, now_ms) for draft in batch]

    def _append(self, draft: Draft, now_ms: int) -> Outcome:
        held = self.held
        room = held.rooms.get(draft.room)
        first = None if room is None else room.cids.get((draft.sender, draft.cid))
        if first is None and (room is None or held.foreign):
            first = held.first_in(draft.room, draft.sender, draft.cid)
        if first is not None:
            return repeated(draft, first)
        if room is not None and is_message(draft):
            if draft.acl_ver != room.acl_ver:
                return Stale()
            return Appended((room.write_message(draft, now_ms),))
        return self._append_other(room, draft, now_ms)

    def _append_other(self, room: Room | None, draft: Draft, now_ms: int) -> Outcome:
        held = self.held
        if draft.create is not None:
            if room is not None:
                return ROOM_EXISTS
            if draft.room in held.tombstones:
                return ROOM_EXISTED
            room = Room(draft.room, draft.create, held.epoch, held.last_number + 1)
        if room is None:
            return NO_ROOM
        if draft.acl_ver != room.acl_ver:
            return Stale()
        if draft.deletes:
            return self._delete(room, draft, now_ms)
        rejected = refusal(draft, room.head, room.author)
        if rejected is not None:
            return rejected
        if draft.create is not None:
            held.add(room)
        records = room.write(draft, now_ms)
        for fact, _ in draft.facts:
            if isinstance(fact, Member):
                self._list(room, fact.user)
        return Appended(records)

    def _delete(self, room: Room, draft: Draft, now_ms: int) -> RoomDeleted:
        at = max(room.at, now_ms)
        first = Duplicate(room.head, at, draft.op)
        row = TombstoneRow(room.number, room.name, draft.sender, draft.cid, first)
        self.held.delete(room, row)
        return RoomDeleted(room.head, at)

    def _list(self, room: Room, user: str) -> None:
        inbox = self.held.inboxes.setdefault(user, {})
        if user in room.seats:
            inbox[room.name] = room
        else:
            inbox.pop(room.name, None)

    async def room(self, room: str) -> RoomState | None:
        """Return where a room stands, or None."""
        await trio.lowlevel.checkpoint()
        found = self.held.rooms.get(room)
        return None if found is None else found.state()

    async def rooms(self, rooms: Sequence[str], *, members_max: int) -> dict[str, StoredRoom]:
        """Return those that exist, by name, with their members unless there are too many."""
        await trio.lowlevel.checkpoint()
        found = [self.held.rooms[room] for room in rooms if room in self.held.rooms]
        return {
            room.name: StoredRoom(
                room.state(),
                self._members(room.name, None) if len(room.seats) <= members_max else None,
            )
            for room in found
        }

    async def room_names(self, *, after: str | None, limit: int) -> list[str]:
        """Return the names of rooms in order, those after `after`."""
        await trio.lowlevel.checkpoint()
        return nsmallest(limit, (name for name in self.held.rooms if name > (after or "")))

    async def heads(self, rooms: Sequence[str]) -> dict[str, tuple[str, int]]:
        """Return `{room: (epoch, head)}` of those that exist."""
        await trio.lowlevel.checkpoint()
        found = [self.held.rooms[room] for room in rooms if room in self.held.rooms]
        return {room.name: (self.held.epoch, room.head) for room in found}

    async def active_rooms(self, *, since: int, after: str | None, limit: int) -> list[str]:
        """Return rooms whose last entry is of `since` or later, by name, those after `after`."""
        await trio.lowlevel.checkpoint()
        found = [
            name
            for name, room in self.held.rooms.items()
            if room.records and room.records[-1].at >= since and name > (after or "")
        ]
        return sorted(found)[:limit]

    async def page(
        self, room: str, *, after: int, upto: int, limit: int, bytes_max: int
    ) -> list[Record]:
        """Return records with `after < seq <= upto`, ascending."""
        await trio.lowlevel.checkpoint()
        found = self.held.rooms.get(room)
        return [] if found is None else found.page(after, upto, limit, bytes_max)

    async def history(
        self,
        room: str,
        user: str,
        *,
        before: int | None,
        after: int | None,
        limit: int,
        bytes_max: int,
    ) -> HistorySlice | None:
        """Return folded messages as `user` sees them, oldest first; None: no such room."""
        await trio.lowlevel.checkpoint()
        found = self.held.rooms.get(room)
        if found is None:
            return None
        messages, more = found.messages(
            user, before=before, after=after, limit=limit, bytes_max=bytes_max
        )
        return HistorySlice(messages, more, self.held.epoch, found.head)

    async def search(
        self,
        room: str,
        user: str,
        words: str,
        *,
        before: int | None,
        limit: int,
        scan_max: int,
    ) -> SearchSlice | None:
        """Return messages that hold all of `words`, newest first; None: no such room."""
        return await search(self, room, user, words, before=before, limit=limit, scan_max=scan_max)

    async def find(self, room: str, sender: str, cid: str) -> Duplicate | None:
        """Return what a cid became, or None."""
        await trio.lowlevel.checkpoint()
        return self.held.first_in(room, sender, cid)

    async def n_at(self, room: str, seq: int) -> int:
        """Return how many messages the room had at `seq`."""
        await trio.lowlevel.checkpoint()
        found = self.held.rooms.get(room)
        return 0 if found is None else found.n_at(seq)

    # --- members and inboxes -------------------------------------------------------------

    async def members(self, room: str, *, after: str | None, limit: int) -> list[Membership]:
        """Return members by user name, those after `after`."""
        await trio.lowlevel.checkpoint()
        return self._members(room, after)[:limit]

    def _members(self, room: str, after: str | None) -> list[Membership]:
        found = self.held.rooms.get(room)
        if found is None:
            return []
        users = sorted(user for user in found.seats if after is None or user > after)
        memberships = (found.membership(user) for user in users)
        return [membership for membership in memberships if membership is not None]

    async def membership(self, room: str, user: str) -> Membership | None:
        """Return one membership, or None."""
        await trio.lowlevel.checkpoint()
        found = self.held.rooms.get(room)
        return None if found is None else found.membership(user)

    async def inbox(self, user: str, *, after: str | None, limit: int) -> list[InboxItem]:
        """Return the user's rooms by name, those after `after`."""
        await trio.lowlevel.checkpoint()
        rooms = [room for room in self._rooms_of(user) if after is None or room.name > after]
        return [self._item(room, user) for room in rooms[:limit]]

    async def inbox_of(self, user: str, rooms: Sequence[str]) -> list[InboxItem]:
        """Return those of `rooms` the user is a member of, by name."""
        await trio.lowlevel.checkpoint()
        inbox = self.held.inboxes.get(user, {})
        names = sorted(dict.fromkeys(room for room in rooms if room in inbox))
        return [self._item(inbox[name], user) for name in names]

    async def positions(self, user: str, *, limit: int) -> list[tuple[str, str, int, int]]:
        """Return `(room, epoch, head, read)` of the user's rooms by name, at most `limit`."""
        await trio.lowlevel.checkpoint()
        rooms = self._rooms_of(user)[:limit]
        return [(room.name, self.held.epoch, room.head, room.seats[user].read) for room in rooms]

    def _rooms_of(self, user: str) -> list[Room]:
        return [room for _, room in sorted(self.held.inboxes.get(user, {}).items())]

    def _item(self, room: Room, user: str) -> InboxItem:
        membership = room.membership(user)
        assert membership is not None, "an inbox lists memberships"
        last = room.view(room.message_seqs[-1], user) if room.message_seqs else None
        return InboxItem(room.state(), membership, last)

    async def marks(self, room: str, *, seq: int, after: str | None, limit: int) -> list[Mark]:
        """Return marks with `delivered >= seq` or `read >= seq`, by user, those after `after`."""
        await trio.lowlevel.checkpoint()
        return [
            Mark(
                room=room,
                user=member.user,
                delivered=member.delivered,
                read=member.read,
                read_n=member.read_n,
            )
            for member in self._members(room, after)
            if member.delivered >= seq or member.read >= seq
        ][:limit]

    async def put_marks(self, marks: Sequence[Mark]) -> None:
        """Move marks forward."""
        for mark in marks:
            room = self.held.rooms.get(mark.room)
            seat = None if room is None else room.seats.get(mark.user)
            if seat is None:
                continue
            seat.delivered = max(seat.delivered, mark.delivered)
            if mark.read > seat.read:
                seat.read, seat.read_n = mark.read, mark.read_n
        await trio.lowlevel.checkpoint()

    # --- keeping -------------------------------------------------------------------------

    async def prune(
        self, *, older_than: int, entries_max: int, limit: int
    ) -> list[tuple[str, int, int]]:
        """Remove the oldest entries, and return `(room, floor, floor_n)` of those moved."""
        moved = []
        for room in self.held.rooms.values():
            count = room.prune(older_than=older_than, entries_max=entries_max, limit=limit)
            limit -= count
            if count:
                moved.append((room.name, room.floor, room.floor_n))
        await trio.lowlevel.checkpoint()
        return moved

    async def prune_cids(self, *, older_than: int, limit: int) -> int:
        """Forget cids of drafts older than `older_than` (ms), at most `limit`."""
        count = 0
        for room in self.held.rooms.values():
            old = [cid for cid, first in room.cids.items() if first.at < older_than]
            for cid in old[: limit - count]:
                del room.cids[cid]
                count += 1
        foreign = self.held.foreign
        for key in [key for key, first in foreign.items() if first.at < older_than][
            : limit - count
        ]:
            del foreign[key]
            count += 1
        await trio.lowlevel.checkpoint()
        return count

    async def clear_deleted(self, *, limit: int) -> list[tuple[str, str]] | None:
        """Let go of about `limit` rows of what deleted rooms have left behind."""
        await trio.lowlevel.checkpoint()
        room = next(iter(self.held.leftovers.values()), None)
        if room is None:
            return None
        users = room.unseat(limit)
        if not users and not room.clear(limit):
            del self.held.leftovers[room.name]
        return [(room.name, user) for user in users]

    async def new_generation(self) -> str:
        """Begin a new epoch in every room, from its head + 1, and return its name."""
        epoch = self._entropy.token()
        self.held.epochs.append(epoch)
        for room in self.held.rooms.values():
            room.lineage.append((epoch, room.head + 1))
        await trio.lowlevel.checkpoint()
        return epoch
