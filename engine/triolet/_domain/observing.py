"""From what nodes have counted to what is shown: rates, quantiles, and all nodes together."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeVar

from .._model.events import Observed
from .._model.observation import ErrorRow, JobsRow, NodeStatistics, RoomRow, Sample
from .histogram import quantiles, since

# Rows that are shown of each node, and of all together.
ROOMS_SHOWN: Final = 10
ERRORS_SHOWN: Final = 20

_K = TypeVar("_K", str, int)


def shown(sample: Sample, before: Sample | None) -> NodeStatistics:
    """Return a node as it is shown.

    Args:
        sample: how it is.
        before: an earlier one of the same node; None: there is none yet.
    """
    elapsed_s = 0.0 if before is None else (sample.at - before.at) / 1000
    if before is None or elapsed_s <= 0:
        rates: dict[str, float] = {}
    else:
        rates = {
            name: round(max(0, count - before.counts.get(name, 0)) / elapsed_s, 3)
            for name, count in sample.counts.items()
        }
    return _shown(sample, before, rates)


def together(pairs: Sequence[tuple[Sample, Sample | None]]) -> NodeStatistics:
    """Return all nodes as one, each given with an earlier sample: counts and rates are sums.

    The time it has run is that of the longest; it is not ready where none is.
    """
    rates: dict[str, float] = {}
    for sample, before in pairs:
        for name, rate in shown(sample, before).rates.items():
            rates[name] = round(rates.get(name, 0.0) + rate, 3)
    earlier = [before for _, before in pairs if before is not None]
    whole = _united([sample for sample, _ in pairs])
    return _shown(whole, _united(earlier) if earlier else None, rates)


def _shown(sample: Sample, before: Sample | None, rates: dict[str, float]) -> NodeStatistics:
    append, bus, lag = (
        quantiles(now if before is None else since(now, then))
        for now, then in (
            (sample.append_us, {} if before is None else before.append_us),
            (sample.bus_us, {} if before is None else before.bus_us),
            (sample.lag_us, {} if before is None else before.lag_us),
        )
    )
    return NodeStatistics(
        node=sample.node,
        at=sample.at,
        up_ms=sample.up_ms,
        gauges=sample.gauges,
        counts=sample.counts,
        rates=rates,
        closes=sample.closes,
        refusals=sample.refusals,
        append_ms=append,
        bus_ms=bus,
        lag_ms=lag,
        not_ready=sample.not_ready,
        unheard=sample.unheard,
        store_failing=sample.is_store_failing,
        busiest=sample.busiest[:ROOMS_SHOWN],
        errors=sample.errors[:ERRORS_SHOWN],
    )


def _united(samples: Sequence[Sample]) -> Sample:
    is_ready = not samples or any(not one.not_ready for one in samples)
    return Sample(
        node="",
        at=max((one.at for one in samples), default=0),
        up_ms=max((one.up_ms for one in samples), default=0),
        gauges=_added(one.gauges for one in samples),
        counts=_added(one.counts for one in samples),
        closes=_added(one.closes for one in samples),
        refusals=_added(one.refusals for one in samples),
        append_us=_added(one.append_us for one in samples),
        bus_us=_added(one.bus_us for one in samples),
        lag_us=_added(one.lag_us for one in samples),
        not_ready="" if is_ready else samples[0].not_ready,
        unheard=tuple(dict.fromkeys(part for one in samples for part in one.unheard)),
        is_store_failing=any(one.is_store_failing for one in samples),
        busiest=_busiest(samples),
        errors=_latest(samples),
    )


def _added(many: Iterable[Mapping[_K, int]]) -> dict[_K, int]:
    total: dict[_K, int] = {}
    for one in many:
        for key, count in one.items():
            total[key] = total.get(key, 0) + count
    return total


def _busiest(samples: Sequence[Sample]) -> tuple[RoomRow, ...]:
    total = _added(dict(one.busiest) for one in samples)
    return tuple(sorted(total.items(), key=lambda row: (-row[1], row[0])))


def _latest(samples: Sequence[Sample]) -> tuple[ErrorRow, ...]:
    rows = [row for one in samples for row in one.errors]
    return tuple(sorted(rows, key=lambda row: -row[0]))


def observed(
    samples: Mapping[str, Sample],
    before: Mapping[str, Sample],
    *,
    at: int,
    interval_ms: int,
    silent: tuple[str, ...] = (),
    jobs: tuple[JobsRow, ...] = (),
) -> Observed:
    """Return what is told of all nodes, by name, given earlier samples of some of them."""
    pairs = [(sample, before.get(node)) for node, sample in samples.items()]
    return Observed(
        at=at,
        interval_ms=interval_ms,
        nodes=tuple(shown(sample, earlier) for sample, earlier in pairs),
        total=together(pairs),
        silent=silent,
        jobs=jobs,
    )
