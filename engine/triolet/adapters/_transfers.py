"""What every adapter's source and target have alike: places in sections, and who may begin."""

from collections.abc import Sequence
from typing import TypeVar

from .._model.entries import FoldedMessage
from .._model.errors import ConfigurationError
from ..ports.transfer import Origin, Place, Row

T = TypeVar("T")


def after_in_room(number: int, rest: int | str) -> str:
    """Return what names a row of a room among a section's rows.

    >>> split_after(after_in_room(7, "ben:jamin"))
    (7, 'ben:jamin')
    """
    return f"{number}:{rest}"


def split_after(after: str) -> tuple[int, str]:
    """Return the room's number and the rest; of the beginning, 0 and nothing."""
    number, _, rest = after.partition(":")
    return int(number or 0), rest


def only(rows: Sequence[Row], kind: type[T]) -> list[T]:
    """Return the rows of a page, all of which are of one kind.

    Raises:
        TypeError: one is of another.
    """
    found: list[T] = [row for row in rows if isinstance(row, kind)]
    if len(found) != len(rows):
        raise TypeError(f"a page of {kind.__name__}s holds something else")
    return found


def is_changed(message: FoldedMessage) -> bool:
    """Whether what the log says later shows in a message: it was edited or reacted to."""
    return bool(message.reactions) or isinstance(message.edited_at, int)


def place_to_begin_at(
    origin: Origin, *, salt: str, is_empty: bool, under_way: tuple[str, Place] | None
) -> Place | None:
    """Return where a transfer goes on; None: it begins, in a store that is empty.

    Args:
        origin: the source.
        salt: the target's own.
        is_empty: whether the target holds nothing at all.
        under_way: the source's state and the place of a transfer that is not finished.

    Raises:
        ConfigurationError: the target holds something else.
    """
    if under_way is None:
        if is_empty:
            return None
        if salt == origin.salt:
            raise ConfigurationError("the target holds a finished copy of the source already")
        raise ConfigurationError("the target is not empty, and no unfinished copy")
    state, place = under_way
    if salt != origin.salt:
        raise ConfigurationError("the target holds an unfinished copy of another store")
    if state != origin.state:
        raise ConfigurationError(
            "the source has changed since its unfinished copy in the target was begun: "
            "remove that, and begin again"
        )
    return place


def is_taken(place: Place, *, after: Place, upto: Place) -> bool:
    """Whether rows between two places were taken already, in a target that is at `place`.

    Raises:
        ConfigurationError: it is somewhere else: somebody else writes into it.
    """
    if place == upto:
        return True
    if place != after:
        raise ConfigurationError("another copy into the target is under way")
    return False
