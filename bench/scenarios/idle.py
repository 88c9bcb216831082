"""`idle`: connections that stand, authenticated and subscribed, and say nothing."""

import time
from typing import Final

from ..load.connection import Connections
from ..load.fan import FanLoad
from ..load.window import Load
from . import Figure, Goal, Options, Run, Sample, Scenario

_CONNECTIONS: Final = 5_000
_GOAL: Final = Goal("≤", 6)
_SENDER: Final = "sender"
# The server finishes what connecting left to do, its allocator too.
_SETTLE_S: Final = 1.0


def _run(options: Options) -> Sample:
    count = options.n or _CONNECTIONS
    peer = options.peer
    with (
        peer.start(store=options.store_name, parent=options.parent) as server,
        Connections(server.port, peer.upgrade(server.port)) as connections,
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
        followers = connections.open(
            conversations, lambda done: options.told(done / count, "connecting")
        )
        taken_s = time.perf_counter() - began
        cpu_s = server.cpu_s() - before_s
        time.sleep(_SETTLE_S)
        held_bytes = server.rss_bytes() - before_bytes
        before_s = server.cpu_s()
        options.told(0.5, "idling")
        time.sleep(options.seconds)
        idle_s = server.cpu_s() - before_s
        # All of them are there, and subscribed: one message reaches each.
        outcome = FanLoad(
            channel, publisher, first + followers, Load(server, 1, 0, 0, lambda _: None)
        ).run()
    # What all share would be counted for the few.
    goal = _GOAL if count >= _CONNECTIONS else None
    return Sample(
        "idle",
        f"{options.store_name}, {count} connections",
        (
            Figure("memory a connection", "KiB", held_bytes / 1024 / count, goal),
            Figure("server CPU a set-up", "µs", 1e6 * cpu_s / count),
            Figure("set-ups", "1/s", count / taken_s),
            Figure("server CPU while idle", "%", 100 * idle_s / options.seconds),
        ),
        {"connected": count, "delivered": outcome.deliveries, "acknowledged": outcome.verified},
        {},
    )


def _runs(_: Options) -> list[Run]:
    return [_run]


SCENARIO: Final = Scenario(
    "idle",
    "connections that are authenticated, subscribed and silent: resident memory each "
    f"(goal {_GOAL.sign} {_GOAL.value:.0f} KiB), and server CPU to set one up",
    _runs,
)
