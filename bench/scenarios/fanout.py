"""`fanout`: one sender, one room, many subscribers."""

from functools import partial
from typing import Final

from ..load.connection import Connections
from ..load.fan import FanLoad, FanOutcome
from ..load.window import quantile_ms
from . import Case, Figure, Options, Sample, Scenario, busy_of, services_of

# Subscribers, messages in flight, and bytes of text: first what peers are compared by, then how
# the cost grows with each of the three.
_CASES: Final = (
    (1_000, 1, 100),
    (1_000, 4, 100),
    (1_000, 32, 100),
    (1_000, 4, 1_024),
    (10, 1, 100),
    (100, 1, 100),
    (10_000, 1, 100),
    (15_000, 1, 100),
    (10, 32, 100),
    (100, 32, 100),
    (10_000, 32, 100),
    (15_000, 32, 100),
)
# How the cost grows with the subscribers is asked of these: thousands take the others long.
_GROWING: Final = ("floor", "ws", "nats")
_EVERYBODY: Final = 1_000
_SENDER: Final = "sender"


def case_name(subscribers: int, window: int, text_bytes: int) -> str:
    """Return what a case is called."""
    return f"1 to {subscribers:,}, {window} in flight, {text_bytes:,} B"


def _run(count: int, window: int, text_bytes: int, options: Options) -> Sample:
    options = options._replace(text_bytes=text_bytes)
    peer = options.peer
    with (
        peer.start(store=options.store, parent=options.parent) as server,
        Connections(server.ports, peer) as connections,
    ):
        step, channel = peer.open_room(_SENDER, "bench", text=options.text)
        (publisher,) = connections.open([[peer.hello(_SENDER), step]], lambda _: None)
        followers = connections.open(
            [[peer.hello(f"f{index:05d}"), peer.follow(channel)] for index in range(count)],
            options.connecting(count),
        )
        load = options.load(server, window)
        outcome = FanLoad(channel, publisher, followers, load, peer.framing).run()
    return _sample(options, case_name(count, window, options.text_bytes), outcome)


def _sample(options: Options, case: str, outcome: FanOutcome) -> Sample:
    spent = outcome.spent
    deliveries, messages = spent.counts
    return Sample(
        "fanout",
        case,
        options.who,
        (
            Figure("server CPU a delivery", "µs", 1e6 * spent.server_cpu_s / max(1, deliveries)),
            Figure("deliveries", "1/s", deliveries / spent.wall_s),
            Figure("messages", "1/s", messages / spent.wall_s),
            Figure("server CPU used", "%", 100 * spent.server_cpu_s / spent.wall_s),
            *services_of(spent, deliveries, "a delivery"),
            Figure("at the last one, p50", "ms", quantile_ms(outcome.reached, 0.5)),
            Figure("at the last one, p99", "ms", quantile_ms(outcome.reached, 0.99)),
        ),
        {
            "acknowledged": outcome.verified,
            "delivered": outcome.deliveries,
            "measured": deliveries,
        },
        busy_of(spent),
    )


def _cases(options: Options) -> list[Case]:
    if options.n or options.window or options.text_bytes:
        one = (options.n or _EVERYBODY, options.window or 1, options.text_bytes or 100)
        return [Case(case_name(*one), partial(_run, *one))]
    return [
        Case(case_name(*one), partial(_run, *one), peers=() if one[0] == _EVERYBODY else _GROWING)
        for one in _CASES
    ]


SCENARIO: Final = Scenario(
    "fanout", "one room's messages to many subscribers: server CPU a delivery", _cases
)
