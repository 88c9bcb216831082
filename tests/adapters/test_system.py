"""The machine's own clock and chance."""

import re
import time

from triolet.adapters.system import SystemClock, SystemEntropy


def test_the_clock_tells_milliseconds_of_wall_time():
    """`now_ms` lies between two readings of the operating system's clock."""
    before = time.time_ns() // 1_000_000
    now_ms = SystemClock().now_ms()
    assert before <= now_ms <= time.time_ns() // 1_000_000


def test_tokens_are_unlike_each_other():
    """22 characters of `[A-Za-z0-9_-]`, never the same twice."""
    entropy = SystemEntropy()
    tokens = [entropy.token() for _ in range(100)]
    assert 100 == len(set(tokens))
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{22}", token) for token in tokens)


def test_numbers_lie_within_their_bounds():
    """`uniform` spreads over the window, ends included."""
    entropy = SystemEntropy()
    assert all(2 <= entropy.uniform(2, 3) <= 3 for _ in range(100))
    assert 5 == entropy.uniform(5, 5)
