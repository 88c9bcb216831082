"""Jobs: what has to be done later, kept where everything is kept, and done at least once.

What every adapter promises, and `triolet.testing.contracts` proves:

- *Durable.* When `add` has returned, the jobs survive a crash; what was finished stays so.
- *One key, one job.* Of one kind and key there is one job that waits or runs; adding it again
  changes nothing of it. Done jobs are remembered by their key for `keep_done_s`, dead ones until
  they are requeued or dropped.
- *One worker.* A claimed job is nobody else's until its lease ends. Of several nodes that claim
  at the same time each gets other jobs, and none waits for another.
- *Fenced.* Who lost the lease changes nothing any more: another may have finished by then.
- *In order.* The higher priority first, then the earlier `due_at`, then the earlier added.

So each job's effect happens at least once. A handler makes it once by the job's key: it writes
it down together with what it did, or asks the receiver to (`Idempotency-Key`, `Topic`).
"""

from collections.abc import Sequence
from enum import Enum
from typing import Protocol, final

from msgspec import Struct

# Payloads are small, and name what they are about; large ones belong elsewhere.
PAYLOAD_BYTES_MAX = 64 * 1024


@final
class JobState(Enum):
    """Where a job is in its life."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    DEAD = "dead"


@final
class NewJob(Struct, frozen=True, kw_only=True):
    """A job to be added.

    Attributes:
        kind: which handler does it: `push`, `billing.invoice`; 1 to 64 characters.
        key: one kind and key is one job; 1 to 200 characters.
        payload: what the handler is given.
        priority: -100 to 100; the higher first.
        due_at: not before it (ms).
        attempts_max: so many attempts, then it is dead.
    """

    kind: str
    key: str
    payload: bytes = b""
    priority: int = 0
    due_at: int = 0
    attempts_max: int = 10


@final
class Job(Struct, frozen=True, kw_only=True):
    """A job as it is kept.

    Attributes:
        id: its number, greater than that of every job that was added before.
        attempts: begun so far, a running one included.
        added_at: when it was added (ms).
        lease_until: while it runs: until then it is its worker's (ms).
        error: what the last failed attempt said.
        finished_at: when it was done or died (ms), else 0.
    """

    id: int
    kind: str
    key: str
    payload: bytes
    priority: int
    due_at: int
    attempts_max: int
    state: JobState
    attempts: int
    added_at: int
    lease_until: int = 0
    error: str = ""
    finished_at: int = 0


@final
class Lease(Struct, frozen=True):
    """Somebody's right to a job: it holds for this attempt alone."""

    id: int
    attempt: int


@final
class Ending(Struct, frozen=True, kw_only=True):
    """What became of an attempt.

    Attributes:
        error: empty: it is done. Else it failed.
        retry_at: when it is tried again (ms); None: never, it is dead. The last attempt that
            fails is dead in any case.
    """

    lease: Lease
    error: str = ""
    retry_at: int | None = None


@final
class JobCounts(Struct, frozen=True, kw_only=True):
    """How many jobs of one kind there are; `oldest_due_at` of those that wait (ms), 0: none."""

    kind: str
    waiting: int
    running: int
    dead: int
    oldest_due_at: int = 0


class JobStore(Protocol):
    """See the module. `now` is the caller's clock, ms."""

    async def add(self, jobs: Sequence[NewJob], *, now: int) -> list[bool]:
        """Keep jobs, all in one transaction; return which are new, in their order.

        One whose key waits, runs, is dead, or was done lately is not. At most 1,000.

        Raises:
            StoreUnavailable: none was kept.
            OutcomeUnknown: they may have been; adding them again finds out.
            ValueError: a field out of its bounds.
        """
        ...

    async def claim(
        self, kinds: Sequence[str], *, now: int, lease_until: int, limit: int
    ) -> list[Job]:
        """Take up to `limit` jobs of these kinds that are due; they are the caller's until then.

        A running job whose lease has ended is taken like a waiting one; if that was its last
        attempt it dies instead, and is not returned.

        Raises:
            StoreError: as a rule nothing was taken; what was comes back when its lease ends.
        """
        ...

    async def finish(self, endings: Sequence[Ending], *, now: int) -> list[bool]:
        """Say what became of attempts; return for each whether the lease still held.

        Raises:
            StoreError: nothing may have been written; saying it again is harmless.
        """
        ...

    async def extend(self, leases: Sequence[Lease], *, lease_until: int) -> list[bool]:
        """Keep jobs longer; return for each whether it is still the caller's.

        Raises:
            StoreError: their leases end as they would have.
        """
        ...

    async def withdraw(self, kind: str, keys: Sequence[str]) -> int:
        """Remove jobs that wait, and return how many; what runs goes on.

        Raises:
            StoreError: some may be left.
        """
        ...

    async def next_due(self, kinds: Sequence[str]) -> int | None:
        """Return when the next job of these kinds may be claimed (ms), or None: there is none.

        That is its `due_at` or, of one that runs, its lease's end.

        Raises:
            StoreError: it could not be read.
        """
        ...

    async def listed(
        self, state: JobState, *, kind: str = "", after: int = 0, limit: int
    ) -> list[Job]:
        """Return jobs in a state, the newest first: those with an id below `after` (0: all).

        Raises:
            StoreUnavailable: they could not be read.
        """
        ...

    async def requeue(self, ids: Sequence[int], *, now: int) -> int:
        """Let dead jobs wait again with all their attempts, due at once; return how many.

        Raises:
            StoreError: some may not.
        """
        ...

    async def drop(self, ids: Sequence[int]) -> int:
        """Remove dead jobs; return how many.

        Raises:
            StoreError: some may be left.
        """
        ...

    async def counts(self) -> list[JobCounts]:
        """Return how many jobs there are, by kind.

        Raises:
            StoreUnavailable: they could not be read.
        """
        ...

    async def prune(self, *, done_before: int, limit: int) -> int:
        """Forget jobs done before it (ms), at most `limit`; return how many.

        Raises:
            StoreError: it is tried again later.
        """
        ...
