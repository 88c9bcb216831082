"""The sessions of all nodes, to be looked at and ended."""

from collections.abc import Iterator
from heapq import nsmallest
from typing import TYPE_CHECKING, Final, final

import trio

from .._model.errors import Close, CloseCode
from .._model.observation import SessionRow
from .._wire.questions import SessionsEnded, SessionsEnding, SessionsFound, SessionsWanted
from .rollcall import Poll, RollCall

if TYPE_CHECKING:
    from .engine import Engine
    from .session import Session

# Sessions looked at between two checkpoints: 15,000 of them are in no cache, so 1 to 2 ms.
_SESSIONS_PER_TURN: Final = 500
# Rows of one page.
ROWS_MAX: Final = 200


@final
class Roster:
    """See the module."""

    def __init__(self, engine: "Engine", roll: RollCall) -> None:
        self._engine = engine
        self._roll = roll
        roll.answer(SessionsWanted, self._find)
        roll.answer(SessionsEnding, self._end)

    async def page(
        self,
        *,
        user: str = "",
        session: str = "",
        after: tuple[str, str] = ("", ""),
        limit: int = ROWS_MAX,
    ) -> tuple[SessionsFound, tuple[str, ...]]:
        """Return a page of the sessions of all nodes, and which nodes did not answer.

        Args:
            user: of whom; empty: of everybody.
            session: this one alone; empty: whichever.
            after: those behind this place, by user and session.
            limit: at most so many, up to 200.
        """
        wanted = SessionsWanted(user, after, min(limit, ROWS_MAX), session)
        poll = await self._roll.ask(wanted, SessionsFound)
        rows = sorted((row for one in poll.answers.values() for row in one.rows), key=_place)
        more = any(one.more for one in poll.answers.values()) or len(rows) > limit
        return SessionsFound(tuple(rows[:limit]), more), poll.silent

    async def end(self, *, session: str = "", user: str = "") -> Poll[SessionsEnded]:
        """End one session, or all of a user, wherever they are."""
        return await self._roll.ask(SessionsEnding(session, user), SessionsEnded)

    async def _find(self, wanted: SessionsWanted) -> SessionsFound:
        await trio.lowlevel.checkpoint()
        found: list[tuple[tuple[str, str], Session]] = []
        # One more than is asked for: it tells that there are others.
        count = min(wanted.limit, ROWS_MAX) + 1
        for some in self._sessions(wanted.user):
            await trio.lowlevel.checkpoint()
            chunk = [
                ((session.user, session.id), session)
                for session in some
                if _is_wanted(session, wanted)
            ]
            if chunk:
                found = nsmallest(count, [*found, *chunk], key=_first)
        rows = tuple(self._row(session) for _, session in found if not session.is_gone)
        return SessionsFound(rows[: count - 1], len(found) == count)

    async def _end(self, ending: SessionsEnding) -> SessionsEnded:
        count = 0
        for some in self._sessions(ending.user):
            await trio.lowlevel.checkpoint()
            for session in some:
                if _is_meant(session, ending):
                    session.close(Close(CloseCode.UNAUTHENTICATED, "ended by an administrator"))
                    count += 1
        return SessionsEnded(count)

    def _sessions(self, user: str) -> "Iterator[list[Session]]":
        """Yield the sessions of a user, or all connections', some at a time."""
        engine = self._engine
        if user:
            present = engine.presence.present.get(user)
            yield [] if present is None else list(present.sessions.values())
            return
        connections = list(engine.heartbeat.connections)
        for start in range(0, len(connections), _SESSIONS_PER_TURN):
            yield [one.session for one in connections[start : start + _SESSIONS_PER_TURN]]

    def _row(self, session: "Session") -> SessionRow:
        nodes, identity = self._engine.nodes, session.identity
        return SessionRow(
            session=session.id,
            user=session.user,
            device=session.device,
            node="" if nodes is None else nodes.name,
            since=session.since,
            expires_at=session.expires_at,
            subscriptions=len(session.cursors),
            outbox_bytes=session.outbox.size,
            slow=session.outbox.blocked_since is not None,
            address=session.opening.address,
            agent=session.opening.agent,
            tier="" if identity is None else identity.tier,
        )


def _is_wanted(session: "Session", wanted: SessionsWanted) -> bool:
    if session.present is None or wanted.session not in ("", session.id):
        return False
    return (session.user, session.id) > wanted.after


def _is_meant(session: "Session", ending: SessionsEnding) -> bool:
    if session.present is None or session.closing is not None:
        return False
    return session.id == ending.session or session.user == ending.user


def _place(row: SessionRow) -> tuple[str, str]:
    return row.user, row.session


def _first(one: "tuple[tuple[str, str], Session]") -> tuple[str, str]:
    return one[0]
