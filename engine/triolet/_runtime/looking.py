"""What is asked without a connection, and by no op: a room as it stands, its members, a search."""

from typing import Final, final

from msgspec import Struct

from .._domain.inbox import unread
from .._domain.room import require_sight
from .._model.entries import Role, RoomKind
from .._model.errors import ErrorCode, Refusal
from .._model.ids import Room, Seq, User
from ..ports.gate import Action
from ..ports.store import SearchSlice
from .asker import Asker
from .ops.reading import require_reading
from .rights import role_for

# Messages that one search looks at: some ten milliseconds of a reading thread.
_SCANNED_MAX: Final = 10_000


@final
class RoomView(Struct, frozen=True, kw_only=True):
    """A room as somebody sees it: where it stands, and how much of it they have read.

    Attributes:
        epoch, head: the position of the last entry.
        floor: the last seq that retention removed, 0 when none was.
        members: how many there are.
        role: one's own; None: of a visitor.
    """

    room: Room
    kind: RoomKind
    title: str
    public: bool
    epoch: str
    head: Seq
    floor: Seq
    members: int
    role: Role | None
    unread: int
    read: Seq


@final
class MemberRow(Struct, frozen=True):
    """A member of a room."""

    user: User
    role: Role


@final
class MembersPage(Struct, frozen=True):
    """Members by user name; `more`: there are others after them."""

    members: tuple[MemberRow, ...]
    more: bool


async def view(asker: Asker, name: str) -> RoomView:
    """Return how a room stands.

    Raises:
        Refusal: `NO_SUCH_ROOM`, or `FORBIDDEN` by the gate's word.
        StoreError: it could not be looked at.
    """
    hub = asker.engine.hub
    async with hub.pinned(name, asker.user) as room:
        if room is None:
            raise Refusal(ErrorCode.NO_SUCH_ROOM)
        members = await hub.count(room)
        seat = await hub.seat(room, asker.user)
        require_sight(room.rights_of(role_for(asker, seat, Action.READ)))
        is_member = seat.role is not None
        return RoomView(
            room=name,
            kind=room.kind,
            title=room.title,
            public=room.public,
            epoch=room.epoch,
            head=room.head,
            floor=room.floor,
            members=members,
            role=seat.role,
            unread=unread(room.n, read_n=seat.read_n, floor_n=room.floor_n) if is_member else 0,
            read=seat.read,
        )


async def members(asker: Asker, name: str, *, after: str | None, limit: int) -> MembersPage:
    """Return who is in a room: only members are told, not the visitors of a public one.

    Raises:
        Refusal: `NO_SUCH_ROOM`, `NOT_A_MEMBER`, or `FORBIDDEN` by the gate's word.
        StoreError: it could not be looked at.
    """
    hub = asker.engine.hub
    async with hub.pinned(name, asker.user) as room:
        if room is None:
            raise Refusal(ErrorCode.NO_SUCH_ROOM)
        role = role_for(asker, await hub.seat(room, asker.user), Action.READ)
        require_sight(room.rights_of(role))
        if role is None:
            raise Refusal(ErrorCode.NOT_A_MEMBER)
    found = await asker.engine.store.members(name, after=after, limit=limit + 1)
    rows = tuple(MemberRow(one.user, one.role) for one in found[:limit])
    return MembersPage(rows, more=len(found) > limit)


async def search(
    asker: Asker, room: str, words: str, *, before: int | None, limit: int
) -> SearchSlice:
    """Return messages that hold all of `words`, newest first, as `Store.search` does.

    Raises:
        Refusal: `NO_SUCH_ROOM` for who may not read there, `INVALID_FIELD` for `words` or `limit`.
        StoreError: it could not be looked for.
    """
    await require_reading(asker, room)
    try:
        found = await asker.engine.store.search(
            room, asker.user, words, before=before, limit=limit, scan_max=_SCANNED_MAX
        )
    except ValueError as error:
        raise Refusal(ErrorCode.INVALID_FIELD, str(error)) from None
    if found is None:
        raise Refusal(ErrorCode.NO_SUCH_ROOM)
    return found
