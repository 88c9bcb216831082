"""Socket.IO's crowd: clients whose state is recovered, or who ask for what they missed.

A client comes back with the id of its session and the offset of the last event it saw. Where the
server still knows both, the missed events come before the connection is confirmed; where it does
not, as after a restart, the client joins its rooms again and asks for what came after.

Numbers and log live in the server's memory. With them goes what was acknowledged and had not
reached everybody: it is counted as lost.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Literal, final

import msgspec
from msgspec import Struct

from ..errors import Unexpected
from ..load.frames import TEXT, masked
from . import Step
from .crowd import Client, Crowd, Host, Plan
from .socketio_packets import Message
from .tokens import mint

HOST: Final = "host"

_encode: Final = msgspec.json.Encoder().encode


@final
class _Connected(Struct, frozen=True, forbid_unknown_fields=True):
    sid: str
    pid: str


@final
class _Resumed(Struct, frozen=True, forbid_unknown_fields=True):
    epoch: str
    rooms: dict[str, list[Message]]


@final
class _Sent(Struct, frozen=True, forbid_unknown_fields=True):
    seq: int


_read_event: Final = msgspec.json.Decoder(tuple[Literal["message"], Message, str]).decode
_read_connected: Final = msgspec.json.Decoder(_Connected).decode
_read_resumed: Final = msgspec.json.Decoder(tuple[_Resumed]).decode
_read_sent: Final = msgspec.json.Decoder(tuple[_Sent]).decode


def room_name(room: int) -> str:
    """Return what a room is called."""
    return f"room-{room:05d}"


class _Client(Client):
    """Connects, with what it knows of its session."""

    def __init__(self, crowd: "SocketIoCrowd", user: str) -> None:
        self.user = user
        self.is_back = False
        self._crowd = crowd
        self._auth = {"token": crowd.token(user)}
        self._is_open = False

    def come(self) -> bytes:
        """See `Client.come`."""
        self.is_back = self._is_open = False
        return masked(TEXT, b"40" + _encode(self._auth))

    def closed(self, code: int, reason: bytes) -> float:
        """See `Client.closed`."""
        raise Unexpected(f"the server closed: {code} {reason!r}")

    def take(self, payload: bytes) -> bytes:
        """See `Client.take`."""
        if not self._is_open:
            self._is_open = payload.startswith(b"0{")
            if not self._is_open:
                raise Unexpected(f"{self.user} was not opened: {payload[:300]!r}")
            return b""
        try:
            return self._take(payload[:2], payload)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Unexpected(f"{error}: {payload[:300]!r}") from None

    def _take(self, kind: bytes, payload: bytes) -> bytes:
        raise NotImplementedError


@final
class SocketIoGuest(_Client):
    """See `Client`.

    Attributes:
        at: the seq of the last message seen, by name of the room.
    """

    def __init__(self, crowd: "SocketIoCrowd", user: str, rooms: Sequence[int]) -> None:
        super().__init__(crowd, user)
        self.at = dict.fromkeys(map(room_name, rooms), 0)
        self._epoch = ""
        self._is_connected = False

    def come(self) -> bytes:
        """See `Client.come`."""
        self._is_connected = False
        return super().come()

    def _take(self, kind: bytes, payload: bytes) -> bytes:
        # What was missed comes before the connection is confirmed.
        if kind == b"42" and (self.is_back or ("offset" in self._auth and not self._is_connected)):
            room, seq, self._auth["offset"] = self._crowd.judge_event(payload)
            self._advance(room, seq)
            return b""
        if kind == b"40" and not self._is_connected:
            return self._connected(_read_connected(payload[2:]).pid)
        if payload.startswith(b"430[") and self._is_connected and not self.is_back:
            self._resumed(*_read_resumed(payload[3:]))
            return b""
        raise Unexpected(f"{self.user} was told {payload[:300]!r}")

    def _connected(self, pid: str) -> bytes:
        self._is_connected = True
        self.is_back = pid == self._auth.get("pid")
        if self.is_back:
            self._crowd.recovered += 1
            return b""
        self._auth["pid"] = pid
        self._auth.pop("offset", None)
        return _resume(self._epoch, self.at)

    def _resumed(self, found: _Resumed) -> None:
        if found.epoch != self._epoch:
            self._crowd.judge_epoch(found.epoch)
            self._epoch = found.epoch
            self.at = dict.fromkeys(self.at, 0)
        if found.rooms.keys() != self.at.keys():
            raise Unexpected(f"{self.user} did not join its rooms: {list(found.rooms)}")
        for name, messages in found.rooms.items():
            for message in messages:
                self._crowd.judge(message)
                if message.room != name:
                    raise Unexpected(f"{self.user} got of {name} {message}")
                self._advance(name, message.seq)
        self.is_back = True

    def _advance(self, room: str, seq: int) -> None:
        if self.at.get(room) != seq - 1:
            raise Unexpected(f"{self.user} got {seq} of {room} after {self.at.get(room)}")
        self.at[room] = seq
        self._crowd.delivered += 1


@final
class SocketIoHost(_Client, Host):
    """See `Host`: message n of all has acknowledgement id n."""

    def __init__(self, crowd: "SocketIoCrowd") -> None:
        super().__init__(crowd, HOST)
        self._said = 0
        # By number, the room; said and not acknowledged.
        self._unanswered: dict[int, str] = {}

    @property
    def unanswered(self) -> int:
        """See `Host.unanswered`."""
        return len(self._unanswered)

    def say(self, room: int) -> bytes:
        """See `Host.say`."""
        self._said += 1
        self._unanswered[self._said] = room_name(room)
        return self._frame(self._said)

    def _frame(self, number: int) -> bytes:
        name = self._unanswered[number]
        self._crowd.expect(name)
        sent = ["send", {"room": name, "text": self._crowd.text}]
        return masked(TEXT, b"42%d%b" % (number, _encode(sent)))

    def _take(self, kind: bytes, payload: bytes) -> bytes:
        if not self.is_back:
            if kind == b"40":
                _read_connected(payload[2:])
                # Only to be told which life of the server this is.
                return _resume("", {})
            return self._resumed(payload)
        number, bracket, _ = payload[2:].partition(b"[")
        if kind != b"43" or not bracket or not number.isdigit():
            raise Unexpected(f"the host was told {payload[:300]!r}")
        (sent,) = _read_sent(payload[2 + len(number) :])
        name = self._unanswered.pop(int(number), None)
        if name is None:
            raise Unexpected(f"the host was told twice: {payload!r}")
        self._crowd.acknowledge(name, sent.seq)
        return b""

    def _resumed(self, payload: bytes) -> bytes:
        if not payload.startswith(b"430["):
            raise Unexpected(f"the host was told {payload[:300]!r}")
        (found,) = _read_resumed(payload[3:])
        self._crowd.judge_epoch(found.epoch)
        self.is_back = True
        # Nobody can tell what became of them: the log that knew is gone.
        return b"".join(map(self._frame, self._unanswered))


def _resume(epoch: str, at: Mapping[str, int]) -> bytes:
    return masked(TEXT, b"420" + _encode(["resume", {"epoch": epoch, "rooms": at}]))


@final
class SocketIoCrowd(Crowd):
    """See `Crowd`.

    Attributes:
        delivered: messages of the server's present life that guests got, each in its place.
        recovered: guests whose state the server recovered.
    """

    def __init__(self, plan: Plan, secret: str, text: str) -> None:
        self._secret = secret
        self.text = text
        self.delivered = self.recovered = self._due = 0
        # Of the server's earlier lives, and of all.
        self._delivered_before = self._lost = self._acknowledged = 0
        # Of the server's lives, the present one last.
        self._epochs: list[str] = []
        # Events verified once: the room, seq and offset of each.
        self._events: dict[bytes, tuple[str, int, str]] = {}
        self._members = {room_name(room): len(guests) for room, guests in enumerate(plan.members())}
        # Of each room, in the server's present life: what was said, and what acknowledged.
        self._said = dict.fromkeys(self._members, 0)
        self._heads = dict.fromkeys(self._members, 0)
        self.host = SocketIoHost(self)
        self.guests = [
            SocketIoGuest(self, f"guest-{guest:05d}", rooms)
            for guest, rooms in enumerate(plan.rooms_of)
        ]

    def token(self, user: str) -> str:
        """Return a user's token."""
        return mint(self._secret, user)

    def prepare(self) -> Sequence[Step]:
        """See `Crowd.prepare`: rooms are there once somebody joins."""
        return []

    def judge_epoch(self, epoch: str) -> None:
        """Judge which life of the server somebody was told of.

        Raises:
            Unexpected: one that is over.
        """
        if self._epochs and self._epochs[-1] == epoch:
            return
        if not epoch or epoch in self._epochs:
            raise Unexpected(f"{epoch!r} is over, there were {self._epochs}")
        self._epochs.append(epoch)
        # A server that has restarted knows nothing of what was said.
        self._lost += sum(n * self._members[name] for name, n in self._heads.items())
        self._lost -= self.delivered
        self._delivered_before += self.delivered
        self.delivered = self._due = 0
        self._said = dict.fromkeys(self._members, 0)
        self._heads = dict.fromkeys(self._members, 0)
        self._events.clear()

    def expect(self, room: str) -> None:
        """A message is said to a room."""
        self._said[room] += 1
        self._due += self._members[room]

    def acknowledge(self, room: str, seq: int) -> None:
        """Judge what the host is told of a message."""
        self._heads[room] += 1
        self._acknowledged += 1
        if seq != self._heads[room]:
            raise Unexpected(f"{seq} of {room} was acknowledged, not {self._heads[room]}")

    def judge_event(self, payload: bytes) -> tuple[str, int, str]:
        """Return the room, seq and offset of a message."""
        found = self._events.get(payload)
        if found is None:
            _, message, offset = _read_event(payload[2:])
            self.judge(message)
            found = self._events[payload] = (message.room, message.seq, offset)
        return found

    def judge(self, message: Message) -> None:
        """Judge a message.

        Raises:
            Unexpected: it is not as it was said, or was not said.
        """
        if (
            (message.sender, message.text) != (HOST, self.text)
            or not 0 < message.seq <= self._said.get(message.room, 0)
        ):  # fmt: skip
            raise Unexpected(f"no message that could come: {message}")

    def is_settled(self) -> bool:
        """See `Crowd.is_settled`."""
        return not self.host.unanswered and self.delivered >= self._due

    def verify(self) -> dict[str, int]:
        """See `Crowd.verify`; what a restart has lost is counted, not refused."""
        if self._said != self._heads or self.delivered != self._due:
            raise Unexpected(f"{self.delivered} of {self._due} messages were delivered")
        for guest in self.guests:
            if any(seq != self._heads[room] for room, seq in guest.at.items()):
                raise Unexpected(f"{guest.user} is not at the head of all rooms")
        return {
            "acknowledged": self._acknowledged,
            "delivered": self._delivered_before + self.delivered,
            "recovered": self.recovered,
            "restarts": len(self._epochs) - 1,
            "lost": self._lost,
        }
