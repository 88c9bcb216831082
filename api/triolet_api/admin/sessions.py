"""Sessions of all nodes: to be looked at, and ended."""

from typing import Annotated, TypeAlias, final

from msgspec import Meta, Struct

from triolet._model.errors import ErrorCode, Refusal
from triolet._model.ids import User
from triolet._model.observation import SessionRow
from triolet._runtime.engine import Engine

from ..endpoints import Access, Call, endpoint

SessionName: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}\Z")]


@final
class SessionsQuery(Struct, frozen=True):
    """Which page: sessions of `user`, or of everybody; those behind `after`, which is `next`."""

    user: User | None = None
    after: Annotated[str, Meta(max_length=130, pattern=r"^([^/\x00]*/[^/\x00]*)?\Z")] = ""
    limit: Annotated[int, Meta(ge=1, le=200)] = 50


@final
class SessionsPage(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Sessions by user; `next`: where the next page begins, if there is one.

    Attributes:
        silent: nodes that did not answer within a second: their sessions are missing.
    """

    sessions: tuple[SessionRow, ...]
    next: str = ""
    silent: tuple[str, ...] = ()


@final
class EndQuery(Struct, frozen=True):
    """Whether tokens stay good: with `keep_tokens` whoever has one may come back at once."""

    keep_tokens: bool = False


@final
class Ended(Struct, frozen=True, omit_defaults=True):
    """How many sessions have ended; `silent`: nodes that did not answer within a second."""

    ended: int
    silent: tuple[str, ...] = ()


@final
class AdminSessions:
    """Endpoints of sessions."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._roster = engine.oversight.roster

    @endpoint("GET", "/v1/admin/sessions", access=Access.ADMIN, rate="admin")
    async def list_all(self, call: Call, query: SessionsQuery) -> SessionsPage:
        """List the sessions of all nodes, by user."""
        del call
        user, _, session = query.after.partition("/")
        found, silent = await self._roster.page(
            user=query.user or "", after=(user, session), limit=query.limit
        )
        last = found.rows[-1] if found.more and found.rows else None
        after = "" if last is None else f"{last.user}/{last.session}"
        return SessionsPage(sessions=found.rows, next=after, silent=silent)

    @endpoint(
        "GET",
        "/v1/admin/sessions/{session}",
        access=Access.ADMIN,
        rate="admin",
        refuses=(ErrorCode.NO_SUCH_ENTRY,),
    )
    async def get(self, call: Call, session: SessionName) -> SessionRow:
        """Look at one session, wherever it is."""
        del call
        found, _ = await self._roster.page(session=session, limit=1)
        if not found.rows:
            raise Refusal(ErrorCode.NO_SUCH_ENTRY, "there is no such session")
        return found.rows[0]

    @endpoint(
        "DELETE",
        "/v1/admin/sessions/{session}",
        access=Access.ADMIN,
        rate="admin",
        refuses=(ErrorCode.NO_SUCH_ENTRY,),
    )
    async def end(self, call: Call, session: SessionName) -> Ended:
        """End one session, wherever it is; its client stops.

        Its token stays good. Whoever shall not come back is banned, or all of their sessions
        and tokens are ended.
        """
        del call
        ended = await self._end(session=session)
        if not (ended.ended or ended.silent):
            raise Refusal(ErrorCode.NO_SUCH_ENTRY, "there is no such session")
        return ended

    @endpoint(
        "DELETE",
        "/v1/admin/users/{user}/sessions",
        access=Access.ADMIN,
        rate="admin",
        refuses=(ErrorCode.STORE_UNAVAILABLE,),
    )
    async def end_of_user(self, call: Call, user: User, query: EndQuery) -> Ended:
        """End all sessions of somebody, and refuse their tokens from now on.

        Tokens issued later are good, so they may sign in again.
        """
        del call
        ended = await self._end(user=user)
        if not query.keep_tokens:
            # In the store: nodes that were silent end theirs as soon as they ask it.
            await self._engine.revoke(user)
        return ended

    async def _end(self, *, session: str = "", user: str = "") -> Ended:
        poll = await self._roster.end(session=session, user=user)
        return Ended(sum(one.count for one in poll.answers.values()), poll.silent)
