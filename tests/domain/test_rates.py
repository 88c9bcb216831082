"""Laws of `_domain.rates`: never more than the rate and the burst allow, and never less."""

from copy import copy

from hypothesis import given, settings
from hypothesis import strategies as st

from triolet._domain.rates import Bucket

laws = settings(derandomize=True, deadline=None, max_examples=100)

RATES = st.sampled_from([0.5, 1.0, 3.0, 20.0, 100.0, 1000.0])
BURSTS = st.integers(1, 8)
# Trio's clock starts at up to 10^6 s.
STARTS = st.sampled_from([0.0, 1.5, 1e6])
# Seconds between two requests, in units of 1 / rate.
GAPS = st.lists(
    st.floats(0, 3, allow_nan=False) | st.sampled_from([0.0, 0.5, 1.0]), min_size=1, max_size=40
)
# What rounding at 10^6 s may come to.
ROUNDING_S = 1e-8


def admitted_at(rate: float, burst: int, start: float, gaps: list[float]) -> list[float]:
    """The times at which requests with these gaps are let through."""
    bucket, now, times = Bucket(rate=rate, burst=burst), start, []
    for gap in gaps:
        now += gap / rate
        if bucket.admit(now) == 0:
            times.append(now)
    return times


@laws
@given(RATES, BURSTS, STARTS, GAPS)
def test_no_window_admits_more_than_its_share(
    rate: float, burst: int, start: float, gaps: list[float]
) -> None:
    """In any window of t seconds at most `rate * t + burst` get through."""
    times = admitted_at(rate, burst, start, gaps)
    for first, begin in enumerate(times):
        for last, end in enumerate(times[first:], start=first):
            assert last - first + 1 <= rate * (end - begin + ROUNDING_S) + burst


@laws
@given(RATES, BURSTS, STARTS, GAPS)
def test_the_wait_is_exact(rate: float, burst: int, start: float, gaps: list[float]) -> None:
    """Who waits as long as told gets through; who comes a little sooner does not."""
    bucket, now = Bucket(rate=rate, burst=burst), start
    for gap in gaps:
        now += gap / rate
        wait_s = bucket.admit(now)
        assert 0 <= wait_s <= 1 / rate + ROUNDING_S
        if wait_s > 2 * ROUNDING_S:
            assert copy(bucket).admit(now + wait_s - 2 * ROUNDING_S) > 0
            assert copy(bucket).admit(now + wait_s + ROUNDING_S) == 0


@laws
@given(RATES, BURSTS, STARTS, st.integers(1, 30))
def test_a_steady_client_gets_its_whole_rate(
    rate: float, burst: int, start: float, count: int
) -> None:
    """Who keeps to the rate is never refused."""
    gaps = [1.0] * count

    assert len(admitted_at(rate, burst, start + ROUNDING_S, gaps)) == count


@laws
@given(RATES, BURSTS, STARTS, st.integers(1, 20))
def test_a_burst_is_what_it_says(rate: float, burst: int, start: float, count: int) -> None:
    """At one instant `burst` get through, and being refused costs nothing."""
    bucket = Bucket(rate=rate, burst=burst)
    waits = [bucket.admit(start) for _ in range(burst + count)]

    assert waits[:burst] == [0.0] * burst
    assert len(set(waits[burst:])) == 1
    assert waits[-1] > 0


@laws
@given(RATES, BURSTS, STARTS, GAPS, st.integers(1, 5))
def test_what_is_split_admits_its_part(
    rate: float, burst: int, start: float, gaps: list[float], ways: int
) -> None:
    """Also when it was split in the middle: from then on it is a bucket of the smaller rate."""
    bucket, now = Bucket(rate=rate, burst=burst), start
    for gap in gaps[::2]:
        now += gap / rate
        bucket.admit(now)
    bucket.split(ways)
    times = []
    for gap in gaps:
        now += gap / rate
        if bucket.admit(now) == 0:
            times.append(now)
    part = max(1, burst // ways)
    for first in range(len(times)):
        for last in range(first, len(times)):
            window_s = times[last] - times[first] + ROUNDING_S
            assert last - first + 1 <= window_s * rate / ways + part + 1e-6
