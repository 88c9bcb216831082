"""A measured stretch of time: what was counted and spent between its two edges."""

import math
import time
from array import array
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from ..machine import CAN_PIN, GENERATOR_CORE, SERVER_CORE, busy_s, cpu_s_of
from ..server import Server


class Load(NamedTuple):
    """How long to load, and whom to tell.

    Attributes:
        window: messages of one sender that are on their way at a time.
        warm_up_s: load before the first edge, s.
        measured_s: load between the edges, s.
        told: called with the part of the time that is over, a few times a second.
        helpers: other processes of the generator, on its core.
    """

    server: Server
    window: int
    warm_up_s: float
    measured_s: float
    told: Callable[[float], None]
    helpers: tuple[int, ...] = ()


class Spent(NamedTuple):
    """What happened between the edges.

    Attributes:
        others_s: what anybody else took of the two cores, the worse one, s.
        services_s: CPU of what the server needs besides, by name, s.
    """

    wall_s: float
    server_cpu_s: float
    generator_cpu_s: float
    others_s: float
    counts: tuple[int, ...]
    services_s: Mapping[str, float] = MappingProxyType({})


class Edge(NamedTuple):
    """One moment: what was counted and spent until then."""

    at: float
    server_cpu_s: float
    generator_cpu_s: float
    server_core_s: float
    generator_core_s: float
    counts: tuple[int, ...]
    services_s: Mapping[str, float]


def total(stretches: Sequence[Spent]) -> Spent:
    """Return what happened in several stretches.

    >>> total([Spent(1, 2, 3, 4, (5,)), Spent(1, 1, 1, 1, (1,))])
    Spent(wall_s=2, server_cpu_s=3, generator_cpu_s=4, others_s=5, counts=(6,), services_s={})
    """
    *times, counts, services = zip(*stretches, strict=True)
    counted = tuple(map(sum, zip(*counts, strict=True)))
    services_s = {name: sum(one[name] for one in services) for name in services[0]}
    return Spent(*map(sum, times), counted, services_s)


def edge_now(server: Server, counts: tuple[int, ...] = (), helpers: tuple[int, ...] = ()) -> Edge:
    """Return the present moment; what helpers took is the generator's."""
    return Edge(
        time.perf_counter(),
        server.cpu_s(),
        time.process_time() + sum(map(cpu_s_of, helpers)),
        busy_s(SERVER_CORE),
        busy_s(GENERATOR_CORE),
        counts,
        {name: cpu_s() for name, cpu_s in server.services.items()},
    )


def spent_between(first: Edge, last: Edge) -> Spent:
    """Return what lies between two moments of one server process."""
    server_s = last.server_cpu_s - first.server_cpu_s
    generator_s = last.generator_cpu_s - first.generator_cpu_s
    services_s = {name: last.services_s[name] - s for name, s in first.services_s.items()}
    others_s = max(
        last.server_core_s - first.server_core_s - server_s,
        # Services have the generator's core.
        last.generator_core_s - first.generator_core_s - generator_s - sum(services_s.values()),
    )
    counts = tuple(b - a for a, b in zip(first.counts, last.counts, strict=True))
    others_s = others_s if CAN_PIN else 0.0
    return Spent(last.at - first.at, server_s, generator_s, others_s, counts, services_s)


class Clockwork:
    """Takes the two edges while a load runs: `tick` at each turn, as the loop goes round."""

    # Between two reports of progress: drawing one costs the generator 3 ms.
    _TOLD_INTERVAL_S = 0.5

    def __init__(self, load: Load, count: Callable[[], tuple[int, ...]]) -> None:
        self._load = load
        self._count = count
        self._began = time.perf_counter()
        self._edge_at = self._began + load.warm_up_s
        self._told_at = self._began
        self._first: Edge | None = None
        self._last: Edge | None = None
        # Latencies are kept while this is true, or of what was due from the first edge on.
        self.is_measuring = False
        self.measured_from = math.inf

    def tick(self, now: float) -> bool:
        """Look at the time; return whether the load shall go on."""
        if now - self._told_at > self._TOLD_INTERVAL_S:
            self._told_at = now
            # Of a load of no time at all, what is waited for is the rest.
            total_s = self._load.warm_up_s + self._load.measured_s or math.inf
            self._load.told(min(1.0, (now - self._began) / total_s))
        if now < self._edge_at:
            return True
        if self._first is None:
            self._first = self._edge_now()
            self._edge_at = self._first.at + self._load.measured_s
            self.is_measuring = True
            self.measured_from = self._first.at
            return True
        if self._last is None:
            self._last = self._edge_now()
            self.is_measuring = False
        return False

    def _edge_now(self) -> Edge:
        return edge_now(self._load.server, self._count(), self._load.helpers)

    def spent(self) -> Spent:
        """Return what lies between the edges, once `tick` has returned False."""
        assert self._first is not None
        assert self._last is not None
        return spent_between(self._first, self._last)


def quantile_ms(latencies: "array[float]", part: float) -> float:
    """Return the latency that `part` of all do not exceed, ms; 0 for none at all.

    >>> quantile_ms(array("d", [0.003, 0.001, 0.002]), 0.5)
    2.0
    """
    if not latencies:
        return 0.0
    return sorted(latencies)[min(len(latencies) - 1, int(len(latencies) * part))] * 1000
