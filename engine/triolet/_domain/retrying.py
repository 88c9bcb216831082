"""When what has failed is tried again: after a pause that doubles, spread by chance."""


def pause_s(attempt: int, *, first_s: float, most_s: float, chance: float) -> float:
    """Return how long to wait after an attempt that failed, in seconds.

    What failed together is not tried again together: from half of the pause to all of it.

    Args:
        attempt: its number, from 1 on.
        first_s: the pause after the first one, at most.
        most_s: the longest one.
        chance: from 0 to 1, drawn anew for each.

    >>> [pause_s(n, first_s=2, most_s=60, chance=1) for n in (1, 2, 3, 6, 1000)]
    [2.0, 4.0, 8.0, 60.0, 60.0]
    >>> pause_s(3, first_s=2, most_s=60, chance=0)
    4.0
    """
    # 2.0 ** 1024 is too much for a number, and 2 ** 32 s for anybody's patience.
    doublings = min(attempt - 1, 32)
    whole_s = min(most_s, first_s * 2.0**doublings)
    return float(whole_s * (0.5 + chance / 2))
