"""What a pool counts, as plain values that an operator's page can show."""

from bisect import bisect_left
from typing import Final, final

from msgspec import Struct, field

# Upper bounds in seconds: from "at once" to the longest anybody waits.
BOUNDS_S: Final = (0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0)


@final
class Histogram(Struct):
    """Durations by size.

    >>> waits = Histogram()
    >>> waits.add(0.003)
    >>> waits.counts
    [0, 1, 0, 0, 0, 0, 0, 0]

    Attributes:
        counts: of durations up to each of `BOUNDS_S`, not cumulative, and of the longer ones.
        sum_s: all of them together.
    """

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_S) + 1))
    sum_s: float = 0.0

    def add(self, duration_s: float) -> None:
        """Count one."""
        self.counts[bisect_left(BOUNDS_S, duration_s)] += 1
        self.sum_s += duration_s


@final
class PoolStatistics(Struct):
    """What happened since the pool was opened, and how it is now.

    Attributes:
        in_use: connections lent now, those that are being recovered included.
        idle: connections that wait for work.
        waiting: tasks that wait for a connection now.
        opened: connections made.
        lost: connections that broke, or were thrown away as of no more use.
        refused: attempts to connect that failed.
        timed_out: tasks that were sent away after waiting.
        statements: those that were begun.
        slow: those that took longer than the limit.
        waits: how long tasks waited for a connection.
        durations: how long statements took, from sending to answer.
    """

    in_use: int = 0
    idle: int = 0
    waiting: int = 0
    opened: int = 0
    lost: int = 0
    refused: int = 0
    timed_out: int = 0
    statements: int = 0
    slow: int = 0
    waits: Histogram = field(default_factory=Histogram)
    durations: Histogram = field(default_factory=Histogram)
