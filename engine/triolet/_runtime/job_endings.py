"""What became of jobs gathers while it is being written, and is written together."""

import logging
from typing import Final, final

import trio
from msgspec import Struct

from .._model.errors import StoreError
from .._model.limits import Limits
from ..ports.clock import Clock
from ..ports.jobs import Ending, JobStore
from .complaint import Complaint
from .job_held import HeldJob
from .job_leases import JobLeases

logger = logging.getLogger(__name__)

# Between two tries of a store that does not answer.
_RETRY_S: Final = 0.5


@final
class _Ended(Struct, frozen=True, eq=False):
    held: HeldJob
    ending: Ending


@final
class JobEndings:
    """See the module."""

    def __init__(self, store: JobStore, leases: JobLeases, clock: Clock, limits: Limits) -> None:
        self._store = store
        self._leases = leases
        self._clock = clock
        self._batch_max = limits.jobs_batch_max
        self._waiting: list[_Ended] = []
        self._news = trio.Event()
        # Set while more may be put.
        self._has_room = trio.Event()
        self._has_room.set()
        # Set while nothing waits or is being written.
        self._is_written = trio.Event()
        self._is_written.set()
        self._complaint = Complaint(logger, now=trio.current_time)

    def put(self, held: HeldJob, ending: Ending) -> None:
        """Have an ending written, soon; who puts many waits for `wait_room` in between."""
        self._leases.let_go(held)
        self._waiting.append(_Ended(held, ending))
        self._news.set()
        if self._is_written.is_set():
            self._is_written = trio.Event()
        if len(self._waiting) >= 2 * self._batch_max and self._has_room.is_set():
            self._has_room = trio.Event()

    async def wait_room(self) -> None:
        """Wait until not too many wait to be written."""
        await self._has_room.wait()

    async def wait_written(self) -> None:
        """Wait until all that was put is written."""
        await self._is_written.wait()

    async def run(self) -> None:
        """Write endings, for as long as the engine lives."""
        while True:
            await self._news.wait()
            batch = self._waiting[: self._batch_max]
            if not await self._write(batch):
                await trio.sleep(_RETRY_S)
                continue
            del self._waiting[: len(batch)]
            if len(self._waiting) < 2 * self._batch_max:
                self._has_room.set()
            if not self._waiting:
                self._news = trio.Event()
                self._is_written.set()

    async def _write(self, batch: list[_Ended]) -> bool:
        endings = [ended.ending for ended in batch]
        try:
            kept = await self._store.finish(endings, now=self._clock.now_ms())
        except StoreError as error:
            self._complaint.again(f"what became of jobs cannot be written: {error!r}")
            return False
        self._complaint.over("what becomes of jobs is written again")
        for ended, is_kept in zip(batch, kept, strict=True):
            if not is_kept:
                logger.info("job %d was another worker's by then", ended.held.job.id)
            elif ended.ending.retry_at is not None:
                ended.held.wake_at(ended.ending.retry_at)
        return True
