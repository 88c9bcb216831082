"""Members of a room: who they are, and how they come and go."""

from typing import final

from msgspec import Struct

from triolet._model.commands import Invite, Join, Kick, Leave, Page, SetRole
from triolet._model.entries import Role
from triolet._model.errors import ErrorCode
from triolet._model.ids import Room, User
from triolet._runtime.engine import Engine
from triolet._runtime.looking import MembersPage

from ..endpoints import Access, Call, endpoint
from .asking import ROOM_REFUSALS, WRITE_REFUSALS, Stored, asker, key_of, store


@final
class MembersQuery(Struct, frozen=True):
    """Which page of the members: those whose names come after `after`."""

    after: User | None = None
    limit: Page = 50


@final
class NewMember(Struct, frozen=True):
    """Somebody to become a member."""

    user: User
    role: Role = "member"


@final
class NewRole(Struct, frozen=True):
    """What a member is to be."""

    role: Role


@final
class Members:
    """Endpoints of members; roles are `owner`, `admin`, `member` and `reader`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @endpoint(
        "GET",
        "/v1/rooms/{room}/members",
        access=Access.USER,
        rate="read",
        refuses=(*ROOM_REFUSALS, ErrorCode.NOT_A_MEMBER),
    )
    async def list_members(self, call: Call, room: Room, query: MembersQuery) -> MembersPage:
        """List a room's members, by name; for its members."""
        return await self._engine.members(
            asker(self._engine, call), room, after=query.after, limit=query.limit
        )

    @endpoint(
        "POST",
        "/v1/rooms/{room}/members",
        access=Access.USER,
        rate="write",
        status=201,
        refuses=(*WRITE_REFUSALS, ErrorCode.ALREADY_EXISTS),
    )
    async def invite(self, call: Call, room: Room, body: NewMember) -> Stored:
        """Make somebody a member; for admins and the owner."""
        command = Invite(room=room, cid=key_of(call), user=body.user, role=body.role)
        return await store(self._engine, call, command)

    @endpoint(
        "PATCH",
        "/v1/rooms/{room}/members/{user}",
        access=Access.USER,
        rate="write",
        refuses=WRITE_REFUSALS,
    )
    async def set_role(self, call: Call, room: Room, user: User, body: NewRole) -> Stored:
        """Change a member's role; for admins and the owner, and nobody above oneself."""
        command = SetRole(room=room, cid=key_of(call), user=user, role=body.role)
        return await store(self._engine, call, command)

    @endpoint(
        "DELETE",
        "/v1/rooms/{room}/members/{user}",
        access=Access.USER,
        rate="write",
        refuses=WRITE_REFUSALS,
    )
    async def remove(self, call: Call, room: Room, user: User) -> Stored:
        """End a membership: somebody else's, as an admin or the owner, or one's own."""
        cid = key_of(call)
        if user == asker(self._engine, call).user:
            return await store(self._engine, call, Leave(room=room, cid=cid))
        return await store(self._engine, call, Kick(room=room, cid=cid, user=user))

    @endpoint(
        "POST", "/v1/rooms/{room}/join", access=Access.USER, rate="write", refuses=WRITE_REFUSALS
    )
    async def join(self, call: Call, room: Room) -> Stored:
        """Become a member of a public room."""
        return await store(self._engine, call, Join(room=room, cid=key_of(call)))
