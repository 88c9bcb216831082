"""A real server process, and a client made of a bare socket that can misbehave."""

import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import time
import weakref
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgpack

from triolet.adapters.tokens import mint
from triolet.testing.services.processes import held_port

SECRET = "a secret for tests, of more than 32 bytes"
# In which a process starts or ends, or an answer comes, on a machine that is busy with others.
TIMEOUT_S = 90
# `triolet serve` that answers each line on its standard input with its counts.
COUNTED = [sys.executable, str(Path(__file__).with_name("counted_server.py"))]


def token(user, *, tier="", ttl_s=3600, now_ms=None, secret=SECRET, **more):
    now_ms = int(time.time() * 1000) if now_ms is None else now_ms
    return mint(secret.encode(), user, ttl_s=ttl_s, tier=tier, now_ms=now_ms, **more)


class Server:
    """`triolet serve` as a process; `port` stays the same over restarts, and nobody else's."""

    def __init__(self, data, *, arguments=(), command=None, log=None, **settings):
        self.data = data
        holding = ExitStack()
        self.port = holding.enter_context(held_port())
        weakref.finalize(self, holding.close)
        self.settings = {
            "TRIOLET_SECRET": SECRET,
            "TRIOLET_LIMIT_DRAIN_WINDOW_S": "0.2",
            **settings,
        }
        self.arguments = arguments
        self.command = command or [sys.executable, "-m", "triolet_api"]
        self.process = None
        self.log = log or data / "server.log"
        self.start()

    def start(self):
        plain = {k: v for k, v in os.environ.items() if not k.startswith("TRIOLET_")}
        self.data.mkdir(exist_ok=True)
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [
                    *self.command,
                    "serve",
                    "--port",
                    str(self.port),
                    "--data",
                    str(self.data),
                    *self.arguments,
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=plain | self.settings,
            )
        said = ""
        for line in self.process.stdout:
            said += line
            if line.startswith("stop"):
                break
        found = re.search(r"running at http://127\.0\.0\.1:(\d+)", said)
        assert found, said + self.said
        assert int(found[1]) == self.port

    @property
    def url(self):
        return f"ws://127.0.0.1:{self.port}/ws"

    @property
    def pid(self):
        return self.process.pid

    @property
    def said(self):
        return self.log.read_text()

    def kill(self):
        self.process.kill()
        self._ended()

    def stop(self):
        """End it in order, and return the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self._ended()

    def _ended(self):
        status = self.process.wait(TIMEOUT_S)
        self.process.stdout.close()
        self.process.stdin.close()
        return status

    def counts(self):
        """Return what is in it, if its command is COUNTED."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def open_files(self):
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def resident_kib(self):
        lines = Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("Rss"))


@contextmanager
def running(data, **how):
    """Run a server; at the end it stops in order, and has shown no traceback."""
    server = Server(data, **how)
    try:
        yield server
    finally:
        status = server.stop()
        assert "Traceback" not in server.said, server.said
        assert status in (0, -signal.SIGKILL), server.said


def frame(payload, *, opcode=2, fin=True, masked=True, rsv=0):
    """Return one client frame, right or wrong on purpose."""
    head = bytes([(0x80 if fin else 0) | rsv | opcode])
    bit = 0x80 if masked else 0
    size = len(payload)
    if size < 126:
        head += bytes([bit | size])
    elif size < 1 << 16:
        head += bytes([bit | 126]) + struct.pack(">H", size)
    else:
        head += bytes([bit | 127]) + struct.pack(">Q", size)
    # A mask of zeros is a mask: the payload stays as it is.
    return head + (b"\0\0\0\0" if masked else b"") + payload


class Raw:
    """A client made of a bare socket: it sends what it is told to, and reads frames."""

    def __init__(self, server, *, form="msgpack", path="/ws", headers=(), receive_buffer=0):
        self.form = form
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(TIMEOUT_S)
        self.socket.connect(("127.0.0.1", server.port))
        self.server = server
        # Read and not yet taken, from `at` on.
        self.buffer = b""
        self.at = 0
        self.events = []
        self.ref = 0
        lines = [
            f"GET {path} HTTP/1.1",
            f"Host: 127.0.0.1:{server.port}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Protocol: triolet.v1.{form}",
            *headers,
        ]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())
        while b"\r\n\r\n" not in self.buffer:
            part = self.socket.recv(65536)
            assert part, self.buffer
            self.buffer += part
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        self.status = int(head.split()[1])

    @classmethod
    def open(cls, server, user, *, device=None, **how):
        """Connect and say hello."""
        raw = cls(server, **how)
        raw.send(op="hello", token=token(user, tier="service"), device=device)
        assert raw.next()["op"] == "welcome"
        return raw

    def pack(self, message):
        return json.dumps(message).encode() if self.form == "json" else msgpack.packb(message)

    def send(self, **message):
        self.send_bytes(frame(self.pack(message), opcode=1 if self.form == "json" else 2))

    def send_bytes(self, data):
        self.socket.sendall(data)

    def read_frame(self):
        """Return the next frame's opcode and payload; (None, b"") at the end."""
        while True:
            found = self._take_frame()
            if found is not None:
                return found
            try:
                part = self.socket.recv(65536)
            except ConnectionResetError:
                part = b""
            if not part:
                return None, b""
            self.buffer, self.at = self.buffer[self.at :] + part, 0

    def _take_frame(self):
        buffer, begin = self.buffer, self.at + 2
        if len(buffer) < begin:
            return None
        size = buffer[begin - 1]
        if size > 125:
            width = 2 if size == 126 else 8
            size, begin = int.from_bytes(buffer[begin : begin + width]), begin + width
        if len(buffer) < begin + size:
            return None
        opcode = buffer[self.at] & 0x0F
        self.at = begin + size
        return opcode, buffer[begin : self.at]

    def next_payload(self):
        """Return the next message's bytes, answering pings; fails if it closes instead."""
        while True:
            opcode, payload = self.read_frame()
            if opcode == 9:
                self.send_bytes(frame(payload, opcode=10))
            elif opcode in (1, 2):
                return payload
            elif opcode != 10:
                raise AssertionError(f"closed: {opcode} {payload!r}")

    def unpack(self, payload):
        return json.loads(payload) if self.form == "json" else msgpack.unpackb(payload)

    def next(self):
        return self.unpack(self.next_payload())

    def ask(self, **message):
        """Send a request and return its answer; what comes in between is in `events`."""
        self.ref += 1
        self.send(ref=self.ref, **message)
        while True:
            got = self.next()
            if got.get("ref") == self.ref:
                return got
            self.events.append(got)

    def refused(self, **message):
        """Send a request and return the reason why it was refused."""
        got = self.ask(**message)
        assert got["op"] == "error", got
        return got["reason"]

    def wait_close(self):
        """Read to the end; return the close code (None: it just ended) and the messages before."""
        messages = []
        while True:
            opcode, payload = self.read_frame()
            if opcode is None:
                return None, messages
            if opcode == 8:
                code = int.from_bytes(payload[:2]) if payload else 1005
                return code, messages
            if opcode in (1, 2):
                messages.append(self.unpack(payload))

    def close(self):
        self.socket.close()

    def reset(self):
        """End it with a reset instead of an orderly end."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()


class Bystander:
    """Two people who talk all the while; nobody's misbehaviour may reach them."""

    def __init__(self, server):
        self.anna = Raw.open(server, "bystander-anna", form="json")
        self.ben = Raw.open(server, "bystander-ben")
        self.room = self.anna.ask(op="direct", user="bystander-ben")["room"]
        self.ben.ask(op="subscribe", room=self.room)
        self.said = 0

    def talk(self):
        """Say something and have it delivered."""
        self.said += 1
        answer = self.anna.ask(op="send", room=self.room, body={"text": f"still here {self.said}"})
        assert answer["op"] == "ok", answer
        while True:
            got = self.ben.next()
            if got["op"] == "entry":
                assert got["seq"] == answer["seq"]
                return

    def close(self):
        self.anna.close()
        self.ben.close()
