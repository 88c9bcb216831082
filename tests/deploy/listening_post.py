"""A stand-in for a node: it writes down what it is asked, and answers as a test tells it."""

from base64 import b64encode
from contextlib import asynccontextmanager, suppress
from hashlib import sha1

import trio
import trio.testing

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Request:
    """One request as it came."""

    def __init__(self, head):
        first, *lines = head.decode("latin-1").split("\r\n")
        self.method, self.target, self.version = first.split(" ")
        self.headers = {}
        for name, value in (line.split(":", 1) for line in lines if line):
            self.headers.setdefault(name.lower(), []).append(value.strip())
        self.body = b""

    @property
    def is_upgrade(self):
        return self.headers.get("upgrade") == ["websocket"]


class Post:
    """The requests it had, health checks aside; WebSockets echo bytes, `/v1/stream` waits.

    Attributes:
        is_ready: what it says when it is asked; live it is.
        go_on: what the second event of a stream waits for.
    """

    def __init__(self):
        self.port = 0
        self.requests = []
        self.is_ready = True
        self.go_on = trio.Event()
        self._serving = trio.CancelScope()
        self._ended = trio.Event()

    async def listen(self, listener):
        """Serve until it vanishes."""
        self.port = listener.socket.getsockname()[1]
        with self._serving:
            await trio.serve_listeners(self.serve, [listener])
        self._ended.set()

    async def vanish(self):
        """Listen no more, and hang up on everybody."""
        self._serving.cancel()
        await self._ended.wait()

    async def serve(self, stream):
        # Whoever has asked may be gone: a balancer waits for an answer about health for a while.
        with suppress(trio.BrokenResourceError):
            async with stream:
                await self._serve(stream)

    async def _serve(self, stream):
        rest = b""
        while True:
            while b"\r\n\r\n" not in rest:
                part = await _receive(stream)
                if not part:
                    return
                rest += part
            head, rest = rest.split(b"\r\n\r\n", 1)
            request = Request(head)
            size = int(request.headers.get("content-length", ["0"])[0])
            while len(rest) < size:
                rest += await _receive(stream)
            request.body, rest = rest[:size], rest[size:]
            if not request.target.startswith("/health/"):
                self.requests.append(request)
            await self.answer(stream, request)

    async def answer(self, stream, request):
        if request.target == "/health/ready" and not self.is_ready:
            await stream.send_all(b"HTTP/1.1 503 Leaving\r\nContent-Length: 0\r\n\r\n")
        elif request.target.startswith("/hang-up"):
            await stream.aclose()
        elif request.target.startswith("/break-off"):
            await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
            await stream.aclose()
        elif request.is_upgrade:
            key = request.headers["sec-websocket-key"][0].encode()
            accept = b64encode(sha1(key + _GUID).digest())
            await stream.send_all(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                b"Connection: Upgrade\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n"
            )
            while part := await _receive(stream):
                await stream.send_all(part)
        elif request.target.startswith("/v1/stream"):
            await stream.send_all(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                b"Transfer-Encoding: chunked\r\n\r\nd\r\ndata: first\n\n\r\n"
            )
            await self.go_on.wait()
            await stream.send_all(b"e\r\ndata: second\n\n\r\n0\r\n\r\n")
        else:
            await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


async def _receive(stream):
    try:
        return await stream.receive_some()
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return b""


@asynccontextmanager
async def listening():
    """Have a post for the length of a block."""
    post = Post()
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(post.listen, listener)
        await trio.testing.wait_all_tasks_blocked()
        yield post
        nursery.cancel_scope.cancel()
