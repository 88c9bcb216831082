"""`nats-server` over WebSocket: a broker in Go, which counts nothing and stores nothing.

Its own protocol is a stream of lines; how WebSocket's frames cut it means nothing. In verbose
mode each command is answered by `+OK`. There is no number in it: the sender's messages carry
their own, and its acknowledgements are counted.
"""

import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import Final, final

import msgspec
from msgspec import Struct, field

from ..errors import Missing, Unexpected
from ..load.frames import BINARY, Frame, Framing, masked, take_frames
from . import ACK, DELIVERY, Channel, Seen, Step
from .pings import Ping
from .plain import PROGRAMS, PlainPeer

_END: Final = b"\r\n"
_OK: Final = b"+OK"
# Debian installs it where only administrators look.
_PATH: Final = "/usr/local/bin:/usr/bin:/usr/local/sbin:/usr/sbin"
# Every subscription of a connection has a name of its own; here each has one.
_SUBSCRIPTION: Final = b"1"

_encode: Final = msgspec.json.Encoder().encode


@final
class _Message(Struct, frozen=True, forbid_unknown_fields=True):
    seq: int
    text: str
    sender: str = field(name="from")


_read: Final = msgspec.json.Decoder(_Message).decode


def split(data: bytes) -> tuple[list[Frame], int]:
    r"""Take the whole messages at the beginning of `data`, each without its last line end.

    Raises:
        Unexpected: a message does not end where it said.

    >>> split(b"+OK\r\nMSG a 1 2\r\nhi\r\nPIN")
    ([(130, b'+OK'), (130, b'MSG a 1 2\r\nhi')], 20)
    """
    messages: list[Frame] = []
    at = 0
    while (end := data.find(_END, at)) >= 0:
        if data.startswith(b"MSG ", at):
            size = data[data.rfind(b" ", at, end) + 1 : end]
            if not size.isdigit():
                raise Unexpected(f"no size: {data[at:end]!r}")
            end += len(_END) + int(size)
            after = data[end : end + len(_END)]
            if after != _END[: len(after)]:
                raise Unexpected(f"longer than it said: {data[at : end + 20]!r}")
            if len(after) < len(_END):
                break
        messages.append((BINARY, data[at:end]))
        at = end + len(_END)
    return messages, at


def join(first_byte: int, payload: bytes) -> bytes:
    """Return what `split` takes a message from."""
    del first_byte
    return payload + _END


def unwrapping() -> Callable[[bytes], bytes]:
    """Return what takes one connection's stream out of WebSocket's frames."""
    tail = b""

    def unwrap(data: bytes) -> bytes:
        nonlocal tail
        data = tail + data
        frames, taken = take_frames(data)
        tail = data[taken:]
        for first_byte, payload in frames:
            if first_byte != BINARY:
                raise Unexpected(f"a frame of type {first_byte:#x}: {payload[:200]!r}")
        return b"".join([payload for _, payload in frames])

    return unwrap


@final
class NatsChannel(Channel):
    """See `Channel`: message number n carries n, and is acknowledged as the nth."""

    def __init__(self, room: str, sender: str, text: str) -> None:
        self.room = room.encode()
        self._sender = sender
        self._text = text
        payload = _encode({"seq": 0, "from": sender, "text": text})
        self._before, self._after = payload.split(b"0", 1)
        self._delivered = b"MSG %b %b " % (self.room, _SUBSCRIPTION)
        self._acked = 0

    def message(self, number: int) -> bytes:
        """See `Channel.message`."""
        payload = b"%b%d%b" % (self._before, number, self._after)
        return masked(BINARY, b"PUB %b %d\r\n%b\r\n" % (self.room, len(payload), payload))

    def read(self, payload: bytes) -> Seen:
        """See `Channel.read`."""
        if payload == _OK:
            self._acked += 1
            return ACK, self._acked
        if not payload.startswith(self._delivered):
            raise Unexpected(f"no message to {self.room!r}: {payload[:400]!r}")
        try:
            found = _read(payload[payload.index(_END) :])
        except (ValueError, msgspec.DecodeError) as error:
            raise Unexpected(f"{error}: {payload[:400]!r}") from None
        if (found.sender, found.text) != (self._sender, self._text):
            raise Unexpected(f"not as it was sent: {payload[:400]!r}")
        return DELIVERY, found.seq


def _ping(number: int) -> bytes:
    del number
    return masked(BINARY, b"PING\r\n")


def _is_pong(first_byte: int, payload: bytes, number: int) -> bool:
    """Tell an answer, which has no number: they come in order."""
    del first_byte, number
    return payload == b"PONG"


@final
class Nats(PlainPeer):
    """See the module."""

    name = "nats"
    about = "nats-server over WebSocket: a broker in Go; one token for all, no numbers, no store"
    framing = Framing(split, join, unwrapping)
    pings = (Ping(_ping, _is_pong),)
    answers = MappingProxyType({b"PING": masked(BINARY, b"PONG\r\n")})
    announcement = re.compile(r"ws://127\.0\.0\.1:(\d+)")

    def install(self, told: Callable[[str], None]) -> str:
        """See `Peer.install`."""
        del told
        said = subprocess.run([_program(), "--version"], capture_output=True, text=True, check=True)
        return said.stdout.strip().rpartition("v")[2]

    def command(self) -> Sequence[str]:
        """See `PlainPeer.command`."""
        return [_program(), "--config", str(PROGRAMS / "nats.conf")]

    def environment(self) -> dict[str, str]:
        """See `PlainPeer.environment`."""
        # It reads the value as a part of its configuration, where a bare one may be a number.
        return super().environment() | {"BENCH_SECRET": f'"{self._secret}"'}

    def hello(self, user: str) -> Step:
        """See `Peer.hello`."""
        asked = {"verbose": True, "pedantic": False, "auth_token": self._secret, "name": user}
        return _ask(b"CONNECT " + _encode(asked), _OK)

    def open_room(self, sender: str, room: str, *, text: str) -> tuple[Step, NatsChannel]:
        """See `Peer.open_room`: whoever sends to a subject has opened it."""
        return _ask(b"PING", b"PONG"), NatsChannel(room, sender, text)

    def follow(self, channel: Channel) -> Step:
        """See `Peer.follow`."""
        assert isinstance(channel, NatsChannel)
        return _ask(b"SUB %b %b" % (channel.room, _SUBSCRIPTION), _OK)


def _ask(command: bytes, answer: bytes) -> Step:
    def is_answer(payload: bytes) -> bool:
        # Said once, before anything else.
        if payload.startswith(b"INFO {"):
            return False
        if payload != answer:
            raise Unexpected(f"{command[:100]!r} was answered: {payload[:400]!r}")
        return True

    return Step(masked(BINARY, command + _END), is_answer)


def _program() -> str:
    found = shutil.which("nats-server") or shutil.which("nats-server", path=_PATH)
    if found is None:
        raise Missing("nats-server is not on this machine")
    return found
