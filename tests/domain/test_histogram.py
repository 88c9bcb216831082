"""Laws of `_domain.histogram`: no duration is lost, and none is told much longer than it was."""

from hypothesis import given, settings
from hypothesis import strategies as st

from triolet._domain.histogram import Histogram, bucket_of, longest_of, quantiles, since

laws = settings(derandomize=True, deadline=None, max_examples=200)
DURATIONS_US = st.integers(0, 10**11)


@laws
@given(DURATIONS_US)
def test_a_duration_is_told_at_most_a_sixteenth_too_long(duration_us: int) -> None:
    told = longest_of(bucket_of(duration_us))

    assert duration_us <= told <= duration_us * 17 / 16


@laws
@given(DURATIONS_US)
def test_buckets_follow_each_other_without_a_gap(duration_us: int) -> None:
    """The longest of one bucket and one more begin the next one."""
    bucket = bucket_of(duration_us)

    assert bucket_of(longest_of(bucket)) == bucket
    assert bucket_of(longest_of(bucket) + 1) == bucket + 1


@laws
@given(st.lists(st.integers(0, 10**7), min_size=1, max_size=60))
def test_quantiles_are_those_of_the_durations(durations_us: list[int]) -> None:
    """Each is at least the true one, by the nearest rank, and at most a sixteenth above it."""
    histogram = Histogram()
    for duration_us in durations_us:
        histogram.record((duration_us + 0.5) / 1_000_000)
    found, ordered = quantiles(histogram.buckets), sorted(durations_us)

    assert found.count == len(ordered)
    for share, told_ms in ((0.5, found.p50), (0.95, found.p95), (0.99, found.p99), (1, found.max)):
        true = ordered[max(0, -int(-share * len(ordered) // 1) - 1)]
        assert true <= told_ms * 1000 + 1e-6
        assert told_ms * 1000 <= true * 17 / 16 + 1e-6


def test_nothing_has_no_quantiles() -> None:
    assert quantiles({}).max == quantiles({}).p50 == quantiles({}).count == 0


def test_a_clock_that_went_back_is_no_duration() -> None:
    histogram = Histogram()
    histogram.record(-1.0)

    assert histogram.buckets == {0: 1}


@laws
@given(st.lists(st.integers(0, 200)), st.lists(st.integers(0, 200)))
def test_what_came_since_is_what_came_since(early: list[int], late: list[int]) -> None:
    histogram, alone = Histogram(), Histogram()
    for bucket in early:
        histogram.record(bucket / 1_000_000)
    before = dict(histogram.buckets)
    for bucket in late:
        histogram.record(bucket / 1_000_000)
        alone.record(bucket / 1_000_000)

    assert since(histogram.buckets, before) == alone.buckets
