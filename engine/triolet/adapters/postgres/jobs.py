"""Jobs in PostgreSQL: one call of a function each, which is one round trip."""

from collections.abc import Sequence
from typing import Final, final

from ...ports.jobs import (
    ERROR_CHARS_MAX,
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
from .._job_rows import CODES, job_of
from .kinds import BYTEAS, INT2, INT2S, INT4S, INT8, INT8S, TEXT, TEXTS
from .pool import Pool
from .statement import Row, Statement

COLUMNS: Final = (
    "id, kind, key, payload, priority, due_at, attempts_max, state, attempts, added_at, "
    "lease_until, error, finished_at, lost"
)
_ADD: Final = Statement(
    "SELECT * FROM triolet.add_jobs($1, $2, $3, $4, $5, $6, $7)",
    *(INT8, TEXTS, TEXTS, BYTEAS, INT2S, INT8S, INT4S),
    writes=True,
)
_CLAIM: Final = Statement(
    f"SELECT {COLUMNS} FROM triolet.claim_jobs($1, $2, $3, $4, $5, $6)",  # noqa: S608 - ours
    *(TEXTS, INT8, INT8, INT8, INT8, TEXT),
    writes=True,
)
_CLAIM_ALONE: Final = Statement(
    f"SELECT {COLUMNS} FROM triolet.claim_job_alone($1, $2, $3)",  # noqa: S608 - ours
    *(TEXTS, INT8, INT8),
    writes=True,
)
_FINISH: Final = Statement(
    "SELECT * FROM triolet.finish_jobs($1, $2, $3, $4, $5, $6)",
    *(INT8, INT8S, INT4S, INT2S, TEXTS, INT8S),
    writes=True,
)
_EXTEND: Final = Statement(
    "SELECT * FROM triolet.extend_jobs($1, $2, $3)", INT8S, INT4S, INT8, writes=True
)
_WITHDRAW: Final = Statement("SELECT triolet.withdraw_jobs($1, $2)", TEXT, TEXTS, writes=True)
_NEXT_DUE: Final = Statement(
    "SELECT triolet.next_job_due($1), triolet.next_job_due_alone($1)", TEXTS
)
_LISTED: Final = Statement(
    f"SELECT {COLUMNS} FROM triolet.jobs_listed($1, $2, $3, $4)",  # noqa: S608 - ours
    *(INT2, TEXT, INT8, INT8),
)
_COUNTS: Final = Statement("SELECT * FROM triolet.count_jobs()")
_REQUEUE: Final = Statement("SELECT triolet.requeue_jobs($1, $2)", INT8S, INT8, writes=True)
_DROP: Final = Statement("SELECT triolet.drop_jobs($1)", INT8S, writes=True)
_PRUNE: Final = Statement("SELECT triolet.prune_jobs($1, $2)", INT8, INT8, writes=True)


@final
class PostgresJobs(JobStore):
    """Any node may take any job: the functions see to it that one does."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add(self, jobs: Sequence[NewJob], *, now: int) -> list[bool]:
        """Keep jobs, and return which are new."""
        rows = await self._pool.run(
            _ADD,
            now,
            [job.kind for job in jobs],
            [job.key for job in jobs],
            [job.payload for job in jobs],
            [job.priority for job in jobs],
            [job.due_at or now for job in jobs],
            [job.attempts_max for job in jobs],
        )
        return _marked(len(jobs), rows)

    async def claim(
        self, kinds: Sequence[str], *, now: int, lease_until: int, limit: int, ahead: int = 0
    ) -> list[Job]:
        """Take up to `limit` jobs that are due."""
        rows = await self._pool.run(
            _CLAIM, list(kinds), now, lease_until, limit, ahead, LEASE_ENDED
        )
        return [job_of(row) for row in rows]

    async def claim_alone(self, kinds: Sequence[str], *, now: int, lease_until: int) -> Job | None:
        """Take the first job that is due of those that are claimed alone."""
        rows = await self._pool.run(_CLAIM_ALONE, list(kinds), now, lease_until)
        return job_of(rows[0]) if rows else None

    async def finish(self, endings: Sequence[Ending], *, now: int) -> list[bool]:
        """Say what became of attempts."""
        rows = await self._pool.run(
            _FINISH,
            now,
            [ending.lease.id for ending in endings],
            [ending.lease.attempt for ending in endings],
            [_fate(ending) for ending in endings],
            [ending.error[:ERROR_CHARS_MAX] for ending in endings],
            [
                now if ending.is_returned and ending.retry_at is None else ending.retry_at
                for ending in endings
            ],
        )
        return _marked(len(endings), rows)

    async def extend(self, leases: Sequence[Lease], *, lease_until: int) -> list[bool]:
        """Keep jobs longer."""
        ids, attempts = [lease.id for lease in leases], [lease.attempt for lease in leases]
        rows = await self._pool.run(_EXTEND, ids, attempts, lease_until)
        return _marked(len(leases), rows)

    async def withdraw(self, kind: str, keys: Sequence[str]) -> int:
        """Remove jobs that wait."""
        return await self._count(_WITHDRAW, kind, list(keys))

    async def next_due(self, kinds: Sequence[str]) -> NextDue:
        """Return when the next jobs may be claimed."""
        ((at, alone_at),) = await self._pool.run(_NEXT_DUE, list(kinds))
        return NextDue(at, alone_at)

    async def listed(
        self, state: JobState, *, kind: str = "", after: int = 0, limit: int
    ) -> list[Job]:
        """Return jobs in a state, the newest first."""
        below = after or 2**63 - 1
        rows = await self._pool.run(_LISTED, CODES[state], kind, below, limit)
        return [job_of(row) for row in rows]

    async def requeue(self, ids: Sequence[int], *, now: int) -> int:
        """Let dead jobs wait again with all their attempts, due at once."""
        return await self._count(_REQUEUE, list(ids), now)

    async def drop(self, ids: Sequence[int]) -> int:
        """Remove dead jobs."""
        return await self._count(_DROP, list(ids))

    async def counts(self) -> list[JobCounts]:
        """Return how many jobs there are, by kind."""
        return [
            JobCounts(kind=kind, waiting=waiting, running=running, dead=dead, oldest_due_at=due_at)
            for kind, waiting, running, dead, due_at in await self._pool.run(_COUNTS)
        ]

    async def prune(self, *, done_before: int, limit: int) -> int:
        """Forget jobs done before a moment (ms)."""
        return await self._count(_PRUNE, done_before, limit)

    async def _count(self, statement: Statement, *parameters: object) -> int:
        ((count,),) = await self._pool.run(statement, *parameters)
        return int(count)


def _fate(ending: Ending) -> int:
    return 2 if ending.is_returned else 1 if ending.error else 0


def _marked(count: int, rows: Sequence[Row]) -> list[bool]:
    """Return which of so many are named by rows, which count from 1."""
    marked = [False] * count
    for (place,) in rows:
        marked[place - 1] = True
    return marked
