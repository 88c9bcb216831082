"""`connect`: people who come, as fast as the server takes them, and leave again."""

import time
from array import array
from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

from ..load.connection import Connection, Connections
from ..load.fan import FanLoad
from ..load.window import Load, Spent, edge_now, quantile_ms, spent_between, total
from ..server import Server
from . import Case, Figure, Options, Sample, Scenario, busy_of

_CONNECTIONS: Final = 2_000
# Everybody comes and leaves so many times, as other people each time.
_WAVES: Final = 3
# The first to come load what all share: this part of a wave, one at least.
_FIRST_PART: Final = 10
_SENDER: Final = "sender"
# What a server leaves for later when somebody comes or goes is done by then.
_SETTLE_S: Final = 0.3


class _Wave(NamedTuple):
    """What one wave took, coming and leaving, and the deliveries that verified it."""

    coming: Spent
    leaving: Spent
    opening_s: "array[float]"
    delivered: int


class _Shore:
    """A server, a room on it and its sender: where the waves come to."""

    def __init__(self, options: Options, server: Server, connections: Connections) -> None:
        self._options = options
        self._server = server
        self._connections = connections
        step, self._channel = options.peer.open_room(_SENDER, "bench", text=options.text)
        conversation = [options.peer.hello(_SENDER), step]
        (self._publisher,) = connections.open([conversation], lambda _: None)
        self._sent = 0

    def wave(self, name: str, count: int) -> _Wave:
        """Have `count` people come, each of whom a message must reach, and leave."""
        options, connections = self._options, self._connections
        conversations = [
            [options.peer.hello(f"{name}{index:05d}"), options.peer.follow(self._channel)]
            for index in range(count)
        ]
        del connections.opening_s[:]
        came: list[Connection] = []
        coming = self._spent(
            lambda: came.extend(connections.open(conversations, options.connecting(count)))
        )
        delivered = self._reach(came)
        leaving = self._spent(lambda: connections.leave(came))
        return _Wave(coming, leaving, array("d", connections.opening_s), delivered)

    def _spent(self, do: Callable[[], None]) -> Spent:
        """Return what something took, with what the server did for it later."""
        before = edge_now(self._server)
        do()
        spent = spent_between(before, edge_now(self._server))
        time.sleep(_SETTLE_S)
        return spent._replace(server_cpu_s=self._server.cpu_s() - before.server_cpu_s)

    def _reach(self, came: list[Connection]) -> int:
        one = Load(self._server, 1, 0, 0, lambda _: None)
        framing = self._options.peer.framing
        fan = FanLoad(self._channel, self._publisher, came, one, framing, already=self._sent)
        outcome = fan.run()
        self._sent += outcome.verified
        return outcome.deliveries


def _run(count: int, options: Options) -> Sample:
    peer = options.peer
    with (
        peer.start(store=options.store, parent=options.parent) as server,
        Connections(server.ports, peer) as connections,
    ):
        shore = _Shore(options, server, connections)
        shore.wave("first", max(1, count // _FIRST_PART))
        waves = [shore.wave(f"w{number}x", count) for number in range(_WAVES)]
    return _sample(options, count, waves)


def _sample(options: Options, count: int, waves: list[_Wave]) -> Sample:
    coming = total([wave.coming for wave in waves])
    leaving = total([wave.leaving for wave in waves])
    opening_s = array("d")
    for wave in waves:
        opening_s += wave.opening_s
    everybody = count * len(waves)
    return Sample(
        "connect",
        _case_name(count),
        options.who,
        (
            Figure("server CPU a set-up", "µs", 1e6 * coming.server_cpu_s / everybody),
            Figure("set-ups", "1/s", everybody / coming.wall_s),
            Figure("set-up, p50", "ms", quantile_ms(opening_s, 0.5)),
            Figure("set-up, p99", "ms", quantile_ms(opening_s, 0.99)),
            Figure("server CPU a departure", "µs", 1e6 * leaving.server_cpu_s / everybody),
            Figure("departures", "1/s", everybody / leaving.wall_s),
        ),
        {
            "connected": len(opening_s),
            "delivered": sum(wave.delivered for wave in waves),
            "left in good order": everybody,
        },
        busy_of(coming),
    )


def _case_name(count: int) -> str:
    return f"waves of {count:,}"


def _cases(options: Options) -> list[Case]:
    count = options.n or _CONNECTIONS
    return [Case(_case_name(count), partial(_run, count))]


SCENARIO: Final = Scenario(
    "connect",
    "people who come and leave: server CPU of a handshake, token, hello and subscription",
    _cases,
)
