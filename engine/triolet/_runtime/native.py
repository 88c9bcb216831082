"""The native connection: one parked task, one non-blocking socket, frames read on a fast path."""

import logging
import selectors
import socket
from collections.abc import Awaitable, Coroutine
from typing import TYPE_CHECKING, Any, Final, final

import trio

from .._model.errors import Close, CloseCode
from .._wire.frames import FrameReader
from .._wire.websocket import PING, close_frame
from ..ports.gate import Opening
from .outbox import SocketOutbox
from .poller import Poller
from .session import Session

if TYPE_CHECKING:
    from .engine import Engine

logger = logging.getLogger(__name__)

# One read; a larger buffer costs memory for each connection that reads at the same time.
_READ_BYTES: Final = 16 * 1024


@final
class NativeConnection:
    """A WebSocket of the engine's own. `run` is its task; the engine pings it with `beat`."""

    __slots__ = (
        "_engine",
        "_events",
        "_heard",
        "_heard_at",
        "_lost",
        "_pinged_at",
        "_poller",
        "_reader",
        "_task",
        "_unread",
        "outbox",
        "session",
        "sock",
    )

    def __init__(
        self,
        engine: "Engine",
        poller: Poller,
        sock: socket.socket,
        opening: Opening,
        *,
        text: bool,
        token: str | None,
        unread: bytes,
    ) -> None:
        self._engine = engine
        self._poller = poller
        self.sock = sock
        self._reader = FrameReader(text=text, message_bytes_max=engine.limits.message_bytes_max)
        self.outbox = SocketOutbox(
            engine.flusher, self, text=text, bytes_low=engine.limits.outbox_bytes_low
        )
        self.session: Session = engine.open_session(self.outbox, opening, token=token)
        # What came together with the request head.
        self._unread = unread
        self._task: trio.lowlevel.Task | None = None
        # What the poller watches the socket for.
        self._events = 0
        # Whether anything was read since the last beat, and when that was found.
        self._heard = True
        self._heard_at = self._pinged_at = trio.current_time()
        # The socket is of no more use: not even a close frame can be sent.
        self._lost = False

    async def run(self) -> None:
        """Converse until either side ends it, then leave nothing behind."""
        session, reader = self.session, self._reader
        self._watch(selectors.EVENT_READ)
        try:
            with session.scope:
                unread, self._unread = self._unread, b""
                rest = self._take(unread) if unread else None
                del unread
                while True:
                    if rest is not None:
                        await rest
                        # Parked, this frame must hold nothing of what was read.
                        rest = None
                    if reader.close is not None or self._lost:
                        break
                    # Parked here, in the one frame an idle connection pays for.
                    self._park()
                    await trio.lowlevel.wait_task_rescheduled(self._unpark)
                    rest = self._receive()
            if session.scope.cancelled_caught and session.closing is None and not self._lost:
                session.close(session.close_of_deadline())
        except Exception:
            # A bug of ours ends one connection, and is told; the others go on.
            logger.exception("the session of %s failed", session.user or "nobody")
            session.close(Close(CloseCode.INTERNAL, "internal error"))
        finally:
            session.end()
            try:
                if not self._lost:
                    await self._farewell()
            finally:
                self._watch(0)
                self.outbox.discard()
                self._engine.heartbeat.leave(self)
                self.sock.close()

    def _park(self) -> None:
        self._task = trio.lowlevel.current_task()
        if not self._events & selectors.EVENT_READ:
            self._watch(self._events | selectors.EVENT_READ)

    def _receive(self) -> Coroutine[Any, Any, None] | None:
        """Read and handle what has come; return what remains to be awaited."""
        data = self._read()
        if data is None:
            return None
        if not data:
            self._lost = True
            return None
        return self._take(data)

    def _read(self) -> bytes | None:
        """Return what has come, empty at the end, None when there is nothing after all."""
        try:
            return self.sock.recv(_READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError:
            return b""

    def _take(self, data: bytes) -> Coroutine[Any, Any, None] | None:
        self._heard = True
        session = self.session
        payloads = self._reader.receive(data)
        for index, payload in enumerate(payloads):
            rest = session.receive(payload)
            if rest is not None or session.is_busy:
                return self._take_slowly(rest, payloads[index + 1 :])
        self._answer_controls()
        return None

    async def _take_slowly(self, rest: Awaitable[None] | None, payloads: list[bytes]) -> None:
        """Handle the rest of one read, waiting where it must; nothing overtakes."""
        session = self.session
        if rest is not None:
            await rest
        for payload in payloads:
            if session.is_busy:
                await session.wait_ready()
            rest = session.receive(payload)
            if rest is not None:
                await rest
        self._answer_controls()
        if session.is_busy:
            await session.wait_ready()

    def _answer_controls(self) -> None:
        """Answer pings and the client's close."""
        if self._reader.replies:
            self.outbox.reply(self._reader.take_replies())

    def _unpark(self, _: object) -> trio.lowlevel.Abort:
        self._task = None
        return trio.lowlevel.Abort.SUCCEEDED

    async def _farewell(self) -> None:
        """Write what is owed and a close frame, and give the peer a moment to answer it."""
        closing = self.session.closing
        with trio.CancelScope(shield=True) as scope:
            scope.deadline = trio.current_time() + self._engine.limits.close_timeout_s
            if self._reader.close is None:
                code, reason = (
                    (closing.code, closing.reason)
                    if closing is not None
                    else (CloseCode.DRAINING, "the server is leaving")
                )
                self.outbox.post(close_frame(int(code), reason))
            else:
                # The echo is still owed if the session was ended while it handled what came before.
                self._answer_controls()
            await self._written()
            if self._reader.close is not None and self._reader.close.failed and not self._lost:
                self._end_writing()
            # Also what a client sends on after breaking the rules: unread, it would turn the end
            # of the connection into a reset that eats the close frame.
            while not self._lost and (self._reader.close is None or self._reader.close.failed):
                self._park()
                await trio.lowlevel.wait_task_rescheduled(self._unpark)
                data = self._read()
                if data:
                    self._reader.receive(data)
                self._lost = data == b""

    def _end_writing(self) -> None:
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._lost = True  # the peer has reset it already

    async def _written(self) -> None:
        while self.outbox.size and not self._lost:
            written = trio.Event()
            self.outbox.bytes_low = 0
            self.outbox.on_low = written.set
            await written.wait()

    # --- called by the poller and the flusher --------------------------------------------

    def on_readable(self) -> None:
        """See `poller.Polled`."""
        task = self._task
        if task is None:
            # Busy: do not ask again until it parks, or the selector would spin.
            self._watch(self._events & ~selectors.EVENT_READ)
        else:
            self._task = None
            trio.lowlevel.reschedule(task)

    def on_writable(self) -> None:
        """See `poller.Polled`."""
        self.outbox.resume()

    def write_nowait(self, data: bytes) -> int:
        """See `outbox.ByteSink`."""
        try:
            return self.sock.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError:
            # One connection ends by it, never the flusher.
            self._lost = True
            self.session.scope.cancel()
            return len(data)

    def wait_writable(self, *, wanted: bool) -> None:
        """See `outbox.ByteSink`."""
        if wanted:
            self._watch(self._events | selectors.EVENT_WRITE)
        else:
            self._watch(self._events & ~selectors.EVENT_WRITE)

    def beat(self, now: float) -> None:
        """See `engine.Connection`."""
        limits, outbox = self._engine.limits, self.outbox
        if self.session.is_gone:
            return  # it is saying goodbye, and nothing follows a close frame
        if outbox.blocked_since is not None:
            if now - outbox.blocked_since > limits.stall_s:
                self.session.close(Close(CloseCode.TOO_SLOW, "too slow"))
            return
        if self._heard:
            self._heard, self._heard_at = False, now
        elif now - self._heard_at > 2 * limits.heartbeat_s and self._task is not None:
            self.session.close(Close(CloseCode.TOO_SLOW, "no sign of life"))
            return
        if now - self._pinged_at >= limits.heartbeat_s:
            self._pinged_at = now
            outbox.reply(PING)

    def _watch(self, events: int) -> None:
        self._poller.change(self, self._events, events)
        self._events = events
