"""Who is in a loaded room, where the room does not know it by itself: asked of the store.

What is read is older than what comes in meanwhile. So a membership is taken only if no
membership of the room has changed since it was asked for; otherwise it is read again.
"""

from typing import final

from .._model.limits import Limits
from ..ports.store import Membership, RoomState, Store
from .marks import Marks
from .room import Cursor, Room
from .seat import Seat


@final
class Members:
    """Seats and counts of loaded rooms, right at the moment they are returned."""

    def __init__(self, store: Store, limits: Limits, marks: Marks) -> None:
        self._store = store
        self._limits = limits
        self._marks = marks
        # For the time from a read to when its seats are taken.
        self.reading = marks.reading

    async def all_of(self, state: RoomState) -> list[Membership] | None:
        """Return all members of a room, or None: there are too many to be kept."""
        most = self._limits.feed_members_max
        if state.members > most:
            return None
        found = await self._store.members(state.room, after=None, limit=most + 1)
        return found if len(found) <= most else None

    def fill(self, room: Room, members: list[Membership] | None) -> None:
        """Seat all members in a room that is just being built."""
        room.complete = members is not None
        if members is not None:
            room.members = len(members)
            name, pending = room.name, self._marks.pending
            for membership in members:
                seat = room.sit(membership.user, membership)
                if pending(name, membership.user) is not None:
                    self._overlay(seat)
                self._marks.adopt(seat)

    async def seat(self, room: Room, user: str) -> Seat:
        """Return the user's seat, read from the store where the room does not know it."""
        while True:
            seat = room.seats.get(user)
            if seat is not None:
                return seat
            if room.complete:
                return room.sit(user, None)
            with self.reading():
                membership = await self._membership(room, user)
                if user not in room.seats:
                    return self._overlay(room.sit(user, membership))

    async def count(self, room: Room) -> int:
        """Return how many members there are, asked of the store when it is not known."""
        while room.members is None:
            before = room.member_changes
            state = await self._store.room(room.name)
            if state is None:
                return 0
            if room.member_changes == before:
                room.members = state.members
        return room.members

    async def refresh(self, room: Room, user: str) -> Seat:
        """Read one membership and the room's version of rights again, after a `Stale`.

        The version is the seat's alone: what others lost meanwhile may not be known here.
        """
        with self.reading():
            while True:
                before = room.member_changes, room.acl_ver
                state = await self._store.room(room.name)
                membership = await self._store.membership(room.name, user)
                if (room.member_changes, room.acl_ver) == before:
                    break
            # A cursor whose right has ended is closed by the entry that ended it, or a reload.
            self._reseat(room, user, membership)
            seat = room.seats.get(user)
            if seat is None:
                seat = self._overlay(room.sit(user, membership))
        if state is not None:
            room.public = state.public
            seat.known_as_of = state.acl_ver
        return seat

    async def reread(self, room: Room, user: str) -> list[Cursor]:
        """Read one membership again; return the cursors whose right has ended."""
        with self.reading():
            return self._reseat(room, user, await self._membership(room, user))

    async def readmit(self, room: Room, state: RoomState) -> list[Cursor]:
        """Ask for everybody's rights again; return the cursors of those who have none."""
        with self.reading():
            return await self._readmit(room, state)

    async def _readmit(self, room: Room, state: RoomState) -> list[Cursor]:
        while True:
            before = room.member_changes
            members = await self.all_of(state)
            if room.member_changes == before:
                break
        room.public = state.public
        ended: list[Cursor] = []
        if members is None:
            room.outgrow()
            room.members = None
            for user in list(room.seats):
                membership = await self._membership(room, user)
                if user in room.seats:
                    ended += self._reseat(room, user, membership)
            return ended
        found = {membership.user: membership for membership in members}
        if not room.complete:
            # Members all along, whom the room had no need to know.
            for membership in members:
                if membership.user not in room.seats:
                    self._overlay(room.sit(membership.user, membership))
            room.complete = True
        for user in dict.fromkeys([*room.seats, *found]):
            ended += self._reseat(room, user, found.get(user))
        room.members = len(found)
        return ended

    async def _membership(self, room: Room, user: str) -> Membership | None:
        while True:
            before = room.member_changes
            membership = await self._store.membership(room.name, user)
            if room.member_changes == before:
                return membership

    def _reseat(self, room: Room, user: str, membership: Membership | None) -> list[Cursor]:
        """Take a membership as just read; return the cursors whose right has ended."""
        ended = room.reseat(user, membership)
        seat = room.seats.get(user)
        if seat is not None and membership is not None:
            self._overlay(seat)
        return ended

    def _overlay(self, seat: Seat) -> Seat:
        """Prefer marks that are not written yet to those the store has."""
        mark = self._marks.pending(seat.room.name, seat.user)
        if mark is not None:
            seat.take(mark)
        self._marks.adopt(seat)
        return seat
