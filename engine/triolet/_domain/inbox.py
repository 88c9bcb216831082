"""Derived counts: nothing is counted up and down, so nothing can drift."""


def unread(n: int, *, read_n: int, floor_n: int) -> int:
    """Return how many messages are unread.

    Args:
        n: messages up to the head.
        read_n: messages up to the read mark.
        floor_n: messages up to the floor, which nobody can read any more.

    >>> unread(10, read_n=7, floor_n=0), unread(10, read_n=2, floor_n=8)
    (3, 2)
    """
    # Not with `max`, two calls of which are half of what a row of a subscription costs beside.
    count = n - (read_n if read_n > floor_n else floor_n)  # noqa: FURB136
    return count if count > 0 else 0  # noqa: FURB136
