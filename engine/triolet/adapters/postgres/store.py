"""The store in PostgreSQL: every node's, one log, one round trip a call."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import final

from msgspec.structs import replace

from ..._model.commands import VisibleTo
from ..._model.entries import Record
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
from .._search import search
from . import deleting, keeping, reading
from .appending import Appender
from .documents import PostgresDocuments
from .foreign import ForeignCids
from .identity import refuse_unfinished
from .jobs import PostgresJobs
from .migrations import migrate
from .pool import Pool, open_pool
from .retention import Retention
from .schema import steps


@asynccontextmanager
async def open_postgres_store(
    url: str, *, clock: Clock, entropy: Entropy, limits: Limits
) -> AsyncIterator[Store]:
    """Open the store in the database at `url`, whose schema is made or brought up to date first.

    Any number of nodes may have it open. Connections: one for appends, and up to
    `Limits.postgres_connections_max` for all else.

    Args:
        url: `postgresql://…` as libpq reads it; see `address`.
        clock: what `at` is taken from.
        entropy: names epochs.
        limits: what may wait, how long, and how many at once.

    Raises:
        ConfigurationError: the URL is none, the database's encoding is not UTF-8, or it holds an
            unfinished copy.
        SchemaTooNew: a newer Triolet has written it.
        StoreUnavailable: it cannot be reached, or not be written.
    """
    await migrate(url, steps(), timeout_s=limits.postgres_connect_timeout_s)
    lane = open_pool(url, entropy=entropy, limits=replace(limits, postgres_connections_max=1))
    async with lane as writing, open_pool(url, entropy=entropy, limits=limits) as pool:
        await refuse_unfinished(writing.run)
        foreign = ForeignCids()
        await foreign.load(writing.run)
        appender = Appender(writing, foreign, clock=clock, entropy=entropy, limits=limits)
        await appender.begin()
        yield PostgresStore(appender, pool, foreign, clock=clock)


@final
class PostgresStore(Store):
    """What the port promises, in terms of the functions in `sql`."""

    def __init__(
        self, appender: Appender, pool: Pool, foreign: ForeignCids, *, clock: Clock
    ) -> None:
        self._appender = appender
        self._foreign = foreign
        self._pool = pool
        self._retention = Retention(pool)
        self.documents = PostgresDocuments(pool, clock)
        self.jobs = PostgresJobs(pool)

    # --- the log -------------------------------------------------------------------------

    async def append(self, batch: Sequence[Draft]) -> list[Outcome]:
        """Store a batch in order, in one transaction; in the order of the calls."""
        return await self._appender.append(batch)

    async def room(self, room: str) -> RoomState | None:
        """Return where a room stands, or None."""
        rows = await self._pool.run(reading.ROOMS, [room], -1)
        return reading.stored_room(rows[0]).state if rows else None

    async def rooms(self, rooms: Sequence[str], *, members_max: int) -> dict[str, StoredRoom]:
        """Return those that exist, by name, with their members unless there are too many."""
        rows = await self._pool.run(reading.ROOMS, list(rooms), members_max)
        found = [reading.stored_room(row) for row in rows]
        return {stored.state.room: stored for stored in found}

    async def room_names(self, *, after: str | None, limit: int) -> list[str]:
        """Return the names of rooms in order, those after `after`."""
        rows = await self._pool.run(reading.NAMES, after or reading.BEGINNING, limit)
        return [name for (name,) in rows]

    async def heads(self, rooms: Sequence[str]) -> dict[str, tuple[str, int]]:
        """Return `{room: (epoch, head)}` of those that exist."""
        rows = await self._pool.run(reading.HEADS, list(rooms))
        return {name: (epoch, head) for name, epoch, head in rows}

    async def active_rooms(self, *, since: int, after: str | None, limit: int) -> list[str]:
        """Return rooms whose last entry is of `since` or later, by name, those after `after`."""
        rows = await self._pool.run(reading.ACTIVE_ROOMS, since, after or "", limit)
        return [name for (name,) in rows]

    async def page(
        self, room: str, *, after: int, upto: int, limit: int, bytes_max: int
    ) -> list[Record]:
        """Return records with `after < seq <= upto`, ascending."""
        rows = await self._pool.run(reading.PAGE, room, after, upto, limit, bytes_max)
        return reading.records(room, rows, bytes_max=bytes_max)

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
        rows = await self._pool.run(reading.HISTORY, room, user, before, after, limit, bytes_max)
        is_forward = before is None and after is not None
        return reading.history(rows, is_forward=is_forward, bytes_max=bytes_max)

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
        rows = await self._pool.run(reading.FIND, room, sender, cid)
        if rows:
            return Duplicate(*rows[0])
        name = (room, sender, cid)
        found = (await self._foreign.find(self._pool.run, [name])).get(name)
        return found or await deleting.first(self._pool.run, *name)

    async def n_at(self, room: str, seq: int) -> int:
        """Return how many messages the room had at `seq`."""
        rows = await self._pool.run(reading.N_AT, room, seq)
        return int(rows[0][0]) if rows else 0

    # --- members and inboxes -------------------------------------------------------------

    async def members(self, room: str, *, after: str | None, limit: int) -> list[Membership]:
        """Return members by user name, those after `after`."""
        rows = await self._pool.run(
            reading.MEMBERS, room, after or reading.BEGINNING, 0, limit, None
        )
        return [reading.membership(row) for row in rows]

    async def membership(self, room: str, user: str) -> Membership | None:
        """Return one membership, or None."""
        rows = await self._pool.run(reading.MEMBERS, room, reading.BEGINNING, 0, 1, user)
        return reading.membership(rows[0]) if rows else None

    async def inbox(self, user: str, *, after: str | None, limit: int) -> list[InboxItem]:
        """Return the user's rooms by name, those after `after`."""
        rows = await self._pool.run(reading.INBOX, user, after or reading.BEGINNING, limit, None)
        return reading.inbox_items(user, rows)

    async def inbox_of(self, user: str, rooms: Sequence[str]) -> list[InboxItem]:
        """Return those of `rooms` the user is a member of, by name."""
        names = list(dict.fromkeys(rooms))
        rows = await self._pool.run(reading.INBOX, user, reading.BEGINNING, 0, names)
        return reading.inbox_items(user, rows)

    async def positions(self, user: str, *, limit: int) -> list[tuple[str, str, int, int]]:
        """Return `(room, epoch, head, read)` of the user's rooms by name, at most `limit`."""
        rows = await self._pool.run(reading.POSITIONS, user, limit)
        return [(room, epoch, head, read) for room, epoch, head, read in rows]

    async def marks(self, room: str, *, seq: int, after: str | None, limit: int) -> list[Mark]:
        """Return marks with `delivered >= seq` or `read >= seq`, by user, those after `after`."""
        rows = await self._pool.run(
            reading.MEMBERS, room, after or reading.BEGINNING, seq, limit, None
        )
        return [
            Mark(room=room, user=user, delivered=delivered, read=read, read_n=read_n)
            for user, _, delivered, read, read_n in rows
        ]

    async def put_marks(self, marks: Sequence[Mark]) -> None:
        """Move marks forward."""
        if marks:
            await self._pool.run(keeping.PUT_MARKS, *keeping.marks_columns(marks))

    # --- people --------------------------------------------------------------------------

    async def acquainted(self, user: str, others: Sequence[str]) -> list[str]:
        """Return those of `others`, in their order, who share a room that is not public."""
        rows = await self._pool.run(reading.ACQUAINTED, user, list(others))
        return [other for (other,) in rows]

    async def people(self, users: Sequence[str]) -> list[Person]:
        """Return what is kept of these users, in their order."""
        rows = await self._pool.run(reading.PEOPLE, list(dict.fromkeys(users)))
        found = {row[0]: Person(*row) for row in rows}
        return [found.get(user) or Person(user) for user in users]

    async def put_people(self, people: Sequence[Person]) -> None:
        """Keep each person's status, and `last_seen` unless the stored one is greater."""
        if people:
            await self._pool.run(keeping.PUT_PEOPLE, *keeping.people_columns(people))

    async def show_to(self, user: str, visible_to: VisibleTo) -> None:
        """Keep who may see a user."""
        await self._pool.run(keeping.SHOW_TO, user, visible_to)

    async def forget(self, user: str) -> None:
        """Keep nothing of a user but their revocation."""
        await self._pool.run(keeping.FORGET, user)

    async def revoke(self, revocation: Revocation) -> None:
        """Keep a revocation; the greatest `not_before` of a subject wins."""
        await self._pool.run(keeping.REVOKE, revocation.subject, revocation.not_before)

    async def revoked(self, *subjects: str) -> int:
        """Return the greatest `not_before` of these subjects in ms, 0 if nothing is revoked."""
        rows = await self._pool.run(reading.REVOKED, list(subjects))
        return int(rows[0][0])

    async def revocations(self, *, since: int, after: str | None, limit: int) -> list[Revocation]:
        """Return revocations with `not_before >= since` (ms), by subject, those after `after`."""
        rows = await self._pool.run(
            reading.REVOCATIONS, since, after or reading.BEGINNING, limit, None
        )
        return [Revocation(subject, not_before) for subject, not_before in rows]

    async def forget_revocations(self, *, older_than: int, limit: int) -> int:
        """Forget families with `not_before < older_than` (ms), at most `limit`."""
        rows = await self._pool.run(keeping.FORGET_REVOCATIONS, older_than, limit)
        return int(rows[0][0])

    # --- keeping -------------------------------------------------------------------------

    async def prune(
        self, *, older_than: int, entries_max: int, limit: int
    ) -> list[tuple[str, int, int]]:
        """Remove the oldest entries, step by step; see `retention`."""
        return await self._retention.prune(
            older_than=older_than, entries_max=entries_max, limit=limit
        )

    async def prune_cids(self, *, older_than: int, limit: int) -> int:
        """Forget cids of drafts older than `older_than` (ms), at most `limit`."""
        return await self._retention.prune_cids(older_than=older_than, limit=limit)

    async def clear_deleted(self, *, limit: int) -> list[tuple[str, str]] | None:
        """Remove about `limit` rows of what deleted rooms have left behind."""
        return await deleting.clear(self._pool.run, limit=limit)

    async def new_generation(self) -> str:
        """Begin a new epoch in every room, from its head + 1, and return its name."""
        return await self._appender.new_generation()
