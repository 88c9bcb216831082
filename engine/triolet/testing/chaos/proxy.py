"""A way to a server over TCP that can be made bad: cut, held, lost, late, slow, closed.

It passes bytes and knows nothing of what they mean. The verbs:

    cut      reset every connection, if wanted after so many more bytes: in the middle of a frame
    hold     take bytes and pass none on; `release` passes them all (a tunnel)
    sever    take bytes and throw them away, for good: half open, until the reset of `heal`
    delay    pass everything on so much later
    trickle  pass only so many bytes a second
    refuse   reset whoever connects
    heal     end all of it
"""

import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final, Literal, TypeAlias, final

import trio
import trio.testing

# To the server, to the client.
Way: TypeAlias = Literal["up", "down"]
WAYS: Final[tuple[Way, ...]] = ("up", "down")

_READ_BYTES: Final = 16 * 1024
# Chunks of one way of one connection that wait for their time: at most 1 MiB.
_CHUNKS_MAX: Final = 64
# A slow way passes a piece so often.
_TRICKLE_INTERVAL_S: Final = 0.02
# `l_onoff`, `l_linger`: what is closed with it sends a reset.
_AT_ONCE: Final = struct.pack("ii", 1, 0)


@final
class Proxy:
    """Connections to `host:port`, each by way of ours; made by `open_proxy`.

    Attributes:
        port: where it listens, on 127.0.0.1.
    """

    def __init__(self, host: str, port: int) -> None:
        self.port = 0
        self._server = (host, port)
        self._connections: dict[int, _Connection] = {}
        self._last_number = 0
        # What holds for all connections, the coming ones too.
        self.is_refusing = False
        self.is_severing = False
        self.held: tuple[Way, ...] = ()
        self.delay_s = 0.0
        self.bytes_per_s = 0.0
        self._changed = trio.Event()

    @property
    def connections(self) -> int:
        """How many there are, the half-open ones included."""
        return len(self._connections)

    async def serve(self, listener: trio.SocketListener) -> None:
        """Take connections until cancelled."""
        self.port = listener.socket.getsockname()[1]
        await trio.serve_listeners(self._join, [listener])

    async def _join(self, near: trio.SocketStream) -> None:
        if self.is_refusing:
            reset(near)
            return
        self._last_number = number = self._last_number + 1
        connection = self._connections[number] = _Connection(self, near)
        try:
            await connection.run(*self._server)
        finally:
            del self._connections[number]

    # --- verbs -------------------------------------------------------------------------

    def cut(self, *, after_bytes: int = 0) -> None:
        """Reset every connection, each after `after_bytes` more in the direction of its client."""
        for connection in list(self._connections.values()):
            connection.cut(after_bytes)

    def hold(self, *ways: Way) -> None:
        """Pass nothing on in these directions (both, if none is named), and lose nothing."""
        self.held = ways or WAYS
        self._tell()

    def release(self) -> None:
        """Pass on what was held, and all that comes."""
        self.held = ()
        self._tell()

    def sever(self) -> None:
        """Lose all that comes on the connections there are, and on new ones, and say nothing."""
        self.is_severing = True
        for connection in list(self._connections.values()):
            connection.sever()

    def delay(self, seconds: float) -> None:
        """Pass everything on so much later, in order."""
        self.delay_s = seconds

    def trickle(self, bytes_per_s: float) -> None:
        """Pass on only so much in each direction of each connection; 0: as fast as it goes."""
        self.bytes_per_s = bytes_per_s
        self._tell()

    def refuse(self) -> None:
        """Reset whoever connects; the connections there are go on."""
        self.is_refusing = True

    def heal(self) -> None:
        """Be a good way again; half-open connections are reset, for bytes of them are lost."""
        self.is_refusing = self.is_severing = False
        self.held, self.delay_s, self.bytes_per_s = (), 0.0, 0.0
        for connection in list(self._connections.values()):
            if connection.is_severed:
                connection.cut(0)
        self._tell()

    def _tell(self) -> None:
        changed, self._changed = self._changed, trio.Event()
        changed.set()

    async def wait_open(self, way: Way) -> None:
        """Wait until this direction is not held."""
        while way in self.held:
            await self._changed.wait()

    async def wait_changed(self, seconds: float) -> None:
        """Wait so long, or until a verb has changed something."""
        with trio.move_on_after(seconds):
            await self._changed.wait()


@final
class _Connection:
    """A client's socket and the server's, and what goes between."""

    def __init__(self, proxy: Proxy, near: trio.SocketStream) -> None:
        self.is_severed = proxy.is_severing
        self._proxy = proxy
        self._near = near
        self._far: trio.SocketStream | None = None
        self._scope = trio.CancelScope()
        self._is_cut = False
        # Bytes that still reach the client before the reset; None: no reset is due.
        self._left: int | None = None

    async def run(self, host: str, port: int) -> None:
        try:
            with self._scope:
                if self.is_severed:
                    await self._lose()
                else:
                    await self._reach(host, port)
        finally:
            for stream in filter(None, (self._near, self._far)):
                if self._is_cut:
                    reset(stream)
                with trio.CancelScope(shield=True):
                    await trio.aclose_forcefully(stream)

    async def _reach(self, host: str, port: int) -> None:
        try:
            self._far = await trio.open_tcp_stream(host, port)
        except OSError:
            # Nobody listens there now: our client is told as it would have been.
            self._is_cut = True
            return
        async with trio.open_nursery() as nursery:
            for way in WAYS:
                due, coming = trio.open_memory_channel[tuple[float, bytes]](_CHUNKS_MAX)
                nursery.start_soon(self._take, way, due)
                nursery.start_soon(self._give, way, coming)

    async def _lose(self) -> None:
        """Read what is said into the void; a client that gives up changes nothing."""
        with suppress(trio.BrokenResourceError):
            while await self._near.receive_some(_READ_BYTES):
                pass
        await trio.sleep_forever()

    def cut(self, after_bytes: int) -> None:
        if after_bytes and not self.is_severed:
            self._left = after_bytes
            return
        self._is_cut = True
        self._scope.cancel()

    def sever(self) -> None:
        self.is_severed = True

    async def _take(self, way: Way, due: trio.MemorySendChannel[tuple[float, bytes]]) -> None:
        """Read one side, and note when each chunk is to be passed on."""
        source = self._near if way == "up" else self._far
        assert source is not None
        with due:
            while True:
                try:
                    data = await source.receive_some(_READ_BYTES)
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    self._over()
                    return
                if not self.is_severed:
                    await due.send((trio.current_time() + self._proxy.delay_s, data))
                if not data:
                    return

    async def _give(self, way: Way, coming: trio.MemoryReceiveChannel[tuple[float, bytes]]) -> None:
        """Pass each chunk on when its time has come; an empty one is the end."""
        sink = self._far if way == "up" else self._near
        assert sink is not None
        try:
            async for due, data in coming:
                await trio.sleep_until(due)
                await self._proxy.wait_open(way)
                if self.is_severed:
                    continue
                if not data:
                    await sink.send_eof()
                elif way == "down" and self._left is not None:
                    await self._give_last(sink, data)
                else:
                    await self._send(sink, data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._over()
        if self.is_severed:
            # Whoever ended it, the other side is not told.
            await trio.sleep_forever()

    async def _give_last(self, sink: trio.SocketStream, data: bytes) -> None:
        assert self._left is not None
        part = data[: self._left]
        self._left -= len(part)
        await self._send(sink, part)
        if not self._left:
            self._left = None
            self.cut(0)

    async def _send(self, sink: trio.SocketStream, data: bytes) -> None:
        at = 0
        while at < len(data):
            bytes_per_s = self._proxy.bytes_per_s
            if not bytes_per_s:
                await sink.send_all(data[at:])
                return
            piece = max(1, int(bytes_per_s * _TRICKLE_INTERVAL_S))
            await sink.send_all(data[at : at + piece])
            at += piece
            await self._proxy.wait_changed(piece / bytes_per_s)

    def _over(self) -> None:
        """One side has reset it; so do we to the other, unless nobody is to know."""
        if not self.is_severed:
            self.cut(0)


def reset(stream: trio.SocketStream) -> None:
    """Close a connection so that the other side gets a reset, and nothing that was on its way."""
    if stream.socket.fileno() != -1:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        stream.socket.close()


@asynccontextmanager
async def open_proxy(host: str, port: int) -> AsyncIterator[Proxy]:
    """Have a way to `host:port` for the length of a block; its connections end with it."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    proxy = Proxy(host, port)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(proxy.serve, listener)
        await trio.testing.wait_all_tasks_blocked()
        yield proxy
        nursery.cancel_scope.cancel()
