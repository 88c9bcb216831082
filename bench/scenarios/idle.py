"""`idle`: connections that stand, authenticated and subscribed, and say nothing."""

import time
from functools import partial
from typing import Final

from ..load.connection import Connections
from ..load.fan import FanLoad
from ..load.window import Load
from . import Case, Figure, Options, Sample, Scenario

_CONNECTIONS: Final = 15_000
_SENDER: Final = "sender"
# The server finishes what connecting left to do, its allocator too.
_SETTLE_S: Final = 1.0


def _run(count: int, options: Options) -> Sample:
    peer = options.peer
    with (
        peer.start(store=options.store, parent=options.parent) as server,
        Connections(server.ports, peer) as connections,
    ):
        step, channel = peer.open_room(_SENDER, "bench", text=options.text)
        # The first of each kind loads what all share.
        publisher, *first = connections.open(
            [[peer.hello(_SENDER), step]], lambda _: None
        ) + connections.open([[peer.hello("first"), peer.follow(channel)]], lambda _: None)
        conversations = [
            [peer.hello(f"f{index:05d}"), peer.follow(channel)] for index in range(count)
        ]
        time.sleep(_SETTLE_S)
        before_bytes, before_s = server.rss_bytes(), server.cpu_s()
        began = time.perf_counter()
        followers = connections.open(conversations, options.connecting(count))
        taken_s = time.perf_counter() - began
        cpu_s = server.cpu_s() - before_s
        time.sleep(_SETTLE_S)
        held_bytes = server.rss_bytes() - before_bytes
        before_s = server.cpu_s()
        options.told(0.5, "idling")
        time.sleep(options.seconds)
        idle_s = server.cpu_s() - before_s
        # All of them are there, and subscribed: one message reaches each.
        one = Load(server, 1, 0, 0, lambda _: None)
        outcome = FanLoad(channel, publisher, first + followers, one, peer.framing).run()
    return Sample(
        "idle",
        _case_name(count),
        options.who,
        (
            Figure("memory a connection", "KiB", held_bytes / 1024 / count),
            Figure("server CPU a set-up", "µs", 1e6 * cpu_s / count),
            Figure("set-ups", "1/s", count / taken_s),
            Figure("server CPU while idle", "%", 100 * idle_s / options.seconds),
        ),
        {"connected": count, "delivered": outcome.deliveries, "acknowledged": outcome.verified},
        {},
    )


def _case_name(count: int) -> str:
    return f"{count:,} connections"


def _cases(options: Options) -> list[Case]:
    count = options.n or _CONNECTIONS
    return [Case(_case_name(count), partial(_run, count))]


SCENARIO: Final = Scenario(
    "idle",
    "connections that are authenticated, subscribed and silent: resident memory each",
    _cases,
)
