"""Rates by the generic cell rate algorithm: one number a bucket, no timers, no counters.

Source: ITU-T I.371, in the form of Brandur Leach, "Rate Limiting, Cells, and GCRA" (2015).
"""

from typing import final


@final
class Bucket:
    """Admits `rate` a second, and up to `burst` at once.

    >>> bucket = Bucket(rate=10, burst=2)
    >>> [round(bucket.admit(now), 3) for now in (0.0, 0.0, 0.0, 0.1)]
    [0.0, 0.0, 0.1, 0.0]
    >>> [round(bucket.admit(0.1, patience_s=0.2), 3) for _ in range(3)]
    [0.1, 0.2, 0.3]
    """

    __slots__ = ("_burst", "_due", "_interval_s", "_rate", "_slack_s")

    def __init__(self, *, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = burst
        self._due = float("-inf")
        self.split(1)

    def split(self, ways: float) -> None:
        """Admit one part in `ways` of the rate and of the burst from now on, yet one at least.

        Below 1 it is more than the whole.

        >>> bucket = Bucket(rate=10, burst=4)
        >>> bucket.split(2)
        >>> [round(bucket.admit(0.0), 3) for _ in range(3)]
        [0.0, 0.0, 0.2]
        >>> bucket.split(1 / 5)
        >>> sum(bucket.admit(1.0) == 0.0 for _ in range(30))
        20
        """
        self._interval_s = ways / self._rate
        self._slack_s = (max(1, int(self._burst / ways + 1e-9)) - 1) * self._interval_s

    def admit(self, now: float, *, patience_s: float = 0.0) -> float:
        """Take one and return 0.0, or take none and return how long to wait, in seconds.

        With patience one is also taken whose turn comes within it; what is returned is no more
        than `patience_s` then.
        """
        due = max(self._due, now)
        wait_s = due - now - self._slack_s
        # A nanosecond of rounding is not a reason to refuse.
        if wait_s <= 1e-9:
            self._due = due + self._interval_s
            return 0.0
        if wait_s - patience_s > 1e-9:
            return wait_s
        self._due = due + self._interval_s
        return min(wait_s, patience_s)

    def is_whole(self, now: float) -> bool:
        """Whether it admits as much as a new one.

        >>> bucket = Bucket(rate=10, burst=2)
        >>> bucket.admit(0.0), bucket.is_whole(0.0), bucket.is_whole(0.1)
        (0.0, False, True)
        """
        return self._due <= now
