"""All rooms: which there are, where they stand, and who is a member. Not what is said there."""

from typing import Annotated, final

from msgspec import Meta, Struct

from triolet._model.entries import Role, RoomKind
from triolet._model.errors import ErrorCode, Refusal
from triolet._model.ids import Room, Seq, User
from triolet._runtime.engine import Engine
from triolet.ports.store import RoomState

from ..endpoints import Access, Call, endpoint


@final
class AdminRoomsQuery(Struct, frozen=True):
    """Which page: rooms whose names come after `after`."""

    after: Room | None = None
    limit: Annotated[int, Meta(ge=1, le=200)] = 50


@final
class AdminRoomRow(Struct, frozen=True, kw_only=True):
    """A room; `messages` so far, `floor`: the last seq that retention removed."""

    room: Room
    kind: RoomKind
    title: str
    public: bool
    epoch: str
    head: Seq
    floor: Seq
    messages: int
    members: int


@final
class AdminRoomsPage(Struct, frozen=True, omit_defaults=True):
    """Rooms by name; `next`: where the next page begins, if there may be one."""

    rooms: tuple[AdminRoomRow, ...]
    next: str = ""


@final
class AdminMembersQuery(Struct, frozen=True):
    """Which page: members whose names come after `after`."""

    after: User | None = None
    limit: Annotated[int, Meta(ge=1, le=200)] = 50


@final
class AdminMemberRow(Struct, frozen=True):
    """A member, and how far they got."""

    user: User
    role: Role
    delivered: Seq
    read: Seq


@final
class AdminMembersPage(Struct, frozen=True, omit_defaults=True):
    """Members by name; `next`: where the next page begins, if there may be one."""

    members: tuple[AdminMemberRow, ...]
    next: str = ""


@final
class AdminRooms:
    """Endpoints of all rooms."""

    def __init__(self, engine: Engine) -> None:
        self._store = engine.store
        self._delete = engine.oversight.delete_room

    @endpoint(
        "GET",
        "/v1/admin/rooms",
        access=Access.ADMIN,
        rate="admin",
        refuses=(ErrorCode.STORE_UNAVAILABLE,),
    )
    async def list_all(self, call: Call, query: AdminRoomsQuery) -> AdminRoomsPage:
        """List all rooms, by name, direct ones among them."""
        del call
        names = await self._store.room_names(after=query.after, limit=query.limit)
        found = await self._store.rooms(names, members_max=0)
        # One that is gone meanwhile is left out.
        rows = tuple(_row(found[name].state) for name in names if name in found)
        return AdminRoomsPage(rows, names[-1] if len(names) == query.limit else "")

    @endpoint(
        "GET",
        "/v1/admin/rooms/{room}",
        access=Access.ADMIN,
        rate="admin",
        refuses=(ErrorCode.NO_SUCH_ROOM, ErrorCode.STORE_UNAVAILABLE),
    )
    async def get(self, call: Call, room: Room) -> AdminRoomRow:
        """Look at one room."""
        del call
        return _row(await self._state(room))

    @endpoint(
        "GET",
        "/v1/admin/rooms/{room}/members",
        access=Access.ADMIN,
        rate="admin",
        refuses=(ErrorCode.NO_SUCH_ROOM, ErrorCode.STORE_UNAVAILABLE),
    )
    async def members(self, call: Call, room: Room, query: AdminMembersQuery) -> AdminMembersPage:
        """List a room's members, by name."""
        del call
        await self._state(room)
        found = await self._store.members(room, after=query.after, limit=query.limit)
        rows = tuple(AdminMemberRow(one.user, one.role, one.delivered, one.read) for one in found)
        return AdminMembersPage(rows, rows[-1].user if len(rows) == query.limit else "")

    @endpoint(
        "DELETE",
        "/v1/admin/rooms/{room}",
        access=Access.ADMIN,
        rate="admin",
        refuses=(
            ErrorCode.NO_SUCH_ROOM,
            ErrorCode.STORE_UNAVAILABLE,
            ErrorCode.OUTCOME_UNKNOWN,
            ErrorCode.SHUTTING_DOWN,
        ),
    )
    async def delete(self, call: Call, room: Room) -> None:
        """End a room for everybody: all that was said in it is erased.

        Its name is never given again; that of a direct room is the two's for good.
        """
        await self._delete(room, by=call.identity.user)

    async def _state(self, room: str) -> RoomState:
        state = await self._store.room(room)
        if state is None:
            raise Refusal(ErrorCode.NO_SUCH_ROOM)
        return state


def _row(state: RoomState) -> AdminRoomRow:
    return AdminRoomRow(
        room=state.room,
        kind=state.kind,
        title=state.title,
        public=state.public,
        epoch=state.epoch,
        head=state.head,
        floor=state.floor,
        messages=state.n,
        members=state.members,
    )
