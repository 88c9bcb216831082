"""Marks in memory, written to the store each second by an upsert of the greater.

They are not covered by "acknowledged means stored": clients repeat them on resubscribing.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import takewhile
from typing import final

from .._model.errors import StoreError
from .._model.limits import Limits
from ..ports.notifier import Notifier
from ..ports.store import Mark, Store
from .coalescer import Coalescer
from .heard import Heard, greatest
from .seat import Seat

logger = logging.getLogger(__name__)

# Marks of one write; a thousand rows hold SQLite's writer for about 5 ms.
_MARKS_PER_WRITE = 500


@final
class Marks:
    """Marks that have moved and are not written yet: one a member and room, the latest.

    Attributes:
        on_written: called with marks that the store has now.
        notifier: told of them, too, and of what other nodes wrote; None: there is none.
        rung: those that other nodes have rung, and will write.
    """

    def __init__(self, store: Store, limits: Limits) -> None:
        self._store = store
        self._seats: dict[tuple[str, str], Seat] = {}
        # Reads of memberships under way, by the number of their begin; and what was written
        # during them, with the number of the last one begun, the first written first.
        self._reads: dict[int, None] = {}
        self._last_read = 0
        self._written: dict[tuple[str, str], tuple[int, Mark]] = {}
        self.on_written: Callable[[Sequence[Mark]], None] | None = None
        self.notifier: Notifier | None = None
        # What other nodes have told sessions that are here of rooms that are not, by user and
        # room, with the epoch; bounded by the rooms that a feed may tell.
        self._heard: dict[str, dict[str, tuple[str, Mark]]] = {}
        self._heard_max = limits.feed_rooms_max
        self._coalescer: Coalescer[tuple[str, str]] = Coalescer(
            self._write, interval_s=limits.marks_interval_s
        )
        self.rung = Heard(self._write_heard, limits)
        self.run = self._coalescer.run
        self.flush = self._coalescer.flush

    def moved(self, seat: Seat) -> None:
        """Have a seat's marks written soon. Only members have marks."""
        if seat.role is not None:
            key = (seat.room.name, seat.user)
            seat.are_marks_due = True
            self._seats[key] = seat
            self._coalescer.mark(key)

    def pending(self, room: str, user: str) -> Mark | None:
        """Return marks that what was read under `reading` may not have yet."""
        key = (room, user)
        seat, written, heard = self._seats.get(key), self._written.get(key), self.rung.get(key)
        if seat is not None:
            return greatest(mark_of(seat), heard)
        return heard if written is None else greatest(written[1], heard)

    def written_elsewhere(self, mark: Mark) -> None:
        """Another node has written a mark."""
        self.rung.written(mark)
        self._remember((mark.room, mark.user), mark)
        if self.notifier is not None:
            self.notifier.read((mark,))

    def hear(self, epoch: str, mark: Mark) -> None:
        """Remember how far a user has read as another node tells, in a room that is not here."""
        heard = self._heard.setdefault(mark.user, {})
        before = heard.pop(mark.room, None)
        if before is not None and before[0] == epoch and before[1].read > mark.read:
            epoch, mark = before
        heard[mark.room] = (epoch, mark)
        if len(heard) > self._heard_max:
            del heard[next(iter(heard))]

    def heard(self, room: str, epoch: str, user: str) -> Mark | None:
        """Return what `hear` was told; None: nothing, or of another log."""
        found = self._heard.get(user, {}).get(room)
        return found[1] if found is not None and found[0] == epoch else None

    def adopt(self, seat: Seat) -> None:
        """Have a seat that was read from the store know what others have told its user.

        A node that died before it wrote a mark left it to those who had heard of it.
        """
        mark = self.heard(seat.room.name, seat.room.epoch, seat.user)
        if mark is not None and seat.read < mark.read <= seat.room.head and seat.role is not None:
            seat.read, seat.read_n = mark.read, mark.read_n
            seat.delivered = max(seat.delivered, mark.delivered)
            self.moved(seat)

    def forget(self, user: str) -> None:
        """A user has no session here any more."""
        self._heard.pop(user, None)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Remember marks that are written while memberships are read.

        What is read may be older than what was written meanwhile: who looked at what waits to
        be written only afterwards would find neither, and see a mark go back.
        """
        number = self._last_read = self._last_read + 1
        self._reads[number] = None
        try:
            yield
        finally:
            del self._reads[number]
            self._forget()

    def _forget(self) -> None:
        """Let go of what was written before the oldest read that is under way began."""
        if not self._reads:
            self._written.clear()
            return
        oldest = next(iter(self._reads))
        # The first written come first: in a herd of reads nothing is looked through each time.
        early = takewhile(lambda item: item[1][0] < oldest, self._written.items())
        for key in [key for key, _ in early]:
            del self._written[key]

    def _remember(self, key: tuple[str, str], mark: Mark) -> None:
        """A mark was written; what is being read may be older."""
        if self._reads:
            before = self._written.pop(key, None)
            most = mark if before is None else greatest(mark, before[1])
            assert most is not None
            self._written[key] = (self._last_read, most)

    def _tell(self, marks: Sequence[Mark]) -> None:
        if self.on_written is not None:
            self.on_written(marks)
        if self.notifier is not None:
            self.notifier.read(marks)

    async def _write_heard(self, marks: Sequence[Mark]) -> None:
        for start in range(0, len(marks), _MARKS_PER_WRITE):
            chunk = marks[start : start + _MARKS_PER_WRITE]
            await self._store.put_marks(chunk)
            self._tell(chunk)
            for mark in chunk:
                self._remember((mark.room, mark.user), mark)

    async def _write(self, keys: list[tuple[str, str]]) -> None:
        for start in range(0, len(keys), _MARKS_PER_WRITE):
            chunk = keys[start : start + _MARKS_PER_WRITE]
            seats = [self._seats[key] for key in chunk]
            # They may move again while they are being written.
            for seat in seats:
                seat.are_marks_due = False
            marks = [mark_of(seat) for seat in seats]
            try:
                await self._store.put_marks(marks)
            except StoreError as error:
                logger.warning("%d marks wait: %s", len(marks), error)
                for key in keys[start:]:
                    self._coalescer.mark(key)
                return
            self._tell(marks)
            for key, seat, mark in zip(chunk, seats, marks, strict=True):
                self._remember(key, mark)
                # Else they have moved since, and are due again.
                if self._seats[key] is seat and not seat.are_marks_due:
                    del self._seats[key]


def mark_of(seat: Seat) -> Mark:
    """Return how far somebody has got."""
    return Mark(
        room=seat.room.name,
        user=seat.user,
        delivered=seat.delivered,
        read=seat.read,
        read_n=seat.read_n,
    )
