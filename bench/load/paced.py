"""Fan-out at a steady pace, whether everybody keeps up or not; and those who read much later."""

import math
import select
import time
from array import array
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from ..errors import Gone, Unexpected
from ..peers import Channel
from .connection import Connection
from .fan import EVENTS_MAX, FanLoad, Subscriber
from .frames import WEBSOCKET, Framing
from .schedule import poll_until
from .window import Load

# Late readers have everything, or nothing comes for so long, or this is the end of it all.
_SILENCE_S: Final = 3.0
_CATCH_UP_S: Final = 30.0


class CaughtUp(NamedTuple):
    """What became of those who read late: how many got everything, or lost their connection.

    Attributes:
        behind: got a part, in order, and no more came.
        garbled: got something else than was sent, or not in its place.
    """

    complete: int
    gone: int
    behind: int
    garbled: int


class PacedFan(FanLoad):
    """The load. Messages are due at times of their own.

    Args:
        due: when messages are due, s from the beginning.

    Attributes:
        delivered: latencies of all deliveries of what was due since the first edge, counted
            from when it was due, s.
    """

    def __init__(
        self,
        channel: Channel,
        publisher: Connection,
        followers: Sequence[Connection],
        load: Load,
        due: Iterator[float],
        *,
        framing: Framing = WEBSOCKET,
        already: int = 0,
    ) -> None:
        super().__init__(channel, publisher, followers, load, framing, already=already)
        self._due = due
        self._began = self._next = math.nan
        self.delivered = array("d")

    def catch_up(self, late: Sequence[Connection], *, is_promised: bool) -> CaughtUp:
        """Have connections read that have followed all along, and have not read until now.

        Args:
            late: connections that stand; what they get is verified like everybody's.
            is_promised: whether each must get everything.

        Raises:
            Unexpected: it was promised, and did not come so.
        """
        first = self._already
        waiting = {one.sock.fileno(): Subscriber(one, first) for one in late}
        complete = gone = garbled = 0
        end = time.perf_counter() + _CATCH_UP_S
        with select.epoll() as epoll:
            for one in late:
                one.sock.setblocking(False)
                epoll.register(one.sock, select.EPOLLIN)
            while waiting and time.perf_counter() < end:
                ready = epoll.poll(_SILENCE_S, EVENTS_MAX)
                if not ready:
                    break
                for descriptor, _ in ready:
                    subscriber = waiting[descriptor]
                    try:
                        self._take(subscriber)
                    except Unexpected as error:
                        if is_promised:
                            raise
                        gone += isinstance(error, Gone)
                        garbled += not isinstance(error, Gone)
                    else:
                        if subscriber.got < self._sent:
                            continue
                        complete += 1
                    epoll.unregister(descriptor)
                    del waiting[descriptor]
        if waiting and is_promised:
            one = next(iter(waiting.values()))
            raise Unexpected(f"{len(waiting)} read late and wait, one of them after {one.got}")
        return CaughtUp(complete, gone, len(waiting), garbled)

    def _fill(self) -> None:
        if math.isnan(self._began):
            self._began = time.perf_counter()
            self._next = self._began + next(self._due)
        while self._next <= time.perf_counter():
            self._send(self._next)
            self._next = self._began + next(self._due)

    def _drain(self) -> None:
        self._next = math.inf
        super()._drain()

    def _ready(self) -> list[tuple[int, int]]:
        return poll_until(self._epoll, self._next, EVENTS_MAX)

    def _note(self, before: int, got: int) -> None:
        super()._note(before, got)
        now, since = time.perf_counter(), self._clockwork.measured_from
        for stamp in self._stamps[before:got]:
            if stamp >= since:
                self.delivered.append(now - stamp)
