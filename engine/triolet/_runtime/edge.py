"""The listener: one port, on which WebSockets of `/ws` are the engine's and the rest is HTTP's."""

import errno
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias, final
from urllib.parse import urlsplit

import trio

from .._domain.addresses import UNIX
from .._wire.handshake import Accepted, answer, is_upgrade
from ..ports.gate import Opening
from .binding import peer_of
from .complaint import Complaint
from .customers import Customer
from .native import NativeConnection
from .poller import READ, Watcher
from .prefixed import PrefixedStream

if TYPE_CHECKING:
    from .engine import Engine

logger = logging.getLogger(__name__)

Fallback: TypeAlias = Callable[[PrefixedStream], Awaitable[None]]

# Connections taken in one scheduler turn: a storm is worked off without starving the others.
_ACCEPTS_PER_TURN: Final = 64
# As of what `hello` says of it: it is kept with the session, and told with 200 others in a frame.
_AGENT_CHARS_MAX: Final = 200
# Out of file descriptors: time for some to be given back.
_EXHAUSTED_S: Final = 0.1
_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_HEAD_END: Final = b"\r\n\r\n"
_NOT_FOUND: Final = (
    b"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 24\r\n"
    b"Connection: close\r\n\r\nWebSocket is at /ws here"
)
_FORBIDDEN: Final = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_TOO_MANY: Final = (
    b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 60\r\nContent-Length: 0\r\n"
    b"Connection: close\r\n\r\n"
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
class _Greeting:
    """A connection whose request head is on its way: an entry in the poller's table, no task."""

    __slots__ = ("_edge", "customer", "events", "peer", "received", "sock")

    def __init__(
        self, edge: "Edge", sock: socket.socket, peer: str, customer: Customer | None
    ) -> None:
        self._edge = edge
        self.sock = sock
        self.peer = peer
        # Whom it counts for; None: it does not.
        self.customer = customer
        self.events = 0
        self.received = b""

    def on_readable(self) -> None:
        """See `poller.Polled`."""
        limit = self._edge.head_bytes_max
        try:
            data = self.sock.recv(limit)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        # The end may have begun in what came before.
        looked_at = max(0, len(self.received) - len(_HEAD_END))
        self.received = self.received + data if self.received else data
        end = self.received.find(_HEAD_END, looked_at)
        if end >= 0:
            self._edge.greeted(self, end + len(_HEAD_END))
        elif not data or len(self.received) > limit:
            self._edge.greeted(self, 0)

    def on_writable(self) -> None:
        """See `poller.Polled`; nothing is written that would not fit."""


@final
class _Listener:
    """A listening socket, in the poller's table as well."""

    __slots__ = ("_edge", "events", "sock")

    def __init__(self, edge: "Edge", sock: socket.socket) -> None:
        self._edge = edge
        self.sock = sock
        self.events = 0

    def on_readable(self) -> None:
        """See `poller.Polled`."""
        self._edge.accept(self)

    def on_writable(self) -> None:
        """See `poller.Polled`; nothing is ever written."""


@final
class Edge:
    """Listens, reads request heads, and hands each connection to whom it belongs."""

    def __init__(
        self,
        engine: "Engine",
        poller: Watcher,
        nursery: trio.Nursery,
        *,
        origins: Sequence[str],
        fallback: Fallback | None,
    ) -> None:
        self._engine = engine
        self._entrance = engine.entrance
        self._poller = poller
        self._nursery = nursery
        self._origins = tuple(origins)
        self._fallback = fallback
        self._listeners: list[_Listener] = []
        self._complaint = Complaint(logger, now=trio.current_time)
        self.head_bytes_max = engine.limits.head_bytes_max
        # Connections that are not the engine's: greeted, or HTTP's.
        self._others = 0
        # Whose head must be whole by when, the first one first: they all have equally long.
        self._greetings: dict[_Greeting, float] = {}
        self._greeting_began = trio.Event()

    def listen(self, socks: Sequence[socket.socket]) -> None:
        """Take connections from listening sockets, which are closed in the end."""
        for sock in socks:
            sock.setblocking(False)
            listener = _Listener(self, sock)
            self._listeners.append(listener)
            self._poller.watch(listener, READ)
        self._nursery.start_soon(self._live)

    async def close(self) -> None:
        """Take no more connections; those that are here go on."""
        for listener in self._listeners:
            # Who waits in the system's queue would be reset; here they are told to come back.
            self.accept(listener)
        self._close_listeners()
        await trio.lowlevel.checkpoint()

    def _close_listeners(self) -> None:
        for listener in self._listeners:
            self._poller.watch(listener, 0)
            listener.sock.close()
        self._listeners.clear()

    def accept(self, listener: _Listener) -> None:
        """Take who knocks, up to a number."""
        for _ in range(_ACCEPTS_PER_TURN):
            try:
                sock, address = listener.sock.accept()
            except BlockingIOError:
                self._complaint.over("connections are taken again")
                break
            except OSError as error:
                # The peer may have gone already; only exhaustion is ours to say.
                if error.errno in _EXHAUSTED:
                    self._complaint.again(f"no more connections can be taken: {error}")
                    self._poller.watch(listener, 0)
                    self._nursery.start_soon(self._recover, listener)
                break
            self._take(sock, peer_of(address))

    async def _recover(self, listener: _Listener) -> None:
        await trio.sleep(_EXHAUSTED_S)
        if listener in self._listeners:
            self._poller.watch(listener, READ)

    def _is_welcome(self, peer: str) -> bool:
        """Whether a connection is taken; for whom a proxy brings, that is seen by the head."""
        here = len(self._engine.heartbeat.connections) + self._others
        if here >= self._engine.limits.connections_max:
            return False
        if self._entrance.addresses.trusts(peer):
            return True
        return not self._entrance.keeps_out(peer) and self._entrance.customers.has_room(peer)

    def _take(self, sock: socket.socket, peer: str) -> None:
        if not self._is_welcome(peer):
            sock.close()
            return
        try:
            sock.setblocking(False)
            if peer != UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            sock.close()  # reset before it was looked at; some systems say so here
            return
        self._others += 1
        is_direct = not self._entrance.addresses.trusts(peer)
        customer = self._entrance.customers.enter(peer, trio.current_time()) if is_direct else None
        greeting = _Greeting(self, sock, peer, customer)
        if not self._greetings:
            self._greeting_began.set()
        until = trio.current_time() + self._engine.limits.handshake_timeout_s
        self._greetings[greeting] = until
        self._poller.watch(greeting, READ)

    async def _live(self) -> None:
        """Hang up on those whose head is not whole in time; in the end, on all and everything."""
        try:
            while True:
                if not self._greetings:
                    self._greeting_began = trio.Event()
                    await self._greeting_began.wait()
                    continue
                greeting, until = next(iter(self._greetings.items()))
                if until > trio.current_time():
                    await trio.sleep_until(until)
                else:
                    self.greeted(greeting, 0)
        finally:
            self._close_listeners()
            for greeting in list(self._greetings):
                self.greeted(greeting, 0)

    # --- heads ---------------------------------------------------------------------------

    def greeted(self, greeting: _Greeting, end: int) -> None:
        """Hand a connection to whom it belongs: its head is whole up to `end`, or, 0, never is."""
        del self._greetings[greeting]
        is_taken = False
        try:
            is_taken = self._pass_on(greeting, greeting.received, end)
        except OSError as error:
            # One connection ends by it, never the listener.
            logger.debug("a connection from %s failed early: %s", greeting.peer, error)
        except Exception:
            logger.exception("a connection from %s failed", greeting.peer)
        if not is_taken:
            self._drop(greeting)

    def _pass_on(self, greeting: _Greeting, received: bytes, end: int) -> bool:
        """Return whether somebody else closes the socket from now on."""
        if not end:
            # Gone, too slow, or too large: only the last one hears of it.
            is_told = len(received) > self.head_bytes_max
            return is_told and self._attend(greeting, self._send_last, _HEAD_TOO_LARGE)
        if is_upgrade(received[:end]):
            return self._upgrade(greeting, received[:end], received[end:])
        if self._fallback is None:
            return self._attend(greeting, self._send_last, _NOT_FOUND)
        return self._attend(greeting, self._fall_back, received)

    def _upgrade(self, greeting: _Greeting, head: bytes, unread: bytes) -> bool:
        """Answer a WebSocket upgrade."""
        found = answer(
            head, origin_allowed=lambda origin, host: origin_allowed(origin, host, self._origins)
        )
        if not isinstance(found, Accepted):
            return self._attend(greeting, self._send_last, found.response)
        address = self._entrance.addresses.client(
            greeting.peer, forwarded_for=found.forwarded_for, forwarded=found.forwarded
        )
        refusal = self._enter(greeting, address)
        if refusal:
            return self._attend(greeting, self._send_last, refusal)
        # An empty socket buffer takes 200 bytes at once.
        greeting.sock.send(found.response)
        connection = NativeConnection(
            self._engine,
            self._poller,
            self._nursery,
            greeting.sock,
            Opening(
                address=address,
                origin=found.origin or "",
                agent=(found.user_agent or "")[:_AGENT_CHARS_MAX],
            ),
            text=found.text,
            token=found.token,
            customer=greeting.customer,
        )
        self._entrance.customers.upgraded(connection.customer)
        greeting.customer = None
        self._poller.hand_over(greeting, connection)
        # Counted without a gap, so that the limit holds in a storm.
        self._others -= 1
        connection.start(unread)
        return True

    def _enter(self, greeting: _Greeting, address: str) -> bytes:
        """Judge a WebSocket by where it comes from; return what refuses it, empty: it may.

        A ban may have come since it was taken; and where a proxy has brought it, it counts now.
        """
        if self._entrance.keeps_out(address):
            return _FORBIDDEN
        if self._entrance.addresses.trusts(greeting.peer):
            if not self._entrance.customers.has_room(address, is_upgrade=True):
                return _TOO_MANY
            greeting.customer = self._entrance.customers.enter(address, trio.current_time())
        return b""

    def _drop(self, greeting: _Greeting) -> None:
        self._poller.watch(greeting, 0)
        self._others -= 1
        self._entrance.customers.leave(greeting.customer, was_upgraded=False)
        greeting.sock.close()

    # --- others --------------------------------------------------------------------------

    def _attend(
        self,
        greeting: _Greeting,
        work: Callable[[socket.socket, bytes], Awaitable[None]],
        data: bytes,
    ) -> bool:
        self._poller.watch(greeting, 0)
        self._nursery.start_soon(self._attend_to, greeting, work, data)
        return True

    async def _attend_to(
        self,
        greeting: _Greeting,
        work: Callable[[socket.socket, bytes], Awaitable[None]],
        data: bytes,
    ) -> None:
        """Await what has to be done for a connection that is not the engine's, then end it."""
        try:
            await work(greeting.sock, data)
        except (OSError, trio.BrokenResourceError) as error:
            logger.debug("a connection from %s failed early: %s", greeting.peer, error)
        except Exception:
            # A bug behind the fallback ends one connection too, and is told.
            logger.exception("a connection from %s failed", greeting.peer)
        finally:
            self._drop(greeting)

    async def _fall_back(self, sock: socket.socket, received: bytes) -> None:
        assert self._fallback is not None
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(sock))
        async with PrefixedStream(stream, received) as prefixed:
            await self._fallback(prefixed)

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
