"""`latency`: direct messages that come when they come, at half of what the server can take.

Saturation is found first, on the same server, by senders that never pause; then messages are
due at random times, and a message's latency counts from when it was due.
"""

from array import array
from functools import partial
from typing import Final, NamedTuple

from ..load.connection import Connections
from ..load.pairs import Pair, PairsLoad, PairsOutcome, ScheduledPairs
from ..load.schedule import poisson
from ..load.window import Load, quantile_ms
from ..server import Server
from . import WARM_UP_PART, Case, Figure, Options, Sample, Scenario, busy_of, services_of
from .direct import open_pairs

_CONNECTIONS: Final = 400
# Saturation is the greater rate of these many messages of a sender on their way: with more, whole
# batches of each sender would be measured, as no schedule brings them.
_WINDOWS: Final = (1, 4)
_PART: Final = 0.5
# Each of the two gets this part of the measured time.
_SATURATING_PART: Final = 0.4
# So does a schedule at half of it, which tells what a message of a schedule costs the generator:
# 45 µs, where one of several that are answered together costs 25.
_TRIAL_PART: Final = 0.3
# Asked of everybody, and within what the slowest of them can take.
_RATE: Final = 3_000
# Above this part of its time, the generator's own queue would be measured.
_GENERATOR_PART_MAX: Final = 0.5
_SEED: Final = 20_26
_QUANTILES: Final = (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999))


class _Pace(NamedTuple):
    """How fast messages are due.

    Attributes:
        rate: messages a second.
        saturation: what the server takes of them; 0 where it was not asked.
    """

    rate: float
    saturation: float

    @property
    def missing_part(self) -> float:
        """By what part it is below half of saturation, for the generator's sake."""
        return 1 - self.rate / (_PART * self.saturation) if self.saturation else 0.0


def _half_of_saturation(options: Options, server: Server, pairs: list[Pair]) -> _Pace:
    """Find the greatest rate, and take half of it, or what the generator can verify at leisure."""
    options.told(0, "saturating")
    measured_s = _SATURATING_PART * options.seconds
    best = 0.0
    for window in _WINDOWS:
        load = Load(server, window, WARM_UP_PART * measured_s, measured_s, lambda _: None)
        spent = PairsLoad(pairs, load, echo=False).run().spent
        (messages,) = spent.counts
        best = max(best, messages / spent.wall_s)
    if not best:
        raise ValueError("not one message came back in time: measure for longer")
    generator_s = _generator_s(options, server, pairs, _PART * best)
    return _Pace(min(_PART * best, _GENERATOR_PART_MAX / generator_s), best)


def _generator_s(options: Options, server: Server, pairs: list[Pair], rate: float) -> float:
    """Return what a message of a schedule costs the generator, s."""
    options.told(0, "trying")
    measured_s = _TRIAL_PART * options.seconds
    load = Load(server, 0, WARM_UP_PART * measured_s, measured_s, lambda _: None)
    spent = ScheduledPairs(pairs, load, poisson(rate, _SEED), _SEED).run().spent
    (messages,) = spent.counts
    return spent.generator_cpu_s / max(1, messages)


def _run(count: int, rate: int, options: Options) -> Sample:
    peer = options.peer
    with (
        peer.start(store=options.store, parent=options.parent) as server,
        Connections(server.ports, peer) as connections,
    ):
        pairs = open_pairs(options, connections, count // 2)
        pace = _Pace(rate, 0) if rate else _half_of_saturation(options, server, pairs)
        due = poisson(pace.rate, _SEED)
        outcome = ScheduledPairs(pairs, options.load(server, 0), due, _SEED).run()
    return _sample(options, _case_name(count, rate), outcome, pace)


def _sample(options: Options, case: str, outcome: PairsOutcome, pace: _Pace) -> Sample:
    spent = outcome.spent
    (messages,) = spent.counts
    generator_part = spent.generator_cpu_s / spent.wall_s
    return Sample(
        "latency",
        case,
        options.who,
        (
            *_quantiles("delivered", outcome.delivered),
            *_quantiles("acknowledged", outcome.acknowledged),
            Figure("messages", "1/s", messages / spent.wall_s),
            *([Figure("saturation", "1/s", pace.saturation)] if pace.saturation else []),
            Figure("server CPU a message", "µs", 1e6 * spent.server_cpu_s / max(1, messages)),
            Figure("server CPU used", "%", 100 * spent.server_cpu_s / spent.wall_s),
            *services_of(spent, messages, "a message"),
            Figure("generator CPU used", "%", 100 * generator_part),
        ),
        {
            "acknowledged": outcome.verified,
            "delivered": outcome.verified,
            "measured": len(outcome.delivered),
        },
        busy_of(spent) | {"queue": generator_part, "capped": pace.missing_part},
    )


def _quantiles(what: str, latencies: "array[float]") -> list[Figure]:
    return [
        Figure(f"{what}, {name}", "ms", quantile_ms(latencies, part)) for name, part in _QUANTILES
    ]


def _case_name(count: int, rate: int) -> str:
    return f"{count:,} connections, {f'{rate:,}/s' if rate else 'half of saturation'}"


def _cases(options: Options) -> list[Case]:
    if options.n % 2:
        raise ValueError("`latency` needs pairs: an even number of connections")
    count = options.n or _CONNECTIONS
    rates = (options.rate,) if options.rate else (0, _RATE)
    return [
        Case(_case_name(count, rate), partial(_run, count, rate), stores=options.peer.stores)
        for rate in rates
    ]


SCENARIO: Final = Scenario(
    "latency",
    "direct messages at half of saturation, counted from when they were due: quantiles",
    _cases,
)
