"""Jobs to be added gather while others are being kept, and go together: one commit for many."""

from collections.abc import Callable, Sequence
from copy import copy
from typing import Final, final

import trio

from .._model.errors import OutcomeUnknown, StoreError, StoreUnavailable
from .._model.limits import Limits
from ..ports.clock import Clock
from ..ports.jobs import JOBS_MAX, JobStore, NewJob

_IS_FULL: Final = "too many jobs wait to be kept"
_HAS_ENDED: Final = "the engine has ended"


@final
class _Asked:
    """Jobs of one caller, and what became of them."""

    __slots__ = ("added", "error", "is_over", "jobs")

    def __init__(self, jobs: Sequence[NewJob]) -> None:
        self.jobs = jobs
        self.is_over = trio.Event()
        self.added: list[bool] = []
        self.error: StoreError | None = None


@final
class Adding:
    """See the module.

    Args:
        store: where they are kept.
        clock: says when.
        limits: how many may wait.
        added: told of those that are new, when they are kept.
    """

    def __init__(
        self,
        store: JobStore,
        clock: Clock,
        limits: Limits,
        added: Callable[[Sequence[NewJob]], None],
    ) -> None:
        self._store = store
        self._clock = clock
        self._limits = limits
        self._added = added
        self._asked: list[_Asked] = []
        self._count = 0
        self._news = trio.Event()
        self._has_ended = False

    async def add(self, jobs: Sequence[NewJob]) -> list[bool]:
        """Keep jobs, and return which are new. Cancelling only stops the waiting.

        Raises:
            StoreUnavailable: none was kept.
            OutcomeUnknown: they may have been.
            ValueError: more than 1,000 at once.
        """
        if len(jobs) > JOBS_MAX:
            raise ValueError(f"{len(jobs)} jobs at once, {JOBS_MAX} may be")
        if self._has_ended or self._count + len(jobs) > self._limits.jobs_pending_max:
            await trio.lowlevel.checkpoint()
            raise StoreUnavailable(_HAS_ENDED if self._has_ended else _IS_FULL)
        asked = _Asked(tuple(jobs))
        self._asked.append(asked)
        self._count += len(jobs)
        self._news.set()
        await asked.is_over.wait()
        if asked.error is not None:
            raise asked.error
        return asked.added

    async def run(self) -> None:
        """Keep what is asked for, for as long as the engine lives."""
        try:
            while True:
                await self._news.wait()
                await self._keep(self._take())
        finally:
            self._has_ended = True
            for asked in self._asked:
                asked.error = StoreUnavailable(_HAS_ENDED)
                asked.is_over.set()

    def _take(self) -> list[_Asked]:
        """Return who is served by the next call: the first ones, as many as go into it."""
        count, callers = 0, 0
        for asked in self._asked:
            count += len(asked.jobs)
            if count > JOBS_MAX:
                break
            callers += 1
        taken, self._asked = self._asked[:callers], self._asked[callers:]
        if not self._asked:
            self._news = trio.Event()
        return taken

    async def _keep(self, taken: list[_Asked]) -> None:
        jobs = [job for asked in taken for job in asked.jobs]
        added: list[bool] = []
        # What they are told if this is cancelled.
        error: StoreError | None = OutcomeUnknown(_HAS_ENDED)
        try:
            added = await self._store.add(jobs, now=self._clock.now_ms())
            error = None
        except StoreError as failed:
            error = failed
        finally:
            self._count -= len(jobs)
            start = 0
            for asked in taken:
                asked.added = added[start : start + len(asked.jobs)]
                # One of one's own: tasks write into it as it passes.
                asked.error = copy(error)
                asked.is_over.set()
                start += len(asked.jobs)
        self._added([job for job, is_new in zip(jobs, added, strict=False) if is_new])
