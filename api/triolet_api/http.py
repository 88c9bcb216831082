"""The seam to Hypercorn: the engine's listener hands over what is no WebSocket of ours.

Hypercorn is used below its front door: `TCPServer` for one connection at a time, `Lifespan`
for the application's start and stop (version 0.18; one contract test pins the pieces).
Whatever one connection raises ends that connection, and never the listener.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast, final

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.lifespan import Lifespan
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import (
    ASGIFramework,
    ASGIReceiveCallable,
    ASGISendCallable,
    ASGISendEvent,
    ConnectionState,
    Scope,
)
from hypercorn.utils import LifespanFailureError, LifespanTimeoutError
from msgspec import Struct

from triolet._model.errors import ErrorCode

from .connection import BoundedStream, Connection, HttpStream, end_unless_acknowledged
from .giving_way import GiveWay, to_nobody
from .problems import PROBLEM_TYPE, body_of

_log = logging.getLogger("triolet.http")


@final
class HttpLimits(Struct, frozen=True, kw_only=True):
    """The bounds of the HTTP side."""

    # The request line and headers: nginx, Apache and Node allow 8 to 16 KiB.
    head_bytes_max: int = 16 * 1024
    # Idle connections and heads that do not end; proxies keep theirs for 60 s, and a
    # connection must not be closed under a request that is on its way.
    keep_alive_timeout_s: float = 75
    # A connection costs about 30 KB; a proxy or a browser holds a few.
    connections_max: int = 1000
    # One piece of 64 KiB not taken for so long: the peer is gone or stuck.
    send_timeout_s: float = 30
    # At the end, running requests may finish for so long.
    finish_timeout_s: float = 5
    # What the application may take to start, and to stop.
    start_timeout_s: float = 30
    stop_timeout_s: float = 5


class _Application:
    """The application, spared request targets that are neither a path nor a URL.

    Attributes:
        is_started: whether it has said so; Hypercorn would serve one that failed to.
        failure: what it said instead.
    """

    def __init__(self, app: ASGIFramework) -> None:
        self._app = app
        self.is_started = False
        self.failure = "it knows no start"

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        if scope["type"] == "lifespan":

            async def listen(message: ASGISendEvent) -> None:
                if message["type"] == "lifespan.startup.complete":
                    self.is_started = True
                elif message["type"] == "lifespan.startup.failed":
                    self.failure = message["message"]
                elif message["type"] == "lifespan.shutdown.failed":
                    _log.error("the HTTP application did not stop: %s", message["message"])
                await send(message)

            await self._app(scope, receive, listen)
        elif scope["path"].startswith(("/", "http://", "https://")):
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            headers = [(b"content-type", PROBLEM_TYPE.encode())]
            body = body_of(400, ErrorCode.MALFORMED)
            await send({"type": "http.response.start", "status": 400, "headers": headers})
            await send({"type": "http.response.body", "body": body, "more_body": False})
        else:
            await send({"type": "websocket.close", "code": 1002, "reason": None})


@final
class HttpDoor:
    """Serves an application on streams that others accepted; see `open_http_door`."""

    def __init__(
        self,
        app: ASGIFramework,
        config: Config,
        state: dict[str, object],
        limits: HttpLimits,
        give_way: GiveWay,
    ) -> None:
        self._give_way = give_way
        self._app = ASGIWrapper(app)
        self._config = config
        self._state = state
        self._limits = limits
        self._context = WorkerContext(None)
        self._open: dict[BoundedStream, trio.CancelScope] = {}
        self._emptied = trio.Event()

    async def serve(self, stream: HttpStream) -> None:
        """Serve one connection until it is over; its socket is closed in any case.

        Beyond `connections_max`, and once draining, it is closed at once.
        """
        bounded = BoundedStream(stream, self._limits.send_timeout_s, self._give_way)
        end_unless_acknowledged(stream.socket, self._limits.send_timeout_s)
        try:
            if len(self._open) >= self._limits.connections_max:
                _log.warning("more than %d HTTP connections", self._limits.connections_max)
            elif not self._context.terminated.is_set():
                await self._serve(bounded)
        finally:
            bounded.abort()

    async def _serve(self, stream: BoundedStream) -> None:
        state = ConnectionState(self._state.copy())
        try:
            with trio.CancelScope() as self._open[stream]:
                # Hypercorn asks a stream whether it is TLS, whatever its annotation says.
                as_annotated = cast("trio.SSLStream[trio.SocketStream]", stream)
                connection = Connection(self._app, self._config, self._context, state, as_annotated)
                connection.give_way = self._give_way
                await connection.run()
        except* Exception:  # noqa: BLE001 - a connection's bug must not end the listener
            _log.exception("an HTTP connection failed")
        finally:
            del self._open[stream]
            if self._context.terminated.is_set() and not self._open:
                self._emptied.set()

    async def drain(self) -> None:
        """Close idle connections, let running requests finish for `finish_timeout_s`, cut the rest.

        Returns when there is no connection left; there will be none after it.
        """
        await self._context.terminated.set()
        if not self._open:
            self._emptied.set()
        with trio.move_on_after(self._limits.finish_timeout_s):
            await self._emptied.wait()
        self.cut()
        await self._emptied.wait()

    def cut(self) -> None:
        """End every connection now."""
        if self._open:
            _log.warning("%d HTTP connections were cut short", len(self._open))
        for stream, scope in self._open.items():
            scope.cancel()
            stream.abort()


@asynccontextmanager
async def open_http_door(
    app: ASGIFramework,
    *,
    limits: HttpLimits | None = None,
    give_way: GiveWay = to_nobody,
) -> AsyncIterator[HttpDoor]:
    """Start `app`, yield the door to it; at the end drain it, and stop the application.

    When the block fails or is cancelled, connections are cut and the application is cancelled.

    Args:
        app: what is served.
        limits: its bounds.
        give_way: to what goes before requests.

    Raises:
        RuntimeError: the application did not start.
    """
    limits = limits or HttpLimits()
    config = make_config(limits)
    application = _Application(app)
    state: dict[str, object] = {}
    lifespan = Lifespan(ASGIWrapper(application), config, state)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_live, lifespan)
        await lifespan.wait_for_startup()
        if not application.is_started:
            raise RuntimeError(f"the HTTP application did not start: {application.failure}")
        door = HttpDoor(application, config, state, limits, give_way)
        try:
            yield door
            await door.drain()
            await _stop(lifespan)
        finally:
            door.cut()
            nursery.cancel_scope.cancel()


async def _live(lifespan: Lifespan) -> None:
    try:
        await lifespan.handle_lifespan()
    except* LifespanFailureError:
        pass  # `_Application` heard why


async def _stop(lifespan: Lifespan) -> None:
    try:
        await lifespan.wait_for_shutdown()
    except LifespanTimeoutError:
        _log.error("the HTTP application did not stop in time")


def make_config(limits: HttpLimits) -> Config:
    """Return Hypercorn's settings: no access log (it would tell tokens), no version told."""
    config = Config()
    config.accesslog = None
    config.errorlog = _log
    config.include_server_header = False
    config.h11_max_incomplete_size = limits.head_bytes_max
    config.keep_alive_timeout = limits.keep_alive_timeout_s
    config.startup_timeout = limits.start_timeout_s
    config.shutdown_timeout = limits.stop_timeout_s
    config.websocket_max_message_size = 64 * 1024
    return config
