"""Rooms: the inbox, making one, looking at it, changing it."""

from typing import Annotated, Literal, final

from msgspec import UNSET, Meta, Struct, UnsetType, field

from triolet._model.commands import Create, DeleteRoom, Direct, ListRooms, Page, SetMeta, Title
from triolet._model.errors import ErrorCode
from triolet._model.events import Inbox, InboxRow, RoomOpened
from triolet._model.ids import Room, User
from triolet._runtime.engine import Engine
from triolet._runtime.looking import RoomView

from ..endpoints import Access, Call, endpoint
from .asking import ROOM_REFUSALS, WRITE_REFUSALS, Stored, ask, asker, key_of, store


@final
class RoomsQuery(Struct, frozen=True):
    """Which page of my rooms: those whose names come after `after`."""

    after: Room | None = None
    limit: Page = 50


@final
class RoomsPage(Struct, frozen=True):
    """A page of my rooms, by name; `more`: there are others after them."""

    rooms: tuple[InboxRow, ...]
    more: bool


@final
class NewRoom(Struct, frozen=True):
    """A room to be made; without `room` it is named by the server, after the key."""

    kind: Literal["group", "channel"]
    room: Room | None = None
    title: Title | None = None
    members: Annotated[list[User], Meta(max_length=200)] = field(default_factory=list)
    public: bool = False


@final
class RoomChange(Struct, frozen=True):
    """What is to change of a room; what is absent stays."""

    title: Title | UnsetType = UNSET
    public: bool | UnsetType = UNSET


@final
class Peer(Struct, frozen=True):
    """The other one of a direct room."""

    user: User


@final
class DirectRoom(Struct, frozen=True):
    """The direct room of two."""

    room: Room


@final
class Rooms:
    """Endpoints of rooms."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @endpoint("GET", "/v1/rooms", access=Access.USER, rate="read", refuses=ROOM_REFUSALS)
    async def list_mine(self, call: Call, query: RoomsQuery) -> RoomsPage:
        """List my rooms.

        Each with where it stands, how much of it is unread, and its last message.
        """
        command = ListRooms(after=query.after, limit=query.limit)
        found = await ask(self._engine, call, command, Inbox)
        return RoomsPage(found.rooms, found.more)

    @endpoint(
        "POST",
        "/v1/rooms",
        access=Access.USER,
        rate="write",
        status=201,
        refuses=(*WRITE_REFUSALS, ErrorCode.ALREADY_EXISTS),
    )
    async def create(self, call: Call, body: NewRoom) -> Stored:
        """Make a room; who asks becomes its owner.

        The same `Idempotency-Key` again answers with the same room, `duplicate`.
        """
        command = Create(
            cid=key_of(call),
            kind=body.kind,
            room=body.room,
            title=body.title,
            members=body.members,
            public=body.public,
        )
        return await store(self._engine, call, command)

    @endpoint("GET", "/v1/rooms/{room}", access=Access.USER, rate="read", refuses=ROOM_REFUSALS)
    async def get(self, call: Call, room: Room) -> RoomView:
        """Look at a room: its kind, title and head, and my role and read mark in it."""
        return await self._engine.view(asker(self._engine, call), room)

    @endpoint("PATCH", "/v1/rooms/{room}", access=Access.USER, rate="write", refuses=WRITE_REFUSALS)
    async def change(self, call: Call, room: Room, body: RoomChange) -> Stored:
        """Change a room's title, or whether it is public; for its admins and its owner."""
        command = SetMeta(room=room, cid=key_of(call), title=body.title, public=body.public)
        return await store(self._engine, call, command)

    @endpoint(
        "DELETE", "/v1/rooms/{room}", access=Access.USER, rate="write", refuses=WRITE_REFUSALS
    )
    async def delete(self, call: Call, room: Room) -> Stored:
        """End a room for everybody, with all that was said there; for its owner."""
        return await store(self._engine, call, DeleteRoom(room=room, cid=key_of(call)))

    @endpoint("POST", "/v1/direct", access=Access.USER, rate="write", refuses=WRITE_REFUSALS)
    async def direct(self, call: Call, body: Peer) -> DirectRoom:
        """Get the direct room with somebody; it is made by who comes first."""
        opened = await ask(self._engine, call, Direct(user=body.user), RoomOpened)
        return DirectRoom(opened.room)
