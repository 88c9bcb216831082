"""Jobs: how the queue does, and what is dead, to be tried again or given up."""

from typing import Annotated, Final, Literal, TypeAlias, final

from msgspec import Meta, Struct

from triolet._model.errors import ErrorCode
from triolet._runtime.engine import Engine
from triolet.ports.jobs import Job, JobCounts, JobState

from ..endpoints import Access, Call, endpoint
from ..logs import mask

JobId: TypeAlias = Annotated[int, Meta(ge=1, lt=2**53)]
JobIds: TypeAlias = Annotated[tuple[JobId, ...], Meta(min_length=1, max_length=200)]
# What a failure said may be a page of somebody's.
_ERROR_CHARACTERS_MAX: Final = 500


@final
class JobsQuery(Struct, frozen=True):
    """Which page: jobs in a state, of one kind or all; those with ids below `after`."""

    state: Literal["waiting", "running", "done", "dead"] = "dead"
    kind: Annotated[str, Meta(max_length=64, pattern=r"^[^\x00]*\Z")] = ""
    after: Annotated[int, Meta(ge=0, lt=2**53)] = 0
    limit: Annotated[int, Meta(ge=1, le=200)] = 50


@final
class AdminJobRow(Struct, frozen=True, kw_only=True):
    """A job, without what its handler is given: that is between the two.

    Attributes:
        attempts: begun so far, of `attempts_max`.
        error: what the last failed attempt said.
        finished_at: when it was done or died (ms), else 0.
    """

    id: int
    kind: str
    key: str
    state: str
    priority: int
    attempts: int
    attempts_max: int
    added_at: int
    due_at: int
    finished_at: int
    error: str


@final
class AdminJobsPage(Struct, frozen=True, omit_defaults=True):
    """Jobs, the newest first; how many there are of each kind; `next`: where the page ends."""

    jobs: tuple[AdminJobRow, ...]
    kinds: tuple[JobCounts, ...]
    next: int = 0


@final
class JobChoice(Struct, frozen=True):
    """Which dead jobs."""

    ids: JobIds


@final
class DroppedQuery(Struct, frozen=True):
    """Which dead jobs: `ids=1&ids=2`."""

    ids: JobIds


@final
class JobCount(Struct, frozen=True):
    """Of how many it was true: those that were dead."""

    count: int


@final
class AdminJobs:
    """Endpoints of jobs."""

    def __init__(self, engine: Engine) -> None:
        self._jobs = engine.jobs

    @endpoint(
        "GET",
        "/v1/admin/jobs",
        access=Access.ADMIN,
        rate="admin",
        refuses=(ErrorCode.STORE_UNAVAILABLE,),
    )
    async def list_all(self, call: Call, query: JobsQuery) -> AdminJobsPage:
        """List jobs in a state, the newest first."""
        del call
        found = await self._jobs.listed(
            JobState(query.state), kind=query.kind, after=query.after, limit=query.limit
        )
        counts = await self._jobs.statistics()
        after = found[-1].id if len(found) == query.limit else 0
        return AdminJobsPage(tuple(map(_row, found)), counts.kinds, after)

    @endpoint(
        "POST",
        "/v1/admin/jobs/requeue",
        access=Access.ADMIN,
        rate="admin",
        refuses=(ErrorCode.STORE_UNAVAILABLE, ErrorCode.OUTCOME_UNKNOWN),
    )
    async def requeue(self, call: Call, body: JobChoice) -> JobCount:
        """Have dead jobs tried again, with all their attempts, at once."""
        del call
        return JobCount(await self._jobs.requeue(body.ids))

    @endpoint(
        "DELETE",
        "/v1/admin/jobs",
        access=Access.ADMIN,
        rate="admin",
        refuses=(ErrorCode.STORE_UNAVAILABLE, ErrorCode.OUTCOME_UNKNOWN),
    )
    async def drop(self, call: Call, query: DroppedQuery) -> JobCount:
        """Give dead jobs up: they are removed."""
        del call
        return JobCount(await self._jobs.drop(query.ids))


def _row(job: Job) -> AdminJobRow:
    return AdminJobRow(
        id=job.id,
        kind=job.kind,
        key=mask(job.key),
        state=job.state.value,
        priority=job.priority,
        attempts=job.attempts,
        attempts_max=job.attempts_max,
        added_at=job.added_at,
        due_at=job.due_at,
        finished_at=job.finished_at,
        error=mask(job.error)[:_ERROR_CHARACTERS_MAX],
    )
