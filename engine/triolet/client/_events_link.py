"""The way to the server where no WebSocket passes: server-sent events, and requests beside them.

The stream carries the session. What the client says goes by `POST /v1/commands`, which names the
session, so that it may reach any node; what is of the session is handed to it there, and its
answers come by the stream.
"""

import json
import ssl
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, final
from urllib.parse import urlsplit

import h11
import msgspec
import trio
from msgspec import Struct
from msgspec.structs import replace

from .._domain.session import CLOSE_OF_REFUSED_HELLO
from .._model.errors import CloseCode, ErrorCode
from .._model.events import Failed
from ._http import HttpConnection
from ._link import Link, LinkClosed, OpenStream, open_tcp, websocket_url
from .limits import ClientLimits
from .state import ABNORMAL

# Requests that go together, as many as the server takes.
_COMMANDS_MAX: Final = 64
# Messages on their way to the client, besides what sockets hold.
_MESSAGES_MAX: Final = 64
_OK: Final = 200


@final
class _Said(Struct):
    """What is looked at of a message of the client's."""

    op: str
    ref: int | None = None
    token: str = ""
    device: str | None = None


@final
class _Heard(Struct):
    """What is looked at of a message of the server's."""

    op: str
    session: str = ""
    heartbeat_s: float = 0
    code: int = ABNORMAL
    reason: str = ""
    retry_after_ms: int | None = None


@final
class _Problem(Struct):
    code: int
    reason: str
    detail: str = ""


_said = msgspec.json.Decoder(_Said).decode
_heard = msgspec.json.Decoder(_Heard).decode
_problem = msgspec.json.Decoder(_Problem).decode
_answers = msgspec.json.Decoder(list[msgspec.Raw]).decode


@final
class EventsDialer:
    """Dials a server by HTTP alone; see `Dialer`. Payloads are JSON.

    Args:
        url: as for `WebSocketDialer`.
        nursery: where each link's tasks live, until the link is closed.
        limits: the bounds.
        commands_url: where requests go, if not there, too: another node, say.
        ssl_context: for `https:`, if not Python's default.
        open_stream: how bytes get there, if not by TCP: a simulated network.

    Raises:
        ConfigurationError: the URL is none.
    """

    def __init__(
        self,
        url: str,
        nursery: trio.Nursery,
        limits: ClientLimits,
        *,
        commands_url: str = "",
        ssl_context: ssl.SSLContext | None = None,
        open_stream: OpenStream | None = None,
    ) -> None:
        self._nursery = nursery
        self._limits = limits
        dial = partial(_dial, open_stream or open_tcp, ssl_context, limits)
        events_at, commands_at = websocket_url(url), websocket_url(commands_url or url)
        self._dial_events = partial(dial, events_at)
        self._dial_commands = partial(dial, commands_at)
        self._paths = (f"{_base(events_at)}/v1/stream", f"{_base(commands_at)}/v1/commands")

    async def dial(self) -> Link:
        """Return a new link; its session begins with the first message, `hello`."""
        link = EventsLink(await self._dial_events(), self._dial_commands, self._paths, self._limits)
        await self._nursery.start(link.run)
        return link


def _base(url: str) -> str:
    return urlsplit(url).path.removesuffix("/").removesuffix("/ws")


async def _dial(
    open_stream: OpenStream, ssl_context: ssl.SSLContext | None, limits: ClientLimits, url: str
) -> HttpConnection:
    """Return a connection to a server.

    Raises:
        LinkClosed: there is none to be had.
    """
    with trio.move_on_after(limits.dial_timeout_s):
        stream = await open_stream(url, ssl_context)
        host = urlsplit(url).netloc.rpartition("@")[2]
        return HttpConnection(stream, {"Host": host, "Accept": "text/event-stream, */*"})
    raise LinkClosed(ABNORMAL, "no connection in time")


@final
class EventsLink:
    """A session over HTTP; it lives as long as its `run`. See `Link`."""

    def __init__(
        self,
        events: HttpConnection,
        dial: Callable[[], Awaitable[HttpConnection]],
        paths: tuple[str, str],
        limits: ClientLimits,
    ) -> None:
        self._events = events
        self._dial = dial
        self._stream_path, self._commands_path = paths
        self._limits = limits
        self._commands: HttpConnection | None = None
        self._has_greeted = False
        self._token = self._session = ""
        # Silent for longer, the stream is half open; known once the server tells its heartbeat.
        self._silence_s = limits.welcome_timeout_s
        self._scope = trio.CancelScope()
        self._nursery: trio.Nursery | None = None
        self._ended = trio.Event()
        self._close: LinkClosed | None = None
        self._to_client, self._from_server = trio.open_memory_channel[bytes](_MESSAGES_MAX)
        self._to_server, self._from_client = trio.open_memory_channel[bytes](_COMMANDS_MAX)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Hold the link until it ends."""
        try:
            with self._scope:
                async with trio.open_nursery() as self._nursery:
                    task_status.started()
                    await trio.sleep_forever()
        finally:
            self._over(LinkClosed(ABNORMAL))
            await self._events.aclose()
            if self._commands is not None:
                await self._commands.aclose()
            self._ended.set()

    async def send(self, payload: bytes) -> None:
        """Send one message: the first one, `hello`, opens the stream."""
        if self._close is not None:
            raise self._close
        if not self._has_greeted:
            assert self._nursery is not None, "a link runs before it is given away"
            self._has_greeted = True
            hello = _said(payload)
            self._token = hello.token
            self._nursery.start_soon(self._guarded, partial(self._listen, hello))
            self._nursery.start_soon(self._guarded, self._post)
        if payload.startswith(b'{"op":"hello"'):
            await trio.lowlevel.checkpoint()
            return
        if payload.startswith(b'{"op":"refresh"'):
            self._token = _said(payload).token
        try:
            await self._to_server.send(payload)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise self._close or LinkClosed(ABNORMAL) from None

    async def receive(self) -> bytes:
        """Return the next message."""
        try:
            return await self._from_server.receive()
        except trio.EndOfChannel:
            raise self._close or LinkClosed(ABNORMAL) from None

    async def aclose(self, code: int, reason: str) -> None:
        """End it; the server sees the stream's connection close."""
        self._over(LinkClosed(code, reason))
        await self._ended.wait()

    def _over(self, closed: LinkClosed) -> None:
        if self._close is None:
            self._close = closed
        self._to_client.close()
        self._to_server.close()
        self._scope.cancel()

    async def _guarded(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except LinkClosed as closed:
            self._over(closed)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self._over(LinkClosed(ABNORMAL, f"not a server of the protocol: {error}"))

    # --- the stream --------------------------------------------------------------------

    async def _listen(self, hello: _Said) -> None:
        body = msgspec.json.encode({} if hello.device is None else {"device": hello.device})
        response = await self._events.post(self._stream_path, self._token, body)
        if response.status_code != _OK:
            await self._refused(response)
        rest = b""
        while True:
            with trio.move_on_after(self._silence_s) as waiting:
                piece = await self._events.piece()
            if waiting.cancelled_caught:
                raise LinkClosed(ABNORMAL, "the stream is silent")
            if not piece:
                raise LinkClosed(ABNORMAL, "the stream has ended")
            *events, rest = (rest + piece).split(b"\n\n")
            if len(rest) > self._limits.message_bytes_max:
                raise LinkClosed(ABNORMAL, "an event that is too large")
            for event in events:
                await self._take(event)

    async def _take(self, event: bytes) -> None:
        """Hand a message on; a comment has none."""
        data = [line[5:].lstrip() for line in event.split(b"\n") if line.startswith(b"data:")]
        payload = b"".join(data)
        if payload.startswith(b'{"op":"close"'):
            closing = _heard(payload)
            raise LinkClosed(closing.code, _reason(closing.reason, closing.retry_after_ms))
        if payload.startswith(b'{"op":"welcome"'):
            welcome = _heard(payload)
            self._session = welcome.session
            self._silence_s = 2 * welcome.heartbeat_s + self._limits.silence_margin_s
        if payload:
            await self._to_client.send(payload)

    async def _refused(self, response: h11.Response) -> None:
        """Tell why a session did not begin, as a WebSocket would have.

        Raises:
            LinkClosed: always.
        """
        content = await self._events.body(self._limits.message_bytes_max)
        failed = _failed(response, content)
        if failed is None:
            raise LinkClosed(ABNORMAL, f"the server answered HTTP {response.status_code}")
        await self._to_client.send(msgspec.json.encode(failed))
        raise LinkClosed(_close_of(failed), _reason(failed.reason, failed.retry_after_ms))

    # --- requests ----------------------------------------------------------------------

    async def _post(self) -> None:
        async for payload in self._from_client:
            payloads = [payload]
            while len(payloads) < _COMMANDS_MAX:
                try:
                    payloads.append(self._from_client.receive_nowait())
                except (trio.WouldBlock, trio.EndOfChannel):
                    break
            for answer in await self._ask(payloads):
                await self._to_client.send(answer)

    async def _ask(self, payloads: list[bytes]) -> list[bytes]:
        """Return the answers that came at once."""
        with trio.move_on_after(self._limits.request_timeout_s):
            response, content = await self._exchange(b"[" + b",".join(payloads) + b"]")
            if response.status_code == _OK:
                answers = [bytes(answer) for answer in _answers(content)]
                return [one for one in answers if not one.startswith(b'{"op":"sent"')]
            failed = _failed(response, content)
            if failed is None:
                raise LinkClosed(ABNORMAL, f"the server answered HTTP {response.status_code}")
            if failed.code // 1000 == 1:
                # Of the token: whoever comes again needs another one, or stays away.
                raise LinkClosed(_close_of(failed), failed.reason)
            refs = [_said(payload).ref for payload in payloads]
            return [msgspec.json.encode(replace(failed, ref=ref)) for ref in refs]
        raise LinkClosed(ABNORMAL, "a request without an answer")

    async def _exchange(self, body: bytes) -> tuple[h11.Response, bytes]:
        """Send a request on the connection that is there, or a new one.

        One that was idle may have been closed meanwhile: then the request goes again, which all
        but a signal may.
        """
        target = f"{self._commands_path}?session={self._session}"
        may_repeat = self._commands is not None and b'"op":"signal"' not in body
        while True:
            connection = self._commands = self._commands or await self._dial()
            try:
                response = await connection.post(target, self._token, body)
                content = await connection.body(self._limits.message_bytes_max)
            except LinkClosed:
                self._commands = None
                await connection.aclose()
                if not may_repeat:
                    raise
                may_repeat = False
                continue
            if not connection.is_idle:
                self._commands = None
                await connection.aclose()
            return response, content


def _close_of(failed: Failed) -> int:
    """Return the close code that a WebSocket's session would have ended with."""
    return int(CLOSE_OF_REFUSED_HELLO.get(ErrorCode(failed.code), CloseCode.UNAUTHENTICATED))


def _reason(reason: str, retry_after_ms: int | None) -> str:
    """Return a close reason as WebSockets have it: JSON where it says when to come back."""
    return reason if retry_after_ms is None else json.dumps({"retry_after_ms": retry_after_ms})


def _failed(response: h11.Response, content: bytes) -> Failed | None:
    """Return what an HTTP error says in the protocol's words; None: it is not the server's."""
    try:
        problem = _problem(content)
        ErrorCode(problem.code)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError):
        return None
    after = dict(response.headers).get(b"retry-after", b"")
    return Failed(
        code=problem.code,
        reason=problem.reason,
        message=problem.detail,
        retry_after_ms=int(after) * 1000 if after.isdigit() else None,
    )
