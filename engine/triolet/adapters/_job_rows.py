"""Rows of jobs, as SQLite and PostgreSQL keep them: what is in them, and in which order."""

from typing import Any, Final

from ..ports.jobs import Job, JobState

# As they are kept; the order of these is part of the files and of the schema.
_STATES: Final = (JobState.WAITING, JobState.RUNNING, JobState.DONE, JobState.DEAD)
CODES: Final = {state: code for code, state in enumerate(_STATES)}


def job_of(row: tuple[Any, ...]) -> Job:
    """Return a job from a row of its columns, in the order of its fields."""
    job_id, kind, key, payload, priority, due_at, attempts_max, state, attempts, *rest = row
    added_at, lease_until, error, finished_at, lost = rest
    return Job(
        id=job_id,
        kind=kind,
        key=key,
        payload=payload,
        priority=priority,
        due_at=due_at,
        attempts_max=attempts_max,
        state=_STATES[state],
        attempts=attempts,
        added_at=added_at,
        lease_until=lease_until,
        error=error,
        finished_at=finished_at,
        lost=lost,
    )
