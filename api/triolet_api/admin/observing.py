"""What the servers count, what admins did, and what is announced."""

from typing import Annotated, final

from msgspec import Meta, Struct

from triolet._model.errors import ErrorCode
from triolet._model.events import Observed
from triolet._model.ids import Room, User
from triolet._model.json import JsonMap
from triolet._runtime.engine import Engine

from ..endpoints import Access, Call, endpoint
from .audit import Audit, AuditRow


@final
class Announcement(Struct, frozen=True):
    """What to tell, and whom: the sessions of `users`, or who follows `room`; else everybody."""

    body: JsonMap
    users: Annotated[tuple[User, ...], Meta(max_length=1000)] | None = None
    room: Room | None = None


@final
class Told(Struct, frozen=True):
    """How many sessions of the node that was asked are told; other nodes tell theirs."""

    here: int


@final
class AuditQuery(Struct, frozen=True):
    """Which page: rows older than the one whose id is `before`."""

    before: Annotated[str, Meta(max_length=64, pattern=r"^[0-9A-Za-z_-]*\Z")] = ""
    limit: Annotated[int, Meta(ge=1, le=200)] = 50


@final
class AuditPage(Struct, frozen=True):
    """Rows, the newest first; `more`: there may be older ones."""

    rows: tuple[AuditRow, ...]
    more: bool


@final
class Admin:
    """Endpoints of what there is to see, and to say to everybody."""

    def __init__(self, engine: Engine, audit: Audit) -> None:
        self._engine = engine
        self._audit = audit

    @endpoint("GET", "/v1/admin/stats", access=Access.ADMIN, rate="admin")
    async def stats(self, call: Call) -> Observed:
        """See what all nodes count, since each began.

        Nodes are asked, and waited for at most a second; `silent` are those that did not answer.
        The same comes again and again, with rates, over the WebSocket: `stats`.
        """
        del call
        return await self._engine.observe()

    @endpoint(
        "POST",
        "/v1/admin/announce",
        access=Access.ADMIN,
        rate="admin",
        refuses=(ErrorCode.INVALID_FIELD, ErrorCode.TOO_LARGE),
    )
    async def announce(self, call: Call, body: Announcement) -> Told:
        """Tell something to all sessions on all nodes, to some users', or to who follows a room.

        It comes as `notice` of kind `announcement`, at most once, and is not kept.
        """
        del call
        here = await self._engine.announce(body.body, users=body.users, room=body.room)
        return Told(here)

    @endpoint(
        "GET",
        "/v1/admin/audit",
        access=Access.ADMIN,
        rate="admin",
        refuses=(ErrorCode.STORE_UNAVAILABLE,),
    )
    async def audit(self, call: Call, query: AuditQuery) -> AuditPage:
        """Read what admins did, the newest first."""
        del call
        rows = await self._audit.page(before=query.before, limit=query.limit)
        return AuditPage(tuple(rows), len(rows) == query.limit)
