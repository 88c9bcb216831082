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
    return max(0, n - max(read_n, floor_n))
