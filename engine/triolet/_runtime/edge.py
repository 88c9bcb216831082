"""The listener: one port, on which WebSockets of `/ws` are the engine's and the rest is HTTP's."""

import errno
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias, final
from urllib.parse import urlsplit

import trio

from .._wire.handshake import Accepted, answer, is_upgrade
from ..ports.gate import Opening
from .native import NativeConnection
from .poller import Poller
from .prefixed import PrefixedStream

if TYPE_CHECKING:
    from .engine import Engine

logger = logging.getLogger(__name__)

Fallback: TypeAlias = Callable[[PrefixedStream], Awaitable[None]]

# Connections taken in one scheduler turn: a storm is worked off without starving the others.
_ACCEPTS_PER_TURN: Final = 64
_BACKLOG: Final = 4096
# Out of file descriptors: time for some to be given back.
_EXHAUSTED_S: Final = 0.1
_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_HEAD_END: Final = b"\r\n\r\n"
_NOT_FOUND: Final = (
    b"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 24\r\n"
    b"Connection: close\r\n\r\nWebSocket is at /ws here"
)
_HEAD_TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\n"
    b"Connection: close\r\n\r\n"
)


def origin_allowed(origin: str, host: str, allowed: Sequence[str]) -> bool:
    """Whether a page from `origin` may connect to `host`: the same host, or a configured one.

    >>> origin_allowed("https://chat.example", "chat.example", [])
    True
    >>> origin_allowed("https://evil.example", "chat.example", ["https://app.example"])
    False
    """
    if origin in allowed or "*" in allowed:
        return True
    return bool(host) and urlsplit(origin).netloc.lower() == host.lower()


@final
class Edge:
    """Listens, reads request heads, and hands each connection to whom it belongs."""

    def __init__(
        self,
        engine: "Engine",
        poller: Poller,
        nursery: trio.Nursery,
        *,
        origins: Sequence[str],
        fallback: Fallback | None,
    ) -> None:
        self._engine = engine
        self._poller = poller
        self._nursery = nursery
        self._origins = tuple(origins)
        self._fallback = fallback
        self._listeners: list[socket.socket] = []
        self._accepting = trio.CancelScope()
        # Connections that are not the engine's: greeted, or HTTP's.
        self._others = 0

    async def bind(self, host: str, port: int) -> tuple[str, int]:
        """Listen on every address of `host`; return the first one bound.

        Raises:
            OSError: an address cannot be had.
        """
        found = await trio.socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        try:
            for family, kind, proto, _, address in found:
                listener = socket.socket(family, kind, proto)
                self._listeners.append(listener)
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                # Port 0: the first address chooses, the others follow.
                listener.bind((address[0], port, *address[2:]))
                listener.listen(_BACKLOG)
                listener.setblocking(False)
                port = listener.getsockname()[1]
        except OSError:
            self._close_listeners()
            raise
        bound = self._listeners[0].getsockname()
        self._nursery.start_soon(self._accept_all)
        return str(bound[0]), int(bound[1])

    async def close(self) -> None:
        """Take no more connections; those that are here go on."""
        self._accepting.cancel()
        self._close_listeners()
        await trio.lowlevel.checkpoint()

    def _close_listeners(self) -> None:
        for listener in self._listeners:
            trio.lowlevel.notify_closing(listener)
            listener.close()
        self._listeners.clear()

    async def _accept_all(self) -> None:
        try:
            with self._accepting:
                async with trio.open_nursery() as nursery:
                    for listener in self._listeners:
                        nursery.start_soon(self._accept, listener)
        finally:
            self._close_listeners()

    async def _accept(self, listener: socket.socket) -> None:
        while True:
            await trio.lowlevel.wait_readable(listener)
            for _ in range(_ACCEPTS_PER_TURN):
                try:
                    sock, address = listener.accept()
                except BlockingIOError:
                    break
                except OSError as error:
                    # The peer may have gone already; only exhaustion is ours to say.
                    if error.errno in _EXHAUSTED:
                        logger.error("no more connections can be taken: %s", error)
                        await trio.sleep(_EXHAUSTED_S)
                    break
                self._take(sock, str(address[0]))

    def _take(self, sock: socket.socket, address: str) -> None:
        here = len(self._engine.heartbeat.connections) + self._others
        if here >= self._engine.limits.connections_max:
            sock.close()
            return
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            sock.close()  # reset before it was looked at; some systems say so here
            return
        self._others += 1
        self._nursery.start_soon(self._greet, sock, address)

    async def _greet(self, sock: socket.socket, address: str) -> None:
        """Read the request head, and hand the connection to whom it belongs."""
        taken = False
        try:
            received = await self._receive_head(sock)
            end = received.find(_HEAD_END) + len(_HEAD_END)
            if end < len(_HEAD_END):
                # Gone, too slow, or too large: only the last one hears of it.
                if len(received) > self._engine.limits.head_bytes_max:
                    await self._send_last(sock, _HEAD_TOO_LARGE)
            elif is_upgrade(received[:end]):
                taken = await self._upgrade(sock, address, received[:end], received[end:])
            elif self._fallback is None:
                await self._send_last(sock, _NOT_FOUND)
            else:
                taken = True
                stream = trio.SocketStream(trio.socket.from_stdlib_socket(sock))
                async with PrefixedStream(stream, received) as prefixed:
                    await self._fallback(prefixed)
        except (OSError, trio.BrokenResourceError) as error:
            # One connection ends by it, never the listener.
            logger.debug("a connection from %s failed early: %s", address, error)
        except Exception:
            # A bug behind the fallback ends one connection too, and is told.
            logger.exception("a connection from %s failed", address)
        finally:
            self._others -= 1
            if not taken:
                sock.close()

    async def _receive_head(self, sock: socket.socket) -> bytes:
        """Return what has come once the head is whole, its limit passed or its time over."""
        received = b""
        with trio.move_on_after(self._engine.limits.handshake_timeout_s):
            while _HEAD_END not in received and len(received) <= self._engine.limits.head_bytes_max:
                await trio.lowlevel.wait_readable(sock)
                try:
                    data = sock.recv(self._engine.limits.head_bytes_max)
                except (BlockingIOError, InterruptedError):
                    continue
                if not data:
                    break
                received += data
        return received

    async def _upgrade(self, sock: socket.socket, address: str, head: bytes, unread: bytes) -> bool:
        """Answer a WebSocket upgrade; return whether the socket has a new owner."""
        found = answer(
            head, origin_allowed=lambda origin, host: origin_allowed(origin, host, self._origins)
        )
        if not isinstance(found, Accepted):
            await self._send_last(sock, found.response)
            return False
        # An empty socket buffer takes 200 bytes at once.
        sock.send(found.response)
        opening = Opening(address=address, origin=found.origin or "", agent=found.user_agent or "")
        connection = NativeConnection(
            self._engine,
            self._poller,
            self._nursery,
            sock,
            opening,
            text=found.text,
            token=found.token,
        )
        connection.start(unread)
        return True

    async def _send_last(self, sock: socket.socket, response: bytes) -> None:
        """Send a whole response, then end the stream so that the peer can read it."""
        with trio.move_on_after(self._engine.limits.close_timeout_s):
            stream = trio.socket.from_stdlib_socket(sock)
            while response:
                response = response[await stream.send(response) :]
            stream.shutdown(socket.SHUT_WR)
            # Bytes left unread would turn the close into a reset that eats the response.
            while await stream.recv(4096):
                pass
