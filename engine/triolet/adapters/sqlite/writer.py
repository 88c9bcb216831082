"""The one thread that writes: jobs go in through a queue, and each wakes the task that waits.

A job is handed over in the caller's own step, before its first checkpoint, so jobs take effect
in the order of the calls. Cancelling the caller only stops it from waiting.
"""

import queue
import socket
import threading
from collections.abc import Callable
from typing import Any, Protocol, TypeVar, final

import outcome
import trio

from ..._model.errors import StoreUnavailable

T = TypeVar("T")


class _Bell(Protocol):
    """What the thread rings, and a task waits for.

    Attributes:
        is_lasting: whether it can be used again once it has rung.
    """

    is_lasting: bool

    def ring(self) -> None:
        """Wake whoever waits. Called in the thread."""
        ...

    async def wait(self) -> None:
        """Wait until it rings."""
        ...

    def close(self) -> None:
        """Give back what it holds."""
        ...


@final
class _SocketBell:
    """Two sockets: there and back in 33 µs."""

    __slots__ = ("_far", "_near", "is_lasting")

    def __init__(self) -> None:
        self.is_lasting = True
        self._near, self._far = socket.socketpair()
        self._near.setblocking(False)
        self._far.setblocking(False)

    def ring(self) -> None:
        """See `_Bell`."""
        self._far.send(b"!")

    async def wait(self) -> None:
        """See `_Bell`."""
        await trio.lowlevel.wait_readable(self._near)
        self._near.recv(1)

    def close(self) -> None:
        """See `_Bell`."""
        self._near.close()
        self._far.close()


@final
class _TokenBell:
    """A task of Trio's wakes the one that waits: 58 µs, and no file is opened for it."""

    __slots__ = ("_rung", "_token", "is_lasting")

    def __init__(self, token: trio.lowlevel.TrioToken) -> None:
        self.is_lasting = False
        self._token = token
        self._rung = trio.Event()

    def ring(self) -> None:
        """See `_Bell`."""
        self._token.run_sync_soon(self._rung.set)

    async def wait(self) -> None:
        """See `_Bell`."""
        await self._rung.wait()

    def close(self) -> None:
        """See `_Bell`; it holds nothing."""


@final
class _Job:
    """Something for the thread to do, and the bell of the task that waits for it."""

    __slots__ = ("bell", "is_over", "result", "work")

    def __init__(self, work: Callable[[], object], bell: _Bell) -> None:
        self.work = work
        self.bell = bell
        self.result: outcome.Outcome[Any] | None = None
        # The thread has no more use for the bell.
        self.is_over = False


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
        # One bell for the next job; several at the same time are seldom.
        self._spare: _Bell | None = None
        # Jobs whose callers were cancelled: their bells may still be rung.
        self._left: list[_Job] = []
        self._is_stopped = False
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
        self._is_stopped = True
        self._clear_left()
        if self._spare is not None:
            self._spare.close()

    def close(self) -> None:
        """Take no more jobs."""
        self._closed = True

    @property
    def takes_more(self) -> bool:
        """Whether a job may be handed over now."""
        return not self._closed and self._pending < self._jobs_max

    async def do(self, work: Callable[[], T]) -> T:
        """Have `work` done in the thread, after all that was handed over before.

        Raises:
            StoreUnavailable: the store is closed, or too much waits already.
        """
        if self._left:
            self._clear_left()
        if not self.takes_more:
            await trio.lowlevel.checkpoint()
            reason = "the store is closed" if self._closed else "too many writes wait"
            raise StoreUnavailable(reason)
        bell, self._spare = self._spare or self._new_bell(), None
        job = _Job(work, bell)
        self._pending += 1
        self._jobs.put(job)
        try:
            await bell.wait()
        except BaseException:
            self._left.append(job)
            raise
        self._pending -= 1
        if self._spare is None and bell.is_lasting and not self._is_stopped:
            self._spare = bell
        else:
            bell.close()
        assert job.result is not None, "the thread has done it"
        result: T = job.result.unwrap()
        return result

    def _new_bell(self) -> _Bell:
        try:
            return _SocketBell()
        except OSError:
            # No more files may be opened: that is a reason to be slower, and none to stop.
            return _TokenBell(self._token)

    def _clear_left(self) -> None:
        """Forget jobs that were left and are done by now."""
        over = [job for job in self._left if job.is_over]
        self._left = [job for job in self._left if job not in over]
        self._pending -= len(over)
        for job in over:
            job.bell.close()

    def _run(self) -> None:
        try:
            while (job := self._jobs.get()) is not None:
                job.result = outcome.capture(job.work)
                job.bell.ring()
                job.is_over = True
                self.after_job()
        finally:
            self._token.run_sync_soon(self._ended.set)


def _nothing() -> None:
    """Do nothing after a job."""
