"""Who may see whether somebody is here: what they wish, shared rooms, and the host's word.

The wish is kept in the store. A change ends, on every node, the watching of those who may see no
more; a doorbell makes it quick, and a sweep finds what no doorbell has told.
"""

import logging
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, final

import trio

from .._domain.presence import may_see
from .._model.commands import VisibleTo
from .._model.errors import OutcomeUnknown, StoreError
from .._model.events import PresenceRow
from .._wire.peers import VisibilityMoved
from ..ports.gate import Action, Identity
from ..ports.people import Person
from .coalescer import Coalescer
from .complaint import Complaint
from .nodes import presence_channel, user_channel

if TYPE_CHECKING:
    from .engine import Engine
    from .session import Session

logger = logging.getLogger(__name__)

# People of one query.
_PEOPLE_PER_QUERY: Final = 500
# Between two queries of a sweep: 5,000 people a second, which is 2.5 % of a core. All of 100,000
# watched people at once took half a second of CPU, every five, and held the event loop for 0.2 s.
_SWEEP_STEP_S: Final = 0.1
# Changes that are heard of within it are looked at together.
_INTERVAL_S: Final = 0.02
# Between two tries of a store that does not answer.
_RETRY_S: Final = 1.0


@final
class Sight:
    """See the module.

    Attributes:
        changes: moves whenever somebody may have changed who sees them.
    """

    def __init__(self, engine: "Engine") -> None:
        self._store = engine.store
        self._gate = engine.gate
        self._presence = engine.presence
        self._nodes = engine.nodes
        self._check_s = engine.limits.revocations_check_s
        self._complaint = Complaint(logger, now=trio.current_time)
        self.changes = 0
        # The wishes on which the watchers of this node were let in; of who is not in it, none was.
        self._wishes: dict[str, VisibleTo] = {}
        self._heard: Coalescer[str] = Coalescer(self._review_heard, interval_s=_INTERVAL_S)
        if self._nodes is not None:
            self._nodes.handle(VisibilityMoved, self._moved_elsewhere)

    async def run(self) -> None:
        """Look at what has changed elsewhere, for as long as the engine lives."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._heard.run)
            while self._nodes is not None:
                await self._sweep()

    # --- asking ------------------------------------------------------------------------

    async def presence_of(self, asker: Identity, users: Sequence[str]) -> tuple[PresenceRow, ...]:
        """Return `(user, status, last_seen)` of those of `users` whom the asker may see.

        The rules are those of `watch`; bound the number of users yourself.

        Raises:
            StoreError: it could not be read.
        """
        return await self._presence.rows(await self.seen_by(asker, users))

    async def seen_by(self, asker: Identity, users: Sequence[str]) -> list[str]:
        """Return those of `users`, each once and in their order, whom the asker may see.

        Raises:
            StoreError: it could not be read.
        """
        asked = list(dict.fromkeys(users))
        people = {person.user: person for person in await self._people(asked)}
        verdicts = {
            user: self._gate.may(asker, Action.WATCH, user=user)
            for user in asked
            if user != asker.user
        }
        strangers = [
            user
            for user, verdict in verdicts.items()
            if verdict is None and people[user].visible_to == "shared"
        ]
        acquainted: Sequence[str] = ()
        if strangers:
            acquainted = await self._store.acquainted(asker.user, strangers)
        known = dict.fromkeys(acquainted)
        self._remember(people.values())
        return [
            user
            for user in asked
            if may_see(
                people[user].visible_to,
                verdict=verdicts.get(user),
                is_acquainted=user in known,
                is_self=user == asker.user,
            )
        ]

    async def wished(self, user: str) -> str:
        """Return what a user has wished, which outlives sessions: `dnd`, `invisible` or empty.

        Raises:
            StoreError: it could not be read.
        """
        present = self._presence.present.get(user)
        if present is not None and present.known:
            # What was wished just now may not be written yet.
            await trio.lowlevel.checkpoint()
            return present.kept
        (person,) = await self._store.people([user])
        return person.status

    async def _people(self, users: Sequence[str]) -> list[Person]:
        found: list[Person] = []
        for start in range(0, len(users), _PEOPLE_PER_QUERY):
            found += await self._store.people(users[start : start + _PEOPLE_PER_QUERY])
        return found

    def _remember(self, people: Iterable[Person]) -> None:
        """Know on which wishes watchers are let in; forget those of nobody's interest."""
        watched = self._presence.watchers.by_user
        if len(self._wishes) > 2 * len(watched) + _PEOPLE_PER_QUERY:
            self._wishes = {user: wish for user, wish in self._wishes.items() if user in watched}
        for person in people:
            if person.user in watched and self._wishes.get(person.user) != person.visible_to:
                # Others may have been let in on an earlier wish, of whose end nobody has heard.
                self._heard.mark(person.user)
            self._wishes[person.user] = person.visible_to

    # --- changing ----------------------------------------------------------------------

    async def show_to(self, user: str, visible_to: VisibleTo) -> None:
        """Have a user seen by these from now on; when it returns, by nobody else here.

        Raises:
            StoreError: nothing has changed; or, `OutcomeUnknown`, it may have; or it is not known
                yet who watches without a right to it. What has changed holds soon.
        """
        try:
            # Whoever said so may leave: what is kept holds all the same.
            with trio.CancelScope(shield=True):
                await self._store.show_to(user, visible_to)
        except OutcomeUnknown:
            self._moved(user)
            self._heard.mark(user)
            raise
        self._moved(user)
        try:
            await self.review([user])
        except BaseException:
            self._heard.mark(user)
            raise

    def _moved(self, user: str) -> None:
        self.changes += 1
        if self._nodes is not None:
            for channel in (presence_channel(user), user_channel(user)):
                self._nodes.ring(channel, VisibilityMoved(user))

    def _moved_elsewhere(self, node: str, message: VisibilityMoved) -> None:
        del node
        self.changes += 1
        self._heard.mark(message.user)

    async def _review_heard(self, users: list[str]) -> None:
        try:
            await self.review(users)
        except StoreError as error:
            self._complaint.again(f"who may see {len(users)} people is not known: {error}")
            for user in users:
                self._heard.mark(user)
            await trio.sleep(_RETRY_S)
        else:
            self._complaint.over("who may see people is known again")

    async def _sweep(self) -> None:
        """Find whose wish has changed without a doorbell: of all, some at a time.

        It takes `revocations_check_s`, or as long as it takes to ask for so many.
        """
        watched = list(self._presence.watchers.by_user)
        starts = range(0, max(1, len(watched)), _PEOPLE_PER_QUERY)
        pause_s = max(self._check_s / len(starts), min(_SWEEP_STEP_S, self._check_s))
        for start in starts:
            await self._look_at(watched[start : start + _PEOPLE_PER_QUERY])
            await trio.sleep(pause_s)

    async def _look_at(self, users: Sequence[str]) -> None:
        watched = [user for user in users if user in self._presence.watchers.by_user]
        if not watched:
            return
        try:
            people = await self._store.people(watched)
        except StoreError as error:
            self._complaint.again(f"who may see people cannot be asked for: {error}")
            return
        for person in people:
            if self._wishes.get(person.user) != person.visible_to:
                self._heard.mark(person.user)

    async def review(self, users: Sequence[str]) -> None:
        """End the watching of those who may not see these users, as they wish it now.

        Raises:
            StoreError: it could not be read.
        """
        for person in await self._people(users):
            self._wishes[person.user] = person.visible_to
            present = self._presence.present.get(person.user)
            if present is not None:
                present.visible_to = person.visible_to
            watchers = list(self._presence.watchers.by_user.get(person.user, ()))
            if watchers:
                await self._review_watchers(person, watchers)

    async def _review_watchers(self, person: Person, watchers: "Sequence[Session]") -> None:
        verdicts = {session: self._verdict(session, person.user) for session in watchers}
        strangers = [
            session.user
            for session, verdict in verdicts.items()
            if verdict is None and person.visible_to == "shared"
        ]
        acquainted: Sequence[str] = ()
        if strangers:
            acquainted = await self._store.acquainted(person.user, list(dict.fromkeys(strangers)))
        known = dict.fromkeys(acquainted)
        for session, verdict in verdicts.items():
            is_seen = may_see(
                person.visible_to,
                verdict=verdict,
                is_acquainted=session.user in known,
                is_self=session.user == person.user,
            )
            watching = session.watching
            if not is_seen and watching is not None and person.user in watching.users:
                self._presence.unwatch(session, [person.user])
                # Once, without when they were last seen; nothing of them follows.
                session.tell_presence(((person.user, "offline", 0),))

    def _verdict(self, session: "Session", user: str) -> bool | None:
        assert session.identity is not None, "only the admitted watch anybody"
        return self._gate.may(session.identity, Action.WATCH, user=user)
