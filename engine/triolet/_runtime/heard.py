"""Marks that are known by another node's word alone: kept until the store has them.

A node tells its clients at once what another node rings of marks, and that one writes them
within a second. Who reads the store in between, because a room was dropped or a seat given up
meanwhile, would see a mark go back. So they are kept for some seconds, and what the store is
not known to have by then (the doorbell that says so was lost, or nobody followed the room, or
the node has died) is written from here: nothing changes there if it was written.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, final

import trio

from .._model.errors import StoreError
from .._model.limits import Limits
from ..ports.store import Mark

logger = logging.getLogger(__name__)

# Kept for at least so many intervals in which their own node writes them, at most for twice
# that. A pause of a busy machine or store must not have all nodes write everybody's marks.
_INTERVALS_KEPT: Final = 3
# Kept at most: about 40 MB. Beyond it, the oldest are forgotten.
_KEPT_MAX: Final = 100_000


def greatest(one: Mark | None, other: Mark | None) -> Mark | None:
    """Return how far somebody got by two reports.

    >>> one = Mark(room="tea", user="anna", delivered=9, read=3, read_n=3)
    >>> found = greatest(one, Mark(room="tea", user="anna", delivered=8, read=8, read_n=8))
    >>> found.delivered, found.read, found.read_n
    (9, 8, 8)
    """
    if one is None or other is None:
        return one or other
    read, rest = (one, other) if one.read >= other.read else (other, one)
    if read.delivered >= rest.delivered:
        return read
    return Mark(
        room=read.room,
        user=read.user,
        delivered=rest.delivered,
        read=read.read,
        read_n=read.read_n,
    )


@final
class Heard:
    """See the module.

    Args:
        write: writes marks to the store.
    """

    def __init__(self, write: Callable[[Sequence[Mark]], Awaitable[None]], limits: Limits) -> None:
        self._write = write
        self._kept_s = _INTERVALS_KEPT * limits.marks_interval_s
        # Each with whether the store has it: those heard of since the last round, and before.
        self._new: dict[tuple[str, str], tuple[Mark, bool]] = {}
        self._old: dict[tuple[str, str], tuple[Mark, bool]] = {}
        self._came = trio.Event()

    def __len__(self) -> int:
        return len(self._new) + len(self._old)

    def get(self, key: tuple[str, str]) -> Mark | None:
        """Return how far a user got in a room, by `(room, user)`; None: nothing is kept."""
        found = self._new.get(key) or self._old.get(key)
        return None if found is None else found[0]

    def take(self, mark: Mark, *, is_written: bool = False) -> None:
        """Keep what another node has rung, or what follows from it."""
        key = (mark.room, mark.user)
        known = self.get(key)
        most = greatest(known, mark)
        if most is None or most is known:
            return
        if not self:
            self._came.set()
        self._old.pop(key, None)
        self._new[key] = (most, is_written and most is mark)
        if len(self) > _KEPT_MAX:
            oldest = self._old or self._new
            del oldest[next(iter(oldest))]

    def written(self, mark: Mark) -> None:
        """The store has it: it need not be written from here, even if it is rung only later."""
        self.take(mark, is_written=True)
        key = (mark.room, mark.user)
        kept = self._new if key in self._new else self._old
        if covers(mark, kept[key][0]):
            kept[key] = (kept[key][0], True)

    async def run(self) -> None:
        """Let go of what the store has, and write what it may not have."""
        while True:
            if not self:
                self._came = trio.Event()
                await self._came.wait()
            await trio.sleep(self._kept_s)
            try:
                await self.round()
            except StoreError as error:
                logger.warning("marks of other nodes wait: %s", error)

    async def round(self) -> None:
        """See `run`.

        Raises:
            StoreError: what could not be written is kept for another round.
        """
        due = [mark for mark, is_written in self._old.values() if not is_written]
        if due:
            await self._write(due)
        # Meanwhile others may have become new, which are not old any more.
        self._old, self._new = self._new, {}


def covers(mark: Mark, other: Mark) -> bool:
    """Whether `mark` says nothing less than `other`."""
    return mark.read >= other.read and mark.delivered >= other.delivered
