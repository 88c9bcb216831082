"""Triolet's crowd: `hello`, then one `subscribe` of all rooms from where the client stands."""

from collections.abc import Mapping, Sequence
from typing import Final, Literal, TypeAlias, final

import msgspec
from msgspec import Struct, field

from ..errors import Unexpected
from ..load.frames import BINARY, masked
from . import Step
from .crowd import Client, Crowd, Host, Plan
from .tokens import mint

HOST: Final = "host"
# Closes after which a client comes back: too slow, no hello in time, too many, leaving.
_PASSING: Final = (4008, 4009, 4029, 1012)
# Events of their own accord that any session may get.
_STATES: Final = ("feed", "receipts", "typing")

_encode: Final = msgspec.msgpack.Encoder().encode


@final
class _Body(Struct, frozen=True, forbid_unknown_fields=True):
    text: str


@final
class Entry(Struct, frozen=True, tag="entry", tag_field="op", forbid_unknown_fields=True):
    room: str
    seq: int
    n: int
    at: int
    cid: str
    kind: Literal["message"]
    body: _Body
    sender: str = field(name="from")


@final
class Row(Struct, frozen=True, forbid_unknown_fields=True):
    room: str
    epoch: str
    head: int
    floor: int
    role: Literal["member"]
    recovered: bool
    unread: int
    read: int
    members: int
    typing: tuple[str, ...]
    receipts: tuple[tuple[str, int, int], ...] = ()


@final
class Ok(Struct, frozen=True, tag="ok", tag_field="op", forbid_unknown_fields=True):
    """The answer to `send`, or to `subscribe`."""

    ref: int
    room: str | None = None
    seq: int = 0
    at: int = 0
    duplicate: bool = False
    rooms: tuple[Row, ...] = ()


@final
class _Welcome(Struct, frozen=True, tag="welcome", tag_field="op"):
    user: str


@final
class _Failed(Struct, frozen=True, tag="error", tag_field="op"):
    reason: str


Found: TypeAlias = Entry | Ok | _Welcome | _Failed
_read: Final = msgspec.msgpack.Decoder(Entry | Ok | _Welcome | _Failed).decode


@final
class _Head(Struct):
    op: str


_peek: Final = msgspec.msgpack.Decoder(_Head).decode


def read(payload: bytes) -> Found | None:
    """Read a message; None for a state."""
    try:
        return _read(payload)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        try:
            if _peek(payload).op in _STATES:
                return None
        except (msgspec.DecodeError, UnicodeDecodeError):
            pass
        raise Unexpected(f"{error}: {payload[:300]!r}") from None


@final
class _Hint(Struct):
    retry_after_ms: int


def closed_for_s(code: int, reason: bytes) -> float:
    """Return how long to stay away after a close; raises `Unexpected` for one that is final."""
    if code not in _PASSING:
        raise Unexpected(f"the server closed: {code} {reason!r}")
    try:
        return msgspec.json.decode(reason, type=_Hint).retry_after_ms / 1000
    except msgspec.DecodeError:
        return 0.0  # words for people


def room_name(room: int) -> str:
    """Return what a room is called."""
    return f"room-{room:05d}"


def creation(room: int, members: Sequence[str]) -> Step:
    """Return what makes a room with its members."""
    name = room_name(room)
    command = {"op": "create", "ref": 0, "cid": name, "room": name, "kind": "group"}

    def is_created(payload: bytes) -> bool:
        head = _peek(payload)
        if head.op not in ("ok", *_STATES):
            raise Unexpected(f"{name} was not made: {payload[:300]!r}")
        return head.op == "ok"

    return Step(masked(BINARY, _encode(command | {"members": members})), is_created)


class _Client(Client):
    """Says `hello`, and stands being refused."""

    def __init__(self, user: str, hello: bytes) -> None:
        self.user = user
        self.is_back = False
        self._hello = hello

    def come(self) -> bytes:
        """See `Client.come`."""
        self.is_back = False
        return self._hello

    def closed(self, code: int, reason: bytes) -> float:
        """See `Client.closed`."""
        return closed_for_s(code, reason)

    def _judge_opening(self, found: Found | None) -> bool:
        """Return whether this is the welcome; a refusal is followed by a close."""
        if isinstance(found, _Failed) and found.reason == "rate_limited":
            return False
        if not isinstance(found, _Welcome) or found.user != self.user:
            raise Unexpected(f"{self.user}'s hello was answered: {found}")
        return True


@final
class TrioletGuest(_Client):
    """See `Client`.

    Attributes:
        at: the seq of the last entry seen, by number of the room.
    """

    def __init__(self, crowd: "TrioletCrowd", user: str, rooms: Sequence[int]) -> None:
        super().__init__(user, crowd.hello(user, tier=""))
        self._crowd = crowd
        self.at = dict.fromkeys(rooms, 0)
        self._is_welcome = False
        # Where those rooms stood when it came back that it has not caught up with; None before.
        self._heads: dict[int, int] | None = None

    def come(self) -> bytes:
        """See `Client.come`."""
        self._is_welcome = False
        self._heads = None
        return super().come()

    def take(self, payload: bytes) -> bytes:
        """See `Client.take`."""
        place = self._crowd.places.get(payload)
        if place is None:
            found = read(payload)
            if not self._is_welcome:
                self._is_welcome = self._judge_opening(found)
                return self._crowd.subscribe(self.at) if self._is_welcome else b""
            if found is None:
                return b""
            if isinstance(found, Ok) and self._heads is None:
                self._subscribed(found)
                return b""
            place = self._crowd.judge_entry(found, payload)
        self._advance(*place)
        return b""

    def _advance(self, room: int, seq: int) -> None:
        at, heads = self.at, self._heads
        if heads is None or at.get(room) != seq - 1:
            raise Unexpected(f"{self.user} got {seq} of room {room} after {at.get(room)}")
        at[room] = seq
        self._crowd.delivered += 1
        if heads and heads.get(room) == seq:
            del heads[room]
            self.is_back = not heads

    def _subscribed(self, found: Ok) -> None:
        if found.ref != 0 or len(found.rooms) != len(self.at):
            raise Unexpected(f"{self.user} did not subscribe: {found}")
        self._heads = {}
        for (room, seq), row in zip(self.at.items(), found.rooms, strict=True):
            self._crowd.judge_row(room, seq, row)
            if not seq:
                # Its first time, it knows of nothing: it follows from the head.
                self.at[room] = row.head
            elif row.head > seq:
                self._heads[room] = row.head
        self.is_back = not self._heads


@final
class TrioletHost(_Client, Host):
    """See `Host`: message n of all has ref n, and a cid that spells it."""

    def __init__(self, crowd: "TrioletCrowd") -> None:
        super().__init__(HOST, crowd.hello(HOST, tier="service"))
        self._crowd = crowd
        # By number, the frame; said and not acknowledged.
        self._unanswered: dict[int, bytes] = {}

    @property
    def unanswered(self) -> int:
        """See `Host.unanswered`."""
        return len(self._unanswered)

    def say(self, room: int) -> bytes:
        """See `Host.say`."""
        number, frame = self._crowd.say(room)
        self._unanswered[number] = frame
        return frame

    def take(self, payload: bytes) -> bytes:
        """See `Client.take`."""
        found = read(payload)
        if not self.is_back:
            self.is_back = self._judge_opening(found)
            # Whatever became of them: the same cid makes the same entry.
            return b"".join(self._unanswered.values()) if self.is_back else b""
        if found is not None and self._unanswered.pop(self._crowd.judge_ok(found), None) is None:
            raise Unexpected(f"the host was told twice: {found}")
        return b""


@final
class TrioletCrowd(Crowd):
    """See `Crowd`.

    Attributes:
        places: frames verified once, and the room and seq of each.
        delivered: entries that guests got, each in its place.
    """

    def __init__(self, plan: Plan, secret: str, text: str) -> None:
        self._plan = plan
        self._secret = secret
        self._text = text
        self.places: dict[bytes, tuple[int, int]] = {}
        self.delivered = 0
        self._due = 0
        self._epoch = ""
        self._members = plan.members()
        self._numbers = {room_name(room): room for room in range(plan.rooms)}
        # Of each room: its head before the first message, once it is known, and its messages.
        self._bases: dict[int, int] = {}
        self._counts = [0] * plan.rooms
        # Of each message, by its number and by its cid: where it is to be.
        self._said: list[tuple[int, int]] = []
        self._cids: dict[str, tuple[int, int]] = {}
        self._acknowledged = 0
        self.host = TrioletHost(self)
        self.guests = [
            TrioletGuest(self, f"guest-{guest:05d}", rooms)
            for guest, rooms in enumerate(plan.rooms_of)
        ]

    def hello(self, user: str, *, tier: str) -> bytes:
        """Return the frame of a client's `hello`."""
        token = mint(self._secret, user, tier)
        return masked(BINARY, _encode({"op": "hello", "token": token}))

    def prepare(self) -> Sequence[Step]:
        """See `Crowd.prepare`."""
        return [
            Step(self.host.come(), self._is_welcome),
            *(
                creation(room, [self.guests[guest].user for guest in guests])
                for room, guests in enumerate(self._members)
            ),
        ]

    def _is_welcome(self, payload: bytes) -> bool:
        return isinstance(read(payload), _Welcome)

    def subscribe(self, at: Mapping[int, int]) -> bytes:
        """Return the frame that follows rooms from where a guest stands."""
        rooms = [(room_name(room), self._epoch if seq else "", seq) for room, seq in at.items()]
        return masked(BINARY, _encode({"op": "subscribe", "ref": 0, "rooms": rooms}))

    def say(self, room: int) -> tuple[int, bytes]:
        """Return the number of the next message, and its frame."""
        self._counts[room] += 1
        place = (room, self._bases[room] + self._counts[room])
        self._said.append(place)
        number = len(self._said)
        cid = f"{number:08x}"
        self._cids[cid] = place
        self._due += len(self._members[room])
        command = {
            "op": "send",
            "ref": number,
            "room": room_name(room),
            "cid": cid,
            "body": {"text": self._text},
        }
        return number, masked(BINARY, _encode(command))

    # --- judging -------------------------------------------------------------------------

    def judge_row(self, room: int, seq: int, row: Row) -> None:
        """Judge what a guest who stands at `seq` (0: nowhere yet) was told of a room.

        Raises:
            Unexpected: it is not where the room stands.
        """
        self._epoch = self._epoch or row.epoch
        base = self._bases.setdefault(room, row.head)
        if (
            row.room != room_name(room)
            or row.epoch != self._epoch
            or row.recovered != (seq > 0)
            or not max(seq, base) <= row.head <= base + self._counts[room]
            or row.unread != row.head - base
            or row.members != len(self._members[room]) + 1
        ):
            raise Unexpected(f"a guest at {seq} of room {room} was told {row}")

    def judge_entry(self, found: object, payload: bytes) -> tuple[int, int]:
        """Return the room and seq of an entry whose frame was not seen yet.

        Raises:
            Unexpected: it is not as it was said, or not in its place.
        """
        if isinstance(found, Entry) and found.sender == HOST and found.body.text == self._text:
            place = (self._numbers.get(found.room, -1), found.seq)
            if self._cids.get(found.cid) == place:
                self.places[payload] = place
                return place
        raise Unexpected(f"no entry that could come: {found}")

    def judge_ok(self, found: object) -> int:
        """Return the number of the message that is acknowledged.

        Raises:
            Unexpected: it is none, or lies elsewhere.
        """
        if isinstance(found, Ok) and 0 < found.ref <= len(self._said):
            room, seq = self._said[found.ref - 1]
            if (found.room, found.seq) == (room_name(room), seq):
                self._acknowledged += 1
                return found.ref
        raise Unexpected(f"the host was told {found}")

    # --- the end -------------------------------------------------------------------------

    def is_settled(self) -> bool:
        """See `Crowd.is_settled`."""
        return not self.host.unanswered and self.delivered >= self._due

    def verify(self) -> dict[str, int]:
        """See `Crowd.verify`."""
        heads = {room: base + self._counts[room] for room, base in self._bases.items()}
        for guest in self.guests:
            if any(seq != heads[room] for room, seq in guest.at.items()):
                raise Unexpected(f"{guest.user} is not at the head of all rooms")
        if self.delivered != self._due or self._acknowledged != len(self._said):
            raise Unexpected(
                f"{len(self._said)} were said and {self._acknowledged} acknowledged; "
                f"{self._due} were to be delivered, {self.delivered} were"
            )
        return {"acknowledged": self._acknowledged, "delivered": self.delivered}
