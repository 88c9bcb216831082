"""`triolet serve --workers N`: servers on one port, and a supervisor that only looks after them.

Each worker is a process and a node of its own, on the same store and the same bus as any other
node; the system shares connections out among them. The supervisor starts them, starts those
that have died again, with growing pauses, passes signals on, and ends with them. It accepts no
connection and holds no data, so there is little it could die of; if it does, they leave.
"""

import logging
import signal
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final, final

import trio
from msgspec import Struct

from triolet.ports.clock import Entropy

from .worker import READY, STARTING

_log = logging.getLogger("triolet.workers")

# The status of settings that cannot work: to try again would be in vain.
_MISUSE: Final = 2
_LINE_BYTES_MAX: Final = 200
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@final
class WorkerLimits(Struct, frozen=True, kw_only=True):
    """The bounds of supervision."""

    # A pause is up to so long, twice as long after each failure in a row, and then no longer.
    pause_base_s: float = 0.5
    pause_ceiling_s: float = 30
    # Whoever has been ready for so long has not failed to start.
    stable_s: float = 10
    # Starts in a row that failed, a worker, while none is ready: then the supervisor gives up.
    failures_max: int = 5
    # A worker tells how it is each 5 s; one that is silent for so long hangs, and is killed.
    silence_s: float = 60
    # What a worker that was told to end at once may take before it is killed.
    kill_s: float = 5


@final
class GaveUp(Exception):
    """No worker could be kept. `status`: what the process ends with."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@final
class Worker:
    """One process.

    Attributes:
        how: what it told last: `READY`, or why it is not.
        ready: set when it was for the first time.
        ready_at: when that was.
        ended: set when it has ended.
        is_told_to_go: whether a signal was passed on to it.
    """

    def __init__(self, number: int, process: trio.Process) -> None:
        self.number = number
        self.how = STARTING
        self.ready = trio.Event()
        self.ready_at = float("inf")
        self.ended = trio.Event()
        self.is_told_to_go = False
        self._process = process

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    @property
    def status(self) -> int:
        """What it ended with; a signal is negative."""
        status = self._process.returncode
        assert status is not None, "it has not ended"
        return status

    @property
    def is_ready(self) -> bool:
        """Whether it takes connections."""
        return self.how == READY and not self.ended.is_set()

    async def run(self, *, silence_s: float) -> None:
        """Listen to it until it has ended; kill it if it is silent for too long."""
        assert self._process.stdout is not None
        try:
            async for word in _words(self._process.stdout, silence_s):
                self._tell(word)
            if self._process.returncode is None:
                # Its output has ended with it, a moment ago.
                with trio.move_on_after(silence_s):
                    await self._process.wait()
        except trio.TooSlowError:
            _log.error("worker %d has said nothing for %g s: killed", self.number, silence_s)
        finally:
            with trio.CancelScope(shield=True):
                self.kill()
                await self._process.wait()
                await self._process.stdout.aclose()
                if self._process.stdin is not None:
                    await self._process.stdin.aclose()
            self.ended.set()

    def _tell(self, word: str) -> None:
        if word == self.how:
            return
        self.how = word
        if word != READY:
            # On its way up, or told to go: nobody need look.
            is_news = self.ready.is_set() and not self.is_told_to_go
            level = logging.WARNING if is_news else logging.DEBUG
            _log.log(level, "worker %d is not ready: %s", self.number, word)
            return
        _log.info("worker %d is ready, process %d", self.number, self.pid)
        if not self.ready.is_set():
            self.ready_at = trio.current_time()
            self.ready.set()

    def signal(self, which: signal.Signals) -> None:
        """Pass a signal on."""
        self.is_told_to_go = True
        if self._process.returncode is None:
            self._process.send_signal(which)

    def kill(self) -> None:
        """End it now, if it has not ended."""
        self.signal(signal.SIGKILL)


async def _words(stream: trio.abc.ReceiveStream, silence_s: float) -> AsyncIterator[str]:
    """Yield what a worker tells, line by line.

    Raises:
        trio.TooSlowError: nothing came for too long.
    """
    said = b""
    while True:
        with trio.fail_after(silence_s):
            part = await stream.receive_some()
        if not part:
            return
        *lines, said = (said + part).split(b"\n")
        said = said[-_LINE_BYTES_MAX:]
        for line in lines:
            yield line[-_LINE_BYTES_MAX:].decode("utf-8", "replace")


@final
class _Slot:
    """One of the workers that shall be there; in a renewal, two processes for a while."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.worker: Worker | None = None
        # Starts in a row that failed.
        self.failures = 0
        # Held while a successor takes over.
        self.renewal = trio.Lock()


@final
class Supervisor:
    """See the module.

    Args:
        command: the command line of a worker, by its number.
        count: how many there shall be.
        entropy: spreads the pauses.
        limits: the bounds.
        announce: called once, when the first worker is ready.
    """

    def __init__(
        self,
        command: Callable[[int], Sequence[str]],
        count: int,
        *,
        entropy: Entropy,
        limits: WorkerLimits | None = None,
        announce: Callable[[], None] = lambda: None,
    ) -> None:
        self._command = command
        self._entropy = entropy
        self._limits = limits or WorkerLimits()
        self._announce = announce
        self._slots = [_Slot(number) for number in range(1, count + 1)]
        # Every process, also those on their way out.
        self.workers: dict[Worker, None] = {}
        # Failed starts since a worker was ready.
        self._failures = 0
        self._is_announced = False
        self._is_ending = False
        self._status = 0
        self._told_to_end = trio.Event()
        # Where processes are looked after: it ends with the last one.
        self._nursery: trio.Nursery | None = None

    async def run(self) -> int:
        """Keep the workers until a signal ends it; return the process's exit status.

        SIGTERM and SIGINT: all leave in order; the second one: at once. SIGHUP: each is
        replaced by a new one, one after another.
        """
        with trio.open_signal_receiver(*_SIGNALS) as signals:
            try:
                async with trio.open_nursery() as nursery:
                    async with trio.open_nursery() as self._nursery:
                        nursery.start_soon(self._obey, signals, nursery)
                        for slot in self._slots:
                            self._nursery.start_soon(self._keep, slot)
                    nursery.cancel_scope.cancel()
            except* GaveUp as group:
                _log.error("giving up: %s", _first_of(group))
                self._status = _first_of(group).status
        return self._status

    # --- keeping -----------------------------------------------------------------------

    async def _keep(self, slot: _Slot) -> None:
        """Have a worker in a slot, until the end."""
        while not self._is_ending:
            worker = slot.worker = await self._start(slot.number)
            await self._look_after(worker)
            # A successor may have taken over, or be about to.
            async with slot.renewal:
                pass
            while slot.worker is not worker:
                worker = slot.worker
                await worker.ended.wait()
                async with slot.renewal:
                    pass
            if self._is_ending:
                break
            await self._pause(slot, worker)

    async def _start(self, number: int) -> Worker:
        process = await trio.lowlevel.open_process(
            self._command(number),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # Ctrl-C at the terminal is for the supervisor alone, which passes it on.
            start_new_session=True,
        )
        worker = Worker(number, process)
        self.workers[worker] = None
        if self._is_ending:
            worker.signal(signal.SIGTERM)
        return worker

    async def _look_after(self, worker: Worker) -> None:
        """Wait until a worker has ended."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._welcome, worker)
            try:
                await worker.run(silence_s=self._limits.silence_s)
            finally:
                del self.workers[worker]
                nursery.cancel_scope.cancel()
        if self._is_ending and worker.status:
            self._status = 1

    async def _welcome(self, worker: Worker) -> None:
        await worker.ready.wait()
        self._failures = 0
        if not self._is_announced:
            self._is_announced = True
            self._announce()

    async def _pause(self, slot: _Slot, worker: Worker) -> None:
        """A worker has ended by itself: wait before the next start, longer each time.

        Raises:
            GaveUp: it makes no sense any more.
        """
        limits, why = self._limits, _told(worker.status)
        if not self._is_announced and worker.status == _MISUSE:
            raise GaveUp(_MISUSE, f"worker {worker.number} {why}")
        self._failures += not worker.ready.is_set()
        is_any_ready = any(one.is_ready for one in self.workers)
        if not is_any_ready and self._failures >= limits.failures_max * len(self._slots):
            raise GaveUp(1, f"{self._failures} starts in a row have failed; the last worker {why}")
        is_stable = trio.current_time() - worker.ready_at >= limits.stable_s
        slot.failures = 0 if is_stable else slot.failures + 1
        longest_s = min(limits.pause_ceiling_s, limits.pause_base_s * 2.0**slot.failures)
        pause_s = self._entropy.uniform(0, longest_s)
        _log.error("worker %d %s; another one starts in %.1f s", worker.number, why, pause_s)
        with trio.move_on_after(pause_s):
            await self._told_to_end.wait()

    # --- signals -----------------------------------------------------------------------

    async def _obey(self, signals: AsyncIterator[int], nursery: trio.Nursery) -> None:
        renewal: trio.CancelScope | None = None
        async for number in signals:
            which = signal.Signals(number)
            if which is not signal.SIGHUP:
                if renewal is not None:
                    renewal.cancel()
                self._end(which, nursery)
            elif not self._is_ending and (renewal is None or renewal.cancel_called):
                _log.info("SIGHUP: each worker is replaced, one after another")
                renewal = trio.CancelScope()
                nursery.start_soon(self._renew_all, renewal)

    def _end(self, which: signal.Signals, nursery: trio.Nursery) -> None:
        # Who leaves already, in a renewal, would take a second signal for an order to hurry.
        told = [worker for worker in self.workers if self._is_ending or not worker.is_told_to_go]
        if self._is_ending:
            _log.warning("told again: stopping at once")
            nursery.start_soon(self._kill_late)
        else:
            _log.info("%s: draining; again to stop at once", which.name)
        self._is_ending = True
        self._told_to_end.set()
        for worker in told:
            worker.signal(signal.SIGTERM)

    async def _kill_late(self) -> None:
        await trio.sleep(self._limits.kill_s)
        for worker in self.workers:
            _log.error("worker %d does not end: killed", worker.number)
            worker.kill()

    async def _renew_all(self, scope: trio.CancelScope) -> None:
        """Replace each worker by a new one, which is ready before the old one leaves."""
        with scope:
            for slot in self._slots:
                if not await self._renew(slot):
                    break
        scope.cancel()

    async def _renew(self, slot: _Slot) -> bool:
        assert self._nursery is not None, "it runs"
        async with slot.renewal:
            before = slot.worker
            if before is None or before.ended.is_set():
                return True  # a new one is on its way already
            successor = await self._start(slot.number)
            self._nursery.start_soon(self._look_after, successor)
            await _first(successor.ready.wait, successor.ended.wait)
            if not successor.ready.is_set():
                _log.error(
                    "the successor of worker %d %s; those that run stay",
                    slot.number,
                    _told(successor.status),
                )
                return False
            slot.worker = successor
            before.signal(signal.SIGTERM)
            await before.ended.wait()
        return True


def _first_of(group: BaseExceptionGroup[GaveUp]) -> GaveUp:
    """Return the first one of a group and its groups."""
    first = group.exceptions[0]
    return _first_of(first) if isinstance(first, BaseExceptionGroup) else first


async def _first(*waits: Callable[[], Awaitable[None]]) -> None:
    """Wait for the first of several events."""
    async with trio.open_nursery() as nursery:

        async def wait(one: Callable[[], Awaitable[None]]) -> None:
            await one()
            nursery.cancel_scope.cancel()

        for one in waits:
            nursery.start_soon(wait, one)


def _told(status: int) -> str:
    """Say how a process ended."""
    if status < 0:
        return f"was ended by signal {-status} ({signal.strsignal(-status)})"
    return f"ended with status {status}"
