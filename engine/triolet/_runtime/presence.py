"""Who is here: sessions by user, the grace after the last one, and who watches whom."""

import logging
from typing import TYPE_CHECKING, final

import trio

from .._domain.presence import TRANSITIONS, PresenceEvent, PresenceState, shown
from .._domain.rates import Bucket
from .._model.commands import Status
from .._model.errors import StoreError
from .._model.events import PresenceRow, VisibleStatus
from .._model.limits import Limits
from ..ports.clock import Clock
from ..ports.store import Person, Store
from .coalescer import Coalescer

if TYPE_CHECKING:
    from .session import Session

logger = logging.getLogger(__name__)

# People read or written at once.
_PEOPLE_PER_QUERY = 500
# Kept wishes of people who have just come are read together, so soon.
_READ_INTERVAL_S = 0.02
# Last-seen times are written together, so often.
_WRITE_INTERVAL_S = 1.0


@final
class Present:
    """A user with a session, or in the grace after the last one."""

    __slots__ = (
        "bucket",
        "kept",
        "known",
        "last_seen",
        "sessions",
        "shown",
        "state",
        "user",
    )

    def __init__(self, user: str) -> None:
        self.user = user
        self.state = PresenceState.OFFLINE
        self.sessions: dict[str, Session] = {}
        # `dnd` or `invisible`, once `known`: before it is read, nobody is told anything.
        self.kept = ""
        self.known = False
        self.shown: VisibleStatus = "offline"
        self.last_seen = 0
        # Made by the first command that counts; services have none.
        self.bucket: Bucket | None = None


@final
class Watching:
    """Whom one session watches, and what it has not been told of them yet."""

    __slots__ = ("moved", "users")

    def __init__(self) -> None:
        self.users: dict[str, None] = {}
        # Users whose status changed, and when they were last seen (ms).
        self.moved: dict[str, int] = {}


@final
class Presence:
    """The present users of a node and their watchers."""

    def __init__(self, store: Store, clock: Clock, limits: Limits) -> None:
        self._store = store
        self._clock = clock
        self._limits = limits
        self.present: dict[str, Present] = {}
        self._watchers: dict[str, dict[Session, None]] = {}
        # Graces by user, the earliest end first: they all last equally long.
        self._graces: dict[str, float] = {}
        self._grace_began = trio.Event()
        self._newcomers: Coalescer[str] = Coalescer(self._read, interval_s=_READ_INTERVAL_S)
        # What is to be written of people, by user; bounded by users who came or went in 1 s.
        self._unwritten: dict[str, Person] = {}
        self._writer: Coalescer[str] = Coalescer(self._write, interval_s=_WRITE_INTERVAL_S)
        self._told: Coalescer[Session] = Coalescer(self._tell, interval_s=limits.state_interval_s)

    async def run(self) -> None:
        """Keep graces, read and write people, tell watchers, as long as the engine lives."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._newcomers.run)
            nursery.start_soon(self._writer.run)
            nursery.start_soon(self._told.run)
            nursery.start_soon(self._end_graces)

    async def flush(self) -> None:
        """Write what is to be kept of people now."""
        await self._writer.flush()

    # --- sessions ----------------------------------------------------------------------

    def arrive(self, session: "Session") -> Present:
        """Count a session in, and return its user's presence."""
        present = self.present.get(session.user)
        if present is None:
            present = self.present[session.user] = Present(session.user)
            self._newcomers.mark(session.user)
        present.sessions[session.id] = session
        self._graces.pop(session.user, None)
        self._step(present, PresenceEvent.SESSION_OPENED)
        return present

    def depart(self, session: "Session") -> None:
        """Count a session out; its user stays visible for a grace if it was the last."""
        if session.watching is not None:
            self.unwatch(session, list(session.watching.users))
            self._told.unmark(session)
        present = self.present.get(session.user)
        if present is None or present.sessions.pop(session.id, None) is None:
            return
        if present.sessions:
            self._step(present, PresenceEvent.SESSION_OPENED)
            return
        present.last_seen = self._clock.now_ms()
        self._keep(present)
        self._graces[session.user] = trio.current_time() + self._limits.grace_s
        self._grace_began.set()
        self._step(present, PresenceEvent.LAST_SESSION_ENDED)

    async def _end_graces(self) -> None:
        while True:
            if not self._graces:
                self._grace_began = trio.Event()
                await self._grace_began.wait()
                continue
            user, until = next(iter(self._graces.items()))
            if until > trio.current_time():
                await trio.sleep_until(until)
                continue
            del self._graces[user]
            present = self.present.pop(user)
            self._newcomers.unmark(user)
            self._step(present, PresenceEvent.GRACE_OVER)

    # --- statuses ----------------------------------------------------------------------

    def set_status(self, session: "Session", status: Status) -> None:
        """Take a session's status; `dnd` and `invisible` are the user's, and are kept."""
        present = self.present[session.user]
        present.kept = status if status in ("dnd", "invisible") else ""
        present.known = True
        if status in ("online", "away"):
            session.status = status
        self._keep(present)
        self._step(present, PresenceEvent.SESSION_OPENED)

    def _step(self, present: Present, event: PresenceEvent) -> None:
        present.state = TRANSITIONS[present.state][event]
        if not present.known:
            return
        now_shown = shown(
            present.state,
            kept=present.kept,
            sessions=[session.status for session in present.sessions.values()],
            before=present.shown,
        )
        if now_shown != present.shown:
            present.shown = now_shown
            for watcher in self._watchers.get(present.user, ()):
                if watcher.watching is not None:
                    watcher.watching.moved[present.user] = present.last_seen
                    self._told.mark(watcher)

    async def _read(self, users: list[str]) -> None:
        """Learn the kept wishes of newcomers before anybody is told of them."""
        for start in range(0, len(users), _PEOPLE_PER_QUERY):
            chunk = users[start : start + _PEOPLE_PER_QUERY]
            try:
                people = await self._store.people(chunk)
            except StoreError as error:
                logger.warning("%d newcomers stay unannounced: %s", len(users) - start, error)
                for user in users[start:]:
                    self._newcomers.mark(user)
                await trio.sleep(1)
                return
            for person in people:
                self._learn(person)

    def _learn(self, person: Person) -> None:
        present = self.present.get(person.user)
        if present is None or present.known:
            return
        present.kept, present.known = person.status, True
        if not present.sessions:
            # It ended before its user was known: when it did is not written yet.
            self._keep(present)
        present.last_seen = max(present.last_seen, person.last_seen)
        self._step(
            present,
            PresenceEvent.SESSION_OPENED if present.sessions else PresenceEvent.LAST_SESSION_ENDED,
        )

    def _keep(self, present: Present) -> None:
        if present.known:
            self._unwritten[present.user] = Person(present.user, present.kept, present.last_seen)
            self._writer.mark(present.user)

    async def _write(self, users: list[str]) -> None:
        for start in range(0, len(users), _PEOPLE_PER_QUERY):
            chunk = users[start : start + _PEOPLE_PER_QUERY]
            people = [self._unwritten[user] for user in chunk]
            try:
                await self._store.put_people(people)
            except StoreError as error:
                logger.warning("%d people wait to be written: %s", len(users) - start, error)
                for user in users[start:]:
                    self._writer.mark(user)
                return
            for person in people:
                if self._unwritten[person.user] is person:
                    del self._unwritten[person.user]

    # --- watching ----------------------------------------------------------------------

    async def watch(self, session: "Session", users: list[str]) -> tuple[PresenceRow, ...]:
        """Have a session told of these users, and return how they are now."""
        if session.watching is None:
            session.watching = Watching()
        new = [user for user in users if user not in session.watching.users]
        for user in new:
            session.watching.users[user] = None
            self._watchers.setdefault(user, {})[session] = None
        try:
            rows = await self.rows(users)
        except BaseException:
            self.unwatch(session, new)
            raise
        for user in users:
            # The answer says it already.
            session.watching.moved.pop(user, None)
        return rows

    def unwatch(self, session: "Session", users: list[str]) -> None:
        """Stop telling a session of these users."""
        watching = session.watching
        for user in users:
            if watching is None or user not in watching.users:
                continue
            del watching.users[user]
            watching.moved.pop(user, None)
            watchers = self._watchers[user]
            del watchers[session]
            if not watchers:
                del self._watchers[user]

    async def rows(self, users: list[str]) -> tuple[PresenceRow, ...]:
        """Return how these users are: status, and when they were last seen if they are not here."""
        if any(not self.present[user].known for user in users if user in self.present):
            await self._newcomers.flush()
        gone = [user for user in users if user not in self.present]
        people = await self._store.people(gone) if gone else []
        # Whoever left invisible does not want to be seen leaving.
        seen = {p.user: 0 if p.status == "invisible" else p.last_seen for p in people}
        return tuple(self._row(user, seen.get(user, 0)) for user in users)

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

    def _row(self, user: str, last_seen: int) -> PresenceRow:
        """Return how a user is now; whoever is here and shows offline hides, also when."""
        present = self.present.get(user)
        if present is None:
            return (user, "offline", last_seen)
        return (user, present.shown if present.known else "offline", 0)
