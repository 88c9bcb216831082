"""Jobs: what has to be done later, kept where everything is kept, and done at least once.

What every adapter promises, and `triolet.testing.contracts` proves:

- *Durable.* When `add` has returned, the jobs survive a crash; what was finished stays so.
- *One key, one job.* Of one kind and key there is one job that waits or runs; adding it again
  changes nothing of it. Done jobs are remembered by their key, without their payload, until
  `prune` forgets them: the engine has it do so after `Limits.jobs_keep_done_s`. Dead ones are
  kept until they are requeued or dropped.
- *One worker.* A claimed job is nobody else's until its lease ends. Of several nodes that claim
  at the same time each gets other jobs, and none waits for another.
- *Fenced.* Who lost the lease changes nothing any more: another may have finished by then. It is
  lost when a claim finds that it has ended, so who is late and was not missed still ends its job.
- *Counted when begun.* A job that is claimed before anybody can begin it keeps its attempts if
  its worker dies: the first lease that ends costs none, and is the last that was taken ahead.
- *Apart.* A job whose worker was lost twice may be what ends its process: from then on it is
  claimed alone (`claim_alone`), so that nobody else is lost with it.
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
KIND_CHARS_MAX = 64
KEY_CHARS_MAX = 200
PRIORITY_MAX = 100
ATTEMPTS_MAX = 1000
# What a failed attempt said is cut there: the end of a long traceback helps nobody.
ERROR_CHARS_MAX = 1000
# The error of an attempt that never ended: its worker died, or was cut off.
LEASE_ENDED = "its lease ended: the worker died, was cut off, or took too long"
# A job that was lost so often may be what ends its process: it is claimed alone.
LOST_ALONE = 2
# Jobs of one `add`, and what all other calls take or return at once: a transaction that others
# do not wait for.
JOBS_MAX = 1000
# Milliseconds that every store and every client's language can count.
_MS_MAX = 2**53


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
        key: one kind and key is one job; 1 to 200 characters, without U+0000.
        payload: what the handler is given; at most 64 KiB.
        priority: -100 to 100; the higher first.
        due_at: not before it (ms); 0: at once, which is kept as the time it was added.
        attempts_max: so many attempts, then it is dead; 1 to 1,000.

    Raises:
        ValueError: one of them is out of its bounds.
    """

    kind: str
    key: str
    payload: bytes = b""
    priority: int = 0
    due_at: int = 0
    attempts_max: int = 10

    def __post_init__(self) -> None:
        """See the class."""
        _check_text("kind", self.kind, KIND_CHARS_MAX)
        _check_text("key", self.key, KEY_CHARS_MAX)
        if len(self.payload) > PAYLOAD_BYTES_MAX:
            raise ValueError(f"the payload has {len(self.payload)} B, {PAYLOAD_BYTES_MAX} may be")
        _check_number("priority", self.priority, -PRIORITY_MAX, PRIORITY_MAX)
        _check_number("due_at", self.due_at, 0, _MS_MAX)
        _check_number("attempts_max", self.attempts_max, 1, ATTEMPTS_MAX)


def _check_text(field: str, text: str, chars_max: int) -> None:
    # What UTF-8 cannot say (lone surrogates) raises a ValueError, too.
    if not 0 < len(text) <= chars_max or b"\0" in text.encode():
        raise ValueError(f"{field} is 1 to {chars_max} characters, without U+0000: {text[:80]!r}")


def _check_number(field: str, number: int, least: int, most: int) -> None:
    if not least <= number <= most:
        raise ValueError(f"{field} is {least} to {most}, not {number}")


@final
class Job(Struct, frozen=True, kw_only=True):
    """A job as it is kept.

    Attributes:
        id: its number, greater than that of every job that was added before.
        payload: empty when it is done.
        attempts: begun so far, a running one included.
        added_at: when it was added (ms).
        lease_until: while it runs: until then it is its worker's (ms).
        error: what the last failed attempt said; `LEASE_ENDED` if it said nothing.
        finished_at: when it was done or died (ms), else 0.
        lost: how often its lease has ended, and nobody had said what became of it.
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
    lost: int = 0

    def may_be_ahead(self) -> bool:
        """Whether it may be claimed before it can begin: as it waits.

        Not where an attempt that never began would end it, or where it was lost before.
        """
        return self.lost == 0 and self.attempts + 1 < self.attempts_max


@final
class Lease(Struct, frozen=True):
    """Somebody's right to a job: it holds for this attempt alone (`Job.attempts`)."""

    id: int
    attempt: int


@final
class Ending(Struct, frozen=True, kw_only=True):
    """What became of an attempt.

    Attributes:
        error: empty: it is done. Else it failed; at most 1,000 characters of it are kept.
        retry_at: when it is tried again (ms); None: never, it is dead. The last attempt that
            fails is dead in any case.
        is_returned: it neither succeeded nor failed: its worker had to leave. The job waits until
            `retry_at` (None: not at all), and gets one attempt more for the one it lost.
    """

    lease: Lease
    error: str = ""
    retry_at: int | None = None
    is_returned: bool = False


@final
class NextDue(Struct, frozen=True):
    """When jobs may be claimed next (ms); None: there is none.

    Attributes:
        at: by `claim`: when one is due that waits or, of one that runs, when its lease ends.
        alone_at: by `claim_alone`.
    """

    at: int | None
    alone_at: int | None


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
        """
        ...

    async def claim(
        self, kinds: Sequence[str], *, now: int, lease_until: int, limit: int, ahead: int = 0
    ) -> list[Job]:
        """Take up to `limit` jobs of these kinds that are due; they are the caller's until then.

        In their order. `limit` is 1 to 1,000. The first `limit - ahead` begin at once; the others
        do not, and end before the first one that has only one attempt left, or was lost before.

        A running job whose lease has ended is taken like a waiting one; if that was its last
        attempt it dies instead, and is not returned. The first time that costs it no attempt
        (its `attempts_max` is one more), for it may never have begun. What was lost
        `LOST_ALONE` times is left to `claim_alone`.

        Raises:
            StoreError: as a rule nothing was taken; what was comes back when its lease ends.
        """
        ...

    async def claim_alone(self, kinds: Sequence[str], *, now: int, lease_until: int) -> Job | None:
        """Take the first job of these kinds that is due and was lost `LOST_ALONE` times.

        Have none of those beside it.

        Raises:
            StoreError: as `claim`.
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

    async def next_due(self, kinds: Sequence[str]) -> NextDue:
        """Return when the next jobs of these kinds may be claimed.

        Raises:
            StoreError: it could not be read.
        """
        ...

    async def listed(
        self, state: JobState, *, kind: str = "", after: int = 0, limit: int
    ) -> list[Job]:
        """Return jobs in a state, the newest first: those with an id below `after` (0: all).

        Args:
            state: which.
            kind: of this kind alone; empty: of all.
            after: the last id that was returned before.
            limit: at most so many, 1 to 1,000.

        Raises:
            StoreUnavailable: they could not be read.
        """
        ...

    async def requeue(self, ids: Sequence[int], *, now: int) -> int:
        """Let dead jobs wait again with all their attempts, due at once; return how many.

        Each gets a new id, as if it were added now: whoever had its last lease stays fenced. How
        often it was lost is remembered.

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
