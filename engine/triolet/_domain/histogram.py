"""How long things take: counts in buckets that grow with what they hold, after HdrHistogram.

Sixteen buckets for each doubling, so a quantile is at most a sixteenth too high; a duration
costs one shift and one count, and a day of them a few dozen numbers. Buckets of several nodes
add up, and those of two moments subtract.
"""

from collections.abc import Iterable, Mapping
from typing import Final, final

from .._model.observation import Buckets, Quantiles

# Buckets of one doubling: two to this power.
_BITS: Final = 4


def bucket_of(duration_us: int) -> int:
    """Return the bucket of a duration.

    >>> [bucket_of(one) for one in (0, 31, 32, 33, 34, 1000)]
    [0, 31, 32, 32, 33, 111]
    """
    shift = max(0, duration_us.bit_length() - _BITS - 1)
    return (shift << _BITS) + (duration_us >> shift)


def longest_of(bucket: int) -> int:
    """Return the longest duration of a bucket, µs.

    >>> [longest_of(one) for one in (0, 31, 32, 33, 111)]
    [0, 31, 33, 35, 1023]
    """
    shift = max(0, (bucket >> _BITS) - 1)
    return (((bucket - (shift << _BITS)) + 1) << shift) - 1


@final
class Histogram:
    """Durations, by bucket.

    >>> histogram = Histogram()
    >>> for duration_s in (0.001, 0.001, 0.004):
    ...     histogram.record(duration_s)
    >>> quantiles(histogram.buckets).p50
    1.023
    """

    __slots__ = ("buckets",)

    def __init__(self) -> None:
        self.buckets: Buckets = {}

    def record(self, duration_s: float) -> None:
        """Count a duration; one below 0 counts as 0."""
        bucket = bucket_of(max(0, int(duration_s * 1_000_000)))
        self.buckets[bucket] = self.buckets.get(bucket, 0) + 1


def quantiles(buckets: Mapping[int, int]) -> Quantiles:
    """Return what half, 95 %, 99 % and all of the durations do not exceed.

    >>> quantiles({}).count, quantiles({3: 98, 111: 2}).p95, quantiles({3: 98, 111: 2}).p99
    (0, 0.003, 1.023)
    """
    count = sum(buckets.values())
    ordered = sorted(buckets.items())
    p50, p95, p99, most = (_quantile(ordered, share * count) for share in (0.5, 0.95, 0.99, 1.0))
    return Quantiles(count=count, p50=p50, p95=p95, p99=p99, max=most)


def _quantile(ordered: Iterable[tuple[int, int]], rank: float) -> float:
    seen = 0
    for bucket, count in ordered:
        seen += count
        if seen >= rank:
            return longest_of(bucket) / 1000
    return 0.0


def since(buckets: Mapping[int, int], before: Mapping[int, int]) -> Buckets:
    """Return what has been counted since `before`.

    >>> since({3: 5, 9: 1}, {3: 5})
    {9: 1}
    """
    found = {bucket: count - before.get(bucket, 0) for bucket, count in buckets.items()}
    return {bucket: count for bucket, count in found.items() if count > 0}
