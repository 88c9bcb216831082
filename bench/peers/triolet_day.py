"""Triolet's day: messages, edits and reactions as entries; typing and read marks as states."""

import time
from array import array
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple, final

import msgspec
from msgspec import Struct, field

from ..errors import Unexpected
from ..load.day import Day, DayClient, Deed
from ..load.frames import BINARY, masked
from . import Step
from .crowd import Plan
from .tokens import mint
from .triolet_crowd import closed_for_s, creation, room_name

_TYPISTS_MAX: Final = 5
_EMOJI: Final = "👍"

_encode: Final = msgspec.msgpack.Encoder().encode


@final
class _Entry(Struct, frozen=True, tag="entry", tag_field="op", forbid_unknown_fields=True):
    room: str
    seq: int
    n: int
    at: int
    cid: str
    kind: Literal["message", "edit", "react"]
    sender: str = field(name="from")
    body: dict[str, str] | None = None
    target: int = 0
    emoji: str = ""
    on: bool = False


@final
class _Row(Struct, frozen=True):
    room: str
    head: int
    epoch: str
    recovered: bool
    role: str


@final
class _Ok(Struct, frozen=True, tag="ok", tag_field="op"):
    ref: int
    room: str = ""
    seq: int = 0
    rooms: tuple[_Row, ...] = ()


@final
class _Typing(Struct, frozen=True, tag="typing", tag_field="op"):
    room: str
    users: tuple[str, ...]


@final
class _Receipts(Struct, frozen=True, tag="receipts", tag_field="op"):
    room: str
    marks: tuple[tuple[str, int, int], ...]


@final
class _Feed(Struct, frozen=True, tag="feed", tag_field="op"):
    rooms: tuple[tuple[str, str, int, int, int], ...]


@final
class _Welcome(Struct, frozen=True, tag="welcome", tag_field="op"):
    user: str


_decode: Final = msgspec.msgpack.Decoder(
    _Entry | _Ok | _Typing | _Receipts | _Feed | _Welcome
).decode


class Said(NamedTuple):
    """A durable deed: its entry, but for its place, and when it was done."""

    room: int
    sender: str
    kind: str
    body: dict[str, str] | None
    target: int
    at: float


@final
class TrioletDayGuest(DayClient):
    """See `DayClient`; `at` is the seq of the last entry seen, by number of the room."""

    def __init__(self, day: "TrioletDay", user: str, rooms: Sequence[int]) -> None:
        self._day = day
        self.user = user
        self.is_back = False
        self.at = dict.fromkeys(rooms, 0)
        self._is_welcome = False
        # Rooms to catch up with, and up to where; None before `subscribe` is answered.
        self._heads: dict[int, int] | None = None
        self._ref = 0
        # By ref: the cid and the frame of a durable deed; none for the others.
        self._unanswered: dict[int, tuple[str, bytes]] = {}

    def come(self) -> bytes:
        """See `Client.come`. States that were not acknowledged are past."""
        self.is_back = self._is_welcome = False
        self._heads = None
        self._unanswered = {ref: one for ref, one in self._unanswered.items() if one[0]}
        return self._day.hello(self.user)

    def closed(self, code: int, reason: bytes) -> float:
        """See `Client.closed`."""
        return closed_for_s(code, reason)

    def do(self, deed: Deed) -> bytes:
        """See `DayClient.do`."""
        self._ref += 1
        room, day = deed.room, self._day
        command: dict[str, object] = {"ref": self._ref, "room": room_name(room)}
        cid = ""
        if deed.what == "typing":
            command |= {"op": "typing", "on": True}
        elif deed.what == "read":
            command |= {"op": "receipt", "read": self.at[room]}
        else:
            cid, fields = day.say(room, self.user, deed.what)
            command |= fields
        frame = masked(BINARY, _encode(command))
        self._unanswered[self._ref] = cid, frame
        return frame

    def take(self, payload: bytes) -> bytes:
        """See `Client.take`."""
        day = self._day
        place = day.places.get(payload)
        if place is None:
            try:
                found = _decode(payload)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise Unexpected(f"{error}: {payload[:300]!r}") from None
            if not self._is_welcome:
                self._is_welcome = isinstance(found, _Welcome) and found.user == self.user
                if not self._is_welcome:
                    raise Unexpected(f"{self.user}'s hello was answered: {found}")
                return day.subscribe(self.at)
            if isinstance(found, _Ok):
                return self._take_ok(found)
            if not isinstance(found, _Entry):
                day.judge_state(self, found)
                return b""
            place = day.judge_entry(found, payload)
        self._advance(*place)
        return b""

    def _advance(self, room: int, seq: int) -> None:
        heads = self._heads
        if heads is None or self.at.get(room) != seq - 1:
            raise Unexpected(f"{self.user} got {seq} of room {room} after {self.at.get(room)}")
        self.at[room] = seq
        self._day.count(room, seq)
        if heads and heads.get(room) == seq:
            del heads[room]
            self.is_back = not heads

    def _take_ok(self, found: _Ok) -> bytes:
        if self._heads is None:
            self._subscribed(found)
            # Whatever became of them: the same cid makes the same entry.
            return b"".join(frame for _, frame in self._unanswered.values())
        if found.ref not in self._unanswered:
            raise Unexpected(f"{self.user} asked nothing that is answered: {found}")
        cid, _ = self._unanswered.pop(found.ref)
        if cid:
            self._day.acknowledged(cid, found)
        return b""

    def _subscribed(self, found: _Ok) -> None:
        if found.ref != 0 or len(found.rooms) != len(self.at):
            raise Unexpected(f"{self.user} did not subscribe: {found}")
        self._heads = {}
        for (room, seq), row in zip(self.at.items(), found.rooms, strict=True):
            self._day.judge_row(room, seq, row)
            if not seq:
                self.at[room] = row.head
            elif row.head > seq:
                self._heads[room] = row.head
        self.is_back = not self._heads


@final
class TrioletDay(Day):
    """See `Day`.

    Attributes:
        places: frames verified once, and the room and seq of each.
    """

    def __init__(self, plan: Plan, secret: str, text: str) -> None:
        self._secret = secret
        self._text = text
        self._members = plan.members()
        self._numbers = {room_name(room): room for room in range(plan.rooms)}
        self.places: dict[bytes, tuple[int, int]] = {}
        self.deliveries = 0
        self.latencies: array[float] | None = None
        self._epoch = ""
        self._said: dict[str, Said] = {}
        # By cid, where it lies, as acknowledged and as delivered.
        self._acknowledged: dict[str, int] = {}
        self._seqs: dict[str, int] = {}
        # Of each room: its head before the day, its entries' cids by seq, and its messages.
        self._bases: dict[int, int] = {}
        self._logs: list[dict[int, str]] = [{} for _ in range(plan.rooms)]
        self._messages: list[list[int]] = [[] for _ in range(plan.rooms)]
        self._counts = [0] * plan.rooms
        self._due = 0
        self._states = {"typing": 0, "receipts": 0, "feeds": 0}
        self.guests = [
            TrioletDayGuest(self, f"guest-{guest:05d}", rooms)
            for guest, rooms in enumerate(plan.rooms_of)
        ]

    def hello(self, user: str) -> bytes:
        """Return the frame of a client's `hello`."""
        return masked(BINARY, _encode({"op": "hello", "token": mint(self._secret, user)}))

    def prepare(self) -> list[Step]:
        """Return what the rooms' owner says once, in lock-step, before anybody comes."""
        hello = Step(self.hello("host"), lambda payload: isinstance(_decode(payload), _Welcome))
        return [
            hello,
            *(
                creation(room, [self.guests[guest].user for guest in guests])
                for room, guests in enumerate(self._members)
            ),
        ]

    def subscribe(self, at: dict[int, int]) -> bytes:
        """Return the frame that follows rooms from where a guest stands."""
        rooms = [(room_name(room), self._epoch if seq else "", seq) for room, seq in at.items()]
        return masked(BINARY, _encode({"op": "subscribe", "ref": 0, "rooms": rooms}))

    def say(self, room: int, user: str, what: str) -> tuple[str, dict[str, object]]:
        """Return a durable deed's cid, and the fields of its command.

        Where there is nothing to react to, or nothing of one's own to edit, it is a message.
        """
        cid = f"{len(self._said) + 1:08x}"
        log = self._logs[room]
        targets = self._messages[room][-20:]
        if what == "edit":
            targets = [seq for seq in targets if self._said[log[seq]].sender == user]
        body: dict[str, str] | None = {"text": f"{cid} {self._text}"}
        if what == "message" or not targets:
            kind, target, op = "message", 0, {"op": "send", "body": body}
        elif what == "edit":
            kind, target = "edit", targets[-1]
            op = {"op": "edit", "target": target, "body": body}
        else:
            kind, target, body = "react", targets[-1], None
            op = {"op": "react", "target": target, "emoji": _EMOJI, "on": True}
        self._said[cid] = Said(room, user, kind, body, target, time.perf_counter())
        self._counts[room] += 1
        self._due += len(self._members[room])
        return cid, {"cid": cid, **op}

    # --- judging -------------------------------------------------------------------------

    def judge_row(self, room: int, seq: int, row: _Row) -> None:
        """Judge what a guest who stands at `seq` (0: nowhere yet) was told of a room."""
        self._epoch = self._epoch or row.epoch
        base = self._bases.setdefault(room, row.head)
        is_right = (row.room, row.epoch, row.role) == (room_name(room), self._epoch, "member")
        if (
            not is_right
            or row.recovered != bool(seq)
            or not seq <= row.head <= base + self._counts[room]
        ):
            raise Unexpected(f"a guest at {seq} of room {room} was told {row}")

    def judge_entry(self, found: _Entry, payload: bytes) -> tuple[int, int]:
        """Return the place of an entry whose frame was not seen yet.

        Raises:
            Unexpected: it was not done, or lies at two places, or two lie at one.
        """
        said = self._said.get(found.cid)
        room = self._numbers.get(found.room, -1)
        entry = Said(room, found.sender, found.kind, found.body, found.target, 0.0)
        if said is None or said._replace(at=0.0) != entry:
            raise Unexpected(f"nobody did {found}")
        if found.kind == "react" and (found.emoji, found.on) != (_EMOJI, True):
            raise Unexpected(f"nobody reacted so: {found}")
        if found.cid in self._seqs or found.seq in self._logs[room]:
            raise Unexpected(f"a second entry at its place, or of its cid: {found}")
        if self._acknowledged.get(found.cid, found.seq) != found.seq:
            raise Unexpected(f"it was acknowledged elsewhere: {found}")
        self._seqs[found.cid] = found.seq
        self._logs[room][found.seq] = found.cid
        if found.kind == "message":
            self._messages[room].append(found.seq)
        self.places[payload] = room, found.seq
        return room, found.seq

    def acknowledged(self, cid: str, found: _Ok) -> None:
        """Judge the acknowledgement of a durable deed."""
        here = (room_name(self._said[cid].room), self._seqs.get(cid, found.seq))
        if (found.room, found.seq) != here or cid in self._acknowledged:
            raise Unexpected(f"{cid} was acknowledged: {found}")
        self._acknowledged[cid] = found.seq

    def judge_state(self, guest: TrioletDayGuest, found: object) -> None:
        """Count a state, if it can be so: of a room and of people that the guest shares."""
        if isinstance(found, _Feed):
            rooms, users = [row[0] for row in found.rooms], ()
            self._states["feeds"] += 1
        elif isinstance(found, _Typing):
            rooms, users = [found.room], found.users
            self._states["typing"] += 1
        elif isinstance(found, _Receipts):
            rooms, users = [found.room], tuple(mark[0] for mark in found.marks)
            self._states["receipts"] += 1
        else:
            raise Unexpected(f"{guest.user} was told {found}")
        if isinstance(found, _Typing) and len(users) > _TYPISTS_MAX:
            raise Unexpected(f"too many type: {found}")
        for name in rooms:
            room = self._numbers.get(name, -1)
            known = {self.guests[one].user for one in self._members[room]} | {"host"}
            if room not in guest.at or not known.issuperset(users):
                raise Unexpected(f"{guest.user} was told {found}")

    def count(self, room: int, seq: int) -> None:
        """Count a delivery that was in its place."""
        self.deliveries += 1
        if self.latencies is not None:
            said = self._said[self._logs[room][seq]]
            self.latencies.append(time.perf_counter() - said.at)

    # --- the end -------------------------------------------------------------------------

    def is_settled(self) -> bool:
        """See `Day.is_settled`."""
        return self.deliveries >= self._due and len(self._acknowledged) == len(self._said)

    def verify(self) -> dict[str, int]:
        """See `Day.verify`."""
        heads = {room: base + len(self._logs[room]) for room, base in self._bases.items()}
        for room, head in heads.items():
            if sorted(self._logs[room]) != list(range(self._bases[room] + 1, head + 1)):
                raise Unexpected(f"room {room} has a gap")
        for guest in self.guests:
            if any(seq != heads[room] for room, seq in guest.at.items()):
                raise Unexpected(f"{guest.user} is not at the head of all rooms")
        if self.deliveries != self._due or self._acknowledged != self._seqs:
            raise Unexpected(f"{self.deliveries} entries were delivered instead of {self._due}")
        counts = {"acknowledged": len(self._acknowledged), "delivered": self.deliveries}
        return counts | self._states
