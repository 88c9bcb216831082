"""Pairs: each sender keeps a window of messages to its one receiver unacknowledged."""

import random
import select
import time
from array import array
from collections.abc import Iterator
from typing import Final, NamedTuple

from ..errors import Unexpected
from ..peers import ACK, DELIVERY, Channel
from .connection import Connection
from .frames import Frame
from .schedule import poll_until
from .window import Clockwork, Load, Spent

# What was sent must be acknowledged and delivered so soon after the load has ended.
_DRAIN_S: Final = 15
_POLL_S: Final = 1.0
EVENTS_MAX: Final = 256


class PairsOutcome(NamedTuple):
    """What the pairs did.

    Attributes:
        spent: `counts` are messages both acknowledged and delivered.
        acknowledged: latencies from the send to the acknowledgement, s.
        delivered: latencies from the send to the delivery, s.
        verified: acknowledgements and deliveries of the whole run, the same number of each.
        echoes: deliveries to the sender's own subscription.
    """

    spent: Spent
    acknowledged: "array[float]"
    delivered: "array[float]"
    verified: int
    echoes: int


class Pair:
    """A sender and its receiver; all counts are of messages in their order."""

    __slots__ = ("acked", "channel", "delivered", "echoed", "receiver", "sender", "sent", "stamps")

    def __init__(self, channel: Channel, sender: Connection, receiver: Connection) -> None:
        self.channel = channel
        self.sender = sender
        self.receiver = receiver
        self.sent = self.acked = self.delivered = self.echoed = 0
        # When each message was sent that is not both acknowledged and delivered.
        self.stamps: dict[int, float] = {}


class PairsLoad:
    """The load. See the module.

    Args:
        pairs: connections that stand, whose channels carry nothing yet.
        echo: whether the senders follow their own channels too, and must get their messages.
    """

    def __init__(self, pairs: list[Pair], load: Load, *, echo: bool) -> None:
        self._pairs = pairs
        self._load = load
        self._echo = echo
        self._by_descriptor: dict[int, tuple[Pair, Connection]] = {}
        self._epoll = select.epoll()
        self._goes_on = True
        self._acknowledged = array("d")
        self._delivered = array("d")
        self._clockwork = Clockwork(load, self._count)

    def run(self) -> PairsOutcome:
        """Load, then wait for what is still on its way.

        Raises:
            Unexpected: an acknowledgement or delivery is missing, out of order, or not as sent.
        """
        for pair in self._pairs:
            for connection in (pair.sender, pair.receiver):
                self._by_descriptor[connection.sock.fileno()] = (pair, connection)
                self._epoll.register(connection.sock, select.EPOLLIN)
                self._judge(pair, connection, connection.go_nonblocking())
        with self._epoll:
            self._clockwork = Clockwork(self._load, self._count)
            self._begin()
            while self._goes_on:
                self._turn()
                self._goes_on = self._clockwork.tick(time.perf_counter())
            self._drain()
        verified = sum(pair.acked for pair in self._pairs)
        return PairsOutcome(
            self._clockwork.spent(),
            self._acknowledged,
            self._delivered,
            verified,
            sum(pair.echoed for pair in self._pairs),
        )

    def _begin(self) -> None:
        for pair in self._pairs:
            for _ in range(self._load.window):
                self._send(pair, time.perf_counter())

    def _count(self) -> tuple[int, ...]:
        return (sum(min(pair.acked, pair.delivered) for pair in self._pairs),)

    def _drain(self) -> None:
        deadline = time.perf_counter() + _DRAIN_S
        while any(not self._is_settled(pair) for pair in self._pairs):
            if time.perf_counter() > deadline:
                missing = [pair for pair in self._pairs if not self._is_settled(pair)]
                one = missing[0]
                raise Unexpected(
                    f"{len(missing)} pairs wait: one sent {one.sent}, of which {one.acked} were "
                    f"acknowledged, {one.delivered} delivered, {one.echoed} echoed"
                )
            self._turn()

    def _is_settled(self, pair: Pair) -> bool:
        echoed = pair.echoed if self._echo else pair.sent
        return pair.sent == pair.acked == pair.delivered == echoed

    def _turn(self) -> None:
        self._receive(self._epoll.poll(_POLL_S, EVENTS_MAX))

    def _receive(self, ready: list[tuple[int, int]]) -> None:
        by_descriptor = self._by_descriptor
        for descriptor, _ in ready:
            pair, connection = by_descriptor[descriptor]
            self._judge(pair, connection, connection.take(connection.receive()))

    def _judge(self, pair: Pair, connection: Connection, frames: list[Frame]) -> None:
        for first_byte, payload in frames:
            if connection.control(first_byte, payload):
                continue
            kind, number = pair.channel.read(payload)
            if kind == ACK:
                self._acknowledge(pair, connection, number)
            elif kind == DELIVERY:
                self._deliver(pair, connection, number)

    def _send(self, pair: Pair, stamp: float) -> None:
        """Send the next message, whose latency counts from `stamp`."""
        pair.sent = number = pair.sent + 1
        pair.stamps[number] = stamp
        pair.sender.send(pair.channel.message(number))

    def _is_measured(self, stamp: float) -> bool:
        del stamp
        return self._clockwork.is_measuring

    def _answered(self, pair: Pair) -> None:
        """Send the next one, now that this one is acknowledged."""
        if self._goes_on:
            self._send(pair, time.perf_counter())

    def _acknowledge(self, pair: Pair, connection: Connection, number: int) -> None:
        if connection is not pair.sender or number != pair.acked + 1 or number > pair.sent:
            raise Unexpected(f"an acknowledgement of {number} after {pair.acked} of {pair.sent}")
        pair.acked = number
        stamp = pair.stamps[number]
        if self._is_measured(stamp):
            self._acknowledged.append(time.perf_counter() - stamp)
        if number <= pair.delivered:
            del pair.stamps[number]
        self._answered(pair)

    def _deliver(self, pair: Pair, connection: Connection, number: int) -> None:
        if connection is pair.sender:
            if not self._echo or number != pair.echoed + 1 or number > pair.sent:
                raise Unexpected(f"an echo of {number} after {pair.echoed} of {pair.sent}")
            pair.echoed = number
            return
        if number != pair.delivered + 1 or number > pair.sent:
            raise Unexpected(f"a delivery of {number} after {pair.delivered} of {pair.sent}")
        pair.delivered = number
        stamp = pair.stamps[number]
        if self._is_measured(stamp):
            self._delivered.append(time.perf_counter() - stamp)
        if number <= pair.acked:
            del pair.stamps[number]


class ScheduledPairs(PairsLoad):
    """Pairs that write when they like, whether the server keeps up or not.

    Latencies are those of all messages that were due since the first edge.

    Args:
        pairs: see `PairsLoad`.
        due: when messages are due, s from the beginning; whose is drawn by lot.
    """

    def __init__(self, pairs: list[Pair], load: Load, due: Iterator[float], seed: int) -> None:
        super().__init__(pairs, load, echo=False)
        self._due = due
        self._chance = random.Random(seed)
        self._began = self._next = 0.0

    def _begin(self) -> None:
        self._began = time.perf_counter()
        self._next = self._began + next(self._due)

    def _turn(self) -> None:
        if not self._goes_on:
            super()._turn()
            return
        # Answers are looked at between any two messages: a generator that is behind its
        # schedule would otherwise measure itself.
        if time.perf_counter() >= self._next:
            self._send(self._chance.choice(self._pairs), self._next)
            self._next = self._began + next(self._due)
        self._receive(poll_until(self._epoll, self._next, EVENTS_MAX))

    def _is_measured(self, stamp: float) -> bool:
        return stamp >= self._clockwork.measured_from

    def _answered(self, pair: Pair) -> None:
        """Nobody waits for an answer."""
