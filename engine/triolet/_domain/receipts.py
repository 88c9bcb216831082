"""Marks: how far somebody got in a room. They only move forward."""

from typing import final

from msgspec import Struct

from .._model.errors import ErrorCode, Refusal


@final
class Marks(Struct, frozen=True):
    """`read` never stands above `delivered`: who read a message has got it."""

    delivered: int
    read: int


def advance(marks: Marks, *, delivered: int | None, read: int | None, head: int) -> Marks:
    """Return the marks after a receipt: moved forward, never beyond the head.

    Raises:
        Refusal: `INVALID_FIELD` when neither mark is given.

    >>> advance(Marks(3, 2), delivered=None, read=9, head=5)
    Marks(delivered=5, read=5)
    >>> advance(Marks(3, 2), delivered=1, read=None, head=5)
    Marks(delivered=3, read=2)
    """
    if delivered is None and read is None:
        raise Refusal(ErrorCode.INVALID_FIELD, "`receipt` needs `delivered` or `read`")
    new_read = max(marks.read, min(read or 0, head))
    new_delivered = max(marks.delivered, min(delivered or 0, head), new_read)
    return Marks(new_delivered, new_read)
