"""What tests of the generator share: connections whose server is the test, and what it says."""

import socket
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

# The benchmarks are no package that is installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.load.connection import Connection
from bench.load.frames import BINARY, WEBSOCKET, unmasked
from bench.load.window import Load

# The head of every log before the first message.
BASE = 2


def entry(number: int, **changes: object) -> bytes:
    fields: dict[str, object] = {
        "op": "entry",
        "room": "room",
        "seq": BASE + number,
        "n": number,
        "at": 1,
        "cid": f"{number:08x}",
        "from": "anna",
        "kind": "message",
        "body": {"text": "hello"},
    }
    return msgspec.msgpack.encode(fields | changes)


def ok(number: int, **changes: object) -> bytes:
    fields = {"op": "ok", "ref": number, "room": "room", "seq": BASE + number, "at": 1}
    return msgspec.msgpack.encode(fields | {"duplicate": False} | changes)


def framed(payload: bytes) -> bytes:
    return unmasked(BINARY, payload)


class Ends:
    """Connections over socket pairs; the test is the server."""

    def __init__(self) -> None:
        self.sockets: list[socket.socket] = []
        self.answers: Mapping[bytes, bytes] = {}
        self.framing = WEBSOCKET

    def connection(self) -> tuple[Connection, socket.socket]:
        ours, theirs = socket.socketpair()
        self.sockets += [ours, theirs]
        connection = Connection.__new__(Connection)
        connection.sock, connection.tail, connection._early = ours, b"", []
        connection._answers, connection._split = self.answers, self.framing.split
        connection._unwrap = self.framing.unwrap and self.framing.unwrap()
        return connection, theirs


class Motionless:
    """A server whose process is of no interest, and which needs nothing besides."""

    services: dict[str, object] = {}  # noqa: RUF012 - nobody fills it

    def cpu_s(self) -> float:
        return 0.0


# No time at all: the edges are taken at once, and what was sent first is waited for.
AT_ONCE = Load(Motionless(), 2, 0, 0, lambda _: None)
