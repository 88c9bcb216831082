"""`day`: a mixed day of a chat: rooms of 2 to 200, a few of them busy, people who come and go."""

from functools import partial
from typing import Final

from ..load.connection import Connections, allow_descriptors
from ..load.day import DayLoad, Lived, draw_deeds, plan_day
from ..load.loop import Loop
from ..load.window import quantile_ms
from ..peers.triolet import Triolet
from . import WARM_UP_PART, Case, Figure, Options, Sample, Scenario, busy_of

_GUESTS: Final = 300
# Deeds a second; each durable one is delivered to 40 people or so.
_RATE: Final = 200
_SEED: Final = 20_26
_DESCRIPTORS_SPARE: Final = 64


def _run(guests: int, rate: int, options: Options) -> Sample:
    peer = options.peer
    assert isinstance(peer, Triolet)
    plan = plan_day(guests, guests, _SEED)
    warm_up_s = WARM_UP_PART * options.seconds
    deeds = draw_deeds(plan, rate=rate, seconds=warm_up_s + options.seconds, seed=_SEED)
    allow_descriptors(guests + _DESCRIPTORS_SPARE)
    with (
        peer.start(store=options.store, parent=options.parent) as server,
        Loop() as loop,
    ):
        day = peer.day(plan, text=options.text)
        with Connections(server.ports, peer) as connections:
            connections.open([day.prepare()], lambda _: None)
        options.told(0, "living")
        load = DayLoad(loop, server, peer, day)
        lived = load.run(deeds, warm_up_s=warm_up_s, seconds=options.seconds)
        verified = day.verify()
    return _sample(options, case_name(guests, rate), lived, verified)


def _sample(options: Options, case: str, lived: Lived, verified: dict[str, int]) -> Sample:
    spent = lived.spent
    deliveries, deeds = spent.counts
    return Sample(
        "day",
        case,
        options.who,
        (
            Figure("server CPU a delivery", "µs", 1e6 * spent.server_cpu_s / max(1, deliveries)),
            Figure("server CPU a deed", "µs", 1e6 * spent.server_cpu_s / max(1, deeds)),
            Figure("deliveries", "1/s", deliveries / spent.wall_s),
            Figure("server CPU used", "%", 100 * spent.server_cpu_s / spent.wall_s),
            Figure("delivered, p50", "ms", quantile_ms(lived.latencies, 0.5)),
            Figure("delivered, p99", "ms", quantile_ms(lived.latencies, 0.99)),
        ),
        verified | {f"done: {what}": count for what, count in lived.done.items()},
        busy_of(spent),
    )


def case_name(guests: int, rate: int) -> str:
    """Return what a case is called."""
    return f"{guests:,} people, {rate:,} deeds a second"


def _cases(options: Options) -> list[Case]:
    guests, rate = options.n or _GUESTS, options.rate or _RATE
    run = partial(_run, guests, rate)
    return [Case(case_name(guests, rate), run, stores=options.peer.stores)]


SCENARIO: Final = Scenario(
    "day",
    "a mixed day: messages, typing, marks, reactions, edits, reconnects: server CPU a delivery",
    _cases,
)
