"""`/metrics`: what this server counts, in the text format that Prometheus reads.

Workers that share a port are one server, and which of them a request gets to is the system's
choice: so each answers for all, and what each has counted is labelled with its number. Nothing is
summed here: a worker that starts again begins at zero, and a sum that falls by a part looks like a
counter that began again with the rest.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias, final

from msgspec import Struct
from quart import Response

from triolet._domain.histogram import longest_of
from triolet._model.observation import Buckets, Sample
from triolet._runtime.engine import Engine

from ..endpoints import Access, Call, endpoint

METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
# Upper ends of the buckets that are told, s.
_BOUNDS_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
# One line: what the name ends with, labels, number.
_Row: TypeAlias = tuple[str, dict[str, str], float]


@final
class _Family(Struct, frozen=True):
    """The lines of one name."""

    name: str
    kind: str
    rows: list[_Row]


@final
class Metrics:
    """See the module. Who has the key in the settings reads them, and who is an admin."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @endpoint("GET", "/metrics", access=Access.ADMIN, rate="free", produces="text/plain")
    async def read(self, call: Call) -> Response:
        """Read what this server counts, as Prometheus does.

        Of a server of several workers each line has one's number as `worker`, whichever of them
        is asked; others are waited for at most a second.

        With `metrics_token` of the settings as the bearer token, or an admin's. Where a request
        comes from is no reason: through a proxy on the same machine everybody comes from there.
        """
        del call
        found = by_worker(await self._engine.oversight.crew())
        text = "".join(f"{line}\n" for line in lines(found))
        return Response(text, content_type=METRICS_TYPE)


def by_worker(crew: Sequence[Sample]) -> dict[str, Sample]:
    """Return samples by what their lines are labelled with: nothing, for a server by itself.

    While one takes over from another, the older of the two is `2-leaving`, say.
    """
    found: dict[str, Sample] = {}
    for sample in sorted(crew, key=lambda one: -one.up_ms):
        label = "" if sample.post is None else str(sample.post.number)
        if label in found:
            found[f"{label}-leaving"] = found[label]
        found[label] = sample
    return dict(sorted(found.items()))


def lines(samples: Mapping[str, Sample]) -> Iterator[str]:
    """Yield the lines of samples, by worker: those of one name together, as Prometheus has it.

    Counts end in `_total`, durations are in seconds; each has the prefix `triolet_`.
    """
    families: dict[str, list[str]] = {}
    for worker, sample in samples.items():
        for family in _families(sample):
            name = f"triolet_{family.name}"
            told = families.setdefault(name, [f"# TYPE {name} {family.kind}"])
            told += [
                f"{name}{suffix}{_labels(worker, labels)} {value:.15g}"
                for suffix, labels, value in family.rows
            ]
    for family_lines in families.values():
        yield from family_lines


def _labels(worker: str, labels: dict[str, str]) -> str:
    whole = {"worker": worker} | labels if worker else labels
    told = ",".join(f'{name}="{value}"' for name, value in whole.items())
    return f"{{{told}}}" if told else ""


def _families(sample: Sample) -> Iterator[_Family]:
    for name, value in sample.gauges.items():
        yield _single(name, "gauge", value)
    for name, value in sample.counts.items():
        if name == "cpu_ms":
            yield _single("cpu_seconds_total", "counter", value / 1000)
        else:
            yield _single(f"{name}_total", "counter", value)
    yield _single("uptime_seconds", "gauge", sample.up_ms / 1000)
    yield _single("ready", "gauge", int(not sample.not_ready))
    yield _single("store_failing", "gauge", int(sample.is_store_failing))
    yield _labelled("closes_total", "code", sample.closes)
    yield _labelled("refusals_total", "reason", sample.refusals)
    yield _histogram("store_append_seconds", sample.append_us)
    yield _histogram("bus_echo_seconds", sample.bus_us)
    yield _histogram("loop_lag_seconds", sample.lag_us)


def _single(name: str, kind: str, value: float) -> _Family:
    return _Family(name, kind, [("", {}, value)])


def _labelled(name: str, label: str, values: dict[str, int]) -> _Family:
    return _Family(name, "counter", [("", {label: one}, value) for one, value in values.items()])


def _histogram(name: str, buckets: Buckets) -> _Family:
    found = [(longest_of(bucket) / 1_000_000, count) for bucket, count in sorted(buckets.items())]
    rows: list[_Row] = [
        ("_bucket", {"le": f"{bound_s:g}"}, _within(found, bound_s)) for bound_s in _BOUNDS_S
    ]
    count = sum(buckets.values())
    rows.append(("_bucket", {"le": "+Inf"}, count))
    # Of what fell into a bucket its upper end: at most a sixteenth too much.
    rows.append(("_sum", {}, sum(longest_s * one for longest_s, one in found)))
    rows.append(("_count", {}, count))
    return _Family(name, "histogram", rows)


def _within(found: Iterable[tuple[float, int]], bound_s: float) -> int:
    return sum(count for longest_s, count in found if longest_s <= bound_s)
