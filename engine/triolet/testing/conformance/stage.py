"""Where a scene is played: a port, the tokens it gives, the connections that were made."""

import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, Protocol, final

import trio

from .log import Log
from .visit import Asked, Visit
from .websocket import Gone, ServerSocket

_TOKEN_BYTES: Final = 32


class Play(Protocol):
    """What a scene does of itself: see `Scene`."""

    async def admit(self, number: int) -> bool:
        """Say whether an attempt may become a WebSocket."""
        ...

    async def react(self, visit: Visit, asked: Asked) -> None:
        """Answer one message."""
        ...


@final
class Stage:
    """One scene's server.

    Attributes:
        log: the room.
        tokens: those given so far, in order.
        attempts: when each connection to `/ws` was begun (s).
        visits: the WebSockets, in order.
        complaints: what was not as it should be.
    """

    def __init__(self) -> None:
        self.log = Log()
        self.tokens: list[str] = []
        self.attempts: list[float] = []
        self.visits: list[Visit] = []
        self.complaints: list[str] = []
        self.play: Play | None = None
        # What remains of the attempt that is being admitted.
        self.answer: Callable[..., Awaitable[None]] | None = None
        self.nursery: trio.Nursery | None = None

    def complain(self, text: str) -> None:
        """Note what the client did wrong; the same is noted once."""
        if text not in self.complaints:
            self.complaints.append(text)

    def now_ms(self) -> int:
        """Return the server's clock."""
        return time.time_ns() // 1_000_000

    def asked(self, op: str) -> list[Asked]:
        """Return everything asked by one op, over all connections."""
        return [asked for visit in self.visits for asked in visit.asked if asked.op == op]

    async def run(self, *, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled, having told the port."""
        async with trio.open_nursery() as nursery:
            self.nursery = nursery
            serve = partial(trio.serve_tcp, self._serve, 0, host="127.0.0.1")
            listeners = await nursery.start(serve)
            task_status.started(listeners[0].socket.getsockname()[1])

    async def _serve(self, stream: trio.SocketStream) -> None:
        socket = ServerSocket(stream)
        try:
            await self._connection(socket)
        except* (Gone, trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # either side has ended the connection, which is every scene's right
        finally:
            with trio.CancelScope(shield=True):
                await socket.cut()

    async def _connection(self, socket: ServerSocket) -> None:
        assert self.play is not None
        request = await socket.request()
        if request.path.startswith("/token"):
            self.tokens.append(f"token-{len(self.tokens) + 1}-{'x' * _TOKEN_BYTES}")
            await socket.answer(200, self.tokens[-1])
            return
        self.attempts.append(trio.current_time())
        self.answer = socket.answer
        if not await self.play.admit(len(self.attempts)):
            return
        protocol = await socket.accept(request)
        form = "msgpack" if protocol.endswith("msgpack") else "json"
        visit = Visit(self, socket, form, len(self.visits) + 1)
        self.visits.append(visit)
        self.log.listeners.append(visit.tell)
        try:
            await visit.run(self.play.react)
        finally:
            self.log.listeners.remove(visit.tell)
