"""The one thread that writes: jobs go in through a queue, answers come back to their tasks.

A job is handed over in the caller's own step, before its first checkpoint, so jobs take effect
in the order of the calls. Cancelling the caller only stops it from waiting.
"""

import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar, final

import outcome
import trio

from ..._model.errors import StoreUnavailable

T = TypeVar("T")


@final
class _Job:
    """Something for the thread to do, and the task that waits for it."""

    __slots__ = ("result", "task", "work")

    def __init__(self, work: Callable[[], object], task: trio.lowlevel.Task) -> None:
        self.work = work
        self.task: trio.lowlevel.Task | None = task
        self.result: outcome.Outcome[Any] | None = None

    def abort(self, _raise_cancel: object) -> trio.lowlevel.Abort:
        """Stop waiting; the work goes on."""
        self.task = None
        return trio.lowlevel.Abort.SUCCEEDED


@final
class Writer:
    """A thread fed by a queue. `start` it once; `stop` it when the last job is handed over."""

    def __init__(self, *, jobs_max: int) -> None:
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._jobs_max = jobs_max
        self._pending = 0
        self._closed = False
        self._ended = trio.Event()
        self._token = trio.lowlevel.current_trio_token()
        self._thread = threading.Thread(target=self._run, name="triolet-sqlite-writer")
        # Called in the thread after each job, when its answer is on its way.
        self.after_job: Callable[[], None] = _nothing

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    async def stop(self) -> None:
        """Let the thread finish what was handed over, and wait for its end."""
        self._closed = True
        self._jobs.put(None)
        await self._ended.wait()
        self._thread.join()

    def close(self) -> None:
        """Take no more jobs."""
        self._closed = True

    async def do(self, work: Callable[[], T]) -> T:
        """Have `work` done in the thread, after all that was handed over before.

        Raises:
            StoreUnavailable: the store is closed, or too much waits already.
        """
        if self._closed or self._pending >= self._jobs_max:
            await trio.lowlevel.checkpoint()
            reason = "the store is closed" if self._closed else "too many writes wait"
            raise StoreUnavailable(reason)
        job = _Job(work, trio.lowlevel.current_task())
        self._pending += 1
        self._jobs.put(job)
        result: T = await trio.lowlevel.wait_task_rescheduled(job.abort)
        return result

    def _run(self) -> None:
        try:
            while (job := self._jobs.get()) is not None:
                job.result = outcome.capture(job.work)
                self._token.run_sync_soon(self._deliver, job)
                self.after_job()
        finally:
            self._token.run_sync_soon(self._ended.set)

    def _deliver(self, job: _Job) -> None:
        self._pending -= 1
        if job.task is not None:
            assert job.result is not None, "the thread has done it"
            trio.lowlevel.reschedule(job.task, job.result)


def _nothing() -> None:
    """Do nothing after a job."""
