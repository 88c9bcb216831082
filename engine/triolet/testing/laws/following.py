"""A picture that is asked for once, and kept by folding events into it, as an application would."""

from collections.abc import Iterable
from typing import final

from msgspec import UNSET

from ..._model.entries import Entry, FoldedMessage, Member, Message, Meta, Role
from ..._model.events import Closed, Feed, InboxRow, Presence, Receipts, Reset, Synced, Typing
from ...client import Client, ClientEvent
from ...client.folding import change, message_of
from .looking import history_of, inbox_of, subscribe
from .picture import Marks, Picture, RoomPicture, Row


@final
class FollowedRoom:
    """One room, folded entry by entry."""

    def __init__(self, me: str) -> None:
        self._me = me
        self.head = 0
        self.role: Role | None = None
        self.title: str | None = None
        self.typing: tuple[str, ...] = ()
        self.messages: dict[int, FoldedMessage] = {}
        # What comes up to there is in the history already.
        self.folded_to = 0
        self.members: dict[str, Marks] | None = None
        # Marks told, also of people whose joining is told later: a client's stream keeps the
        # latest word of a state, at the place of the first.
        self._told: dict[str, Marks] = {}

    def apply(self, entry: Entry) -> None:
        """Take the next entry."""
        self.head = max(self.head, entry.seq)
        fact = entry.fact
        if isinstance(fact, Member):
            self._member(fact, entry.seq)
        elif isinstance(fact, Meta) and isinstance(fact.title, str):
            self.title = fact.title
        elif isinstance(fact, Message) and entry.sender in (self.members or {}):
            self.told([(entry.sender, entry.seq, entry.seq)])
        if entry.seq > self.folded_to:
            self._fold(entry)

    def _member(self, fact: Member, seq: int) -> None:
        if fact.user == self._me:
            self.role = fact.role
        if self.members is None:
            return
        if fact.role is None:
            self.members.pop(fact.user, None)
        else:
            # Who joins has read up to there; who is given another role keeps their marks.
            self.members.setdefault(fact.user, (seq, seq))

    def _fold(self, entry: Entry) -> None:
        target = getattr(entry.fact, "target", None)
        if isinstance(entry.fact, Message):
            self.messages[entry.seq] = message_of(entry)
        elif target in self.messages:
            self.messages[target] = change(self.messages[target], entry, self._me)

    def told(self, marks: Iterable[tuple[str, int, int]]) -> None:
        """Take marks; they only move forward."""
        for user, delivered, read in marks:
            before = self._told.get(user, (0, 0))
            self._told[user] = (max(delivered, before[0]), max(read, before[1]))

    def picture(self) -> RoomPicture:
        """Return the room as it is known now."""
        marks = self.members
        if marks is not None:
            marks = {user: self._mark(user, began) for user, began in marks.items()}
        return RoomPicture(
            head=self.head,
            role=self.role,
            title=self.title if self.role else None,
            messages=dict(self.messages),
            marks=marks,
            typing=self.typing,
        )

    def _mark(self, user: str, began: Marks) -> Marks:
        told = self._told.get(user, began)
        return (max(began[0], told[0]), max(began[1], told[1]))


@final
class Follower:
    """Everything one client knows, kept by folding what its stream brings.

    `open` asks for the picture, `run` keeps it.
    """

    def __init__(self, client: Client, *, uncounted: Iterable[str]) -> None:
        self.client = client
        self._uncounted = tuple(uncounted)
        self._stream = client.events()
        self._rooms: dict[str, FollowedRoom] = {}
        self._inbox: dict[str, Row] = {}
        self._people: dict[str, tuple[str, int]] = {}

    async def open(self, *, guest_of: Iterable[str], watched: Iterable[str]) -> None:
        """Ask for the picture as it is at the beginning."""
        await self._ask_inbox()
        for room in dict.fromkeys([*self._inbox, *guest_of]):
            await self._enter(room)
        await self._ask_inbox()
        self._take_people((await self.client.watch(watched)).users)

    async def run(self) -> None:
        """Fold events until the client ends."""
        async for event in self._stream:
            await self._take(event)

    def picture(self) -> Picture:
        """Return what is known now."""
        return Picture(
            rooms={name: room.picture() for name, room in self._rooms.items()},
            inbox=dict(self._inbox),
            people=dict(self._people),
        )

    async def _take(self, event: ClientEvent) -> None:
        match event:
            case Entry() if event.room in self._rooms:
                self._rooms[event.room].apply(event)
            case Receipts() if event.room in self._rooms:
                self._rooms[event.room].told(event.marks)
            case Typing() if event.room in self._rooms:
                self._rooms[event.room].typing = event.users
            case Presence():
                self._take_people(event.users)
            case Closed():
                self._rooms.pop(event.room, None)
            case Reset():
                await self._enter(event.room)
            case Feed():
                await self._take_feed(event)
            case Synced():
                await self._take_sync(event)
            case _:
                pass

    def _take_people(self, rows: Iterable[tuple[str, str, int]]) -> None:
        self._people |= {user: (status, last_seen) for user, status, last_seen in rows}

    async def _take_feed(self, event: Feed) -> None:
        for room in event.removed:
            self._lose(room)
        self._inbox |= {
            room: (epoch, head, unread, read) for room, epoch, head, unread, read in event.rooms
        }
        await self._gain(event.added)

    async def _take_sync(self, event: Synced) -> None:
        for room in event.gone:
            self._lose(room)
        self._take_rows(event.rooms)
        await self._gain([row.room for row in event.rooms if row.room not in self._rooms])

    def _lose(self, room: str) -> None:
        self._inbox.pop(room, None)
        if room in self._rooms:
            self._rooms[room].role = None

    async def _gain(self, rooms: Iterable[str]) -> None:
        """Rooms have become mine: their titles and roles are asked for, and they are followed."""
        new = list(rooms)
        for room in new:
            if room not in self._rooms:
                await self._enter(room)
        if new:
            await self._ask_inbox()

    async def _ask_inbox(self) -> None:
        rows = await inbox_of(self.client)
        self._inbox = {}
        self._take_rows(rows.values())

    def _take_rows(self, rows: Iterable[InboxRow]) -> None:
        for row in rows:
            self._inbox[row.room] = (row.epoch, row.head, row.unread, row.read)
            if row.room in self._rooms:
                self._rooms[row.room].title = row.title
                self._rooms[row.room].role = row.role

    async def _enter(self, name: str) -> None:
        granted = await subscribe(self.client, name)
        if granted is None:
            self._rooms.pop(name, None)
            return
        room = self._rooms[name] = FollowedRoom(self.client.user)
        room.head, room.role, room.typing = granted.head, granted.role, granted.typing
        if granted.receipts is not UNSET and name not in self._uncounted:
            room.members = {user: (delivered, read) for user, delivered, read in granted.receipts}
        room.messages, page = await history_of(self.client, name)
        room.folded_to = page.as_of[1]
