"""Askers: each connection asks, waits until it is answered, and asks again."""

import select
import time
from array import array
from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol, final

from ..errors import Unexpected
from .connection import Connection
from .frames import Frame
from .window import Clockwork, Load, Spent

# What was asked must be answered so soon after the load has ended.
_DRAIN_S: Final = 15
_POLL_S: Final = 1.0
_EVENTS_MAX: Final = 256


class Asker(Protocol):
    """What one connection asks, one question after the other."""

    def ask(self) -> bytes:
        """Return the frame of the next question."""
        ...

    def take(self, payload: bytes) -> bool:
        """Judge a message; return whether it is the last one that answers the question.

        Raises:
            Unexpected: it is not what should have come.
        """
        ...

    @property
    def is_settled(self) -> bool:
        """Whether nothing more is owed, once nothing more is asked."""
        ...


class Asked(NamedTuple):
    """What was asked and answered.

    Attributes:
        spent: `counts` are answers.
        latencies: from a question to the end of its answer, s.
        answers: of the whole run.
    """

    spent: Spent
    latencies: "array[float]"
    answers: int


@final
class AskingLoad:
    """The load: every connection has one question on its way. See the module."""

    def __init__(self, pairs: Sequence[tuple[Connection, Asker]], load: Load) -> None:
        self._pairs = pairs
        self._by_descriptor = {pair[0].sock.fileno(): pair for pair in pairs}
        self._epoll = select.epoll()
        self._stamps: dict[Asker, float] = {}
        self._answers = 0
        self._goes_on = True
        self._latencies = array("d")
        self._load = load
        self._clockwork = Clockwork(load, self._count)

    def run(self) -> Asked:
        """Load, then wait for what is still on its way.

        Raises:
            Unexpected: an answer is missing, or not what it should be.
        """
        with self._epoll:
            for connection, asker in self._pairs:
                self._epoll.register(connection.sock, select.EPOLLIN)
                self._judge(connection, asker, connection.go_nonblocking())
            self._clockwork = Clockwork(self._load, self._count)
            for connection, asker in self._pairs:
                self._ask(connection, asker)
            while self._goes_on:
                self._turn()
                self._goes_on = self._clockwork.tick(time.perf_counter())
            self._drain()
        return Asked(self._clockwork.spent(), self._latencies, self._answers)

    def _count(self) -> tuple[int, ...]:
        return (self._answers,)

    def _drain(self) -> None:
        deadline = time.perf_counter() + _DRAIN_S
        while self._stamps or not all(asker.is_settled for _, asker in self._pairs):
            if time.perf_counter() > deadline:
                raise Unexpected(f"{len(self._stamps)} questions wait for their answers")
            self._turn()

    def _turn(self) -> None:
        for descriptor, _ in self._epoll.poll(_POLL_S, _EVENTS_MAX):
            connection, asker = self._by_descriptor[descriptor]
            self._judge(connection, asker, connection.take(connection.receive()))

    def _judge(self, connection: Connection, asker: Asker, frames: list[Frame]) -> None:
        for first_byte, payload in frames:
            if connection.control(first_byte, payload) or not asker.take(payload):
                continue
            asked_at = self._stamps.pop(asker)
            self._answers += 1
            if self._clockwork.is_measuring:
                self._latencies.append(time.perf_counter() - asked_at)
            if self._goes_on:
                self._ask(connection, asker)

    def _ask(self, connection: Connection, asker: Asker) -> None:
        frame = asker.ask()
        self._stamps[asker] = time.perf_counter()
        connection.send(frame)
