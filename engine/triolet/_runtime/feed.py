"""The feed: a user's rooms that moved, told to all their sessions, subscribed or not."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar, final

import trio

from .._domain.inbox import unread
from .._model.events import Feed, FeedRow
from .._model.limits import Limits
from .coalescer import Coalescer
from .presence import Presence
from .room import Room
from .seat import Seat

if TYPE_CHECKING:
    from .session import Session

Value = TypeVar("Value")

# Rooms gathered between two checkpoints.
_ROOMS_PER_TURN = 32
# Users rung between two checkpoints, and rows of one doorbell: about 200 bytes each.
_USERS_PER_TURN = 64
_ROWS_PER_DOORBELL = 1000


@final
class FeedNews:
    """What one session has not been told yet; bounded by `Limits.feed_rooms_max`."""

    __slots__ = ("added", "removed", "rooms")

    def __init__(self) -> None:
        self.rooms: dict[str, FeedRow] = {}
        self.added: dict[str, None] = {}
        self.removed: dict[str, None] = {}


@final
class Feeder:
    """Tells each room's movement at most once an interval, to members who are here."""

    def __init__(self, presence: Presence, limits: Limits) -> None:
        self._presence = presence
        self._limits = limits
        self._news: dict[Session, FeedNews] = {}
        # Where other nodes hear what is to be told to a user; None where there are none.
        self.elsewhere: Callable[[str, Sequence[Seat]], None] | None = None
        # Rooms that moved by a commit of this node, and what users read on in here.
        self._here: dict[Room, None] = {}
        self._read_here: dict[tuple[str, Room], None] = {}
        # Rooms to look at; None: only tell what is known already.
        self._coalescer: Coalescer[Room | None] = Coalescer(
            self._tell, interval_s=limits.feed_interval_s
        )
        self.run = self._coalescer.run

    def moved(self, room: Room, *, here: bool = True) -> None:
        """Have a room told, and if it moved `here`, also to members who are elsewhere.

        Rooms with more members than the limit are left to `sync`.
        """
        if room.complete:
            room.is_feed_due = True
            self._coalescer.mark(room)
            if here and self.elsewhere is not None:
                self._here[room] = None

    def gained(self, user: str, room: Room) -> None:
        """A user became a member."""
        for news in self._news_of(user):
            news.removed.pop(room.name, None)
            self._keep(news.added, room.name, None)
        self._coalescer.mark(room)

    def read(self, user: str, room: Room) -> None:
        """A user read on: their other devices shall know."""
        seat = room.seats.get(user)
        if seat is not None and seat.role is not None:
            self._note(room, seat)
            self._coalescer.mark(None)

    def read_here(self, user: str, room: Room) -> None:
        """A user read on: their other devices shall know, also on other nodes."""
        self.read(user, room)
        if self.elsewhere is not None:
            self._read_here[user, room] = None

    def lost(self, user: str, room: Room) -> None:
        """A user is a member no more."""
        for news in self._news_of(user):
            news.rooms.pop(room.name, None)
            news.added.pop(room.name, None)
            self._keep(news.removed, room.name, None)
        self._coalescer.mark(None)

    def told(
        self, user: str, rows: Sequence[FeedRow], added: Sequence[str], removed: Sequence[str]
    ) -> None:
        """Take what another node tells a user's feeds."""
        for news in self._news_of(user):
            for row in rows:
                # What is about to be told as lost: that node has not heard of it yet.
                if row[0] not in news.removed:
                    self._keep(news.rooms, row[0], row)
            for name in added:
                news.removed.pop(name, None)
                self._keep(news.added, name, None)
            for name in removed:
                news.rooms.pop(name, None)
                news.added.pop(name, None)
                self._keep(news.removed, name, None)
        self._coalescer.mark(None)

    def forget(self, session: "Session") -> None:
        """Drop what a session was not told: it has ended."""
        self._news.pop(session, None)

    def _news_of(self, user: str) -> list[FeedNews]:
        present = self._presence.present.get(user)
        if present is None:
            return []
        return [self._news_to(session) for session in present.sessions.values()]

    def _news_to(self, session: "Session") -> FeedNews:
        news = self._news.get(session)
        if news is None:
            news = self._news[session] = FeedNews()
        return news

    def _keep(self, news: dict[str, Value], room: str, value: Value) -> None:
        """Note something of a room; beyond the bound it is left to `sync`."""
        if room in news or len(news) < self._limits.feed_rooms_max:
            news[room] = value

    async def _tell(self, rooms: list[Room | None]) -> None:
        for index, room in enumerate(rooms):
            if index and not index % _ROOMS_PER_TURN:
                await trio.lowlevel.checkpoint()
            if room is not None:
                room.is_feed_due = False
                self._gather(room)
        await self._tell_elsewhere()
        for index, (session, news) in enumerate(list(self._news.items())):
            if index and not index % _ROOMS_PER_TURN:
                await trio.lowlevel.checkpoint()
            self._tell_one(session, news)

    async def _tell_elsewhere(self) -> None:
        """Ring for the users whose rooms moved by what happened here: one doorbell each."""
        if self.elsewhere is None:
            return
        here, self._here = self._here, {}
        read, self._read_here = self._read_here, {}
        seats_of: dict[str, list[Seat]] = {}
        seats = [seat for room in here if room.complete for seat in room.member_seats.values()]
        seats += [room.seats[user] for user, room in read if user in room.seats]
        for seat in seats:
            # Who has lost the room since they read on in it was told that, and no more of it.
            if seat.role is not None:
                seats_of.setdefault(seat.user, []).append(seat)
        for index, (user, some) in enumerate(seats_of.items()):
            if index and not index % _USERS_PER_TURN:
                await trio.lowlevel.checkpoint()
            for start in range(0, len(some), _ROWS_PER_DOORBELL):
                self.elsewhere(user, some[start : start + _ROWS_PER_DOORBELL])

    def _gather(self, room: Room) -> None:
        """Note a room for every member who is here; a hundred of them take 0.1 ms."""
        if not room.complete:
            return
        name, here, most = room.name, self._presence.present, self._limits.feed_rooms_max
        for user, seat in room.member_seats.items():
            present = here.get(user)
            if present is None or not present.sessions:
                continue
            row = row_of(seat)
            for session in present.sessions.values():
                rooms = self._news_to(session).rooms
                if name in rooms or len(rooms) < most:
                    rooms[name] = row

    def _note(self, room: Room, seat: Seat) -> None:
        row: FeedRow | None = None
        for news in self._news_of(seat.user):
            row = row or row_of(seat)
            self._keep(news.rooms, room.name, row)

    def _tell_one(self, session: "Session", news: FeedNews) -> None:
        if session not in self._news:
            return  # it ended while others were told
        if session.outbox.size > self._limits.outbox_bytes_low:
            self._coalescer.mark(None)  # it is told in a later round; the latest wins
            return
        del self._news[session]
        session.tell(
            Feed(
                rooms=tuple(news.rooms.values()),
                added=tuple(news.added),
                removed=tuple(news.removed),
            )
        )


def row_of(seat: Seat) -> FeedRow:
    """Return what a feed tells of a room to the user of a seat."""
    room = seat.room
    count = unread(room.n, read_n=seat.read_n, floor_n=room.floor_n)
    return (room.name, room.epoch, room.head, count, seat.read)
