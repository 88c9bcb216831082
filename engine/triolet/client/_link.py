"""The way to the server: the one module that knows trio-websocket.

`Dialer` and `Link` are all the rest of the client knows of a network;
an engine in the same process offers the same two.
"""

import json
import ssl
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeAlias, cast, final
from urllib.parse import urlsplit, urlunsplit

import trio
import trio_websocket

from .._model.errors import CloseCode, ConfigurationError, TrioletError
from .._wire.codec import Format
from .limits import ClientLimits
from .state import ABNORMAL

# What a stream is read by: 64 KiB is a full socket buffer, trio-websocket's default is 4.
_RECEIVE_BYTES: Final = 64 * 1024

# HTTP answers that mean "later", and may say when.
_LATER: Final = frozenset({429, 503})

# Opens the stream that a URL names; fails with `LinkClosed`.
OpenStream: TypeAlias = Callable[[str, ssl.SSLContext | None], Awaitable[trio.abc.Stream]]


@final
class LinkClosed(TrioletError):
    """A link has ended, or could not be made: by whom and why is in the close code."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class Link(Protocol):
    """One connection, carrying whole messages in order both ways."""

    async def send(self, payload: bytes) -> None:
        """Hand over one message; it may wait until the other side reads.

        Raises:
            LinkClosed: the link has ended; what was sent last may or may not have arrived.
        """
        ...

    async def receive(self) -> bytes:
        """Return the next message; for one task at a time. Cancelling it loses nothing.

        Raises:
            LinkClosed: the link has ended, and every message before that was returned.
        """
        ...

    async def aclose(self, code: int, reason: str) -> None:
        """End the link; no error if it has ended already. Cancelled, it still ends it."""
        ...


class Dialer(Protocol):
    """Makes links to one server."""

    async def dial(self) -> Link:
        """Return a new link.

        Raises:
            LinkClosed: there is none to be had: 1006, or 4029 with the server's wish.
        """
        ...


@final
class WebSocketDialer:
    """Dials a server's `/ws` over the network.

    Args:
        url: `ws:` or `wss:` (`http:` and `https:` mean the same); a bare host gets `/ws`.
        form: the format of the payloads.
        nursery: where each link's reader lives, until the link is closed.
        limits: the bounds.
        ssl_context: for `wss:`, if not Python's default.
        open_stream: how bytes get there, if not by TCP: a simulated network.

    Raises:
        ConfigurationError: the URL is none.
    """

    def __init__(
        self,
        url: str,
        form: Format,
        nursery: trio.Nursery,
        limits: ClientLimits,
        *,
        ssl_context: ssl.SSLContext | None = None,
        open_stream: OpenStream | None = None,
    ) -> None:
        self._url = websocket_url(url)
        self._form: Format = form
        self._nursery = nursery
        self._limits = limits
        self._ssl_context = ssl_context
        self._open_stream = open_stream or open_tcp

    async def dial(self) -> Link:
        """Return a new link, its handshake done."""
        link = WebSocketLink(self._form, self._limits, self._open_stream)
        await self._nursery.start(link.run, self._url, self._ssl_context)
        return link


def websocket_url(url: str) -> str:
    """Return the WebSocket URL that `url` means.

    >>> websocket_url("https://chat.example.com"), websocket_url("ws://localhost:8000/x/ws")
    ('wss://chat.example.com/ws', 'ws://localhost:8000/x/ws')
    """
    parts = urlsplit(url)
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    if scheme not in ("ws", "wss") or not parts.hostname:
        raise ConfigurationError(f"url: {url!r} is no ws:, wss:, http: or https: address")
    path = "/ws" if parts.path in ("", "/") else parts.path
    return urlunsplit((scheme, parts.netloc, path, parts.query, ""))


@final
class WebSocketLink:
    """One WebSocket connection; it lives as long as its `run`."""

    def __init__(self, form: Format, limits: ClientLimits, open_stream: OpenStream) -> None:
        self._form: Format = form
        self._protocol = f"triolet.v1.{form}"
        self._limits = limits
        self._open_stream = open_stream
        self._scope = trio.CancelScope()
        # The handshake, then the farewell: what waits for the other side, if anything does.
        self._waiting: trio.CancelScope | None = None
        self._ended = trio.Event()
        self._connection: trio_websocket.WebSocketConnection | None = None

    async def run(
        self,
        url: str,
        ssl_context: ssl.SSLContext | None,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Make the connection, say so, and hold it until `aclose`.

        Raises:
            LinkClosed: it could not be made.
        """
        stream: trio.abc.Stream | None = None
        failure: LinkClosed | None = None
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    try:
                        with trio.fail_after(self._limits.dial_timeout_s):
                            stream = await self._open_stream(url, ssl_context)
                            await self._shake_hands(url, stream, nursery)
                    except trio.TooSlowError:
                        failure = LinkClosed(ABNORMAL, "no connection in time")
                    except LinkClosed as closed:
                        failure = closed
                    else:
                        task_status.started()
                        await trio.sleep_forever()
                    nursery.cancel_scope.cancel()
        finally:
            if stream is not None:
                # trio-websocket leaves it open when the other side has ended the connection.
                with trio.CancelScope(shield=True):
                    await trio.aclose_forcefully(stream)
            self._unheard()
            self._ended.set()
        if failure is not None:
            raise failure

    async def _shake_hands(self, url: str, stream: trio.abc.Stream, nursery: trio.Nursery) -> None:
        parts = urlsplit(url)
        reader = _Reader(nursery, self._unheard)
        with trio.CancelScope() as self._waiting:
            self._connection = await trio_websocket.wrap_client_stream(
                # All it is used for is `start_soon`.
                cast(trio.Nursery, reader),
                cast(trio.SocketStream, stream),
                parts.netloc.rpartition("@")[2],
                urlunsplit(("", "", parts.path, parts.query, "")),
                subprotocols=[self._protocol],
                max_message_size=self._limits.message_bytes_max,
                receive_buffer_size=_RECEIVE_BYTES,
            )
        if self._connection is None:
            raise _failure_of(reader.error)
        if self._connection.subprotocol != self._protocol:
            raise LinkClosed(ABNORMAL, f"the server does not speak {self._protocol}")

    def _unheard(self) -> None:
        """End the handshake or farewell that waits for the other side."""
        if self._waiting is not None:
            self._waiting.cancel()

    async def send(self, payload: bytes) -> None:
        """Send one message."""
        assert self._connection is not None
        try:
            await self._connection.send_message(
                payload if self._form == "msgpack" else payload.decode()
            )
        except trio_websocket.ConnectionClosed as closed:
            raise _failure_of(closed) from None

    async def receive(self) -> bytes:
        """Return the next message."""
        assert self._connection is not None
        try:
            message = await self._connection.get_message()
        except trio_websocket.ConnectionClosed as closed:
            raise _failure_of(closed) from None
        return message.encode() if isinstance(message, str) else message

    async def aclose(self, code: int, reason: str) -> None:
        """Say goodbye, for at most `close_timeout_s`, and end."""
        try:
            if self._connection is not None and not self._ended.is_set():
                with trio.move_on_after(self._limits.close_timeout_s) as self._waiting:
                    await self._connection.aclose(code, reason)
        finally:
            self._scope.cancel()
        await self._ended.wait()


@final
class _Reader:
    """Runs trio-websocket's reading task, and outlives its failures.

    Whatever it raises concerns one connection, and would end the nursery: a refused handshake,
    a pong due after our close (wsproto's error), an answer that is no HTTP (h11's).
    When it ends, nobody will hear what the other side says: `on_over` ends what waits for that.
    """

    def __init__(self, nursery: trio.Nursery, on_over: Callable[[], None]) -> None:
        self._nursery = nursery
        self._on_over = on_over
        self.error: Exception | None = None

    def start_soon(self, read: Callable[[], Awaitable[None]]) -> None:
        """Start the reading task."""
        self._nursery.start_soon(self._run, read)

    async def _run(self, read: Callable[[], Awaitable[None]]) -> None:
        try:
            await read()
        except Exception as error:  # noqa: BLE001 - three libraries' errors; told by `_failure_of`
            self.error = error
        finally:
            self._on_over()


async def open_tcp(url: str, ssl_context: ssl.SSLContext | None) -> trio.abc.Stream:
    """Connect by TCP, with TLS for `wss:`.

    Raises:
        LinkClosed: it cannot be had.
    """
    parts = urlsplit(url)
    assert parts.hostname is not None
    try:
        if parts.scheme == "ws":
            return await trio.open_tcp_stream(parts.hostname, parts.port or 80)
        stream = await trio.open_ssl_over_tcp_stream(
            parts.hostname, parts.port or 443, https_compatible=True, ssl_context=ssl_context
        )
        try:
            await stream.do_handshake()
        except BaseException:
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(stream)
            raise
    except (OSError, trio.BrokenResourceError) as error:
        cause = error.__cause__ or error
        raise LinkClosed(ABNORMAL, f"no connection: {cause}") from error
    return stream


def _failure_of(error: Exception | None) -> LinkClosed:
    """Return the end of a link that trio-websocket's own error tells."""
    match error:
        case trio_websocket.ConnectionClosed(reason=trio_websocket.CloseReason() as close):
            return LinkClosed(close.code, close.reason or "")
        case trio_websocket.ConnectionRejected():
            return _rejected(error)
        case _:
            return LinkClosed(ABNORMAL, "" if error is None else str(error))


def _rejected(error: trio_websocket.ConnectionRejected) -> LinkClosed:
    reason = f"the server answered HTTP {error.status_code}"
    if error.status_code not in _LATER:
        return LinkClosed(ABNORMAL, reason)
    after = dict(error.headers or ()).get(b"retry-after", b"")
    if after.isdigit():
        reason = json.dumps({"retry_after_ms": int(after) * 1000, "reason": reason})
    return LinkClosed(CloseCode.TOO_MANY.value, reason)
