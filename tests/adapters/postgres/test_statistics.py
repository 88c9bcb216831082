"""Laws of `adapters.postgres.statistics`: durations are counted where they belong."""

from triolet.adapters.postgres.statistics import BOUNDS_S, Histogram, PoolStatistics


def test_a_duration_is_counted_up_to_its_bound():
    """Those at a bound below it, those above all bounds in the last place."""
    histogram = Histogram()
    for duration_s in (0, *BOUNDS_S, 1000):
        histogram.add(duration_s)

    assert [2, 1, 1, 1, 1, 1, 1, 1] == histogram.counts
    assert sum(BOUNDS_S) + 1000 == histogram.sum_s


def test_each_pool_counts_its_own():
    """What is mutable is not shared."""
    one, other = PoolStatistics(), PoolStatistics()
    one.waits.add(1)

    assert 0 == sum(other.waits.counts) == sum(one.durations.counts)
