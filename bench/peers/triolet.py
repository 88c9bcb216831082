"""Triolet itself: `triolet serve`, spoken to in msgpack."""

import base64
import os
import re
import secrets
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, final

import msgspec
from msgspec import Struct

from ..errors import Unexpected
from ..load.frames import BINARY, masked
from ..server import ROOT, Server, running
from . import ACK, DELIVERY, OTHER, Channel, Peer, Seen, Step
from .crowd import Plan
from .pings import WEBSOCKET_PING, Ping
from .tokens import mint
from .triolet_crowd import Entry, TrioletCrowd
from .triolet_day import TrioletDay

_OPTIONS: Final = ("--host", "127.0.0.1", "--port", "{port}", "--data")
_ANNOUNCEMENT: Final = re.compile(r"http://127\.0\.0\.1:(\d+)")
# Thousands of connections say hello within a second or two; the default is 1,000/s, for all.
_LIMITS: Final = {
    "TRIOLET_LIMIT_HELLOS_RATE": "1000000",
    "TRIOLET_LIMIT_HELLOS_BURST": "1000000",
}
# Events of their own accord that any session may get; nothing else may come unasked.
_TOLERATED: Final = ("feed", "receipts", "presence", "typing")

# Found in a frame only where it was put.
_STAND_IN: Final = 0x9E3779B9

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


@final
class _Ok(Struct, frozen=True, tag="ok", tag_field="op", forbid_unknown_fields=True):
    ref: int
    room: str
    seq: int
    at: int
    # True would be an answer from an earlier life: each cid is sent once.
    duplicate: Literal[False] | None = None


@final
class _Feed(Struct, frozen=True, tag="feed", tag_field="op"):
    rooms: tuple[tuple[str, str, int, int, int], ...]


@final
class _Receipts(Struct, frozen=True, tag="receipts", tag_field="op"):
    room: str
    marks: tuple[tuple[str, int, int], ...]


_read: Final = msgspec.msgpack.Decoder(Entry | _Ok | _Feed | _Receipts).decode
_Map: TypeAlias = dict[str, Any]


@final
class TrioletChannel(Channel):
    """See `Channel`: message number n has ref n, a cid that spells n, and seq base + n."""

    def __init__(self, room: str, sender: str, text: str) -> None:
        self.room = room
        self._sender = sender
        self._text = text
        # The log's head before the first message, and the last message since.
        self.base: int | None = None
        self._last = 0
        # Every number is written in the same form as this one: four bytes, eight hex digits.
        command = {"op": "send", "ref": _STAND_IN, "room": room, "cid": f"{_STAND_IN:08x}"}
        frame = masked(BINARY, _encode(command | {"body": {"text": text}}))
        self._before, rest = frame.split(_STAND_IN.to_bytes(4, "big"), 1)
        self._between, self._after = rest.split(b"%08x" % _STAND_IN, 1)

    def message(self, number: int) -> bytes:
        """See `Channel.message`."""
        self._last = number
        return b"%b%b%b%08x%b" % (
            self._before,
            number.to_bytes(4, "big"),
            self._between,
            number,
            self._after,
        )

    def follow_from(self, head: int) -> None:
        """Note where the log stands for somebody who follows it from now on.

        Raises:
            Unexpected: not where the messages so far have taken it.
        """
        if self.base is None:
            self.base = head - self._last
        if head != self.base + self._last:
            raise Unexpected(f"{self.room} is at {head}, not {self._last} after {self.base}")

    def read(self, payload: bytes) -> Seen:
        """See `Channel.read`."""
        try:
            found = _read(payload)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Unexpected(f"{error}: {_told(payload)}") from None
        if isinstance(found, _Feed | _Receipts):
            return OTHER, 0
        assert self.base is not None
        number = found.seq - self.base
        if type(found) is _Ok:
            good = found.ref == number and found.room == self.room
            kind = ACK
        else:
            good = (
                found.cid == f"{number:08x}"
                and found.room == self.room
                and found.sender == self._sender
                and found.body.text == self._text
            )
            kind = DELIVERY
        if not good or number < 1:
            raise Unexpected(f"not as it was sent, or not in its place: {_told(payload)}")
        return kind, number


def _ping(number: int) -> bytes:
    return _frame({"op": "ping", "ref": number})


def _is_pong(first_byte: int, payload: bytes, number: int) -> bool:
    if first_byte != BINARY:
        return False
    found = _map(payload)
    is_ok = found["op"] == "ok" and isinstance(found.get("now"), int)
    return is_ok and found.get("ref") == number


class Triolet(Peer):
    """The server of this checkout, or the one that is installed."""

    name = "triolet"
    about = "this checkout: stores before it acknowledges, in SQLite with an fsync or in memory"
    stores = ("sqlite", "memory")
    scenarios = frozenset(
        (
            "fanout",
            "direct",
            "idle",
            "resume",
            "growth",
            "day",
            "connect",
            "latency",
            "ping",
            "slow",
            "http",
            "jobs",
        )
    )
    keeps_for_late_readers = True
    pings = (Ping(_ping, _is_pong), WEBSOCKET_PING)

    def __init__(self) -> None:
        self._secret = secrets.token_hex(32)

    def install(self, told: Callable[[str], None]) -> str:
        """See `Peer.install`."""
        del told
        return version("triolet")

    def start(
        self,
        *,
        store: str,
        parent: Path | None,
        is_raised: bool = True,
        data: Path | None = None,
    ) -> AbstractContextManager[Server]:
        """See `Peer.start`; `data` is a folder that was filled before, and stays."""
        kept_in = {"TRIOLET_STORE": "memory:"} if store == "memory" else {}
        return self.serve(kept_in, parent=parent, is_raised=is_raised, data=data)

    def serve(
        self,
        settings: Mapping[str, str],
        *,
        parent: Path | None,
        is_raised: bool,
        data: Path | None = None,
    ) -> AbstractContextManager[Server]:
        """Run `triolet serve` with these settings, as variables of its environment."""
        kept = {name: value for name, value in os.environ.items() if name[:8] != "TRIOLET_"}
        paths = [str(ROOT / "engine"), str(ROOT / "api"), os.environ.get("PYTHONPATH", "")]
        ours = {
            "PYTHONPATH": os.pathsep.join(path for path in paths if path),
            "TRIOLET_SECRET": self._secret,
        }
        limits = _LIMITS if is_raised else {}
        return running(
            [sys.executable, "-m", "triolet_api", "serve", *_OPTIONS, str(data or "{folder}/data")],
            kept | limits | ours | settings,
            _ANNOUNCEMENT,
            parent=parent,
        )

    def token(self, user: str) -> str:
        """Return what requests of a user are to bear."""
        return mint(self._secret, user)

    def crowd(self, plan: Plan, *, text: str) -> TrioletCrowd:
        """See `Peer.crowd`."""
        return TrioletCrowd(plan, self._secret, text)

    def day(self, plan: Plan, *, text: str) -> TrioletDay:
        """Return the people of `day`."""
        return TrioletDay(plan, self._secret, text)

    def upgrade(self, port: int) -> bytes:
        """See `Peer.upgrade`."""
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        return (
            f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Protocol: triolet.v1.msgpack\r\n\r\n"
        ).encode()

    def hello(self, user: str) -> Step:
        """See `Peer.hello`."""

        def is_welcome(payload: bytes) -> bool:
            found = _map(payload)
            if found["op"] != "welcome" or found["user"] != user:
                raise Unexpected(f"no welcome: {_told(payload)}")
            return True

        return Step(_frame({"op": "hello", "token": mint(self._secret, user)}), is_welcome)

    def open_pair(self, sender: str, receiver: str, *, text: str) -> tuple[Step, TrioletChannel]:
        """See `Peer.open_pair`."""
        first, second = sorted((sender, receiver))
        channel = TrioletChannel(f"dm:{first}:{second}", sender, text)
        return _ask({"op": "direct", "user": receiver}, channel.room), channel

    def open_room(self, sender: str, room: str, *, text: str) -> tuple[Step, TrioletChannel]:
        """See `Peer.open_room`."""
        command = {"op": "create", "cid": room, "room": room, "kind": "group", "public": True}
        return _ask(command, room), TrioletChannel(room, sender, text)

    def follow(self, channel: Channel) -> Step:
        """See `Peer.follow`."""
        assert isinstance(channel, TrioletChannel)

        def take(found: _Map) -> None:
            if not isinstance(found["head"], int) or not isinstance(found["epoch"], str):
                raise Unexpected(f"no position: {found}")
            channel.follow_from(found["head"])

        return _ask({"op": "subscribe", "room": channel.room}, channel.room, take)


def _frame(command: _Map) -> bytes:
    return masked(BINARY, _encode(command))


def _ask(command: _Map, room: str, take: Any = None) -> Step:
    """A request about a room, and what judges its answer; `take` gets the `ok`."""

    def is_ok(payload: bytes) -> bool:
        found = _map(payload)
        if found["op"] in _TOLERATED:
            return False
        if found["op"] != "ok" or found.get("ref") != 0 or found.get("room") != room:
            raise Unexpected(f"{command['op']} was answered: {_told(payload)}")
        if take is not None:
            take(found)
        return True

    return Step(_frame(command | {"ref": 0}), is_ok)


def _map(payload: bytes) -> _Map:
    try:
        found = _decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unexpected(f"{error}: {_told(payload)}") from None
    if not isinstance(found, dict) or not isinstance(found.get("op"), str):
        raise Unexpected(f"no message of the protocol: {_told(payload)}")
    return found


def _told(payload: bytes) -> str:
    try:
        return str(_decode(payload))[:400]
    except (msgspec.DecodeError, UnicodeDecodeError):
        return repr(payload[:200])
