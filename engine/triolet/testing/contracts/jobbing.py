"""Jobs to add, to claim and to lose, for the contract of `ports.jobs`."""

from typing import Final

from ...ports.jobs import Ending, Job, JobStore, Lease, NewJob
from .home import BEGINNING_MS

NOW: Final = BEGINNING_MS

# Later than any lease that ends in a test.
FAR = NOW + 1_000_000


def new(
    key: str, kind: str = "k", *, due_at: int = 0, priority: int = 0, attempts: int = 10
) -> NewJob:
    """Return a job to add."""
    return NewJob(
        kind=kind,
        key=key,
        payload=key.encode(),
        due_at=due_at,
        priority=priority,
        attempts_max=attempts,
    )


async def claim(
    jobs: JobStore,
    *kinds: str,
    now: int = NOW,
    until: int = FAR,
    limit: int = 100,
    ahead: int = 0,
) -> list[Job]:
    """Claim jobs of kinds, of `k` if none is given."""
    return await jobs.claim(kinds or ("k",), now=now, lease_until=until, limit=limit, ahead=ahead)


def lease(job: Job) -> Lease:
    """Return the right to a job as it was claimed."""
    return Lease(job.id, job.attempts)


def keys(jobs: list[Job]) -> list[str]:
    """Return the keys of jobs."""
    return [job.key for job in jobs]


async def die(jobs: JobStore, *keys: str) -> list[int]:
    """Have jobs that are dead; return their ids."""
    await jobs.add([new(key) for key in keys], now=NOW)
    dying = await claim(jobs)
    await jobs.finish([Ending(lease=lease(job), error="no") for job in dying], now=NOW)
    return [job.id for job in dying]
