"""What the engine is to reach, as data; `judge` holds the figures of a run against it.

A ratio is taken between medians of the same run on the same machine: absolute figures of a
shared machine mean little, their ratios a lot.
"""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias

from .scenarios import Sample

_FAN_1: Final = "1 to 1,000, 1 in flight, 100 B"
_FAN_32: Final = "1 to 1,000, 32 in flight, 100 B"
_DELIVERY: Final = "server CPU a delivery"
_MESSAGE: Final = "server CPU a message"
_STORM: Final = "5,000 clients in 20 rooms each, the server is killed and restarted"
_SLOW: Final = "1 to 1,000, 100 slow, 40/s, 2,048 B"
_DIRECT: Final = "400 connections, 1 in flight"


class AtMost(NamedTuple):
    """A figure is at most `value`: as it is, or as a part of the same figure of each of `of`."""

    scenario: str
    case: str
    who: str
    figure: str
    value: float
    of: tuple[str, ...] = ()


class Flat(NamedTuple):
    """A figure's greatest value over some cases is at most `value` times its least."""

    scenario: str
    cases: tuple[str, ...]
    who: str
    figure: str
    value: float


Goal: TypeAlias = AtMost | Flat


class Verdict(NamedTuple):
    """What came of a goal.

    Attributes:
        measured: the figure or ratio; None when it was not measured.
        value: what it is at most to be.
    """

    goal: str
    measured: float | None
    value: float

    @property
    def is_met(self) -> bool:
        """Whether it was measured and holds."""
        return self.measured is not None and self.measured <= self.value


GOALS: Final[tuple[Goal, ...]] = (
    AtMost("fanout", _FAN_1, "triolet (sqlite)", _DELIVERY, 1.05, ("floor",)),
    AtMost("fanout", _FAN_1, "triolet (sqlite)", _DELIVERY, 0.6, ("ws", "socketio", "websockets")),
    AtMost(
        "fanout",
        _FAN_32,
        "triolet (sqlite)",
        _DELIVERY,
        0.15,
        (
            "floor",
            "ws",
            "socketio",
            "websockets",
            "python-socketio",
            "channels",
            "trio-websocket",
        ),
    ),
    AtMost("fanout", _FAN_32, "triolet (sqlite)", _DELIVERY, 1.0, ("nats",)),
    *(
        Flat(
            "fanout",
            tuple(
                f"1 to {count:,}, {window} in flight, 100 B"
                for count in (10, 100, 1_000, 10_000, 15_000)
            ),
            "triolet (sqlite)",
            _DELIVERY,
            1.2,
        )
        for window in (1, 32)
    ),
    AtMost("direct", _DIRECT, "triolet (memory)", _MESSAGE, 0.6, ("socketio",)),
    AtMost("direct", _DIRECT, "triolet (memory)", _MESSAGE, 0.15, ("python-socketio",)),
    AtMost("direct", _DIRECT, "triolet (sqlite)", _MESSAGE, 0.8, ("socketio",)),
    AtMost("direct", _DIRECT, "crossing", _MESSAGE, 1.5, ("postgres",)),
    AtMost("idle", "15,000 connections", "triolet (sqlite)", "memory a connection", 4),
    AtMost(
        "idle", "15,000 connections", "triolet (sqlite)", "memory a connection", 0.2, ("socketio",)
    ),
    *(
        AtMost(
            "latency",
            "400 connections, half of saturation",
            f"triolet ({store})",
            f"{what}, {part}",
            1.0,
            ("socketio",),
        )
        for store in ("memory", "sqlite")
        for what in ("delivered", "acknowledged")
        for part in ("p50", "p99")
    ),
    *(
        AtMost(
            "ping", f"15,000 subscribers, {window} in flight", "triolet (sqlite)", "worst ping", 20
        )
        for window in (1, 4)
    ),
    AtMost("slow", _SLOW, "triolet (sqlite)", "others' p99, with slow / without", 1.1),
    # `outbox_bytes_high`.
    AtMost("slow", _SLOW, "triolet (sqlite)", "memory a slow reader", 256),
    *(
        AtMost(
            "http",
            f"{what}, 16 connections",
            "triolet (sqlite)",
            "server CPU a request",
            1.3,
            ("quart-trio",),
        )
        for what in ("/health/live", "a page of 50 messages")
    ),
    AtMost("resume", _STORM, "triolet (sqlite)", "server CPU a client", 400),
    AtMost("resume", _STORM, "triolet (sqlite)", "back, p99 / ideal", 2),
    AtMost(
        "connect",
        "waves of 2,000",
        "triolet (sqlite)",
        "server CPU a set-up",
        0.5,
        ("socketio",),
    ),
    *(
        Flat(
            "growth",
            ("messages in 1 room", *(f"messages in {n:,} rooms" for n in (100, 10_000, 100_000))),
            f"triolet ({store})",
            "server CPU a message",
            1.2,
        )
        for store in ("memory", "sqlite")
    ),
    *(
        Flat(
            "growth",
            tuple(f"{kind}, {n:,} entries" for n in (10_000, 100_000, 1_000_000, 10_000_000)),
            "triolet (sqlite)",
            f"server CPU {what}",
            1.2,
        )
        for kind, what in (("pages of 50", "a page"), ("resumes from 400 behind", "a resume"))
    ),
)


def grouped(samples: Iterable[Sample]) -> dict[tuple[str, str, str], list[Sample]]:
    """Return samples by scenario, case and server, in the order they came."""
    groups: dict[tuple[str, str, str], list[Sample]] = {}
    for sample in samples:
        groups.setdefault((sample.scenario, sample.case, sample.who), []).append(sample)
    return groups


def median_of(runs: Sequence[Sample], figure: str) -> float | None:
    """Return the median of a figure over some runs of the same; None if there is none."""
    values = [one.value for run in runs for one in run.figures if one.name == figure]
    return statistics.median(values) if values else None


def judge(samples: Iterable[Sample], goals: Iterable[Goal] = GOALS) -> list[Verdict]:
    """Hold what was measured against the goals whose cases were run."""
    groups = grouped(samples)
    verdicts: list[Verdict] = []
    for goal in goals:
        if isinstance(goal, Flat):
            verdicts += _judge_flat(groups, goal)
        else:
            verdicts += _judge(groups, goal)
    return verdicts


_Groups: TypeAlias = Mapping[tuple[str, str, str], Sequence[Sample]]


def _judge(groups: _Groups, goal: AtMost) -> list[Verdict]:
    what = f"{goal.scenario}: {goal.figure}, {goal.case}"
    ours = median_of(groups.get((goal.scenario, goal.case, goal.who), ()), goal.figure)
    if ours is None:
        return []
    if not goal.of:
        return [Verdict(what, ours, goal.value)]
    verdicts = []
    for peer in goal.of:
        theirs = median_of(groups.get((goal.scenario, goal.case, peer), ()), goal.figure)
        ratio = ours / theirs if theirs else None
        verdicts.append(Verdict(f"{what}: {goal.who} / {peer}", ratio, goal.value))
    return verdicts


def _judge_flat(groups: _Groups, goal: Flat) -> list[Verdict]:
    values = [
        median_of(groups.get((goal.scenario, case, goal.who), ()), goal.figure)
        for case in goal.cases
    ]
    known = [value for value in values if value is not None]
    if not known:
        return []
    what = f"{goal.scenario}: {goal.figure}, {goal.cases[0]} … {goal.cases[-1]}: most / least"
    spread = max(known) / min(known) if len(known) == len(values) and min(known) > 0 else None
    return [Verdict(what, spread, goal.value)]
