"""Jobs in the file, listed and counted: each state by an index of its own."""

from typing import Final

from msgspec.structs import replace

from ...ports.jobs import Job, JobCounts, JobState
from .._job_rows import CODES, job_of
from .job_lanes import oldest_due
from .snapshot import Snapshot

# By which jobs of a state are listed: each by kind and id, but for those that run. They are as many
# as nodes hold, so they are sorted.
_LISTS: Final = {
    JobState.WAITING: "jobs_waiting_ids",
    JobState.RUNNING: "jobs_running",
    JobState.DONE: "jobs_done_ids",
    JobState.DEAD: "jobs_dead",
}
LISTED: Final = {
    state: f"SELECT * FROM jobs INDEXED BY {index} "  # noqa: S608 - ours
    f"WHERE state = {CODES[state]} AND kind = ? AND id < ? ORDER BY id DESC LIMIT ?"
    for state, index in _LISTS.items()
}
# From kind to kind.
_KINDS: Final = (
    "WITH RECURSIVE k (kind) AS ("
    "SELECT min(kind) FROM jobs INDEXED BY {1} WHERE state = {0} UNION ALL "
    "SELECT (SELECT min(kind) FROM jobs INDEXED BY {1} WHERE state = {0} AND kind > k.kind) FROM k "
    "WHERE k.kind IS NOT NULL) "
)
KINDS_IN: Final = {
    state: f"{_KINDS.format(CODES[state], index)}SELECT kind FROM k WHERE kind IS NOT NULL"  # noqa: S608 - ours
    for state, index in _LISTS.items()
}
_COUNTS: Final = {
    state: f"{_KINDS.format(CODES[state], index)}SELECT kind, (SELECT count(*) FROM jobs "  # noqa: S608 - ours
    f"INDEXED BY {index} WHERE state = {CODES[state]} AND jobs.kind = k.kind) "
    "FROM k WHERE kind IS NOT NULL"
    for state, index in _LISTS.items()
}
_ID_MAX: Final = 2**63 - 1


def listed(snapshot: Snapshot, *, state: JobState, kind: str, after: int, limit: int) -> list[Job]:
    """Return jobs in a state, the newest first."""
    connection, below = snapshot.connection, after or _ID_MAX
    kinds = [kind] if kind else [one for (one,) in connection.execute(KINDS_IN[state])]
    found = [
        row
        for one in kinds
        for row in connection.execute(LISTED[state], (one, below, limit)).fetchall()
    ]
    return [job_of(row) for row in sorted(found, reverse=True)[:limit]]


def counts(snapshot: Snapshot) -> list[JobCounts]:
    """Return how many jobs there are, by kind."""
    connection = snapshot.connection
    found: dict[str, JobCounts] = {}
    for state in (JobState.WAITING, JobState.RUNNING, JobState.DEAD):
        for kind, number in connection.execute(_COUNTS[state]):
            before = found.get(kind) or JobCounts(kind=kind, waiting=0, running=0, dead=0)
            found[kind] = replace(before, **{state.value: number})
    return [
        replace(found[kind], oldest_due_at=oldest_due(connection, kind)) for kind in sorted(found)
    ]
