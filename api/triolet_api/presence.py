"""Presence over HTTP: how some people are, and who is here at all."""

from typing import Annotated, Final, final

from msgspec import Meta, Struct

from triolet._model.commands import VisibleTo
from triolet._model.errors import ErrorCode
from triolet._model.events import PresenceRow, VisibleStatus
from triolet._model.ids import User
from triolet._runtime.engine import Engine

from .endpoints import Access, Call, endpoint
from .rooms.asking import asker

# As many as one page of the online list.
_USERS_MAX: Final = 200
_REFUSALS: Final = (ErrorCode.STORE_UNAVAILABLE, ErrorCode.FORBIDDEN, ErrorCode.INVALID_FIELD)


@final
class PresenceQuery(Struct, frozen=True):
    """Of whom: `users=anna&users=ben`."""

    users: Annotated[list[User], Meta(min_length=1, max_length=_USERS_MAX)]


@final
class PresencePage(Struct, frozen=True):
    """How people are, each `[user, status, last_seen]`; who may not be seen is left out.

    `last_seen` is in ms, 0 when never seen, not to be told, or here.
    """

    users: tuple[PresenceRow, ...]


@final
class OwnPresence(Struct, frozen=True):
    """What is kept of how I am seen.

    Attributes:
        status: `dnd` or `invisible`; empty: as my sessions are.
        visible_to: who may see me: `everyone`, `shared` or `nobody`.
    """

    status: str
    visible_to: VisibleTo


@final
class OnlineQuery(Struct, frozen=True):
    """Which page: those whose names come after `after`."""

    after: User | None = None
    limit: Annotated[int, Meta(ge=1, le=_USERS_MAX)] = _USERS_MAX


@final
class OnlineUsers(Struct, frozen=True):
    """Who is seen on any node, each `[user, status]`, by name.

    Attributes:
        after: what `after` has to be to go on; null: there are no others.
        is_whole: whether all nodes have answered.
    """

    users: tuple[tuple[User, VisibleStatus], ...]
    after: User | None
    is_whole: bool


@final
class OnlineCount(Struct, frozen=True):
    """How many are seen, as it was at most a second ago."""

    online: int


@final
class PresenceDoor:
    """Endpoints of presence."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @endpoint("GET", "/v1/presence", access=Access.USER, rate="read", refuses=_REFUSALS)
    async def get(self, call: Call, query: PresenceQuery) -> PresencePage:
        """Ask how people are: those whom I may see, by what they wish and rooms we share."""
        return PresencePage(await self._engine.presence_of(asker(self._engine, call), query.users))

    @endpoint(
        "GET",
        "/v1/presence/me",
        access=Access.USER,
        rate="read",
        refuses=(ErrorCode.STORE_UNAVAILABLE,),
    )
    async def own(self, call: Call) -> OwnPresence:
        """Get how I have said that I am to be seen, and by whom, with `presence`."""
        user = call.identity.user
        (person,) = await self._engine.store.people([user])
        return OwnPresence(await self._engine.sight.wished(user), person.visible_to)

    @endpoint("GET", "/v1/online", access=Access.ADMIN, rate="admin", refuses=_REFUSALS)
    async def online(self, call: Call, query: OnlineQuery) -> OnlineUsers:
        """List who is here, on all nodes; for admins, and for services that are.

        Who hides, and who wishes to be seen by nobody, is not told to them either.
        """
        del call
        page = await self._engine.online(after=query.after or "", limit=query.limit)
        return OnlineUsers(page.users, page.after, is_whole=not page.silent)

    @endpoint("GET", "/v1/online/count", access=Access.USER, rate="read", refuses=_REFUSALS)
    async def count(self, call: Call) -> OnlineCount:
        """Count who is here, on all nodes."""
        del call
        return OnlineCount(await self._engine.online_count())
