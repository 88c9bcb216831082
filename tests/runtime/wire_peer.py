"""The other end of a WebSocket, frame by frame, and scenes with real sockets.

async with listening() as host:
    async with host.peer("anna") as anna:
        await anna.say({"op": "hello", "token": "anna"})
        welcome = await anna.next("welcome")
"""

import json
import socket
import struct
from contextlib import asynccontextmanager

import msgspec
import trio
from scene import FOREVER, open_scene

MSGPACK, JSON = "triolet.v1.msgpack", "triolet.v1.json"
# Real seconds within which everything that is awaited has to happen.
PATIENCE_S = 60
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class Peer:
    """One connection; frames are masked with zeros, so that they read as they are."""

    def __init__(self, stream, *, text):
        self.stream = stream
        self.text = text
        self.heard = []
        self.head = b""
        self._buffer = b""

    # --- the handshake ---------------------------------------------------------------------

    async def open(self, *, path="/ws", headers=(), protocol=None, follow=b""):
        lines = [
            f"GET {path} HTTP/1.1",
            "Host: chat.example",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            *([f"Sec-WebSocket-Protocol: {protocol}"] if protocol else []),
            *headers,
            "",
            "",
        ]
        await self.stream.send_all("\r\n".join(lines).encode() + follow)
        self.head = await self._until(b"\r\n\r\n")
        return int(self.head.split()[1])

    async def _until(self, end):
        while end not in self._buffer:
            data = await self.stream.receive_some()
            assert data, f"the connection ended after {self._buffer!r}"
            self._buffer += data
        found, _, self._buffer = self._buffer.partition(end)
        return found + end

    # --- frames ----------------------------------------------------------------------------

    def frame(self, opcode, payload):
        size = len(payload)
        head = bytes((0x80 | opcode,))
        if size < 126:
            head += bytes((0x80 | size,))
        elif size < 65536:
            head += bytes((0x80 | 126,)) + struct.pack("!H", size)
        else:
            head += bytes((0x80 | 127,)) + struct.pack("!Q", size)
        return head + bytes(4) + payload

    def message(self, one):
        if self.text:
            return self.frame(TEXT, json.dumps(one).encode())
        return self.frame(BINARY, msgspec.msgpack.encode(one))

    async def say(self, *messages):
        await self.stream.send_all(b"".join(self.message(one) for one in messages))

    async def receive(self):
        """Return the next frame as (opcode, payload), None at the end of the stream."""
        while (found := self._parse()) is None:
            try:
                data = await self.stream.receive_some()
            except trio.BrokenResourceError:
                return None
            if not data:
                return None
            self._buffer += data
        return found

    def _parse(self):
        data = self._buffer
        if len(data) < 2:
            return None
        size, at = data[1] & 0x7F, 2
        if size == 126:
            size, at = int.from_bytes(data[2:4], "big"), 4
        elif size == 127:
            size, at = int.from_bytes(data[2:10], "big"), 10
        if len(data) < at + size or (data[1] & 0x7F > 125 and len(data) < at):
            return None
        self._buffer = data[at + size :]
        return data[0] & 0x0F, data[at : at + size]

    async def next(self, op, **match):
        """Return the next message of a kind; others before it are kept in `heard`."""
        while True:
            found = await self.receive()
            assert found is not None, f"ended while {op!r} was awaited; heard {self.heard[-3:]}"
            opcode, payload = found
            assert opcode != CLOSE, (op, payload)
            if opcode in (TEXT, BINARY):
                assert (opcode == TEXT) is self.text
                one = json.loads(payload) if self.text else msgspec.msgpack.decode(payload)
                self.heard.append(one)
                if one["op"] == op and all(one.get(k) == v for k, v in match.items()):
                    return one

    async def closed(self):
        """Read on to the close frame, answer it, and return its code and reason."""
        while True:
            found = await self.receive()
            if found is None:
                return None
            opcode, payload = found
            if opcode == CLOSE:
                break
        await self.stream.send_all(self.frame(CLOSE, payload))
        assert await self.receive() is None
        return int.from_bytes(payload[:2], "big"), payload[2:].decode()

    def reset(self):
        """End the connection as a crashed host does."""
        linger = struct.pack("ii", 1, 0)
        self.stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.stream.socket.close()


class Host:
    """An engine that listens, and where."""

    def __init__(self, scene, address, port):
        self.scene = scene
        self.engine = scene.engine
        self.address = address
        self.port = port

    async def connect(self, *, small=False):
        """Return a bare connection; `small`: with as little buffer as the system allows."""
        sock = trio.socket.socket()
        if small:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        await sock.connect((self.address, self.port))
        return trio.SocketStream(sock)

    @asynccontextmanager
    async def peer(self, user=None, *, protocol=MSGPACK, small=False, **fields):
        """Connect, shake hands, and say hello as `user`, if one is given."""
        text = protocol != MSGPACK
        stream = await self.connect(small=small)
        async with stream:
            peer = Peer(stream, text=text)
            assert await peer.open(protocol=protocol) == 101
            if user is not None:
                self.scene.gate.knows(user, user, **{"expires_at": FOREVER, **fields})
                await peer.say({"op": "hello", "token": user, "device": f"{user}-{protocol}"})
                await peer.next("welcome")
            yield peer

    def connections(self):
        return list(self.engine.heartbeat.connections)


@asynccontextmanager
async def listening(*, origins=(), fallback=None, **limits):
    """Run an engine on a port of the system's choice; in the end no connection is left."""
    with trio.fail_after(PATIENCE_S):
        async with open_scene(inspect=False, **limits) as scene:
            address, port = await scene.engine.listen(
                "127.0.0.1", 0, origins=origins, fallback=fallback
            )
            yield Host(scene, address, port)
            await leaves_no_connection(scene.engine)


async def leaves_no_connection(engine):
    """Every peer has gone: wait for the engine to notice, then look at what it holds."""
    await engine.heartbeat.wait_empty()
    for edge in engine._departure.edges:
        while edge._others:
            await trio.lowlevel.checkpoint()
    listeners = sum(len(edge._listeners) for edge in engine._departure.edges)
    assert engine._poller.watched() == listeners
    assert engine.statistics().cursors == engine.statistics().sessions == 0
    assert engine.presence.watchers.by_user == {}
