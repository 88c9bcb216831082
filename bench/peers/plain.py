"""The plain protocol: what a chat server of a hundred lines on a WebSocket library speaks.

JSON in text frames, so that any library's server is written in its own idiom and does the work
that Triolet does on the way of a message, but for storing:

- `{"op":"hello","token":T}` is answered by `{"op":"welcome","user":U}`, once the HS256
  signature of the token was verified with the secret in `BENCH_SECRET`;
- `{"op":"join","room":R}` is answered by `{"op":"joined","room":R}`;
- `{"op":"send","ref":N,"room":R,"text":X}` is answered by `{"op":"ok","ref":N,"seq":S}`, and
  everybody else who has joined R gets `{"op":"message","room":R,"seq":S,"from":U,"text":X}`;
  S counts the messages of R from 1.

A server program prints `listening on 127.0.0.1:PORT`.
"""

import base64
import os
import re
import secrets
from abc import abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, final

import msgspec
from msgspec import Struct, field

from ..errors import Unexpected
from ..load.frames import TEXT, masked
from ..server import Server, running
from . import ACK, DELIVERY, Channel, Peer, Seen, Step
from .tokens import mint

PROGRAMS: Final = Path(__file__).parent / "programs"
ANNOUNCEMENT: Final = re.compile(r"listening on 127\.0\.0\.1:(\d+)")

_encode: Final = msgspec.json.Encoder().encode


@final
class _Message(Struct, frozen=True, tag="message", tag_field="op", forbid_unknown_fields=True):
    room: str
    seq: int
    text: str
    sender: str = field(name="from")


@final
class _Ok(Struct, frozen=True, tag="ok", tag_field="op", forbid_unknown_fields=True):
    ref: int
    seq: int


_read: Final = msgspec.json.Decoder(_Message | _Ok).decode


@final
class PlainChannel(Channel):
    """See `Channel`: message number n has ref n and seq n."""

    def __init__(self, room: str, sender: str, text: str) -> None:
        self.room = room
        self._sender = sender
        self._text = text
        command = _encode({"op": "send", "ref": 0, "room": room, "text": text})
        self._before, self._after = command.split(b"0", 1)

    def message(self, number: int) -> bytes:
        """See `Channel.message`."""
        return masked(TEXT, b"%b%d%b" % (self._before, number, self._after))

    def read(self, payload: bytes) -> Seen:
        """See `Channel.read`."""
        try:
            found = _read(payload)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Unexpected(f"{error}: {payload[:400]!r}") from None
        if type(found) is _Ok:
            if found.ref != found.seq:
                raise Unexpected(f"an acknowledgement out of its place: {payload[:400]!r}")
            return ACK, found.ref
        if (found.room, found.sender, found.text) != (self.room, self._sender, self._text):
            raise Unexpected(f"not as it was sent: {payload[:400]!r}")
        return DELIVERY, found.seq


class PlainPeer(Peer):
    """A server program that speaks the plain protocol.

    Attributes:
        path: where it takes WebSockets.
        announcement: what it prints once it listens; its first group is the port.
    """

    scenarios = frozenset(("fanout", "direct", "idle", "connect", "latency", "ping", "slow"))
    path = "/"
    announcement = ANNOUNCEMENT

    def __init__(self) -> None:
        self._secret = secrets.token_hex(32)

    @abstractmethod
    def command(self) -> Sequence[str]:
        """Return what starts the program; it listens on a port the system chooses."""

    def environment(self) -> dict[str, str]:
        """Return the environment of the program."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        return kept | {"BENCH_SECRET": self._secret}

    def start(
        self, *, store: str, parent: Path | None, is_raised: bool = True
    ) -> AbstractContextManager[Server]:
        """See `Peer.start`."""
        del store, is_raised
        return running(self.command(), self.environment(), self.announcement, parent=parent)

    def upgrade(self, port: int) -> bytes:
        """See `Peer.upgrade`."""
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        return (
            f"GET {self.path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n"
        ).encode()

    def hello(self, user: str) -> Step:
        """See `Peer.hello`."""
        return _ask(
            {"op": "hello", "token": mint(self._secret, user)}, {"op": "welcome", "user": user}
        )

    def open_pair(self, sender: str, receiver: str, *, text: str) -> tuple[Step, Channel]:
        """See `Peer.open_pair`."""
        return self.open_room(sender, f"{sender}:{receiver}", text=text)

    def open_room(self, sender: str, room: str, *, text: str) -> tuple[Step, Channel]:
        """See `Peer.open_room`."""
        channel = PlainChannel(room, sender, text)
        return self.follow(channel), channel

    def follow(self, channel: Channel) -> Step:
        """See `Peer.follow`."""
        assert isinstance(channel, PlainChannel)
        return _ask({"op": "join", "room": channel.room}, {"op": "joined", "room": channel.room})


def _ask(command: dict[str, str], answer: dict[str, str]) -> Step:
    def is_answer(payload: bytes) -> bool:
        try:
            found = msgspec.json.decode(payload)
        except msgspec.DecodeError:
            found = None
        if found != answer:
            raise Unexpected(f"{command['op']} was answered: {payload[:400]!r}")
        return True

    return Step(masked(TEXT, _encode(command)), is_answer)
