"""Jobs in the file: a row each, and partial indexes by which each call costs its own rows alone.

A claim goes from priority to priority by `jobs_waiting`, so neither what is done nor a million
jobs that are not due yet are in its way; those that are claimed alone are in `jobs_alone`.
"""

import sqlite3
from collections.abc import Sequence
from functools import partial
from itertools import takewhile
from typing import Final, final

from ...ports.jobs import (
    ERROR_CHARS_MAX,
    JOBS_MAX,
    LEASE_ENDED,
    Ending,
    Job,
    JobCounts,
    JobState,
    JobStore,
    Lease,
    NewJob,
    NextDue,
)
from .._job_rows import job_of
from .bulk import Among, Bulk, Params
from .grouping import Grouping
from .job_lanes import due_jobs, first_due
from .job_lists import counts, listed
from .ledger import Ledger
from .readers import Readers
from .snapshot import Snapshot

# Jobs of one statement.
_PAGE: Final = 256

_ADD: Final = Bulk(
    "INSERT INTO jobs (kind, key, payload, priority, due_at, attempts_max, added_at) VALUES ",
    "(?,?,?,?,?,?,?)",
    " ON CONFLICT (kind, key) DO NOTHING RETURNING kind, key",
)
_FIRST_LEASE: Final = "SELECT min(lease_until) FROM jobs WHERE state = 1 AND kind = ?"
_LET_GO: Final = """
    UPDATE jobs SET lease_until = 0, error = ?1, lost = lost + 1,
        attempts_max = attempts_max + (lost = 0 AND attempts < attempts_max),
        state = CASE WHEN attempts >= attempts_max THEN 3 ELSE 0 END,
        finished_at = CASE WHEN attempts >= attempts_max THEN ?2 ELSE 0 END
    WHERE id IN (SELECT id FROM jobs WHERE state = 1 AND kind = ?3 AND lease_until <= ?2 LIMIT ?4)
"""
_TAKE: Final = Among(
    "UPDATE jobs SET state = 1, attempts = attempts + 1, lease_until = ? WHERE id IN ({}) "
    "RETURNING *"
)
# In each of these: the lease's job and attempt come first.
_HELD: Final = "WHERE jobs.id = e.column1 AND jobs.attempts = e.column2 AND jobs.state = 1"
_DONE: Final = Bulk(
    "UPDATE jobs SET state = 2, payload = x'', lease_until = 0, finished_at = e.column3 "
    "FROM (VALUES ",
    "(?,?,?)",
    f") e {_HELD} RETURNING jobs.id, jobs.attempts",
)
_FAIL: Final = Bulk(
    "UPDATE jobs SET lease_until = 0, error = e.column3, "
    "state = CASE WHEN e.column4 IS NULL OR attempts >= attempts_max THEN 3 ELSE 0 END, "
    "due_at = CASE WHEN e.column4 IS NULL OR attempts >= attempts_max THEN due_at "
    "ELSE e.column4 END, "
    "finished_at = CASE WHEN e.column4 IS NULL OR attempts >= attempts_max THEN e.column5 "
    "ELSE 0 END FROM (VALUES ",
    "(?,?,?,?,?)",
    f") e {_HELD} RETURNING jobs.id, jobs.attempts",
)
_RETURN: Final = Bulk(
    "UPDATE jobs SET lease_until = 0, state = 0, attempts_max = attempts_max + 1, "
    "error = CASE WHEN e.column3 = '' THEN error ELSE e.column3 END, due_at = e.column4 "
    "FROM (VALUES ",
    "(?,?,?,?)",
    f") e {_HELD} RETURNING jobs.id, jobs.attempts",
)
_EXTEND: Final = Bulk(
    "UPDATE jobs SET lease_until = e.column3 FROM (VALUES ",
    "(?,?,?)",
    f") e {_HELD} RETURNING jobs.id, jobs.attempts",
)
_WITHDRAW: Final = "DELETE FROM jobs WHERE kind = ? AND key = ? AND state = 0"
_DEAD: Final = "SELECT * FROM jobs WHERE id = ? AND state = 3"
_DROP: Final = "DELETE FROM jobs WHERE id = ? AND state = 3"
_REQUEUE: Final = (
    "INSERT INTO jobs (kind, key, payload, priority, due_at, attempts_max, added_at, error, lost) "
    "VALUES (?,?,?,?,?,?,?,?,?)"
)
_PRUNE: Final = (
    "DELETE FROM jobs WHERE id IN "
    "(SELECT id FROM jobs WHERE state = 2 AND finished_at < ? ORDER BY finished_at LIMIT ?)"
)


@final
class SqliteJobs(JobStore):
    """Reads are of a snapshot; writes that wait at the same time are one transaction."""

    def __init__(self, readers: Readers, grouping: Grouping, ledger: Ledger) -> None:
        self._read = readers.read
        self._write = grouping.do
        self._ledger = ledger

    async def add(self, jobs: Sequence[NewJob], *, now: int) -> list[bool]:
        """Keep jobs, and return which are new."""
        return await self._write(partial(add, self._ledger, tuple(jobs), now))

    async def claim(
        self, kinds: Sequence[str], *, now: int, lease_until: int, limit: int, ahead: int = 0
    ) -> list[Job]:
        """Take up to `limit` jobs that are due."""
        work = partial(claim, now=now, lease_until=lease_until, limit=limit, ahead=ahead)
        return await self._write(partial(work, self._ledger.connection, tuple(kinds)))

    async def claim_alone(self, kinds: Sequence[str], *, now: int, lease_until: int) -> Job | None:
        """Take the first job that is due of those that are claimed alone."""
        work = partial(claim_alone, now=now, lease_until=lease_until)
        return await self._write(partial(work, self._ledger.connection, tuple(kinds)))

    async def finish(self, endings: Sequence[Ending], *, now: int) -> list[bool]:
        """Say what became of attempts."""
        return await self._write(partial(finish, self._ledger.connection, tuple(endings), now))

    async def extend(self, leases: Sequence[Lease], *, lease_until: int) -> list[bool]:
        """Keep jobs longer."""
        return await self._write(
            partial(extend, self._ledger.connection, tuple(leases), lease_until)
        )

    async def withdraw(self, kind: str, keys: Sequence[str]) -> int:
        """Remove jobs that wait."""
        rows = [(kind, key) for key in keys]
        return await self._write(
            lambda: self._ledger.connection.executemany(_WITHDRAW, rows).rowcount if rows else 0
        )

    async def next_due(self, kinds: Sequence[str]) -> NextDue:
        """Return when the next jobs may be claimed."""
        return await self._read(partial(next_due, kinds=tuple(kinds)))

    async def listed(
        self, state: JobState, *, kind: str = "", after: int = 0, limit: int
    ) -> list[Job]:
        """Return jobs in a state, the newest first."""
        return await self._read(partial(listed, state=state, kind=kind, after=after, limit=limit))

    async def requeue(self, ids: Sequence[int], *, now: int) -> int:
        """Let dead jobs wait again with all their attempts, due at once."""
        return await self._write(partial(requeue, self._ledger.connection, tuple(ids), now))

    async def drop(self, ids: Sequence[int]) -> int:
        """Remove dead jobs."""
        rows = [(job_id,) for job_id in ids]
        return await self._write(
            lambda: self._ledger.connection.executemany(_DROP, rows).rowcount if rows else 0
        )

    async def counts(self) -> list[JobCounts]:
        """Return how many jobs there are, by kind."""
        return await self._read(counts)

    async def prune(self, *, done_before: int, limit: int) -> int:
        """Forget jobs done before a moment (ms)."""
        return await self._write(
            lambda: self._ledger.connection.execute(_PRUNE, (done_before, limit)).rowcount
        )


# --- in the writer's thread --------------------------------------------------------------


def add(ledger: Ledger, jobs: Sequence[NewJob], now: int) -> list[bool]:
    """Keep jobs, and return which are new."""
    params: Params = []
    for job in jobs:
        due_at = job.due_at or now
        params += (job.kind, job.key, job.payload, job.priority, due_at, job.attempts_max, now)
    new = {(kind, key): True for rows in _ADD.each(ledger.connection, params) for kind, key in rows}
    ledger.document_bytes += sum(len(job.payload) for job in jobs)
    # Of two that are the same the first one is new.
    return [new.pop((job.kind, job.key), False) for job in jobs]


def claim(
    connection: sqlite3.Connection,
    kinds: Sequence[str],
    *,
    now: int,
    lease_until: int,
    limit: int,
    ahead: int,
) -> list[Job]:
    """Take up to `limit` jobs that are due, in their order."""
    for kind in kinds:
        connection.execute(_LET_GO, (LEASE_ENDED, now, kind, JOBS_MAX))
    due = sorted(row for kind in kinds for row in due_jobs(connection, kind, now, limit))
    begin = limit - ahead
    after = takewhile(lambda row: row[-1], due[begin:limit])
    ids = [job_id for _, _, job_id, _ in (*due[:begin], *after)]
    return _take(connection, ids, lease_until)


def claim_alone(
    connection: sqlite3.Connection, kinds: Sequence[str], *, now: int, lease_until: int
) -> Job | None:
    """Take the first job that is due of those that are claimed alone."""
    due = sorted(row for kind in kinds for row in due_jobs(connection, kind, now, 1, alone=True))
    return _take(connection, [due[0][2]], lease_until)[0] if due else None


def _take(connection: sqlite3.Connection, ids: Sequence[int], lease_until: int) -> list[Job]:
    taken: dict[int, Job] = {}
    for start in range(0, len(ids), _PAGE):
        rows = _TAKE.execute(connection, [*ids[start : start + _PAGE]], lease_until)
        taken.update((row[0], job_of(row)) for row in rows.fetchall())
    return [taken[job_id] for job_id in ids]


def finish(connection: sqlite3.Connection, endings: Sequence[Ending], now: int) -> list[bool]:
    """Say what became of attempts; return for each whether the lease still held."""
    done: Params = []
    failed: Params = []
    returned: Params = []
    for ending in endings:
        lease, error = ending.lease, ending.error[:ERROR_CHARS_MAX]
        if ending.is_returned:
            retry_at = now if ending.retry_at is None else ending.retry_at
            returned += (lease.id, lease.attempt, error, retry_at)
        elif error:
            failed += (lease.id, lease.attempt, error, ending.retry_at, now)
        else:
            done += (lease.id, lease.attempt, now)
    bulks = ((_DONE, done), (_FAIL, failed), (_RETURN, returned))
    held = {
        Lease(*row): True
        for bulk, params in bulks
        for rows in bulk.each(connection, params)
        for row in rows.fetchall()
    }
    return [held.pop(ending.lease, False) for ending in endings]


def extend(connection: sqlite3.Connection, leases: Sequence[Lease], lease_until: int) -> list[bool]:
    """Keep jobs longer; return for each whether it is still the caller's."""
    params: Params = []
    for lease in leases:
        params += (lease.id, lease.attempt, lease_until)
    held = {Lease(*row) for rows in _EXTEND.each(connection, params) for row in rows.fetchall()}
    return [lease in held for lease in leases]


def requeue(connection: sqlite3.Connection, ids: Sequence[int], now: int) -> int:
    """Let dead jobs wait again with all their attempts, due at once; return how many."""
    count = 0
    for job_id in ids:
        row = connection.execute(_DEAD, (job_id,)).fetchone()
        if row is None:
            continue
        job = job_of(row)
        connection.execute(_DROP, (job_id,))
        fields = (job.kind, job.key, job.payload, job.priority, now, job.attempts_max)
        connection.execute(_REQUEUE, (*fields, job.added_at, job.error, job.lost))
        count += 1
    return count


# --- on a snapshot -----------------------------------------------------------------------


def next_due(snapshot: Snapshot, kinds: Sequence[str]) -> NextDue:
    """Return when the next jobs may be claimed."""
    connection = snapshot.connection
    leases = [connection.execute(_FIRST_LEASE, (kind,)).fetchone()[0] for kind in kinds]
    together, alone = (
        [first_due(connection, kind, alone=alone) for kind in kinds] for alone in (False, True)
    )
    return NextDue(_first([*leases, *together]), _first(alone))


def _first(dues: Sequence[int | None]) -> int | None:
    return min((due for due in dues if due is not None), default=None)
