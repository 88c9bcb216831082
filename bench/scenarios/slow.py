"""`slow`: what it does to others, and to the server, that some subscribers do not read."""

import socket
import time
from array import array
from functools import partial
from typing import Final, NamedTuple

from ..load.connection import Connection, Connections
from ..load.paced import CaughtUp, PacedFan
from ..load.schedule import evenly
from ..load.window import Load, Spent, quantile_ms, total
from ..machine import unsent_bytes
from ..server import Server
from . import WARM_UP_PART, Case, Figure, Options, Sample, Scenario, busy_of

_SUBSCRIBERS: Final = 1_000
# One in ten never reads.
_SLOW_PART: Final = 10
_RATE: Final = 40
_TEXT_BYTES: Final = 2_048
# Without, with, and without slow readers again: parts of the measured time. With the default 3 s,
# 2 KiB forty times a second for 6 s are twice what a slow reader of Triolet's fills: its budget
# of 256 KiB and the kernel's buffers.
_WITHOUT_PART: Final = 0.6
_WITH_PART: Final = 2.0
# A small window and the segments of an Ethernet: with loopback's of 64 KiB the kernel alone would
# take 2.5 MB for each before the server hears of it.
_RECEIVE_BYTES: Final = 4_096
_SEGMENT_BYTES: Final = 1_448
_SENDER: Final = "sender"
_SETTLE_S: Final = 0.5
_SEED: Final = 20_26
# To fan out this much takes others more than there is.
_ASKED: Final = ("ws", "socketio", "websockets", "nats")


class _Stretch(NamedTuple):
    """A part of the run: what everybody got who reads, and how late."""

    spent: Spent
    delivered: "array[float]"
    deliveries: int
    acknowledged: int


class _Held(NamedTuple):
    """What so many slow readers cost, all of them together, and what became of them."""

    slow: int
    memory_bytes: int
    kernel_bytes: int
    owed_bytes: int
    caught_up: CaughtUp


class _Room:
    """A server, a room on it with its sender, and those who read."""

    def __init__(
        self, options: Options, server: Server, connections: Connections, count: int
    ) -> None:
        self._options = options
        self._server = server
        self._connections = connections
        peer = options.peer
        step, self._channel = peer.open_room(_SENDER, "bench", text=options.text)
        (self._publisher,) = connections.open([[peer.hello(_SENDER), step]], lambda _: None)
        self._readers = self._follow("f", count)
        self._sent = 0

    def _follow(self, name: str, count: int, *, is_slow: bool = False) -> list[Connection]:
        peer = self._options.peer
        return self._connections.open(
            [
                [peer.hello(f"{name}{index:05d}"), peer.follow(self._channel)]
                for index in range(count)
            ],
            self._options.connecting(count),
            _small if is_slow else None,
        )

    def without(self) -> _Stretch:
        """Send for a while to those who read."""
        return self._sending(_WITHOUT_PART)[1]

    def with_slow(self, count: int) -> tuple[_Stretch, _Held]:
        """Send for a while, with `count` others who do not read until it is over."""
        slow = self._follow("slow", count, is_slow=True)
        time.sleep(_SETTLE_S)
        before_bytes = self._server.rss_bytes()
        fan, stretch = self._sending(_WITH_PART)
        memory_bytes = self._server.rss_bytes() - before_bytes
        kernel_bytes = unsent_bytes(self._server.port, {one.sock.getsockname()[1] for one in slow})
        caught_up = fan.catch_up(slow, is_promised=self._options.peer.keeps_for_late_readers)
        self._connections.drop(slow)
        time.sleep(_SETTLE_S)
        owed_bytes = count * fan.bytes_each - kernel_bytes
        return stretch, _Held(count, memory_bytes, kernel_bytes, owed_bytes, caught_up)

    def _sending(self, part: float) -> tuple[PacedFan, _Stretch]:
        options = self._options
        measured_s = part * options.seconds
        load = Load(
            self._server,
            0,
            WARM_UP_PART * options.seconds,
            measured_s,
            lambda done: options.told(done, "measuring"),
        )
        fan = PacedFan(
            self._channel,
            self._publisher,
            self._readers,
            load,
            evenly(options.rate or _RATE, _SEED),
            framing=options.peer.framing,
            already=self._sent,
        )
        outcome = fan.run()
        self._sent += outcome.verified
        return fan, _Stretch(outcome.spent, fan.delivered, outcome.deliveries, outcome.verified)


def _small(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, _SEGMENT_BYTES)


def _run(count: int, slow: int, options: Options) -> Sample:
    options = options._replace(text_bytes=options.text_bytes or _TEXT_BYTES)
    peer = options.peer
    with (
        peer.start(store=options.store, parent=options.parent) as server,
        Connections(server.ports, peer) as connections,
    ):
        room = _Room(options, server, connections, count - slow)
        # The first to be sent anything find compilers and allocators cold.
        room.without()
        before = room.without()
        during, held = room.with_slow(slow)
        after = room.without()
    return _sample(options, _case_name(count, slow, options), [before, after], during, held)


def _sample(
    options: Options, case: str, without: list[_Stretch], during: _Stretch, held: _Held
) -> Sample:
    alone = array("d")
    for one in without:
        alone += one.delivered
    spent = total([one.spent for one in without])
    p99_alone, p99 = (quantile_ms(one, 0.99) for one in (alone, during.delivered))
    stretches = [*without, during]
    return Sample(
        "slow",
        case,
        options.who,
        (
            Figure("others' p99, with slow / without", "", p99 / p99_alone),
            Figure("without, p50", "ms", quantile_ms(alone, 0.5)),
            Figure("without, p99", "ms", p99_alone),
            Figure("with slow, p50", "ms", quantile_ms(during.delivered, 0.5)),
            Figure("with slow, p99", "ms", p99),
            Figure("memory a slow reader", "KiB", held.memory_bytes / 1024 / held.slow),
            Figure("kernel's, a slow reader", "KiB", held.kernel_bytes / 1024 / held.slow),
            Figure("owed a slow reader", "KiB", held.owed_bytes / 1024 / held.slow),
            *_became(held),
            Figure("CPU a delivery, with slow / without", "", _cost(during.spent) / _cost(spent)),
            Figure("server CPU used", "%", 100 * during.spent.server_cpu_s / during.spent.wall_s),
        ),
        {
            "delivered": sum(one.deliveries for one in stretches),
            "acknowledged": sum(one.acknowledged for one in stretches),
            "caught up": held.caught_up.complete,
        },
        busy_of(total([one.spent for one in stretches])),
    )


def _became(held: _Held) -> list[Figure]:
    complete, gone, behind, garbled = held.caught_up
    return [
        Figure(name, "%", 100 * count / held.slow)
        for name, count in (
            ("caught up", complete),
            ("disconnected", gone),
            ("lost something", behind + garbled),
        )
    ]


def _cost(spent: Spent) -> float:
    """Return CPU a delivery to those who read; a stretch so short that none was counted: 0."""
    return spent.server_cpu_s / max(1, spent.counts[0]) or 1e-9


def _case_name(count: int, slow: int, options: Options) -> str:
    rate = options.rate or _RATE
    return f"1 to {count:,}, {slow:,} slow, {rate:,}/s, {options.text_bytes:,} B"


def _cases(options: Options) -> list[Case]:
    count = options.n or _SUBSCRIBERS
    slow = max(1, count // _SLOW_PART)
    if count <= slow:
        raise ValueError("`slow` needs two subscribers at least: one reads, one does not")
    sized = options._replace(text_bytes=options.text_bytes or _TEXT_BYTES)
    peers = () if options.n else _ASKED
    return [Case(_case_name(count, slow, sized), partial(_run, count, slow), peers=peers)]


SCENARIO: Final = Scenario(
    "slow",
    "one in ten subscribers does not read: what others wait, what the server holds",
    _cases,
)
