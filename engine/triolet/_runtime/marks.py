"""Marks in memory, written to the store each second by an upsert of the greater.

They are not covered by "acknowledged means stored": clients repeat them on resubscribing.
"""

import logging
from typing import final

from .._model.errors import StoreError
from .._model.limits import Limits
from ..ports.store import Mark, Store
from .coalescer import Coalescer
from .seat import Seat

logger = logging.getLogger(__name__)

# Marks of one write; a thousand rows hold SQLite's writer for about 5 ms.
_MARKS_PER_WRITE = 500


@final
class Marks:
    """Marks that have moved and are not written yet: one a member and room, the latest."""

    def __init__(self, store: Store, limits: Limits) -> None:
        self._store = store
        self._seats: dict[tuple[str, str], Seat] = {}
        self._coalescer: Coalescer[tuple[str, str]] = Coalescer(
            self._write, interval_s=limits.marks_interval_s
        )
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
        """Return marks that are not written yet."""
        seat = self._seats.get((room, user))
        return None if seat is None else _mark(seat)

    async def _write(self, keys: list[tuple[str, str]]) -> None:
        for start in range(0, len(keys), _MARKS_PER_WRITE):
            chunk = keys[start : start + _MARKS_PER_WRITE]
            seats = [self._seats[key] for key in chunk]
            # They may move again while they are being written.
            for seat in seats:
                seat.are_marks_due = False
            marks = [_mark(seat) for seat in seats]
            try:
                await self._store.put_marks(marks)
            except StoreError as error:
                logger.warning("%d marks wait: %s", len(marks), error)
                for key in keys[start:]:
                    self._coalescer.mark(key)
                return
            for key, seat in zip(chunk, seats, strict=True):
                # Else they have moved since, and are due again.
                if self._seats[key] is seat and not seat.are_marks_due:
                    del self._seats[key]


def _mark(seat: Seat) -> Mark:
    return Mark(
        room=seat.room.name,
        user=seat.user,
        delivered=seat.delivered,
        read=seat.read,
        read_n=seat.read_n,
    )
