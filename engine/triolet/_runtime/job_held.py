"""A job that this node has claimed: its lease, and what may cancel its handler."""

import math
from collections.abc import Callable
from typing import final

import trio

from ..ports.jobs import Ending, Job, Lease


@final
class HeldJob:
    """See the module.

    Attributes:
        job: as it was claimed.
        held_until: until then nobody else has it, whatever happens (monotonic, s).
        is_lost: another may have it by now: no handler of this node works on it.
        wake_at: told when it may be claimed again (ms), if it may.
    """

    __slots__ = ("_ends_at", "_scope", "held_until", "is_lost", "job", "wake_at")

    def __init__(self, job: Job, held_until: float, wake_at: Callable[[int], None]) -> None:
        self.job = job
        self.held_until = held_until
        self.wake_at = wake_at
        self.is_lost = False
        self._scope: trio.CancelScope | None = None
        self._ends_at = math.inf

    @property
    def lease(self) -> Lease:
        """The right to this attempt."""
        return Lease(self.job.id, self.job.attempts)

    def begin(self, *, timeout_s: float) -> trio.CancelScope:
        """Return the scope of its handler, which ends with the lease or after `timeout_s`."""
        self._ends_at = trio.current_time() + timeout_s
        self._scope = trio.CancelScope(deadline=min(self._ends_at, self.held_until))
        return self._scope

    def extend(self, held_until: float) -> None:
        """Know that nobody else has it for longer."""
        self.held_until = held_until
        if self._scope is not None:
            self._scope.deadline = min(self._ends_at, held_until)

    def lose(self) -> None:
        """Know that another may have it."""
        self.is_lost = True
        if self._scope is not None:
            self._scope.cancel()

    def is_ours(self) -> bool:
        """Whether nobody else can have it now."""
        return not self.is_lost and trio.current_time() < self.held_until

    def done(self) -> Ending:
        """Say that it is done."""
        return Ending(lease=self.lease)

    def failed(self, error: str, *, retry_at: int | None) -> Ending:
        """Say that it failed, and when it is tried again (ms), if it is."""
        return Ending(lease=self.lease, error=error, retry_at=retry_at)

    def returned(self, *, now: int) -> Ending:
        """Say that it has to be done by another."""
        return Ending(lease=self.lease, retry_at=now, is_returned=True)
