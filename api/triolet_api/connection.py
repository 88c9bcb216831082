"""One HTTP connection: Hypercorn's, with what it leaves open closed.

- A peer that takes nothing would hold `send_all` for ever, in a shielded scope: every piece
  has a deadline, after which the socket is closed.
- A peer whose network is gone acknowledges nothing, and would hold a silent stream for a quarter
  of an hour: what it does not acknowledge within that deadline ends the connection, too.
- HTTP/2 without TLS is not spoken: an `Upgrade: h2c` let through by a proxy that forwards
  upgrades for WebSockets would tunnel past that proxy's rules.
- Closing happens in a task that Quart-Trio cancels while it does so: it is shielded.
"""

import socket
from typing import Final, Protocol, final

import h11
import trio
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.typing import H11SendableEvent

from .giving_way import GiveWay

# One piece of an answer: what a slow peer must take within `send_timeout_s`, 17 kbit/s.
_PIECE_BYTES: Final = 64 * 1024
_TCP: Final = (socket.AF_INET, socket.AF_INET6)


class Closeable(Protocol):
    """A socket, as far as the door needs to know."""

    def close(self) -> None:
        """Close it at once; whoever waits for it is woken."""
        ...


def end_unless_acknowledged(sock: object, timeout_s: float) -> None:
    """Have the system end a TCP connection whose peer acknowledges nothing for so long."""
    # Linux and newer Windows know it; elsewhere the system's own patience counts.
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    if option is None or not isinstance(sock, trio.socket.SocketType):
        return
    if sock.family in _TCP:
        sock.setsockopt(socket.IPPROTO_TCP, option, int(1000 * timeout_s))


class HttpStream(Protocol):
    """What the listener hands over: a `trio.abc.HalfCloseableStream` with its socket.

    What was already read of the connection is the first thing that `receive_some` returns.
    """

    @property
    def socket(self) -> Closeable:
        """The socket below, open."""
        ...

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """As trio's."""
        ...

    async def wait_send_all_might_not_block(self) -> None:
        """As trio's."""
        ...

    async def send_eof(self) -> None:
        """As trio's."""
        ...

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """As trio's."""
        ...

    async def aclose(self) -> None:
        """As trio's."""
        ...


@final
class BoundedStream(trio.abc.HalfCloseableStream):
    """A stream whose peer must keep taking, and that can be closed from outside at once."""

    def __init__(self, inner: HttpStream, send_timeout_s: float, give_way: GiveWay) -> None:
        self._inner = inner
        self._give_way = give_way
        self._send_timeout_s = send_timeout_s
        self.socket = inner.socket

    def abort(self) -> None:
        """Close the socket; whoever waits for it gets `ClosedResourceError`."""
        self.socket.close()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send in pieces, each within `send_timeout_s`; else the socket is closed.

        Raises:
            trio.BrokenResourceError: the peer takes nothing, or is gone.
        """
        with memoryview(data) as view:
            for start in range(0, len(view), _PIECE_BYTES):
                self._give_way()
                with trio.move_on_after(self._send_timeout_s) as scope:
                    await self._inner.send_all(view[start : start + _PIECE_BYTES])
                if scope.cancelled_caught:
                    self.abort()
                    raise trio.BrokenResourceError("the peer takes nothing")

    async def wait_send_all_might_not_block(self) -> None:
        """As trio's."""
        await self._inner.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        """As trio's."""
        await self._inner.send_eof()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """As trio's."""
        return await self._inner.receive_some(max_bytes)

    async def aclose(self) -> None:
        """As trio's."""
        await self._inner.aclose()


class Http11(H11Protocol):
    """HTTP/1.1 that stays HTTP/1.1, and of which nothing more is read once it is closed."""

    # Of an answer whose body has not begun.
    _head = b""

    def prepare(self, reading: trio.CancelScope, give_way: GiveWay) -> None:
        """Say what has to be cancelled when the connection is closed, and who goes before."""
        self._reading = reading
        self._give_way = give_way

    async def handle(self, event: Event) -> None:
        """Take bytes; or the end, which ends whoever waits to read on.

        A pipelined request waits until the answer before it is sent. If that one fails,
        Hypercorn tells the application, and leaves the reader waiting for ever.
        """
        self._give_way()
        try:
            await super().handle(event)
        finally:
            if isinstance(event, Closed):
                self._reading.cancel()
        self._give_way()

    async def _send_h11_event(self, event: H11SendableEvent) -> None:
        """Send what an event is on the wire: a head together with what follows it at once.

        Two pieces would be two calls of the system and two packets: 30 µs of 500.
        """
        self._give_way()
        try:
            data = self.connection.send(event)
        except h11.LocalProtocolError:
            if self.connection.their_state != h11.ERROR:
                raise
            return
        data, self._head = self._head + (data or b""), b""
        if isinstance(event, h11.Response) and _has_body(event):
            self._head = data
        elif data:
            await self.send(RawData(data))

    async def _create_stream(self, request: h11.Request) -> None:
        self._give_way()
        await super()._create_stream(request)
        self._give_way()

    async def _maybe_recycle(self) -> None:
        self._give_way()
        await super()._maybe_recycle()

    async def _check_protocol(self, event: object) -> None:
        """Ignore `Upgrade: h2c` and HTTP/2's preface, as RFC 9110 section 7.8 allows."""


def _has_body(head: h11.Response) -> bool:
    """Whether a body of a length that is told follows: none of those is waited for."""
    return any(name == b"content-length" and value != b"0" for name, value in head.headers)


class Connection(TCPServer):
    """One connection, from its first byte to its last."""

    give_way: GiveWay
    _peer_has_left = False

    async def protocol_send(self, event: Event) -> None:
        """Send bytes; or close, or begin or end being idle, which must not be left half done.

        Hypercorn closes from the request's own task, and tells the application first, which
        makes Quart-Trio cancel that very task: without the shield the socket of a
        `Connection: close` stays open, and an idle connection has no timeout. Nothing in
        here waits for the peer.
        """
        self.give_way()
        if isinstance(event, RawData):
            await super().protocol_send(event)
        elif not (self._peer_has_left and isinstance(event, Updated)):
            with trio.CancelScope(shield=True):
                await super().protocol_send(event)

    async def _read_data(self) -> None:
        # Called once, before the first byte: the place to take HTTP/2 out.
        made, reading = self.protocol, trio.CancelScope()
        http11 = made.protocol = Http11(
            made.app,
            made.config,
            made.context,
            made.task_group,
            made.state,
            made.ssl,
            made.client,
            made.server,
            made.send,
        )
        http11.prepare(reading, self.give_way)
        with reading:
            await super()._read_data()
        # A request may have begun while that was cancelled; nobody is there to be answered.
        await self.protocol.handle(Closed())
        # Without this, and if a late answer began another, the connection of a peer that
        # has left would stay until its idle timeout.
        self._peer_has_left = True
        await self.idle_task.stop()
