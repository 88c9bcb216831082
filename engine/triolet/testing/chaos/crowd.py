"""The processes of the clients, as the harness sees them: told what to do, asked how far it is."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, final

import trio

from .plan import Order, Report, Seat, decode_report, encode
from .process import ProcessFailed
from .worker import lines

_END_TIMEOUT_S: Final = 10
_COMMAND: Final = (sys.executable, "-m", f"{__package__}.worker")


@final
class Worker:
    """One process of clients.

    Attributes:
        report: what it told last.
    """

    def __init__(self, process: trio.Process, on_report: trio.lowlevel.ParkingLot) -> None:
        self.report = Report(state="starting")
        self._process = process
        self._on_report = on_report
        self._is_ending = False

    async def listen(self) -> None:
        """Take in what it tells, until it ends."""
        assert self._process.stdout is not None
        async for line in lines(self._process.stdout):
            self.report = decode_report(line)
            self._on_report.unpark_all()
        if self.report.state != "done" and not self._is_ending:
            raise ProcessFailed("the process of the clients has ended by itself")

    async def tell(self, order: Order) -> None:
        """Give an order."""
        assert self._process.stdin is not None
        await self._process.stdin.send_all(encode(order) + b"\n")

    def pause(self) -> None:
        """Let its machine sleep: SIGSTOP."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Wake it up: SIGCONT."""
        self._process.send_signal(signal.SIGCONT)

    async def end(self) -> None:
        """See that it has ended; what it wrote of its clients is in its file then."""
        self._is_ending = True
        assert self._process.stdin is not None
        await self._process.stdin.aclose()
        with trio.move_on_after(_END_TIMEOUT_S):
            await self._process.wait()
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


@final
class Crowd:
    """All clients, in one process or several."""

    def __init__(self) -> None:
        self.workers: list[Worker] = []
        self.reported = trio.lowlevel.ParkingLot()

    @property
    def acked(self) -> int:
        """Acknowledgements so far."""
        return sum(worker.report.acked for worker in self.workers)

    @property
    def online(self) -> int:
        """Clients that have a connection."""
        return sum(worker.report.online for worker in self.workers)

    @property
    def waiting(self) -> int:
        """Requests without an answer now."""
        return sum(worker.report.waiting for worker in self.workers)

    @property
    def heads(self) -> dict[str, int]:
        """The greatest acknowledged seq of each room."""
        heads: dict[str, int] = {}
        for worker in self.workers:
            for room, seq in worker.report.heads.items():
                heads[room] = max(heads.get(room, 0), seq)
        return heads

    def are_all(self, *states: str) -> bool:
        """Whether each worker has come so far."""
        return all(worker.report.state in states for worker in self.workers)

    async def tell(self, order: Order) -> None:
        """Tell all of them."""
        for worker in self.workers:
            await worker.tell(order)


@asynccontextmanager
async def open_crowd(
    seats: Sequence[Seat], histories: Iterable[Path], pace_s: float
) -> AsyncIterator[Crowd]:
    """Have clients for the length of a block, a process for each history, seated in turn.

    Args:
        seats: who.
        histories: where each process writes what its clients saw.
        pace_s: the mean pause between two requests of one hand of a client.
    """
    crowd, paths = Crowd(), list(histories)
    async with trio.open_nursery() as nursery:
        try:
            for number, path in enumerate(paths):
                process = await trio.lowlevel.open_process(
                    _COMMAND,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    env=dict(os.environ),
                    start_new_session=True,
                )
                worker = Worker(process, crowd.reported)
                crowd.workers.append(worker)
                some = tuple(seats[number :: len(paths)])
                order = Order(verb="seat", seats=some, history=str(path), pace_s=pace_s)
                await worker.tell(order)
                nursery.start_soon(worker.listen)
            yield crowd
        finally:
            with trio.CancelScope(shield=True):
                for worker in crowd.workers:
                    await worker.end()
