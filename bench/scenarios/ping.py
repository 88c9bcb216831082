"""`ping`: how long others wait while one room's messages go to very many subscribers."""

from functools import partial
from typing import Final

from ..load.connection import Connections
from ..load.fan import FanLoad, FanOutcome
from ..load.pinger import Pinged, Pinger
from ..load.window import quantile_ms
from . import WARM_UP_PART, Case, Figure, Options, Sample, Scenario, busy_of

_SUBSCRIBERS: Final = 15_000
_WINDOWS: Final = (1, 4)
# To connect so many takes others long.
_ASKED: Final = ("ws", "socketio", "websockets", "nats")
_PINGERS: Final = 20
_SENDER: Final = "sender"
# What a ping takes with nothing else to do, the pinger's own share included: this part of the
# measured time.
_IDLE_PART: Final = 0.3


def _run(count: int, window: int, options: Options) -> Sample:
    peer = options.peer
    with (
        peer.start(store=options.store, parent=options.parent) as server,
        Connections(server.ports, peer) as connections,
    ):
        asking = connections.open(
            [[peer.hello(f"p{index:05d}")] for index in range(_PINGERS)], lambda _: None
        )
        with Pinger(asking, peer.pings) as pinger:
            step, channel = peer.open_room(_SENDER, "bench", text=options.text)
            (publisher,) = connections.open([[peer.hello(_SENDER), step]], lambda _: None)
            followers = connections.open(
                [[peer.hello(f"f{index:05d}"), peer.follow(channel)] for index in range(count)],
                options.connecting(count),
            )
            pinger.begin(WARM_UP_PART * options.seconds, _IDLE_PART * options.seconds)
            idle = pinger.result()
            load = options.load(server, window)._replace(helpers=(pinger.pid,))
            fan = FanLoad(channel, publisher, followers, load, peer.framing)
            pinger.begin(load.warm_up_s, load.measured_s)
            outcome = fan.run()
            pinged = pinger.result()
    return _sample(options, _case_name(count, window), outcome, pinged, idle)


def _sample(
    options: Options, case: str, outcome: FanOutcome, pinged: Pinged, idle: Pinged
) -> Sample:
    spent = outcome.spent
    deliveries, _ = spent.counts
    asked, websocket = pinged.latencies[0], pinged.latencies[-1]
    worst_ms, late_ms = quantile_ms(asked, 1.0), quantile_ms(pinged.late, 1.0)
    return Sample(
        "ping",
        case,
        options.who,
        (
            Figure("worst ping", "ms", worst_ms),
            Figure("ping, p99", "ms", quantile_ms(asked, 0.99)),
            Figure("ping, p50", "ms", quantile_ms(asked, 0.5)),
            Figure("worst WebSocket ping", "ms", quantile_ms(websocket, 1.0)),
            Figure("WebSocket ping, p99", "ms", quantile_ms(websocket, 0.99)),
            Figure("idle: worst ping", "ms", quantile_ms(idle.latencies[0], 1.0)),
            Figure("idle: ping, p50", "ms", quantile_ms(idle.latencies[0], 0.5)),
            Figure("pinger's worst delay", "ms", late_ms),
            Figure("deliveries", "1/s", deliveries / spent.wall_s),
            Figure("server CPU used", "%", 100 * spent.server_cpu_s / spent.wall_s),
        ),
        {
            "pings": sum(map(len, pinged.latencies)),
            "delivered": outcome.deliveries,
            "acknowledged": outcome.verified,
        },
        busy_of(spent)
        | {
            "late": late_ms / worst_ms if worst_ms else 0.0,
            "unpreferred": 0.0 if pinged.is_preferred else 1.0,
        },
    )


def _case_name(count: int, window: int) -> str:
    return f"{count:,} subscribers, {window} in flight"


def _cases(options: Options) -> list[Case]:
    count = options.n or _SUBSCRIBERS
    return [
        Case(
            _case_name(count, window),
            partial(_run, count, window),
            peers=() if options.n else _ASKED,
        )
        for window in ((options.window,) if options.window else _WINDOWS)
    ]


SCENARIO: Final = Scenario(
    "ping", "others' pings meanwhile one room's messages go to 15,000 subscribers", _cases
)
