"""A listening engine whose store obeys, and callers made of bare sockets that can misbehave.

The clock stands still until a test moves it, so sockets are waited for by events alone:
a caller that is told nothing, while everybody is blocked, fails at once instead of hanging.
"""

import json
import select
import socket
import struct
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import trio
from scene import CountedEntropy, ScriptedStore, TableGate, VirtualClock, settled

from triolet._model.limits import Limits
from triolet._runtime.engine import Engine
from triolet.adapters.memory import MemoryStore

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA
MASK = b"\x01\x02\x03\x04"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
# The process's open files, where the system lists them.
FILES = Path("/proc/self/fd")
# What the kernel may take to carry bytes over the loopback, in tries of 20 ms.
TRIES = 100
# News of state, which come when they come.
NEWS = ("feed", "receipts", "presence", "typing")


def frame(payload, *, opcode=TEXT, fin=True):
    """Make one masked frame, as clients send them."""
    first, size = opcode | (0x80 if fin else 0), len(payload)
    if size < 126:
        head = bytes((first, 0x80 | size))
    elif size < 65536:
        head = struct.pack("!BBH", first, 0xFE, size)
    else:
        head = struct.pack("!BBQ", first, 0xFF, size)
    return head + MASK + bytes(byte ^ MASK[i % 4] for i, byte in enumerate(payload))


def close_payload(code, reason=""):
    return struct.pack("!H", code) + reason.encode()


def request_head(path="/ws", *lines, host="chat.example", upgrade=True):
    """Make a request head: a WebSocket's, unless it is told not to be one."""
    head = [f"GET {path} HTTP/1.1", f"Host: {host}"]
    if upgrade:
        head += ["Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Key: {KEY}"]
        head += ["Sec-WebSocket-Version: 13"]
    return "\r\n".join([*head, *lines, "", ""]).encode()


class Caller:
    """A client made of a bare socket. `pings` counts those the server has sent."""

    def __init__(self, sock):
        sock.setblocking(False)
        # What is sent arrives at once, also behind what was not yet acknowledged.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self.text = True
        self.pings = 0
        self._data = bytearray()
        self._refs = 0

    # --- bytes -----------------------------------------------------------------------------

    async def send(self, data):
        """Send all of it, waiting as long as the other side reads."""
        view = memoryview(data)
        while view:
            try:
                view = view[self.sock.send(view) :]
            except BlockingIOError:
                await self._wait([], [self.sock])

    async def read(self):
        """Return what has come, empty at the end."""
        while True:
            try:
                return self.sock.recv(65536)
            except BlockingIOError:
                await self._wait([self.sock], [])

    async def read_all(self):
        """Return everything up to the end."""
        while data := await self.read():
            self._data += data
        return bytes(self._data)

    async def _wait(self, reading, writing):
        for _ in range(TRIES):
            await settled()
            if any(select.select(reading, writing, [], 0)):
                return
            select.select(reading, writing, [], 0.02)
        raise AssertionError("nothing happens any more")

    async def is_silent(self):
        """Whether nothing comes, however long one waits."""
        await settled()
        return not self._data and not select.select([self.sock], [], [], 0)[0]

    async def head(self):
        """Return the head of the response."""
        while b"\r\n\r\n" not in self._data:
            data = await self.read()
            assert data, "the connection ended before a response"
            self._data += data
        end = self._data.index(b"\r\n\r\n") + 4
        head = bytes(self._data[:end])
        del self._data[:end]
        return head

    async def _take(self, count):
        while len(self._data) < count:
            data = await self.read()
            if not data:
                raise EOFError
            self._data += data
        taken = bytes(self._data[:count])
        del self._data[:count]
        return taken

    # --- frames ----------------------------------------------------------------------------

    async def upgrade(self, *lines, path="/ws", text=True):
        """Become a WebSocket."""
        self.text = text
        form = "json" if text else "msgpack"
        protocol = f"Sec-WebSocket-Protocol: triolet.v1.{form}"
        await self.send(request_head(path, protocol, *lines))
        assert (await self.head()).startswith(b"HTTP/1.1 101 ")

    async def frame(self):
        """Return the next `(opcode, payload)`; EOFError at the end."""
        first, size = await self._take(2)
        assert first & 0x80, "the server sends whole frames only"
        if size == 126:
            (size,) = struct.unpack("!H", await self._take(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", await self._take(8))
        return first & 0x0F, await self._take(size)

    async def hear(self, op):
        """Return the next message, whose op must be this one."""
        while True:
            opcode, payload = await self.frame()
            if opcode == PING:
                self.pings += 1
                continue
            assert opcode == (TEXT if self.text else BINARY), (opcode, payload)
            message = json.loads(payload) if self.text else msgspec.msgpack.decode(payload)
            if message["op"] in NEWS:
                continue
            assert message["op"] == op, message
            return message

    async def hear_in(self, port, seconds, op):
        """Let time pass, and return what comes of it."""
        await port.pass_s(seconds)
        return await self.hear(op)

    async def closed(self):
        """Read up to the close frame; return its code and reason."""
        while True:
            opcode, payload = await self.frame()
            if opcode == CLOSE:
                return int.from_bytes(payload[:2], "big"), payload[2:].decode()

    async def ended(self):
        """Whether the server has ended the stream, and nothing was left to read."""
        return not self._data and not await self.read()

    def encoded(self, op, **fields):
        """Make the frame of a request; its `ref` is one more than the last one's."""
        self._refs += 1
        message = {"op": op, "ref": self._refs, **fields}
        if self.text:
            return frame(json.dumps(message).encode())
        return frame(msgspec.msgpack.encode(message), opcode=BINARY)

    async def say(self, op, **fields):
        await self.send(self.encoded(op, **fields))
        return self._refs

    async def ask(self, op, **fields):
        """Say something, and return its `ok`, which must be the next message."""
        ref = await self.say(op, **fields)
        answer = await self.hear("ok")
        assert answer["ref"] == ref
        return answer

    async def hello(self, user, **fields):
        await self.send(self.encoded("hello", token=user, **fields))
        return await self.hear("welcome")

    # --- leaving ---------------------------------------------------------------------------

    def hang_up(self):
        """End the stream in good order, as a process that ends."""
        self.sock.close()

    def reset(self):
        """Break the connection: the other side gets a reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


class Port:
    """A listening engine, and who calls it."""

    def __init__(self, engine, store, gate, clock):
        self.engine = engine
        self.store = store
        self.gate = gate
        self.clock = clock
        self.address = ("127.0.0.1", 0)
        self.callers = []
        self.before = self.left()

    def left(self):
        """Count what connections leave behind, if they do."""
        engine = self.engine
        return {
            "files": len(list(FILES.iterdir())) if FILES.is_dir() else 0,
            "connections": len(engine.heartbeat.connections),
            "watched": engine._poller.watched(),
            "tasks": len(engine.connection_nursery.child_tasks),
        }

    async def dial(self, *, receive_bytes=None):
        """Return a caller that has said nothing yet."""
        family = socket.AF_INET6 if ":" in self.address[0] else socket.AF_INET
        sock = socket.socket(family)
        if receive_bytes is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        try:
            sock.connect(self.address)
        except OSError:
            sock.close()
            raise
        caller = Caller(sock)
        self.callers.append(caller)
        return caller

    async def enter(self, user, *, text=True, receive_bytes=None, **identity):
        """Return a caller who was welcomed, and the connection on the other side."""
        self.gate.knows(user, user, **identity)
        caller = await self.dial(receive_bytes=receive_bytes)
        await caller.upgrade(text=text)
        await caller.hello(user)
        return caller, self.connections()[-1]

    def connections(self):
        return list(self.engine.heartbeat.connections)

    async def room(self, name, owner, *members):
        """Have a caller make a room with these users."""
        await owner.ask("create", room=name, kind="group", members=list(members))

    async def pass_s(self, seconds):
        """Let time pass second by second, so that every beat comes."""
        whole, rest = divmod(seconds, 1)
        for step in (*([1.0] * int(whole)), *([rest] if rest else ())):
            await settled()
            self.clock.jump(step)
            await settled()

    async def empty_of_connections(self):
        """Wait until no connection is left; the callers may still be there."""
        await settled()
        assert self.connections() == []

    async def empty(self):
        """Wait until nothing is left of any connection."""
        for _ in range(TRIES):
            await settled()
            if self.left() == self.before:
                return
            select.select([], [], [], 0.02)
        assert self.left() == self.before


@asynccontextmanager
async def open_port(*, host="127.0.0.1", origins=(), fallback=None, addresses=None, **limits):
    """Listen on a port of the system's choice. Callers are hung up before the engine ends."""
    clock = trio.lowlevel.current_clock()
    wall, entropy = VirtualClock(), CountedEntropy()
    store = ScriptedStore(MemoryStore(clock=wall, entropy=entropy))
    gate = TableGate()
    engine = Engine(
        store=store,
        gate=gate,
        clock=wall,
        entropy=entropy,
        limits=Limits(**limits),
        addresses=addresses,
    )
    async with engine:
        address = await engine.listen(host, 0, origins=origins, fallback=fallback)
        await settled()
        port = Port(engine, store, gate, clock)
        port.address = address
        try:
            yield port
        finally:
            for caller in port.callers:
                caller.sock.close()
            # Whatever is still waited for at the end may take its time now.
            clock.autojump_threshold = 0
