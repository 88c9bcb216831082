"""Fan-out: one publisher keeps a window of messages on their way to all subscribers.

Every subscriber gets the same bytes for the same message, so each message is decoded and
verified once, and the others' bytes are compared with it: 0.2 µs instead of 2 a delivery.
"""

import select
import time
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from typing import Final, NamedTuple

from ..errors import Unexpected
from ..peers import ACK, DELIVERY, Channel
from .connection import Connection
from .frames import WEBSOCKET, Frame, Framing
from .window import Clockwork, Load, Spent

# After the load: how long nothing at all may come while something is on its way, and how long
# it may take altogether. Who needs 0.5 s for a message to a thousand needs 16 for 32 of them.
_SILENCE_S: Final = 15
_DRAIN_S: Final = 90
_POLL_S: Final = 1.0
EVENTS_MAX: Final = 256
# A run that goes on for ever would fill the generator's memory with verified bytes.
_MESSAGES_MAX: Final = 200_000


class FanOutcome(NamedTuple):
    """What the fan did.

    Attributes:
        spent: `counts` are deliveries and messages that reached everybody.
        reached: latencies from the send to the last subscriber's delivery, s.
        verified: messages of the whole run: acknowledged, and delivered to every subscriber.
        deliveries: of the whole run.
    """

    spent: Spent
    reached: "array[float]"
    verified: int
    deliveries: int


class Subscriber:
    """A follower of the room; `got` messages have come, in their order."""

    __slots__ = ("connection", "got")

    def __init__(self, connection: Connection, got: int) -> None:
        self.connection = connection
        self.got = got


class FanLoad:
    """The load. See the module.

    Args:
        channel: a room on which nothing is on its way.
        publisher: the connection of its sender, which does not follow it.
        followers: connections that do.
        already: messages that it has carried before; none of these comes again.
    """

    def __init__(
        self,
        channel: Channel,
        publisher: Connection,
        followers: Sequence[Connection],
        load: Load,
        framing: Framing = WEBSOCKET,
        *,
        already: int = 0,
    ) -> None:
        self._channel = channel
        self._framing = framing
        self._publisher = publisher
        self._load = load
        self._subscribers = [Subscriber(connection, already) for connection in followers]
        self._by_descriptor = {one.connection.sock.fileno(): one for one in self._subscribers}
        self._epoll = select.epoll()
        # Frames of all messages seen so far, end to end, and where each begins: message n is
        # verified[starts[n - 1]:starts[n]]. Those of before take no bytes.
        self._verified = bytearray()
        self._starts = [0] * (already + 1)
        # By message number - 1: when it was sent, and how many have got it.
        self._stamps = [0.0] * already
        self._reached = [0] * already
        self._already = self._sent = self._acked = self._complete = already
        self._deliveries = 0
        self._latencies = array("d")
        self._clockwork = Clockwork(load, self._count)

    def run(self) -> FanOutcome:
        """Load, then wait for what is still on its way.

        Raises:
            Unexpected: a delivery or acknowledgement is missing, out of order, or not as sent.
        """
        with self._epoll:
            for connection in (self._publisher, *(one.connection for one in self._subscribers)):
                self._epoll.register(connection.sock, select.EPOLLIN)
                early = connection.go_nonblocking()
                if connection is self._publisher:
                    self._judge_publisher(early)
                elif any(self._channel.read(payload)[0] for _, payload in early):
                    raise Unexpected("a delivery before the first message")
            self._clockwork = Clockwork(self._load, self._count)
            self._fill()
            while self._clockwork.tick(time.perf_counter()):
                self._turn()
                self._fill()
            self._drain()
        return FanOutcome(
            self._clockwork.spent(),
            self._latencies,
            self._complete - self._already,
            self._deliveries,
        )

    @property
    def bytes_each(self) -> int:
        """Bytes that each subscriber has got, or is owed: all verified messages of this run."""
        return len(self._verified)

    def _count(self) -> tuple[int, ...]:
        return (self._deliveries, self._complete)

    def _fill(self) -> None:
        while self._sent - self._complete < self._load.window:
            self._send(time.perf_counter())

    def _send(self, stamp: float) -> None:
        """Send the next message, whose latency counts from `stamp`."""
        if self._sent == _MESSAGES_MAX:
            raise Unexpected(f"more than {_MESSAGES_MAX} messages: shorten the run")
        self._sent += 1
        frame = self._channel.message(self._sent)
        self._reached.append(0)
        self._stamps.append(stamp)
        self._publisher.send(frame)

    def _drain(self) -> None:
        began = heard = time.perf_counter()
        while self._complete < self._sent or self._acked < self._sent:
            now = time.perf_counter()
            if now - heard > _SILENCE_S or now - began > _DRAIN_S:
                raise Unexpected(
                    f"of {self._sent} messages {self._acked} were acknowledged and "
                    f"{self._complete} delivered to all"
                )
            before = self._deliveries + self._acked
            self._turn()
            if self._deliveries + self._acked > before:
                heard = time.perf_counter()

    def _turn(self) -> None:
        by_descriptor = self._by_descriptor
        for descriptor, _ in self._ready():
            subscriber = by_descriptor.get(descriptor)
            if subscriber is None:
                publisher = self._publisher
                self._judge_publisher(publisher.take(publisher.receive()))
            else:
                self._receive(subscriber)

    def _ready(self) -> list[tuple[int, int]]:
        return self._epoll.poll(_POLL_S, EVENTS_MAX)

    def _judge_publisher(self, frames: list[Frame]) -> None:
        for first_byte, payload in frames:
            if self._publisher.control(first_byte, payload):
                continue
            kind, number = self._channel.read(payload)
            if kind == ACK:
                if number != self._acked + 1 or number > self._sent:
                    raise Unexpected(f"an acknowledgement of {number} after {self._acked}")
                self._acked = number
            elif kind == DELIVERY:
                raise Unexpected("the publisher follows nothing, and got a message")

    def _receive(self, subscriber: Subscriber) -> None:
        before = subscriber.got
        self._take(subscriber)
        self._note(before, subscriber.got)

    def _take(self, subscriber: Subscriber) -> None:
        """Verify what has come: mostly bytes that somebody else had before."""
        connection = subscriber.connection
        data = connection.receive()
        if connection.tail:
            data = connection.tail + data
        starts, before = self._starts, subscriber.got
        begin = starts[before]
        if self._verified.startswith(data, begin):
            end = begin + len(data)
            subscriber.got = bisect_right(starts, end) - 1
            rest = end - starts[subscriber.got]
            connection.tail = data[-rest:] if rest else b""
        else:
            self._take_news(subscriber, data)

    def _take_news(self, subscriber: Subscriber, data: bytes) -> None:
        """Take frames one by one: a message nobody has had yet, a ping, or something else."""
        connection = subscriber.connection
        frames, taken = self._framing.split(data)
        connection.tail = data[taken:]
        for first_byte, payload in frames:
            if connection.control(first_byte, payload):
                continue
            kind, number = self._channel.read(payload)
            if kind == ACK:
                raise Unexpected("an acknowledgement for a subscriber")
            if kind == DELIVERY:
                if number != subscriber.got + 1 or number > self._sent:
                    raise Unexpected(f"a delivery of {number} after {subscriber.got}")
                subscriber.got = number
                if number == len(self._starts):
                    self._verified += self._framing.join(first_byte, payload)
                    self._starts.append(len(self._verified))

    def _note(self, before: int, got: int) -> None:
        """Count verified deliveries of the messages after `before` up to `got`."""
        self._deliveries += got - before
        reached, everybody = self._reached, len(self._subscribers)
        for index in range(before, got):
            reached[index] += 1
            if reached[index] == everybody:
                # Each subscriber gets them in order, so they are complete in order too.
                self._complete = index + 1
                if self._clockwork.is_measuring:
                    self._latencies.append(time.perf_counter() - self._stamps[index])
