"""States of rooms, coalesced: who is typing, and whose marks have moved."""

from typing import final

import trio

from .._model.events import Receipts
from .._model.limits import Limits
from .coalescer import Coalescer
from .cursor import typing_of
from .room import Cursor, Room
from .seat import Seat

# Rooms told between two checkpoints.
_ROOMS_PER_TURN = 32


@final
class States:
    """Tells each room's states at most once an interval; the latest wins."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._coalescer: Coalescer[Room] = Coalescer(self._tell, interval_s=limits.state_interval_s)
        self.mark = self._coalescer.mark
        # Those whose marks moved elsewhere, and who are not known here.
        self._strangers: dict[tuple[Room, str], Seat] = {}
        # Rooms in which somebody types; a dict, for its order.
        self._typing: dict[Room, None] = {}
        self._typing_began = trio.Event()

    async def run(self) -> None:
        """Tell states and end typing marks for as long as the engine lives."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._coalescer.run)
            nursery.start_soon(self._expire_typing)

    def typing_in(self, room: Room) -> None:
        """Have the typing marks of a room end in time."""
        self._typing[room] = None
        self._typing_began.set()

    def marks_moved(self, seat: Seat, *, since: int) -> None:
        """Have the marks of a seat told; what lies beyond `since` is news to its authors."""
        room, user = seat.room, seat.user
        if user not in room.seats:
            self._strangers[room, user] = seat
        room.marks_moved[user] = min(room.marks_moved.get(user, since), since)
        self.mark(room)

    async def _expire_typing(self) -> None:
        while True:
            if not self._typing:
                self._typing_began = trio.Event()
                await self._typing_began.wait()
            now = trio.current_time()
            for room in list(self._typing):
                if room.typists.expire(now):
                    room.typing_moved = True
                    self.mark(room)
                if not len(room.typists):
                    del self._typing[room]
            await trio.sleep(self._limits.state_interval_s)

    async def _tell(self, rooms: list[Room]) -> None:
        for index, room in enumerate(rooms):
            if index and not index % _ROOMS_PER_TURN:
                await trio.lowlevel.checkpoint()
            if room.typing_moved:
                room.typing_moved = False
                # Who was told that somebody types is told that they stopped, however many
                # have come since.
                few = len(room.cursors) <= self._limits.typing_subscribers_max
                if few or not len(room.typists):
                    room.tell(typing_of(room, self._limits))
            if room.marks_moved:
                moved, room.marks_moved = room.marks_moved, {}
                self._tell_receipts(room, moved)

    def _tell_receipts(self, room: Room, moved: dict[str, int]) -> None:
        found = {user: self._strangers.pop((room, user), None) for user in moved}
        found |= {user: room.seats[user] for user in moved if user in room.seats}
        seats = [seat for seat in found.values() if seat is not None]
        if room.complete and (room.members or 0) <= self._limits.receipts_members_max:
            marks = tuple((seat.user, seat.delivered, seat.read) for seat in seats)
            if marks:
                room.tell(Receipts(room=room.name, marks=marks))
            return
        # In large rooms: the reader's own devices, and the authors of what was read.
        for seat in seats:
            event = Receipts(room=room.name, marks=((seat.user, seat.delivered, seat.read),))
            room.tell(event, only=_concerned(room, seat, since=moved[seat.user]))


def _concerned(room: Room, seat: Seat, *, since: int) -> list[Cursor]:
    users = {seat.user: None}
    for item in room.ring.items:
        record = item.record
        if since < record.seq <= seat.delivered and record.kind == "message":
            users[record.sender] = None
    return [
        cursor
        for user in users
        if (concerned := room.seats.get(user)) is not None
        for cursor in concerned.cursors
    ]
