"""Who watches whom, and what of it they have not been told yet: the latest wins."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, final

import trio

from .._model.events import PresenceRow
from .._model.limits import Limits
from .coalescer import Coalescer

if TYPE_CHECKING:
    from .session import Session


@final
class Watching:
    """Whom one session watches, and what it has not been told of them yet."""

    __slots__ = ("moved", "users")

    def __init__(self) -> None:
        self.users: dict[str, None] = {}
        # Users whose status changed, and when they were last seen (ms).
        self.moved: dict[str, int] = {}


@final
class Watchers:
    """The watching sessions of a node.

    Args:
        limits: how often a session is told, and how much may wait for it.
        row: how a user is now, and when last seen (ms) if they are not here.

    Attributes:
        by_user: who watches a user; who is watched by nobody is not in it.
    """

    def __init__(self, limits: Limits, row: Callable[[str, int], PresenceRow]) -> None:
        self._limits = limits
        self._row = row
        self.by_user: dict[str, dict[Session, None]] = {}
        self._told: Coalescer[Session] = Coalescer(self._tell, interval_s=limits.state_interval_s)
        self.run = self._told.run

    def add(self, session: "Session", users: Iterable[str]) -> list[str]:
        """Have a session told of these users; return those it did not watch before."""
        if session.watching is None:
            session.watching = Watching()
        new = [user for user in users if user not in session.watching.users]
        for user in new:
            session.watching.users[user] = None
            self.by_user.setdefault(user, {})[session] = None
        return new

    def answered(self, session: "Session", users: Iterable[str]) -> None:
        """A session has just been answered how these users are: there is no news of them."""
        if session.watching is not None:
            for user in users:
                session.watching.moved.pop(user, None)

    def remove(self, session: "Session", users: Iterable[str]) -> list[str]:
        """Stop telling a session of these users; return those whom nobody watches any more."""
        watching = session.watching
        unwatched: list[str] = []
        for user in users:
            if watching is None or user not in watching.users:
                continue
            del watching.users[user]
            watching.moved.pop(user, None)
            watchers = self.by_user[user]
            del watchers[session]
            if not watchers:
                del self.by_user[user]
                unwatched.append(user)
        return unwatched

    def forget(self, session: "Session") -> list[str]:
        """A session has ended; return those whom nobody watches any more."""
        if session.watching is None:
            return []
        self._told.unmark(session)
        return self.remove(session, list(session.watching.users))

    def announce(self, user: str, last_seen: int) -> None:
        """Tell all who watch a user that they are seen in another way now."""
        for watcher in self.by_user.get(user, ()):
            if watcher.watching is not None:
                watcher.watching.moved[user] = last_seen
                self._told.mark(watcher)

    async def _tell(self, sessions: list["Session"]) -> None:
        for session in sessions:
            if session.outbox.size > self._limits.outbox_bytes_low:
                self._told.mark(session)  # later: the latest wins anyway
                continue
            watching = session.watching
            assert watching is not None, "only watchers are marked"
            rows = [self._row(user, last_seen) for user, last_seen in watching.moved.items()]
            watching.moved.clear()
            if rows:
                session.tell_presence(tuple(rows))
            await trio.lowlevel.checkpoint()
