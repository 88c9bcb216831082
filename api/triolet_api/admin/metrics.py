"""`/metrics`: what this node counts, in the text format that Prometheus reads."""

from collections.abc import Iterable, Iterator
from typing import Final, final

from quart import Response

from triolet._domain.histogram import longest_of
from triolet._model.observation import Buckets, Sample
from triolet._runtime.engine import Engine

from ..endpoints import Access, Call, endpoint

METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
# Upper ends of the buckets that are told, s.
_BOUNDS_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


@final
class Metrics:
    """See the module. Who has the key in the settings reads them, and who is an admin."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @endpoint("GET", "/metrics", access=Access.ADMIN, rate="free", produces="text/plain")
    async def read(self, call: Call) -> Response:
        """Read what this node counts, as Prometheus does.

        With `metrics_token` of the settings as the bearer token, or an admin's. Where a request
        comes from is no reason: through a proxy on the same machine everybody comes from there.
        """
        del call
        text = "".join(f"{line}\n" for line in lines(self._engine.oversight.sample()))
        return Response(text, content_type=METRICS_TYPE)


def lines(sample: Sample) -> Iterator[str]:
    """Yield the lines of a sample.

    Counts end in `_total`, durations are in seconds; each has the prefix `triolet_`.
    """
    for name, value in sample.gauges.items():
        yield from _single(name, "gauge", value)
    for name, value in sample.counts.items():
        if name == "cpu_ms":
            yield from _single("cpu_seconds_total", "counter", value / 1000)
        else:
            yield from _single(f"{name}_total", "counter", value)
    yield from _single("uptime_seconds", "gauge", sample.up_ms / 1000)
    yield from _single("ready", "gauge", int(not sample.not_ready))
    yield from _single("store_failing", "gauge", int(sample.is_store_failing))
    yield from _labelled("closes_total", "code", sample.closes)
    yield from _labelled("refusals_total", "reason", sample.refusals)
    yield from _histogram("store_append_seconds", sample.append_us)
    yield from _histogram("bus_echo_seconds", sample.bus_us)
    yield from _histogram("loop_lag_seconds", sample.lag_us)


def _single(name: str, kind: str, value: float) -> Iterator[str]:
    yield f"# TYPE triolet_{name} {kind}"
    yield f"triolet_{name} {value:.15g}"


def _labelled(name: str, label: str, values: dict[str, int]) -> Iterator[str]:
    yield f"# TYPE triolet_{name} counter"
    for one, value in values.items():
        yield f'triolet_{name}{{{label}="{one}"}} {value}'


def _histogram(name: str, buckets: Buckets) -> Iterator[str]:
    yield f"# TYPE triolet_{name} histogram"
    found = [(longest_of(bucket) / 1_000_000, count) for bucket, count in sorted(buckets.items())]
    for bound_s in _BOUNDS_S:
        yield f'triolet_{name}_bucket{{le="{bound_s:g}"}} {_within(found, bound_s)}'
    count = sum(buckets.values())
    yield f'triolet_{name}_bucket{{le="+Inf"}} {count}'
    # Of what fell into a bucket its upper end: at most a sixteenth too much.
    yield f"triolet_{name}_sum {sum(longest_s * one for longest_s, one in found):.15g}"
    yield f"triolet_{name}_count {count}"


def _within(found: Iterable[tuple[float, int]], bound_s: float) -> int:
    return sum(count for longest_s, count in found if longest_s <= bound_s)
