"""The feed: a user's rooms that moved, told to all their sessions, subscribed or not."""

from typing import TYPE_CHECKING, TypeVar, final

import trio

from .._domain.inbox import unread
from .._model.events import Feed, FeedRow
from .._model.limits import Limits
from .coalescer import Coalescer
from .presence import Presence
from .room import Room, Seat

if TYPE_CHECKING:
    from .session import Session

Value = TypeVar("Value")

# Rooms gathered between two checkpoints.
_ROOMS_PER_TURN = 32


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
        # Rooms to look at; None: only tell what is known already.
        self._coalescer: Coalescer[Room | None] = Coalescer(
            self._tell, interval_s=limits.feed_interval_s
        )
        self.run = self._coalescer.run

    def moved(self, room: Room) -> None:
        """Have a room told. Rooms with more members than the limit are left to `sync`."""
        if room.complete:
            room.is_feed_due = True
            self._coalescer.mark(room)

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

    def lost(self, user: str, room: Room) -> None:
        """A user is a member no more."""
        for news in self._news_of(user):
            news.rooms.pop(room.name, None)
            news.added.pop(room.name, None)
            self._keep(news.removed, room.name, None)
        self._coalescer.mark(None)

    def forget(self, session: "Session") -> None:
        """Drop what a session was not told: it has ended."""
        self._news.pop(session, None)

    def _news_of(self, user: str) -> list[FeedNews]:
        present = self._presence.present.get(user)
        if present is None:
            return []
        return [self._news.setdefault(session, FeedNews()) for session in present.sessions.values()]

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
        for index, (session, news) in enumerate(list(self._news.items())):
            if index and not index % _ROOMS_PER_TURN:
                await trio.lowlevel.checkpoint()
            self._tell_one(session, news)

    def _gather(self, room: Room) -> None:
        if not room.complete:
            return
        for seat in room.member_seats.values():
            self._note(room, seat)

    def _note(self, room: Room, seat: Seat) -> None:
        count = unread(room.n, read_n=seat.read_n, floor_n=room.floor_n)
        row = (room.name, room.epoch, room.head, count, seat.read)
        for news in self._news_of(seat.user):
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
