"""Who is here: sessions by user, the grace after the last one, and who watches whom.

Among other nodes, what is seen of a user is combined from what all nodes tell (`Elsewhere`).
"""

import logging
from typing import TYPE_CHECKING, final

import trio

from .._domain.presence import (
    TRANSITIONS,
    PresenceEvent,
    PresenceState,
    Told,
    combined,
    shown,
    wish,
)
from .._model.commands import Status
from .._model.errors import StoreError
from .._model.events import PresenceRow, VisibleStatus
from .._model.limits import Limits
from ..ports.clock import Clock
from ..ports.people import Person
from ..ports.store import Store
from .coalescer import Coalescer
from .elsewhere import Elsewhere
from .nodes import Nodes
from .present import Present
from .watchers import Watchers

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
class Presence:
    """The present users of a node and their watchers. `nodes`: None where there are no others."""

    def __init__(
        self, store: Store, clock: Clock, limits: Limits, *, nodes: Nodes | None = None
    ) -> None:
        self._store = store
        self._clock = clock
        self._limits = limits
        self.present: dict[str, Present] = {}
        self.watchers = Watchers(limits, self._row)
        # Graces by user, the earliest end first: they all last equally long.
        self._graces: dict[str, float] = {}
        self._grace_began = trio.Event()
        self._newcomers: Coalescer[str] = Coalescer(self._read, interval_s=_READ_INTERVAL_S)
        # What is to be written of people, by user; bounded by users who came or went in 1 s.
        self._unwritten: dict[str, Person] = {}
        self._writer: Coalescer[str] = Coalescer(self._write, interval_s=_WRITE_INTERVAL_S)
        self.elsewhere: Elsewhere | None = None
        # What watchers were told last, of those who are watched; among other nodes only.
        self._seen: dict[str, VisibleStatus] = {}
        if nodes is not None:
            self.elsewhere = Elsewhere(
                nodes,
                clock,
                limits,
                own=self.own,
                present=self.present,
                moved=self._moved_elsewhere,
            )

    async def run(self) -> None:
        """Keep graces, read and write people, tell watchers, as long as the engine lives."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._newcomers.run)
            nursery.start_soon(self._writer.run)
            nursery.start_soon(self.watchers.run)
            nursery.start_soon(self._end_graces)
            if self.elsewhere is not None:
                nursery.start_soon(self.elsewhere.run)

    async def flush(self) -> None:
        """Write what is to be kept of people now."""
        await self._writer.flush()

    def others(self) -> list[str]:
        """Return the names of the other nodes, as they were at the last beat."""
        return [] if self.elsewhere is None else self.elsewhere.nodes

    async def leave(self) -> None:
        """Tell other nodes that this one ends: its users stay visible until their graces end."""
        if self.elsewhere is not None:
            last = max(self._graces.values(), default=float("-inf"))
            await self.elsewhere.leave(lasts_s=max(0.0, last - trio.current_time()))

    # --- sessions ----------------------------------------------------------------------

    def arrive(self, session: "Session") -> Present:
        """Count a session in, and return its user's presence."""
        present = self.present.get(session.user)
        if present is None:
            present = self.present[session.user] = Present(session.user)
            self._newcomers.mark(session.user)
            if self.elsewhere is not None:
                self.elsewhere.meet(session.user)
        present.sessions[session.id] = session
        self._graces.pop(session.user, None)
        self._step(present, PresenceEvent.SESSION_OPENED)
        return present

    def depart(self, session: "Session") -> None:
        """Count a session out; its user stays visible for a grace if it was the last."""
        self._stop_hearing(self.watchers.forget(session))
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
            if self.elsewhere is not None and user not in self.watchers.by_user:
                self.elsewhere.part(user)

    # --- statuses ----------------------------------------------------------------------

    def set_status(self, session: "Session", status: Status) -> None:
        """Take a session's status; `dnd` and `invisible` are the user's, and are kept."""
        present = self.present[session.user]
        present.kept = status if status in ("dnd", "invisible") else ""
        present.kept_at = self._clock.now_ms()
        present.known = True
        if status in ("online", "away"):
            session.status = status
        self._keep(present)
        self._step(present, PresenceEvent.SESSION_OPENED)

    async def wish(self, user: str, status: Status) -> None:
        """Keep how a user wishes to be seen, said without a session: `online` takes it back.

        Raises:
            StoreError: it is not kept.
        """
        present = self.present.get(user)
        kept = status if status in ("dnd", "invisible") else ""
        if present is None:
            person = Person(user, kept)
            if (pending := self._unwritten.get(user)) is not None:
                # What they wished when they left must not be written later.
                person = self._unwritten[user] = Person(user, kept, pending.last_seen)
                self._writer.mark(user)
            await self._store.put_people([person])
            return
        self._wished(present, kept, self._clock.now_ms())
        await trio.lowlevel.checkpoint()

    def _wished(self, present: Present, kept: str, kept_at: int) -> None:
        present.kept, present.kept_at, present.known = kept, kept_at, True
        self._keep(present)
        self._step(present)

    def _step(self, present: Present, event: PresenceEvent | None = None) -> None:
        opened, ended = PresenceEvent.SESSION_OPENED, PresenceEvent.LAST_SESSION_ENDED
        present.state = TRANSITIONS[present.state][event or (opened if present.sessions else ended)]
        if not present.known:
            return
        now_shown = shown(
            present.state,
            kept=present.kept,
            sessions=[session.status for session in present.sessions.values()],
            before=present.shown,
        )
        is_news = now_shown != present.shown
        present.shown = now_shown
        if self.elsewhere is not None:
            self.elsewhere.say(present.user)
            self._look(present.user, present.last_seen)
        elif is_news:
            self.watchers.announce(present.user, present.last_seen)

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
        if present is not None and present.visible_to is None:
            present.visible_to = person.visible_to
        if present is None or present.known:
            return
        present.kept, present.known = person.status, True
        if not present.sessions:
            # It ended before its user was known: when it did is not written yet.
            self._keep(present)
        present.last_seen = max(present.last_seen, person.last_seen)
        self._step(present)

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
        new = self.watchers.add(session, users)
        try:
            if self.elsewhere is not None:
                for user in new:
                    self._seen.setdefault(user, self._status(user))
                await self.elsewhere.watch(new)
            rows = await self.rows(users)
        except BaseException:
            self.unwatch(session, new)
            raise
        self.watchers.answered(session, users)
        return rows

    def unwatch(self, session: "Session", users: list[str]) -> None:
        """Stop telling a session of these users."""
        self._stop_hearing(self.watchers.remove(session, users))

    def _stop_hearing(self, users: list[str]) -> None:
        """Nobody watches these users any more: what other nodes tell of them is nobody's news."""
        if self.elsewhere is None:
            return
        for user in users:
            del self._seen[user]
            self.elsewhere.unwatch(user)
            if user not in self.present:
                self.elsewhere.part(user)

    async def rows(self, users: list[str]) -> tuple[PresenceRow, ...]:
        """Return how these users are: status, and when they were last seen if they are not here."""
        if any(not self.present[user].known for user in users if user in self.present):
            await self._newcomers.flush()
        told = await self.asked(users)
        gone = [user for user in users if user not in self.present and not told.get(user)]
        people = await self._store.people(gone) if gone else []
        # Whoever left invisible does not want to be seen leaving.
        seen = {p.user: 0 if p.status == "invisible" else p.last_seen for p in people}
        return tuple(self._row(user, seen.get(user, 0), told.get(user)) for user in users)

    async def asked(self, users: list[str]) -> dict[str, list[Told]]:
        """Return what other nodes tell of users: as known of the watched, asked of the others."""
        if self.elsewhere is None:
            return {}
        others = [user for user in users if user not in self.watchers.by_user]
        told = await self.elsewhere.ask(others) if others else {}
        return told | {
            user: self.elsewhere.told(user) for user in users if user in self.watchers.by_user
        }

    def _row(self, user: str, last_seen: int, told: list[Told] | None = None) -> PresenceRow:
        """Return how a user is now; whoever is here and shows offline hides, also when.

        Args:
            user: who.
            last_seen: when, if they are not here.
            told: what other nodes tell; None: what is known of it.
        """
        present = self.present.get(user)
        if self.elsewhere is not None:
            told = self.elsewhere.told(user) if told is None else told
            is_here = present is not None or bool(told)
            return (user, self._status(user, told), 0 if is_here else last_seen)
        if present is None:
            return (user, "offline", last_seen)
        return (user, present.shown if present.known else "offline", 0)

    # --- other nodes -------------------------------------------------------------------

    def own(self, user: str) -> Told | None:
        """Return how a user is on this node alone; None: not here, or not to be told yet."""
        present = self.present.get(user)
        if present is None or not present.known or present.state is PresenceState.OFFLINE:
            return None
        is_grace = present.state is PresenceState.GRACE
        if is_grace and present.shown == "offline" and present.kept != "invisible":
            return None  # it ended before anybody was told of it
        if is_grace:
            is_online = present.shown != "away"
        else:
            is_online = any(session.status == "online" for session in present.sessions.values())
        return Told("online" if is_online else "away", is_grace, present.kept, present.kept_at)

    def _status(self, user: str, told: list[Told] | None = None) -> VisibleStatus:
        """Return what is seen of a user, all nodes considered."""
        assert self.elsewhere is not None, "there are other nodes"
        words = list(self.elsewhere.told(user) if told is None else told)
        own = self.own(user)
        return combined(words if own is None else [*words, own])

    def _look(self, user: str, last_seen: int) -> None:
        """Have watchers told if a user is seen in another way than they know."""
        if user in self._seen:
            status = self._status(user)
            if status != self._seen[user]:
                self._seen[user] = status
                self.watchers.announce(user, last_seen)

    async def _moved_elsewhere(self, moved: dict[str, int]) -> None:
        """Other nodes tell something else of these users; see `Elsewhere`."""
        gone: list[str] = []
        for user in moved:
            self._adopt(user)
            self._share(user)
            if user not in self.present and self._status(user) == "offline":
                gone.append(user)
            else:
                self._look(user, 0)
        for start in range(0, len(gone), _PEOPLE_PER_QUERY):
            await self._see_off(gone[start : start + _PEOPLE_PER_QUERY], moved)

    def _adopt(self, user: str) -> None:
        """Take over what a user wished on another node, if that was later."""
        assert self.elsewhere is not None, "there are other nodes"
        present, latest = self.present.get(user), wish(self.elsewhere.told(user))
        if present is None or latest is None or latest.kept_at <= present.kept_at:
            return
        self._wished(present, latest.kept, latest.kept_at)

    def _share(self, user: str) -> None:
        """Have the rate of a user's commands shared by all nodes with sessions of theirs.

        It costs nothing: no other node is asked, and what is known may be as old as
        `presence_check_s`. A token taken from Redis costs 50 µs here and 20 there, a bucket 0.6.
        """
        assert self.elsewhere is not None, "there are other nodes"
        present = self.present.get(user)
        if present is not None:
            told = self.elsewhere.told(user)
            present.share(1 + sum(not one.is_grace for one in told))

    async def _see_off(self, users: list[str], last_beats: dict[str, int]) -> None:
        """Tell that users are gone, and when they were last seen: as stored, or by a last beat."""
        try:
            people = await self._store.people(users)
        except StoreError as error:
            logger.warning("when %d people were last seen is not known: %s", len(users), error)
            people = [Person(user) for user in users]
        for person in people:
            last_beat = last_beats[person.user]
            if last_beat > person.last_seen and person.user not in self.present:
                # Their node died before it could write that.
                self._unwritten[person.user] = Person(person.user, person.status, last_beat)
                self._writer.mark(person.user)
            hidden = person.status == "invisible"
            self._look(person.user, 0 if hidden else max(person.last_seen, last_beat))
