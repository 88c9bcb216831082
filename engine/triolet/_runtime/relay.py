"""What is not durable, across nodes: typing, marks, signals, and what feeds tell of rooms.

States are gathered by key, and the latest is rung; signals are rung in their order, one by one,
at most once. A room's channel reaches the nodes that have it loaded, a user's channel those
that have a session of the user.
"""

import logging
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, final

import trio

from .._model.commands import SendSignal
from .._model.errors import StoreError
from .._model.events import FeedRow, Signal
from .._model.limits import Limits
from .._wire.peers import MarksWritten, RoomStates, Signalled, UserNews
from ..ports.store import Mark, Store
from .asker import Asker
from .coalescer import Coalescer
from .feed import Feeder, row_of
from .heard import covers
from .hub import Hub
from .nodes import Nodes, room_channel, user_channel
from .room import Cursor, Room
from .seat import Seat
from .states import States

if TYPE_CHECKING:
    from .session import Session

logger = logging.getLogger(__name__)

# Rooms whose members are read at once.
_ROOMS_PER_READ = 32


@final
class _Moved:
    """What moved of one room's states here, and is not rung yet: the latest of each user."""

    __slots__ = ("marks", "typing")

    def __init__(self) -> None:
        self.typing: dict[str, bool] = {}
        # The seat, and from where on its marks moved.
        self.marks: dict[str, tuple[Seat, int]] = {}


@final
class Relay:
    """See the module."""

    def __init__(
        self,
        nodes: Nodes,
        store: Store,
        hub: Hub,
        states: States,
        feeder: Feeder,
        *,
        limits: Limits,
    ) -> None:
        self._nodes = nodes
        self._store = store
        self._hub = hub
        self._states = states
        self._feeder = feeder
        self._limits = limits
        # By room; bounded by the seats that are here.
        self._moved: dict[str, _Moved] = {}
        self._coalescer: Coalescer[str] = Coalescer(
            self._ring_states, interval_s=limits.state_interval_s
        )
        # Sessions whose user's channel is followed, and how many there are of each user.
        self._sessions: dict[Session, str] = {}
        self._users: dict[str, int] = {}
        # Set when marks may have been missed.
        self._missed = trio.Event()
        nodes.on_missed.append(self._read_marks_soon)
        feeder.elsewhere = self.feed
        hub.marks.on_written = self.written
        nodes.handle(RoomStates, self._states_elsewhere)
        nodes.handle(MarksWritten, self._written_elsewhere)
        nodes.handle(Signalled, self._signalled_elsewhere)
        nodes.handle(UserNews, self._news_elsewhere)

    async def run(self) -> None:
        """Ring and hear for as long as the engine lives."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._nodes.run)
            nursery.start_soon(self._coalescer.run)
            nursery.start_soon(self._read_missed)
            nursery.start_soon(self._hub.marks.rung.run)

    # --- from here -------------------------------------------------------------------------

    def typing(self, room: Room, user: str, *, on: bool) -> None:
        """Somebody here types, still, or has stopped."""
        self._moved_in(room).typing[user] = on

    def marks(self, seat: Seat, *, since: int) -> None:
        """Somebody here got further; what is after `since` is news."""
        moved = self._moved_in(seat.room).marks
        _, before = moved.get(seat.user, (seat, since))
        moved[seat.user] = (seat, min(before, since))

    def _moved_in(self, room: Room) -> _Moved:
        self._coalescer.mark(room.name)
        return self._moved.setdefault(room.name, _Moved())

    async def _ring_states(self, rooms: list[str]) -> None:
        await trio.lowlevel.checkpoint()
        for room in rooms:
            moved = self._moved.pop(room, None) or _Moved()
            is_heard = self._nodes.reaches(room_channel(room))
            if not is_heard and moved.marks:
                # They wait, by key, until somebody could hear them. Who typed meanwhile is news
                # to nobody by then.
                moved.typing.clear()
                self._moved[room] = moved
                self._coalescer.mark(room)
            elif is_heard:
                self._ring_moved(room, moved)

    def _ring_moved(self, room: str, moved: _Moved) -> None:
        channel = room_channel(room)
        if moved.typing:
            self._nodes.ring(channel, RoomStates(room, moved.typing, {}))
        if moved.marks:
            marks = {
                user: (seat.delivered, seat.read, seat.read_n, since)
                for user, (seat, since) in moved.marks.items()
            }
            self._nodes.ring(channel, RoomStates(room, {}, marks), again=True)

    def written(self, marks: Sequence[Mark]) -> None:
        """Ring what the store has now, for nodes that read it a moment before."""
        rooms: dict[str, dict[str, tuple[int, int, int]]] = {}
        for mark in marks:
            moved = rooms.setdefault(mark.room, {})
            moved[mark.user] = (mark.delivered, mark.read, mark.read_n)
        for room, moved in rooms.items():
            self._nodes.ring(room_channel(room), MarksWritten(room, moved))

    def signal(self, asker: Asker, command: SendSignal) -> None:
        """Pass a signal on, unless too much waits already."""
        self._nodes.ring_if_idle(
            room_channel(command.room),
            Signalled(
                command.room,
                asker.user,
                asker.device,
                command.kind,
                command.data,
                command.to,
                command.to_device,
            ),
        )

    def feed(self, user: str, seats: Sequence[Seat]) -> None:
        """Tell a user's feeds elsewhere of rooms that moved here."""
        rows = tuple(map(row_of, seats))
        news = UserNews(user, rows, read_ns=tuple(seat.read_n for seat in seats))
        self._nodes.ring(user_channel(user), news)

    # --- sessions --------------------------------------------------------------------------

    async def come(self, session: "Session", user: str) -> None:
        """Hear what is rung for a user, before the session is told that it is welcome."""
        self._sessions[session] = user
        self._users[user] = self._users.get(user, 0) + 1
        await self._nodes.follow(user_channel(user))

    def gone(self, session: "Session") -> None:
        """A session has ended, wherever it was."""
        user = self._sessions.pop(session, None)
        if user is None:
            return
        self._users[user] -= 1
        if not self._users[user]:
            del self._users[user]
            self._nodes.unfollow(user_channel(user))
            self._hub.marks.forget(user)

    # --- from elsewhere --------------------------------------------------------------------

    def _states_elsewhere(self, node: str, message: RoomStates) -> None:
        del node
        if message.room not in self._hub.rooms:
            # What waits for a room that is on its way in is bounded, and told when it is there.
            for user, (delivered, read, read_n, _) in message.marks.items():
                self._hub.marks.rung.take(_mark(message.room, user, delivered, read, read_n))
        self._hub.when_loaded(message.room, partial(self._take_states, message))

    def _take_states(self, message: RoomStates, room: Room) -> None:
        until = trio.current_time() + self._limits.typing_s
        for user, on in message.typing.items():
            moved = room.typists.renew(user, until=until) if on else room.typists.stop(user)
            if on:
                self._states.typing_in(room)
            if moved:
                room.typing_moved = True
                self._states.mark(room)
        for user, (delivered, read, read_n, since) in message.marks.items():
            mark = _mark(room.name, user, delivered, read, read_n)
            seat = room.seats.get(user)
            if seat is not None:
                self._hub.marks.rung.take(mark)
                self._take_mark(seat, mark, since)
            else:
                self._take_stranger(room, mark, since)

    def _take_stranger(self, room: Room, mark: Mark, since: int) -> None:
        """Have marks told of somebody who is not known here, unless they are old."""
        heard = self._hub.marks.rung
        known = heard.get((mark.room, mark.user))
        # The same may have been written before it was rung: then nobody has been told.
        if known is not None and covers(mark, known):
            known = None
        if known is None or not covers(known, mark):
            heard.take(mark)
            seat = Seat(room, mark.user, None)
            if known is not None:
                seat.take(known)
            self._take_mark(seat, mark, since)

    def _written_elsewhere(self, node: str, message: MarksWritten) -> None:
        del node
        for user, (delivered, read, read_n) in message.marks.items():
            self._hub.marks.written_elsewhere(_mark(message.room, user, delivered, read, read_n))
        self._hub.when_loaded(message.room, partial(self._take_written, message))

    def _take_written(self, message: MarksWritten, room: Room) -> None:
        for user, (delivered, read, read_n) in message.marks.items():
            self._take_known(room, _mark(room.name, user, delivered, read, read_n))

    def _take_known(self, room: Room, mark: Mark) -> None:
        """Have a seat know what others do; who has none here was told of when it moved."""
        seat = room.seats.get(mark.user)
        if seat is not None:
            self._take_mark(seat, mark, min(seat.delivered, seat.read))

    def _take_mark(self, seat: Seat, mark: Mark, since: int) -> None:
        """Move a seat's marks forward, and have it told."""
        is_read = mark.read > seat.read
        if not is_read and mark.delivered <= seat.delivered:
            return
        seat.take(mark)
        if is_read:
            self._feeder.read(seat.user, seat.room)
        self._states.marks_moved(seat, since=since)

    def _read_marks_soon(self) -> None:
        self._missed.set()

    async def _read_missed(self) -> None:
        """After doorbells were missed, read the marks of rooms that are followed here."""
        while True:
            await self._missed.wait()
            # By then, what moved meanwhile is written.
            await trio.sleep(2 * self._limits.marks_interval_s)
            self._missed = trio.Event()
            try:
                await self.read_marks()
            except StoreError as error:
                logger.warning("marks could not be read: %s", error)
                self._missed.set()

    async def read_marks(self) -> None:
        """Read the marks of all rooms that are followed and small enough to be kept whole.

        Raises:
            StoreError: those of some could not be read.
        """
        rooms = self._hub.rooms
        names = [room.name for room in rooms.values() if room.cursors and room.complete]
        most = self._limits.feed_members_max
        for start in range(0, len(names), _ROOMS_PER_READ):
            chunk = names[start : start + _ROOMS_PER_READ]
            found = await self._store.rooms(chunk, members_max=most)
            for name, stored in found.items():
                for member in stored.members or () if name in rooms else ():
                    mark = _mark(name, member.user, member.delivered, member.read, member.read_n)
                    self._take_known(rooms[name], mark)

    def _signalled_elsewhere(self, node: str, message: Signalled) -> None:
        del node
        room = self._hub.rooms.get(message.room)
        if room is None:
            return
        event = Signal(
            room=message.room,
            sender=message.sender,
            from_device=message.from_device,
            kind=message.kind,
            data=message.data,
        )
        room.signal(event, to=receivers(room, message.to, message.to_device))

    def _news_elsewhere(self, node: str, message: UserNews) -> None:
        del node
        rows = tuple(filter(self._is_news, message.rooms))
        # Their marks may be known to nobody else: the node that was to write them may be dead.
        for row, read_n in zip(message.rooms, message.read_ns, strict=False):
            if self._is_news(row):
                name, epoch, _, _, read = row
                mark = Mark(room=name, user=message.user, delivered=read, read=read, read_n=read_n)
                self._hub.marks.hear(epoch, mark)
        added = [name for name in message.added if self._is_member(name, message.user) is not False]
        removed = [
            name for name in message.removed if self._is_member(name, message.user) is not True
        ]
        self._feeder.told(message.user, rows, added, removed)

    def _is_news(self, row: FeedRow) -> bool:
        """Whether a room is not here with all its members; else its own entries tell of it."""
        room = self._hub.rooms.get(row[0])
        return room is None or not room.complete

    def _is_member(self, name: str, user: str) -> bool | None:
        """Whether a room that is here knows somebody as a member; None: it does not know."""
        room = self._hub.rooms.get(name)
        seat = room.seats.get(user) if room is not None else None
        if room is None or (seat is None and not room.complete):
            return None
        return seat is not None and seat.role is not None


def receivers(room: Room, to: str | None, to_device: str | None) -> Iterator[Cursor]:
    """Yield the cursors that a signal goes to."""
    if to is None:
        candidates = list(room.cursors.values())
    else:
        seat = room.seats.get(to)
        candidates = list(seat.cursors) if seat is not None else []
    for cursor in candidates:
        if to_device is None or cursor.session.device == to_device:
            yield cursor


def _mark(room: str, user: str, delivered: int, read: int, read_n: int) -> Mark:
    return Mark(room=room, user=user, delivered=delivered, read=read, read_n=read_n)
