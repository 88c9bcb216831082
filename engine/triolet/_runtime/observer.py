"""How this node is, and what it has counted, when somebody asks: see `Sample`."""

from typing import TYPE_CHECKING, Final, final

import trio

from .._domain.observing import ERRORS_SHOWN, ROOMS_SHOWN
from .._model.observation import Post, Sample
from .counters import Counters
from .process import cpu_ms, memory_bytes

if TYPE_CHECKING:
    from .engine import Engine

# Counters that are told under their own names.
_COUNTS: Final = (
    "acknowledged",
    "batches",
    "bytes_in",
    "bytes_out",
    "deliveries",
    "duplicates",
    "entries",
    "errors_logged",
    "messages",
    "opened",
    "store_failures",
)


@final
class Observer:
    """See the module."""

    def __init__(self, engine: "Engine", counters: Counters, post: Post | None) -> None:
        self._engine = engine
        self._post = post
        self._counters = counters
        self._began = trio.current_time()

    def sample(self) -> Sample:
        """Return how this node is now: nothing is walked through for it."""
        engine, counters = self._engine, self._counters
        nodes = engine.nodes
        errors = list(counters.errors)[-ERRORS_SHOWN:]
        return Sample(
            node="" if nodes is None else nodes.name,
            at=engine.clock.now_ms(),
            up_ms=int(1000 * (trio.current_time() - self._began)),
            gauges=self._gauges(),
            counts={name: getattr(counters, name) for name in _COUNTS}
            | {
                "closed": sum(counters.closes.values()),
                "refused": sum(counters.refusals.values()),
                "cpu_ms": cpu_ms(),
            },
            closes={str(code): count for code, count in sorted(counters.closes.items())},
            refusals=dict(sorted(counters.refusals.items())),
            append_us=dict(counters.append.buckets),
            bus_us=dict(counters.bus.buckets),
            lag_us=dict(counters.lag.buckets),
            not_ready=engine.why_not_ready(),
            unheard=() if nodes is None else nodes.unheard,
            is_store_failing=engine.sequencer.is_failing,
            busiest=counters.busiest.top(ROOMS_SHOWN, now=trio.current_time()),
            errors=tuple(reversed(errors)),
            post=self._post,
        )

    def _gauges(self) -> dict[str, int]:
        engine = self._engine
        now = engine.statistics()
        return {
            "connections": now.connections,
            "sessions": now.sessions,
            "users": now.users,
            "rooms": now.rooms,
            "cursors": now.cursors,
            "slow_clients": self._counters.slow,
            "pending_bytes": now.pending_bytes,
            "memory_bytes": memory_bytes(),
        }
