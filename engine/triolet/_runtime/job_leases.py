"""Leases of jobs that take long: extended in time, or their handlers are cancelled.

A handler runs for as long as nobody else can have its job: for three quarters of the lease since
the store has last agreed. The last quarter is what clocks of nodes may differ by.
"""

import logging
from typing import Final, final

import trio

from .._model.errors import StoreError
from .._model.limits import Limits
from ..ports.clock import Clock
from ..ports.jobs import JOBS_MAX, JobStore
from .complaint import Complaint
from .job_held import HeldJob

logger = logging.getLogger(__name__)

_HELD_PART: Final = 0.75
# An extension may fail, and the next one be slow, before a handler is cancelled.
_EXTENDED_PART: Final = 0.25
# What was claimed within half an interval is left to the next one: most has ended by then.
_NEW_PART: Final = _EXTENDED_PART / 2


@final
class JobLeases:
    """All jobs that this node holds."""

    def __init__(self, store: JobStore, clock: Clock, limits: Limits) -> None:
        self._store = store
        self._clock = clock
        self._limits = limits
        self._held: dict[int, HeldJob] = {}
        self._complaint = Complaint(logger, now=trio.current_time)

    def __len__(self) -> int:
        return len(self._held)

    def until_ms(self) -> int:
        """Return when a lease taken now ends (ms)."""
        return self._clock.now_ms() + int(1000 * self._limits.jobs_lease_s)

    def held_until(self) -> float:
        """Return until when a lease taken now is relied on (monotonic, s)."""
        return trio.current_time() + _HELD_PART * self._limits.jobs_lease_s

    def hold(self, held: HeldJob) -> None:
        """Extend it from now on."""
        self._held[held.job.id] = held

    def let_go(self, held: HeldJob) -> None:
        """Extend it no more."""
        if self._held.get(held.job.id) is held:
            del self._held[held.job.id]

    async def run(self) -> None:
        """Extend leases in time, for as long as the engine lives."""
        pause_s = _EXTENDED_PART * self._limits.jobs_lease_s
        while True:
            await trio.sleep(pause_s)
            try:
                with trio.fail_after(pause_s):
                    await self.extend()
            except (StoreError, trio.TooSlowError) as error:
                self._complaint.again(f"leases of jobs cannot be extended: {error!r}")
            else:
                self._complaint.over("leases of jobs are extended again")

    async def extend(self) -> None:
        """Extend all leases that are not new.

        Raises:
            StoreError: some end when they would have.
        """
        new_until = self.held_until() - _NEW_PART * self._limits.jobs_lease_s
        old = [held for held in self._held.values() if held.held_until <= new_until]
        for start in range(0, len(old), JOBS_MAX):
            some = old[start : start + JOBS_MAX]
            held_until = self.held_until()
            leases = [held.lease for held in some]
            kept = await self._store.extend(leases, lease_until=self.until_ms())
            for held, is_kept in zip(some, kept, strict=True):
                if is_kept:
                    held.extend(held_until)
                elif self._held.get(held.job.id) is held:
                    # Not if its handler has ended meanwhile: then it may be nobody's.
                    logger.warning("job %d is another worker's by now", held.job.id)
                    held.lose()
                    self.let_go(held)
