"""The planner: the engine's notifier. It picks who may have to be told, and rings for them.

A room that took a message is looked at twice: soon, for those who are away; and when those who
are connected have had their time to read, for those who have not. A look costs no query where
the room is loaded and everybody is here. What it adds are jobs, and a job too many does no harm.

A node that dies has rung nobody for what it committed last. Each keeps, as a document, until when
all is planned: whoever finds that of a dead one plans what was committed since (`sweeping`).
"""

import logging
from collections.abc import Iterable, Sequence
from heapq import heappop, heappush
from itertools import count
from typing import Final, final

import trio
from msgspec import UNSET, Struct

from triolet._model.entries import Fact, Message
from triolet._model.errors import StoreError
from triolet._model.ids import DIRECT_PREFIX
from triolet._runtime.complaint import Complaint
from triolet._runtime.engine import Engine
from triolet._runtime.standing import present_among
from triolet.ports.jobs import JOBS_MAX, NewJob

from .deciding import wants
from .people import People, Person
from .preferences import Kind
from .rings import Queue, RoomRing, ring_job
from .settings import PushSettings
from .withdrawing import Withdrawing

_log = logging.getLogger(__name__)

# Rooms with more members tell those alone who are mentioned: so the feed does, too.
MEMBERS_MAX: Final = 256
# Of one room that waits to be looked at.
_MENTIONED_MAX: Final = 256
# What one turn commits is looked at together.
_SETTLE_S: Final = 0.1
# Rooms of one look: a store's query, or some milliseconds of this thread.
_ROOMS_PER_LOOK: Final = 64
# Rooms that wait to be looked at; beyond them the oldest mark stays, and a sweep finds the rest.
_ROOMS_MAX: Final = 50_000
_RETRY_S: Final = 1.0


class _Look(Struct):
    """A room to be looked at.

    Attributes:
        seq: of its last message, of those that this look is about.
        since: when the first of them came (ms).
        mentioned: whom they mention, and where.
        after: messages that came too late for it: the last one, and when the first of them came.
    """

    room: str
    is_late: bool
    seq: int
    since: int
    mentioned: dict[str, int]
    after: tuple[int, int] | None = None


class _Candidate(Struct, frozen=True):
    user: str
    room: str
    seq: int
    kind: Kind
    read: int
    since: int
    mention: int
    due_at: int


@final
class Planner:
    """See the module. It is a `ports.Notifier`.

    Args:
        engine: whose rooms these are.
        queue: where jobs go.
        people: what users wish, and where they can be told.
        settings: how long to wait.

    Attributes:
        last_at: when the last message that it heard of came (ms).
    """

    def __init__(
        self, engine: Engine, queue: Queue, people: People, settings: PushSettings
    ) -> None:
        self._engine = engine
        self._queue = queue
        self._people = people
        self._settings = settings
        self._began_at = engine.clock.now_ms()
        self._withdrawing = Withdrawing(engine, queue, self._more_came)
        self.read, self.withdraw = self._withdrawing.read, self._withdrawing.run
        self._complaint = Complaint(_log, now=trio.current_time)
        self._soon: dict[str, _Look] = {}
        self._late: dict[str, _Look] = {}
        # `(when, number, look)`; the number keeps looks from being compared.
        self._due: list[tuple[float, int, _Look]] = []
        self._numbers = count()
        self._looked_at: dict[str, float] = {}
        self._wakeup = trio.Event()
        # When the last message came (ms).
        self.last_at = 0
        # When something came that there was no room for (ms).
        self._dropped_at: int | None = None

    # --- what the engine tells ---------------------------------------------------------------

    def committed(self, room: str, sender: str, fact: Fact, seq: int, at: int) -> None:
        """See `ports.Notifier`."""
        del sender
        if type(fact) is not Message:
            return
        self.last_at = max(self.last_at, at)
        mentions = fact.mentions
        look = self._soon.get(room) if mentions is UNSET else None
        if look is None:
            mentioned = () if mentions is UNSET else mentions
            self.look_soon(room, seq=seq, at=at, mentioned=mentioned)
        elif seq > look.seq:
            # The usual case, 0.4 µs: the room waits already, and times in it only grow.
            look.seq = seq

    def look_soon(self, room: str, *, seq: int, at: int, mentioned: Iterable[str] = ()) -> None:
        """Have a room looked at for a message; several within a delay are looked at together."""
        look = self._soon.get(room)
        if look is None:
            if self.is_full:
                self._drop(at)
                return
            look = self._soon[room] = _Look(room, False, seq, at, {})
            self._plan(look, max(trio.current_time() + _SETTLE_S, self._next_look_at(room)))
        look.seq = max(look.seq, seq)
        look.since = min(look.since, at)
        for user in mentioned:
            if user in look.mentioned or len(look.mentioned) < _MENTIONED_MAX:
                look.mentioned[user] = seq

    def _drop(self, at: int) -> None:
        """There is no room for a look: a sweep is to find what came since."""
        self._dropped_at = at if self._dropped_at is None else min(self._dropped_at, at)

    def _more_came(self, room: str, head: int) -> None:
        self.look_soon(room, seq=head, at=self._engine.clock.now_ms())

    def _next_look_at(self, room: str) -> float:
        # Who is away has a job that waits until then, and it will tell of this message, too.
        return self._looked_at.get(room, float("-inf")) + self._settings.delay_s

    def _plan(self, look: _Look, when: float) -> None:
        heappush(self._due, (when, next(self._numbers), look))
        if self._due[0][2] is look:
            self._wakeup.set()

    @property
    def planned_until(self) -> int | None:
        """All that was committed before it is planned (ms); None: all that was."""
        waiting = [look.since for looks in (self._soon, self._late) for look in looks.values()]
        if self._dropped_at is not None:
            waiting.append(self._dropped_at)
        return min(waiting, default=None)

    @property
    def is_full(self) -> bool:
        """Whether another room would be dropped."""
        return len(self._soon) >= _ROOMS_MAX

    def take_dropped(self) -> int | None:
        """Return since when something was dropped (ms), if it was; a sweep looks for it now."""
        dropped_at, self._dropped_at = self._dropped_at, None
        return dropped_at

    # --- looking -----------------------------------------------------------------------------

    async def run(self) -> None:
        """Look at rooms for as long as the engine lives."""
        while True:
            if not self._due or self._due[0][0] > trio.current_time():
                self._wakeup = trio.Event()
                with trio.move_on_at(self._due[0][0] if self._due else float("inf")):
                    await self._wakeup.wait()
                continue
            looks = self._take()
            try:
                await self._look(looks)
            except StoreError as error:
                self._complaint.again(f"whom to notify waits for the store: {error}")
                self._put_back(looks)
                await trio.sleep(_RETRY_S)
            else:
                self._complaint.over("who is to be notified is looked for again")

    def _take(self) -> list[_Look]:
        """Return what is due. It stays where `planned_until` counts it until it is looked at."""
        looks: list[_Look] = []
        now = trio.current_time()
        while self._due and self._due[0][0] <= now and len(looks) < _ROOMS_PER_LOOK:
            looks.append(heappop(self._due)[2])
        return looks

    def _put_back(self, looks: list[_Look]) -> None:
        for look in looks:
            self._plan(look, trio.current_time() + _RETRY_S)

    async def _look(self, looks: list[_Look]) -> None:
        # Taken now: what comes while this waits is the next look's.
        seqs = {id(look): (look.seq, dict(look.mentioned)) for look in looks}
        candidates: list[_Candidate] = []
        if await self._people.are_any():
            unread = await self._unread(looks)
            users = list(dict.fromkeys(user for rows in unread for user, _ in rows))
            present = dict.fromkeys(await present_among(self._engine.presence, users))
            for look, rows in zip(looks, unread, strict=True):
                candidates += self._candidates(look, rows, present)
            await self._ring(candidates)
        for look in looks:
            self._looked(look, *seqs[id(look)])

    def _candidates(
        self, look: _Look, rows: list[tuple[str, int]], present: dict[str, None]
    ) -> list[_Candidate]:
        """Return who is rung for now; who is connected and may still read it is looked at later."""
        now = self._engine.clock.now_ms()
        # Who was connected to a node that has just begun again is given the time to come back.
        first_at = now if look.is_late else max(look.since, self._began_at)
        due_at = first_at if look.is_late else first_at + int(1000 * self._settings.delay_s)
        found: list[_Candidate] = []
        for user, read in rows:
            if look.is_late or user not in present:
                mention = look.mentioned.get(user, 0)
                kind: Kind = "mention" if mention else "message"
                if look.room.startswith(DIRECT_PREFIX):
                    kind = "direct"
                found.append(
                    _Candidate(user, look.room, look.seq, kind, read, look.since, mention, due_at)
                )
            else:
                self._look_late(look, user)
        return found

    def _look_late(self, look: _Look, user: str) -> None:
        late = self._late.get(look.room)
        if late is None:
            if len(self._late) >= _ROOMS_MAX:
                self._drop(look.since)
                return
            late = self._late[look.room] = _Look(look.room, True, look.seq, look.since, {})
            delay_s = self._settings.unread_delay_s
            passed_s = (self._engine.clock.now_ms() - look.since) / 1000
            self._plan(late, trio.current_time() + max(delay_s - passed_s, 0))
        elif look.seq > late.seq:
            first_at = look.since if late.after is None else min(late.after[1], look.since)
            late.after = (look.seq, first_at)
        if user in look.mentioned:
            late.mentioned[user] = look.mentioned[user]

    def _looked(self, look: _Look, seq: int, mentioned: dict[str, int]) -> None:
        """A look is over; what came meanwhile is looked at again."""
        if look.is_late:
            del self._late[look.room]
            if look.after is not None:
                newest, first_at = look.after
                again = _Look(look.room, False, newest, first_at, dict(look.mentioned))
                self._look_again(again)
            return
        now = trio.current_time()
        del self._soon[look.room]
        self._looked_at[look.room] = now
        self._forget_looks(now)
        if look.seq > seq:
            rest = {user: at for user, at in look.mentioned.items() if mentioned.get(user) != at}
            self._look_again(_Look(look.room, False, look.seq, look.since, rest))

    def _look_again(self, look: _Look) -> None:
        self.look_soon(look.room, seq=look.seq, at=look.since)
        waiting = self._soon.get(look.room)
        if waiting is not None:
            waiting.mentioned.update(look.mentioned)

    def _forget_looks(self, now: float) -> None:
        """Let go of looks that delay nothing any more; the first ones are the oldest."""
        while self._looked_at:
            room, looked_at = next(iter(self._looked_at.items()))
            if looked_at + self._settings.delay_s > now:
                return
            del self._looked_at[room]

    # --- who has not read ----------------------------------------------------------------------

    async def _unread(self, looks: Sequence[_Look]) -> list[list[tuple[str, int]]]:
        """Return `(user, read)` of those who have not read what each look is about."""
        rows: list[list[tuple[str, int]]] = []
        unknown = [look.room for look in looks if not self._is_known(look.room)]
        names = list(dict.fromkeys(unknown))
        stored = await self._engine.store.rooms(names, members_max=MEMBERS_MAX) if names else {}
        for look in looks:
            room = self._engine.hub.rooms.get(look.room)
            found = stored.get(look.room)
            if room is not None and room.complete:
                members = [(seat.user, seat.read) for seat in room.member_seats.values()]
            elif found is not None and found.members is not None:
                members = [(one.user, one.read) for one in found.members]
            else:
                members = await self._mentioned(look)
            rows.append([(user, read) for user, read in members if read < look.seq])
        return rows

    def _is_known(self, name: str) -> bool:
        room = self._engine.hub.rooms.get(name)
        return room is not None and room.complete

    async def _mentioned(self, look: _Look) -> list[tuple[str, int]]:
        """Return those of a large room who are mentioned."""
        members: list[tuple[str, int]] = []
        for user in list(look.mentioned):
            membership = await self._engine.store.membership(look.room, user)
            if membership is not None:
                members.append((user, membership.read))
        return members

    # --- ringing -------------------------------------------------------------------------------

    async def _ring(self, candidates: list[_Candidate]) -> None:
        people = await self._people.of(list(dict.fromkeys(one.user for one in candidates)))
        wanted = [one for one in candidates if self._is_wanted(one, people[one.user])]
        told = await self._people.notified([(one.user, one.room) for one in wanted])
        jobs: list[NewJob] = []
        for one, notified in zip(wanted, told, strict=True):
            baseline = max(one.read, notified)
            if baseline < one.seq:
                ring = RoomRing(one.user, one.room, one.seq, baseline, one.since, one.mention)
                job = ring_job(ring, due_at=one.due_at)
                jobs.append(job)
                self._withdrawing.rang(ring, job)
        for start in range(0, len(jobs), JOBS_MAX):
            await self._queue.add_many(jobs[start : start + JOBS_MAX])

    def _is_wanted(self, one: _Candidate, person: Person) -> bool:
        now = self._engine.clock.now_ms()
        return person.can_be_told and wants(person.wishes, one.room, one.kind, now=now)
