"""The store in an SQLite file: group commit in one writing thread, snapshots in a few others."""

import logging
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar, final

import trio

from ..._domain.words import asked
from ..._model.commands import VisibleTo
from ..._model.entries import Record
from ..._model.errors import StoreError
from ..._model.limits import Limits
from ...ports.clock import Clock, Entropy
from ...ports.people import Person, Revocation
from ...ports.store import (
    Draft,
    Duplicate,
    HistorySlice,
    InboxItem,
    Mark,
    Membership,
    Outcome,
    RoomState,
    SearchSlice,
    Store,
    StoredRoom,
)
from .._search import Page, search_pages
from . import deleting, directory, reading, retention, searching
from .appending import append
from .documents import SqliteDocuments
from .grouping import Grouping
from .jobs import SqliteJobs
from .known import Known
from .opening import Opened, opened
from .revocations import Revocations
from .snapshot import Snapshot

T = TypeVar("T")

logger = logging.getLogger(__name__)


@asynccontextmanager
async def open_sqlite_store(
    path: str | os.PathLike[str], *, clock: Clock, entropy: Entropy, limits: Limits
) -> AsyncIterator[Store]:
    """Open the store in the file at `path`, made with its directory when there is none.

    Both are made for their owner alone (0600 and 0700). Beside the file live `-wal` and
    `-shm`, which belong to it, and `.lock`, which keeps a second server away. When the block
    ends, all threads have ended and what was handed over is stored.

    Raises:
        ConfigurationError: the file cannot be opened, is another program's, or another server
            has it open.
        SchemaTooNew: a newer Triolet has written it.
        StoreUnavailable: the disk failed while it was opened.
    """
    async with opened(Path(path), entropy=entropy, limits=limits) as parts:
        store = SqliteStore(parts, clock=clock, entropy=entropy)
        await store.load_revocations()
        yield store


@final
class SqliteStore(Store):
    """What the port promises, in terms of jobs for the writer and reads of snapshots."""

    def __init__(self, parts: Opened, *, clock: Clock, entropy: Entropy) -> None:
        self._writer = parts.writer
        self._readers = parts.readers
        self._ledger = parts.ledger
        self._revocations = Revocations()
        known = Known()
        grouping = Grouping(parts.writer, parts.ledger, known.settle)
        self.documents = SqliteDocuments(
            parts.readers, grouping, parts.ledger, known=known, clock=clock
        )
        self.jobs = SqliteJobs(parts.readers, grouping, parts.ledger)
        self._clock = clock
        self._entropy = entropy
        # Where the search for what is old goes on: a call need not begin at the first room.
        self._due_after_room = 0

    async def _write(self, work: Callable[[], T]) -> T:
        return await self._writer.do(partial(self._ledger.write, work))

    async def _read(self, work: Callable[[Snapshot], T]) -> T:
        return await self._readers.read(work)

    # --- the log -------------------------------------------------------------------------

    async def append(self, batch: Sequence[Draft]) -> list[Outcome]:
        """Store a batch in order, in one transaction; handed over before the first checkpoint."""
        now_ms = self._clock.now_ms()
        return await self._writer.do(partial(append, self._ledger, tuple(batch), now_ms))

    async def room(self, room: str) -> RoomState | None:
        """Return where a room stands, or None."""
        return await self._read(partial(directory.state, room=room))

    async def rooms(self, rooms: Sequence[str], *, members_max: int) -> dict[str, StoredRoom]:
        """Return those that exist, by name, with their members unless there are too many."""
        return await self._read(partial(directory.rooms, rooms=rooms, members_max=members_max))

    async def room_names(self, *, after: str | None, limit: int) -> list[str]:
        """Return the names of rooms in order, those after `after`."""
        return await self._read(partial(directory.names, after=after, limit=limit))

    async def heads(self, rooms: Sequence[str]) -> dict[str, tuple[str, int]]:
        """Return `{room: (epoch, head)}` of those that exist."""
        return await self._read(partial(directory.heads, rooms=rooms))

    async def active_rooms(self, *, since: int, after: str | None, limit: int) -> list[str]:
        """Return rooms whose last entry is of `since` or later, by name, those after `after`."""
        return await self._read(
            partial(directory.active_rooms, since=since, after=after, limit=limit)
        )

    async def page(
        self, room: str, *, after: int, upto: int, limit: int, bytes_max: int
    ) -> list[Record]:
        """Return records with `after < seq <= upto`, ascending."""
        return await self._read(
            lambda snapshot: reading.page(
                snapshot, room, after=after, upto=upto, limit=limit, bytes_max=bytes_max
            )
        )

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
        return await self._read(
            lambda snapshot: reading.history(
                snapshot,
                room,
                user,
                before=before,
                after=after,
                limit=limit,
                bytes_max=bytes_max,
            )
        )

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
        needed = asked(words)
        one = searching.Search(room, user, needed)
        notes: list[searching.Note] = []

        async def page(before: int | None, size: int) -> Page | None:
            looked = await self._read(partial(one.page, before=before, limit=size))
            if looked is None:
                return None
            notes.extend(looked.notes)
            return looked.page

        found = await search_pages(page, needed, before=before, limit=limit, scan_max=scan_max)
        await self._keep(notes)
        return found

    async def _keep(self, notes: Sequence[searching.Note]) -> None:
        """Keep what a search has found of runs, for the next one."""
        try:
            for first in range(0, len(notes), searching.NOTES_PER_STEP):
                some = notes[first : first + searching.NOTES_PER_STEP]
                await self._write(partial(searching.keep, self._ledger, some))
        except StoreError:
            # What was found is right without, and the next search tries again.
            logger.warning("a search could not keep what it has read", exc_info=True)

    async def find(self, room: str, sender: str, cid: str) -> Duplicate | None:
        """Return what a cid became, or None."""
        return await self._read(lambda snapshot: reading.find(snapshot, room, sender, cid))

    async def n_at(self, room: str, seq: int) -> int:
        """Return how many messages the room had at `seq`."""
        return await self._read(lambda snapshot: reading.n_at(snapshot, room, seq))

    # --- members and inboxes -------------------------------------------------------------

    async def members(self, room: str, *, after: str | None, limit: int) -> list[Membership]:
        """Return members by user name, those after `after`."""
        return await self._read(partial(directory.members, room=room, after=after, limit=limit))

    async def membership(self, room: str, user: str) -> Membership | None:
        """Return one membership, or None."""
        return await self._read(partial(directory.membership, room=room, user=user))

    async def inbox(self, user: str, *, after: str | None, limit: int) -> list[InboxItem]:
        """Return the user's rooms by name, those after `after`."""
        return await self._read(partial(directory.inbox, user=user, after=after, limit=limit))

    async def inbox_of(self, user: str, rooms: Sequence[str]) -> list[InboxItem]:
        """Return those of `rooms` the user is a member of, by name."""
        return await self._read(partial(directory.inbox_of, user=user, rooms=rooms))

    async def positions(self, user: str, *, limit: int) -> list[tuple[str, str, int, int]]:
        """Return `(room, epoch, head, read)` of the user's rooms by name, at most `limit`."""
        return await self._read(partial(directory.positions, user=user, limit=limit))

    async def marks(self, room: str, *, seq: int, after: str | None, limit: int) -> list[Mark]:
        """Return marks with `delivered >= seq` or `read >= seq`, by user, those after `after`."""
        return await self._read(
            partial(directory.marks, room=room, seq=seq, after=after, limit=limit)
        )

    async def put_marks(self, marks: Sequence[Mark]) -> None:
        """Move marks forward."""
        await self._write(lambda: directory.put_marks(self._ledger.connection, marks))

    # --- people --------------------------------------------------------------------------

    async def acquainted(self, user: str, others: Sequence[str]) -> list[str]:
        """Return those of `others`, in their order, who share a room that is not public."""
        return await self._read(partial(directory.acquainted, user=user, others=others))

    async def people(self, users: Sequence[str]) -> list[Person]:
        """Return what is kept of these users, in their order."""
        return await self._read(partial(directory.people, users=users))

    async def put_people(self, people: Sequence[Person]) -> None:
        """Keep each person's status, and `last_seen` unless the stored one is greater."""
        await self._write(lambda: directory.put_people(self._ledger.connection, people))

    async def show_to(self, user: str, visible_to: VisibleTo) -> None:
        """Keep who may see a user."""
        connection = self._ledger.connection
        await self._write(lambda: directory.show_to(connection, user, visible_to))

    async def forget(self, user: str) -> None:
        """Keep nothing of a user but their revocation."""
        await self._write(lambda: directory.forget(self._ledger.connection, user))

    async def revoke(self, revocation: Revocation) -> None:
        """Keep a revocation; the greatest `not_before` of a subject wins."""
        await self._writer.do(partial(self._revoke, revocation))

    def _revoke(self, revocation: Revocation) -> None:
        connection = self._ledger.connection
        try:
            self._ledger.write(lambda: directory.revoke(connection, revocation))
            self._revocations.keep(connection, revocation)
        except BaseException:
            self._revocations.doubt()
            raise

    async def revoked(self, *subjects: str) -> int:
        """Return the greatest `not_before` of these subjects in ms, 0 if nothing is revoked."""
        known = self._revocations.known(*subjects)
        if known is None:
            return await self._read(partial(directory.revoked, subjects=subjects))
        await trio.lowlevel.checkpoint()
        return known

    async def revocations(self, *, since: int, after: str | None, limit: int) -> list[Revocation]:
        """Return revocations with `not_before >= since` (ms), by subject, those after `after`."""
        return await self._read(
            partial(directory.revocations, since=since, after=after, limit=limit)
        )

    def revoked_now(self, *subjects: str) -> int | None:
        """Do what `revoked` does, if that is known in memory."""
        return self._revocations.known(*subjects)

    async def forget_revocations(self, *, older_than: int, limit: int) -> int:
        """Forget families with `not_before < older_than` (ms), at most `limit`."""
        forget = partial(self._forget_revocations, older_than=older_than, limit=limit)
        return await self._writer.do(forget)

    def _forget_revocations(self, *, older_than: int, limit: int) -> int:
        connection = self._ledger.connection
        gone = self._ledger.write(
            lambda: directory.forget_revocations(connection, older_than=older_than, limit=limit)
        )
        self._revocations.forget(connection, gone)
        return len(gone)

    async def load_revocations(self) -> None:
        """Have `revoked` answer from memory."""
        connection = self._ledger.connection
        await self._write(lambda: self._revocations.load(connection))

    # --- keeping -------------------------------------------------------------------------

    async def prune(
        self, *, older_than: int, entries_max: int, limit: int
    ) -> list[tuple[str, int, int]]:
        """Remove the oldest entries, step by step; see `retention`."""
        await self._settle()
        due = partial(retention.due, older_than=older_than, entries_max=entries_max)
        remove = partial(retention.remove, older_than=older_than, entries_max=entries_max)
        floors: dict[str, retention.Step] = {}
        rounds = 0
        # The first round may have begun in the middle.
        while limit > 0 and rounds < 2:
            found = await self._read(partial(due, after_room=self._due_after_room))
            rooms = found.rooms
            while rooms and limit > 0:
                most = min(limit, retention.ROWS_PER_STEP)
                steps = await self._write(partial(remove, self._ledger, rooms, limit=most))
                limit -= sum(step.removed for step in steps)
                floors.update({step.due.name: step for step in steps if step.removed})
                unfinished = [step.due for step in steps if not step.is_done]
                rooms = unfinished + rooms[len(steps) :]
            if not rooms:
                self._due_after_room = found.next_room or 0
                rounds += found.next_room is None
        for step in floors.values():
            while await self._write(partial(retention.sweep, self._ledger, step)):
                pass
        return [(name, step.floor, step.floor_n) for name, step in floors.items()]

    async def prune_cids(self, *, older_than: int, limit: int) -> int:
        """Forget cids of drafts older than `older_than` (ms), at most `limit`."""
        await self._settle()
        count = 0
        is_done = False
        while count < limit and not is_done:
            step = partial(
                self._ledger.forgetting.step,
                self._ledger.connection,
                older_than=older_than,
                limit=min(limit - count, retention.ROWS_PER_STEP),
            )
            forgotten, is_done = await self._write(step)
            count += forgotten
        return count

    async def clear_deleted(self, *, limit: int) -> list[tuple[str, str]] | None:
        """Remove what deleted rooms have left behind, step by step; see `deleting`."""
        room = await self._read(deleting.left)
        if room is None:
            return None
        ledger, most = self._ledger, min(limit, retention.ROWS_PER_STEP)
        users = await self._write(lambda: deleting.unseat(ledger, room, most))
        if users:
            return [(room.name, user) for user in users]
        if not room.is_folded:
            await self._settle()
            while await self._write(partial(deleting.clear_journal, ledger)):
                pass
            await self._write(lambda: deleting.folded(ledger, room))
        removed = 1
        while limit > 0 and removed:
            removed = await self._write(lambda: deleting.remove(ledger, room))
            limit -= removed
        return []

    async def _settle(self) -> None:
        """Have all that is stored by now folded, so that tables alone know it."""
        ledger = self._ledger
        upto = await self._writer.do(lambda: ledger.next_batch - 1)
        while await self._write(
            lambda: ledger.upkeep.settle(ledger.connection, upto, retention.ROWS_PER_STEP)
        ):
            pass

    async def new_generation(self) -> str:
        """Begin a new epoch in every room, from its head + 1, and return its name."""
        epoch = self._entropy.token()
        await self._write(lambda: directory.new_generation(self._ledger, epoch))
        return epoch
