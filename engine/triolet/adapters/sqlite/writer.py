"""The one thread that writes: jobs go in through a queue, and each wakes the task that waits.

A job is handed over in the caller's own step, before its first checkpoint, so jobs take effect
in the order of the calls. Cancelling the caller only stops it from waiting.
"""

import queue
import socket
import threading
from collections.abc import Callable
from typing import Any, TypeVar, final

import outcome
import trio

from ..._model.errors import StoreUnavailable

T = TypeVar("T")


@final
class _Bell:
    """What the thread rings, and a task waits for: there and back in 33 µs.

    `TrioToken.run_sync_soon` has a task of Trio's wake the one that waits: 58 µs.
    """

    __slots__ = ("_far", "_near")

    def __init__(self) -> None:
        self._near, self._far = socket.socketpair()
        self._near.setblocking(False)
        self._far.setblocking(False)

    def ring(self) -> None:
        """Wake whoever waits. Called in the thread."""
        self._far.send(b"!")

    async def wait(self) -> None:
        """Wait until it rings."""
        await trio.lowlevel.wait_readable(self._near)
        self._near.recv(1)

    def close(self) -> None:
        """Give the sockets back."""
        self._near.close()
        self._far.close()


@final
class _Job:
    """Something for the thread to do, and the bell of the task that waits for it."""

    __slots__ = ("bell", "result", "work")

    def __init__(self, work: Callable[[], object], bell: _Bell) -> None:
        self.work = work
        self.bell = bell
        self.result: outcome.Outcome[Any] | None = None


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
        # Bells that nobody waits for, as many as there ever were jobs at the same time; and jobs
        # whose callers were cancelled: their bells may still be rung.
        self._bells: list[_Bell] = []
        self._left: list[_Job] = []
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
        for bell in (*self._bells, *(job.bell for job in self._left)):
            bell.close()

    def close(self) -> None:
        """Take no more jobs."""
        self._closed = True

    async def do(self, work: Callable[[], T]) -> T:
        """Have `work` done in the thread, after all that was handed over before.

        Raises:
            StoreUnavailable: the store is closed, or too much waits already.
        """
        if self._left:
            self._take_back()
        if self._closed or self._pending >= self._jobs_max:
            await trio.lowlevel.checkpoint()
            reason = "the store is closed" if self._closed else "too many writes wait"
            raise StoreUnavailable(reason)
        job = _Job(work, self._bells.pop() if self._bells else _Bell())
        self._pending += 1
        self._jobs.put(job)
        try:
            await job.bell.wait()
            # It may have rung for a job that was left.
            while job.result is None:
                await job.bell.wait()
        except BaseException:
            self._left.append(job)
            raise
        self._pending -= 1
        self._bells.append(job.bell)
        result: T = job.result.unwrap()
        return result

    def _take_back(self) -> None:
        """Have the bells of jobs that were left and are done by now."""
        done = [job for job in self._left if job.result is not None]
        self._left = [job for job in self._left if job not in done]
        self._bells += [job.bell for job in done]
        self._pending -= len(done)

    def _run(self) -> None:
        try:
            while (job := self._jobs.get()) is not None:
                job.result = outcome.capture(job.work)
                job.bell.ring()
                self.after_job()
        finally:
            self._token.run_sync_soon(self._ended.set)


def _nothing() -> None:
    """Do nothing after a job."""
