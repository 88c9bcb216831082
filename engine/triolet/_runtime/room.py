"""A loaded room: its head, its members, the last entries as ready frames, and its cursors.

Invariant: every cursor's position is at most the head, and a live cursor's position *is* the
head. All methods are synchronous: a room changes between two checkpoints or not at all.
"""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, final

from .._domain.cursor import TRANSITIONS, CursorEvent, CursorState
from .._domain.position import Lost, locate
from .._domain.room import Rights, sees
from .._domain.typists import Typists
from .._model.entries import Member, Meta, Record, Role
from .._model.events import Closed, Event, Outgoing, Reset
from .._wire.codec import encode, unpack_fact
from .._wire.websocket import binary_frame, text_frame
from ..ports.store import HistorySlice, Membership, RoomState
from .audience import Audience
from .flusher import Flusher
from .outbox import Outbox
from .ring import Item, Ring
from .seat import Seat

if TYPE_CHECKING:
    from .session import Session


@final
class Cursor:
    """A session's place in a room's log.

    Attributes:
        position: counts while it is not live.
        tellings: the room's, when this one was told all states; counts while it is not live.
    """

    __slots__ = ("outbox", "position", "room", "seat", "session", "state", "tellings")

    def __init__(self, session: "Session", room: "Room", seat: Seat, position: int) -> None:
        self.session = session
        self.outbox: Outbox = session.outbox
        self.room = room
        self.seat = seat
        self.position = position
        self.tellings = room.tellings
        self.state = CursorState.BEHIND

    def step(self, event: CursorEvent) -> None:
        """Change the state as the table says."""
        self.state = TRANSITIONS[self.state][event]


def event_frame(event: Outgoing, text: bool) -> bytes:
    """Return an event as a ready WebSocket frame."""
    return text_frame(encode(event, "json")) if text else binary_frame(encode(event, "msgpack"))


@final
class Room:
    """See the module. `hub.Hub` loads, feeds and drops rooms."""

    def __init__(
        self,
        state: RoomState,
        flusher: Flusher,
        *,
        outbox_bytes_high: int,
        ring_entries_max: int,
        ring_bytes_max: int,
    ) -> None:
        self.name = state.room
        self._outbox_bytes_high = outbox_bytes_high
        self.seats: dict[str, Seat] = {}
        # Those of them that are members': 15,000 visitors must not be looked through for three.
        self.member_seats: dict[str, Seat] = {}
        # Whether `seats` holds every member.
        self.complete = False
        self.ring = Ring(entries_max=ring_entries_max, bytes_max=ring_bytes_max)
        # Entries that came before their predecessors, by seq.
        self.early: dict[int, Record] = {}
        # Live cursors, apart by format: fan-out touches nothing else.
        audience = partial(Audience, flusher, bytes_high=outbox_bytes_high, demote=_demote)
        self.audiences = (audience(text=False), audience(text=True))
        self.cursors: dict[Session, Cursor] = {}
        self.typists = Typists()
        # Whose marks moved since they were last told, and from where.
        self.marks_moved: dict[str, int] = {}
        self.typing_moved = False
        # The feed will be told of the room soon, as it is then.
        self.is_feed_due = False
        # How often its states were told.
        self.tellings = 0
        # Memberships gained (True) and lost since the hub last looked.
        self.moves: list[tuple[str, bool]] = []
        # Drafts and loads that need the room to stay.
        self.pins = 0
        # Moves with each change of a membership, so that one read before it is read again.
        self.member_changes = 0
        # Moves with each deletion, so that a page read before one is read again.
        self.erasures = 0
        # Pages read since the last entry: by who asked for what, each with the floor of then.
        self.histories: dict[tuple[str, int | None, int | None, int], tuple[int, HistorySlice]] = {}
        self.reload(state)

    def reload(self, state: RoomState) -> None:
        """Take over what the store says of the room."""
        self.kind = state.kind
        self.title = state.title
        self.public = state.public
        self.epoch = state.epoch
        self.lineage = state.lineage
        self.head = state.head
        self.n = state.n
        self.floor = state.floor
        self.floor_n = state.floor_n
        self.acl_ver = state.acl_ver
        self.members: int | None = state.members

    # --- members -----------------------------------------------------------------------

    def rights_of(self, role: Role | None) -> Rights:
        """Return what the domain needs to decide something for somebody with `role`."""
        return Rights(self.kind, self.public, role, self.members or 0, self.head)

    def sit(self, user: str, membership: Membership | None) -> Seat:
        """Give `user` a seat as the store says, and return it."""
        if membership is None:
            seat = self.seats[user] = Seat(self, user, None)
            self._assign(seat, None)
            return seat
        # A hundred times for each room that is loaded: without further calls.
        seat = self.seats[user] = self.member_seats[user] = Seat(self, user, membership.role)
        seat.delivered = membership.delivered
        seat.read = membership.read
        seat.read_n = membership.read_n
        return seat

    def member(self, user: str, role: Role | None, *, seq: int, n: int) -> list[Cursor]:
        """Set or end a membership, and return the cursors whose right has ended."""
        self.member_changes += 1
        seat = self.seats.get(user)
        if seat is None:
            if not self.complete:
                # Was it a member before? Whoever needs the number asks the store.
                self.members = None
                self.moves.append((user, role is not None))
                return []
            seat = self.seats[user] = Seat(self, user, None)
        if seat.role is None and role is not None:
            self.moves.append((user, True))
            seat.catch_up(seq, n)
            if self.members is not None:
                self.members += 1
        elif seat.role is not None and role is None:
            self.moves.append((user, False))
            if self.members is not None:
                self.members -= 1
        self._assign(seat, role)
        self.retire_seat(user)
        return [] if sees(role, public=self.public) else list(seat.cursors)

    def reseat(self, user: str, membership: Membership | None) -> list[Cursor]:
        """Take a membership as just read, and return the cursors whose right has ended."""
        seat = self.seats.get(user)
        was_member = seat is not None and seat.role is not None
        if was_member != (membership is not None) and (seat is not None or self.complete):
            self.moves.append((user, membership is not None))
            if self.members is not None:
                self.members += -1 if was_member else 1
        self.member_changes += 1
        if seat is None:
            if membership is not None:
                self.sit(user, membership)
            return []
        self._assign(seat, membership.role if membership else None)
        if membership is not None and not was_member:
            seat.take(membership)
        self.retire_seat(user)
        return [] if sees(seat.role, public=self.public) else list(seat.cursors)

    def outgrow(self) -> None:
        """There are too many members to be kept: let go of those who have no session here."""
        self.complete = False
        for user in list(self.seats):
            self.retire_seat(user)

    def retire_seat(self, user: str) -> None:
        """Forget a visitor, or a member nobody here needs, once no cursor of theirs is left."""
        seat = self.seats.get(user)
        if seat is None or (self.complete and seat.role is not None):
            return
        if not (seat.cursors or seat.pins or seat.drafts):
            del self.seats[user]
            self.member_seats.pop(user, None)

    def _assign(self, seat: Seat, role: Role | None) -> None:
        seat.role = role
        if role is None:
            self.member_seats.pop(seat.user, None)
        else:
            self.member_seats[seat.user] = seat

    # --- entries -----------------------------------------------------------------------

    def apply(self, record: Record) -> Seat | None:
        """Take the next entry: fold it, remember it, hand it to every live cursor.

        Returns:
            The seat of a message's author, if there is one here.
        """
        self.head = seq = record.seq
        if self.histories:
            self.histories.clear()
        self.n = record.n
        author: Seat | None = None
        ended: Sequence[Cursor] = ()
        if record.kind == "message":
            author = self.seats.get(record.sender)
            if author is not None:
                author.catch_up(seq, record.n)
        elif record.kind in ("member", "meta", "delete"):
            ended = self._fold(record)
        item = Item(record)
        self.ring.remember(item)
        for audience in self.audiences:
            if audience.live:
                audience.tell(item.frame(audience.text), seq - 1)
        for cursor in ended:
            self.close(cursor, "removed", seq)
        return author

    def _fold(self, record: Record) -> list[Cursor]:
        fact = unpack_fact(record.packed)
        if isinstance(fact, Member):
            return self.member(fact.user, fact.role, seq=record.seq, n=record.n)
        if isinstance(fact, Meta):
            if isinstance(fact.title, str):
                self.title = fact.title
            if isinstance(fact.public, bool):
                self.public = fact.public
                if not fact.public:
                    return [c for c in self.cursors.values() if c.seat.role is None]
            return []
        self.erasures += 1
        self.ring.erase(getattr(fact, "target", 0))
        return []

    # --- cursors -----------------------------------------------------------------------

    def enter(self, cursor: Cursor) -> None:
        """Take a cursor in; the pump or `go_live` comes next."""
        self.cursors[cursor.session] = cursor
        seat = cursor.seat
        seat.cursors = (*seat.cursors, cursor) if seat.cursors else (cursor,)

    def go_live(self, cursor: Cursor) -> None:
        """A cursor has reached the head; from now on `apply` feeds it, unless it is closed."""
        cursor.step(CursorEvent.REACHED_HEAD)
        if cursor.state is CursorState.CLOSED:
            return
        outbox = cursor.outbox
        audience = self.audiences[outbox.text]
        if not audience.is_settled:
            audience.settle()
        audience.live[outbox] = cursor

    def displace(self, head: int) -> None:
        """The room was reloaded: every cursor that was live stood at `head`, and is behind."""
        for audience in self.audiences:
            audience.settle()
            live, audience.live = audience.live, {}
            for cursor in live.values():
                _demote(cursor, head)

    def rebase(self, epoch: str) -> None:
        """A new generation of the log began: move every cursor from `epoch` into it."""
        for cursor in self.cursors.values():
            found = locate(
                self.lineage,
                head=self.head,
                floor=self.floor,
                epoch=epoch,
                seq=cursor.position,
            )
            if isinstance(found, Lost):
                cursor.position = self.head
                reset = Reset(room=self.name, epoch=self.epoch, head=self.head, floor=self.floor)
            else:
                cursor.position = found.after
                since = (self.epoch, found.after)
                reset = Reset(room=self.name, epoch=self.epoch, head=self.head, since=since)
            cursor.outbox.post(event_frame(reset, text=cursor.outbox.text))

    def leave(self, cursor: Cursor) -> None:
        """Take a cursor out; it is closed and nothing of it remains here."""
        audience = self._audience(cursor)
        if audience.live.get(cursor.outbox) is cursor:
            audience.settle()
            audience.live.pop(cursor.outbox, None)
        cursor.step(CursorEvent.ENDED)
        if self.cursors.get(cursor.session) is cursor:
            del self.cursors[cursor.session]
            seat = cursor.seat
            seat.cursors = tuple(other for other in seat.cursors if other is not cursor)

    def close(self, cursor: Cursor, reason: str, seq: int) -> None:
        """End a subscription from this side, and tell its session in order."""
        if cursor.state is not CursorState.CLOSED:
            self.leave(cursor)
            cursor.session.subscription_ended(
                cursor, Closed(room=self.name, reason=reason, seq=seq)
            )

    def tell(self, event: Event, *, only: Iterable[Cursor] | None = None) -> None:
        """Tell live cursors a state; who has no room for it is told when it has caught up."""
        if only is not None:
            for cursor in only:
                frame = event_frame(event, text=cursor.outbox.text)
                self._audience(cursor).tell_one(cursor, frame, self.head)
            return
        self.tellings += 1
        for audience in self.audiences:
            if audience.live:
                audience.tell(event_frame(event, text=audience.text), self.head)

    def signal(self, event: Event, *, to: Iterable[Cursor]) -> None:
        """Pass a signal on, first in first out, to who has half an outbox free for it."""
        self.settle()
        frames = {False: b"", True: b""}
        for cursor in to:
            outbox = cursor.outbox
            frame = frames[outbox.text] or event_frame(event, text=outbox.text)
            frames[outbox.text] = frame
            if outbox.size + len(frame) <= self._outbox_bytes_high // 2:
                outbox.post(frame)

    def settle(self) -> None:
        """Put what was told into the outboxes, so that what is posted now comes after it."""
        for audience in self.audiences:
            audience.settle()

    def _audience(self, cursor: Cursor) -> Audience:
        return self.audiences[cursor.outbox.text]


def _demote(cursor: Cursor, position: int) -> None:
    """Have the pump feed a cursor that was live."""
    cursor.step(CursorEvent.OVERFLOWED)
    cursor.position = position
    # What it was not told now may have been a state.
    cursor.tellings = -1
    cursor.session.fall_behind(cursor)
