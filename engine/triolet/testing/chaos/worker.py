"""The process in which clients live; it outlives the server, and can be stopped and lied to.

`python -m triolet.testing.chaos.worker` reads orders and writes reports, a JSON line each.
"""

import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final, final

import trio

from .. import history
from .person import Person
from .plan import Order, Report, decode_order, encode

_REPORT_INTERVAL_S: Final = 0.1
_READ_BYTES: Final = 64 * 1024


@final
class LeapingClock(trio.abc.Clock):
    """Trio's clock of a machine that sleeps: it may leap forward."""

    def __init__(self) -> None:
        self._leapt_s = 0.0

    def leap(self, seconds: float) -> None:
        """Be so much later, at once."""
        self._leapt_s += seconds

    def start_clock(self) -> None:
        """Nothing: it goes as the machine's does."""

    def current_time(self) -> float:
        """Return the time in seconds."""
        return time.monotonic() + self._leapt_s

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """Return how long to sleep until then, in seconds."""
        return deadline - self.current_time()


@final
class WallClock:
    """This process's wall clock, which may jump either way."""

    def __init__(self) -> None:
        self._time, self._time_ns = time.time, time.time_ns
        self._jumped_s = 0.0

    def install(self) -> None:
        """Have everything in this process read it."""
        time.time = self._now
        time.time_ns = lambda: self._time_ns() + int(self._jumped_s * 1e9)

    def _now(self) -> float:
        return self._time() + self._jumped_s

    def jump(self, seconds: float) -> None:
        """Be so much later, or earlier."""
        self._jumped_s += seconds


@final
class Crew:
    """The people of one process."""

    def __init__(self, order: Order, writer: history.Writer, clock: LeapingClock) -> None:
        self._pace_s = order.pace_s
        self._clock = clock
        self._wall = WallClock()
        self._wall.install()
        self._stop = trio.Event()
        self._told_heads = trio.Event()
        self._heads: dict[str, int] = {}
        self._leave = trio.Event()
        self._quiet = self._read = self._done = 0
        self.people = [Person(seat, writer.write) for seat in order.seats]

    async def run(self, orders: AsyncIterator[bytes]) -> None:
        """Live, do what is ordered, and report; until everybody has left."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._obey, orders, nursery)
            nursery.start_soon(self._report_on)
            async with trio.open_nursery() as people:
                for person in self.people:
                    people.start_soon(self._live, person)
            nursery.cancel_scope.cancel()
        self.report()

    async def _live(self, person: Person) -> None:
        await person.live(
            self._pace_s,
            stop=self._stop,
            quiet=self._is_quiet,
            heads=self._wait_heads,
            leave=self._wait_leave,
        )
        self._done += 1

    def _is_quiet(self) -> None:
        self._quiet += 1

    async def _wait_heads(self) -> dict[str, int]:
        await self._told_heads.wait()
        return self._heads

    async def _wait_leave(self) -> None:
        self._read += 1
        await self._leave.wait()

    async def _obey(self, orders: AsyncIterator[bytes], nursery: trio.Nursery) -> None:
        async for line in orders:
            order = decode_order(line)
            match order.verb:
                case "jump":
                    self._wall.jump(order.seconds)
                case "leap":
                    self._clock.leap(order.seconds)
                case "stop":
                    self._stop.set()
                case "finish":
                    self._heads = dict(order.heads)
                    self._told_heads.set()
                case "leave":
                    self._leave.set()
        # The harness is gone: so are we.
        nursery.cancel_scope.cancel()

    async def _report_on(self) -> None:
        while True:
            self.report()
            await trio.sleep(_REPORT_INTERVAL_S)

    def report(self) -> None:
        """Tell how far everybody is."""
        count = len(self.people)
        stages = {"done": self._done, "read": self._read, "quiet": self._quiet}
        state = next((name for name, how_many in stages.items() if how_many == count), "talking")
        heads: dict[str, int] = {}
        for person in self.people:
            for room, seq in person.heads.items():
                heads[room] = max(heads.get(room, 0), seq)
        report = Report(
            state=state,
            online=sum(person.is_online for person in self.people),
            acked=sum(person.acked for person in self.people),
            waiting=sum(person.waiting for person in self.people),
            heads=heads,
        )
        os.write(1, encode(report) + b"\n")


async def lines(stream: trio.abc.ReceiveStream) -> AsyncIterator[bytes]:
    """Yield the lines of a stream."""
    rest = b""
    async for part in stream:
        *whole, rest = (rest + part).split(b"\n")
        for line in whole:
            yield line


async def main(clock: LeapingClock) -> None:
    """Take the first order, and live by it."""
    async with trio.lowlevel.FdStream(os.dup(0)) as stdin:
        orders = lines(stdin)
        order = decode_order(await anext(orders))
        with history.Writer(Path(order.history)) as writer:
            await Crew(order, writer, clock).run(orders)


if __name__ == "__main__":
    one = LeapingClock()
    trio.run(main, one, clock=one)
