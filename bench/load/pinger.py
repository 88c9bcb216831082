"""Pings in a process of their own, so that the load's own work is no part of what they take.

It shares the generator's core, at a higher priority: it runs the moment a ping is due or an
answer has come. How late it wakes all the same is measured, and told beside the pings.
"""

import contextlib
import gc
import heapq
import math
import multiprocessing
import os
import random
import select
import time
from array import array
from collections import deque
from collections.abc import Sequence
from multiprocessing.connection import Connection as Pipe
from typing import Final, NamedTuple, Self, final

from ..errors import Unexpected
from ..peers.pings import Ping
from .connection import Connection
from .frames import PONG
from .schedule import poll_until

# Between two pings of a client: any time from the one to the other, so that they meet every
# moment of whatever else the server does.
_PAUSE_S: Final = (0.005, 0.010)
# What is on its way at the end must be answered so soon.
_DRAIN_S: Final = 15
# A result comes so soon after its time is over, or the process is gone.
_RESULT_S: Final = _DRAIN_S + 5
_EVENTS_MAX: Final = 256
_PRIORITY: Final = 1
_NICENESS: Final = -10
_SEED: Final = 20_26


class Pinged(NamedTuple):
    """What a stretch of pinging found.

    Attributes:
        latencies: of each kind of ping, from the send to the answer, s.
        late: how long after its time each ping was sent: the pinger's own delay, s.
        is_preferred: whether it had the priority that it should have.
    """

    latencies: list["array[float]"]
    late: "array[float]"
    is_preferred: bool


class Pinger:
    """The process. It lives as long as the block, and answers the server's own pings all along.

    Args:
        connections: those that ping; nobody else may use them from now on.
        pings: what they send, each kind in turn.
    """

    def __init__(self, connections: Sequence[Connection], pings: Sequence[Ping]) -> None:
        self._pipe, theirs = multiprocessing.Pipe()
        # A fork, because what it needs is open and connected.
        self._process = multiprocessing.get_context("fork").Process(
            target=_run, args=(theirs, connections, pings), daemon=True
        )
        self._until = 0.0

    def __enter__(self) -> Self:
        self._process.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()
        self._pipe.close()

    @property
    def pid(self) -> int:
        """The process, once it lives."""
        assert self._process.pid is not None
        return self._process.pid

    def begin(self, warm_up_s: float, measured_s: float) -> None:
        """Have it ping; `result` tells what came of it."""
        self._pipe.send((warm_up_s, measured_s))
        self._until = time.perf_counter() + warm_up_s + measured_s + _RESULT_S

    def result(self) -> Pinged:
        """Wait for the result of what was begun.

        Raises:
            Unexpected: a ping was not answered, or by something else.
        """
        found = "it is silent"
        with contextlib.suppress(EOFError):
            if self._pipe.poll(max(0.0, self._until - time.perf_counter())):
                found = self._pipe.recv()
        if not isinstance(found, Pinged):
            raise Unexpected(f"the pinger: {found}")
        return found


@final
class Client:
    """A connection that pings; what is on its way of each kind, oldest first."""

    __slots__ = ("_connection", "_count", "_pings", "_waiting")

    def __init__(self, connection: Connection, pings: Sequence[Ping]) -> None:
        self._connection = connection
        self._pings = pings
        self._count = 0
        # Number, when it was sent, and whether it counts.
        self._waiting: list[deque[tuple[int, float, bool]]] = [deque() for _ in pings]

    @property
    def is_waiting(self) -> bool:
        """Whether a ping of it is not answered."""
        return any(self._waiting)

    def ping(self, *, counts: bool) -> None:
        """Send the next one, whether the last one is answered or not."""
        self._count += 1
        kind = self._count % len(self._pings)
        frame = self._pings[kind].frame(self._count)
        self._waiting[kind].append((self._count, time.perf_counter(), counts))
        self._connection.send(frame)

    def hear(self, latencies: Sequence["array[float]"]) -> None:
        """Take what has come, and note how long those that count have taken.

        Raises:
            Unexpected: it is no answer to the oldest ping of any kind.
        """
        frames = self._connection.take(self._connection.receive())
        now = time.perf_counter()
        for first_byte, payload in frames:
            for waiting, ping, found in zip(self._waiting, self._pings, latencies, strict=True):
                if waiting and ping.is_pong(first_byte, payload, waiting[0][0]):
                    _, sent_at, counts = waiting.popleft()
                    if counts:
                        found.append(now - sent_at)
                    break
            else:
                if not self._connection.control(first_byte, payload) or first_byte == PONG:
                    raise Unexpected(f"no answer to a ping: {first_byte:#x} {payload[:200]!r}")


@final
class _Pinging:
    """What goes on in the process."""

    def __init__(
        self, pipe: Pipe, connections: Sequence[Connection], pings: Sequence[Ping]
    ) -> None:
        self._pipe = pipe
        self._kinds = len(pings)
        self._clients = {one.sock.fileno(): Client(one, pings) for one in connections}
        self._chance = random.Random(_SEED)
        self._epoll = select.epoll()
        self._epoll.register(pipe, select.EPOLLIN)
        for one in connections:
            if one.go_nonblocking():
                raise Unexpected("something came before the first ping")
            self._epoll.register(one.sock, select.EPOLLIN)

    def go_on(self, *, is_preferred: bool) -> None:
        """Ping whenever it is asked for."""
        nobody = self._nothing_yet()
        while True:
            for descriptor, _ in self._epoll.poll():
                if descriptor in self._clients:
                    self._clients[descriptor].hear(nobody)
                else:
                    found = self.stretch(*self._pipe.recv(), is_preferred=is_preferred)
                    self._pipe.send(found)

    def _nothing_yet(self) -> list["array[float]"]:
        return [array("d") for _ in range(self._kinds)]

    def stretch(self, warm_up_s: float, measured_s: float, *, is_preferred: bool) -> Pinged:
        """Ping for a stretch of time, then wait for the last answers.

        Raises:
            Unexpected: a ping was not answered, or by something else.
        """
        latencies, late = self._nothing_yet(), array("d")
        begin = time.perf_counter() + warm_up_s
        end = begin + measured_s
        due = [(begin - warm_up_s + self._pause_s(), one) for one in self._clients]
        heapq.heapify(due)
        while (now := time.perf_counter()) < end or self._is_waiting():
            when, descriptor = due[0]
            if when <= now and when < end:
                if when >= begin:
                    late.append(now - when)
                self._clients[descriptor].ping(counts=when >= begin)
                heapq.heapreplace(due, (when + self._pause_s(), descriptor))
            elif now > end + _DRAIN_S:
                raise Unexpected(f"a ping is not answered after {_DRAIN_S} s")
            for ready, _ in poll_until(self._epoll, when if when < end else math.inf, _EVENTS_MAX):
                if ready in self._clients:
                    self._clients[ready].hear(latencies)
        return Pinged(latencies, late, is_preferred)

    def _pause_s(self) -> float:
        return self._chance.uniform(*_PAUSE_S)

    def _is_waiting(self) -> bool:
        return any(one.is_waiting for one in self._clients.values())


def _run(pipe: Pipe, connections: Sequence[Connection], pings: Sequence[Ping]) -> None:
    is_preferred = _prefer()
    gc.disable()
    try:
        _Pinging(pipe, connections, pings).go_on(is_preferred=is_preferred)
    except EOFError:
        pass
    except Exception as error:  # noqa: BLE001 - whatever it is, the other process is told
        pipe.send(f"{type(error).__name__}: {error}")


def _prefer() -> bool:
    """Have this process run before all others of its core, where the system allows it."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(_PRIORITY))
    except (OSError, AttributeError):
        try:
            os.nice(_NICENESS)
        except OSError:
            return False
    return True
