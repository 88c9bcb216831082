"""The native connection: one non-blocking socket, frames read on a fast path, seldom a task."""

import logging
import socket
from collections.abc import Awaitable, Coroutine
from typing import TYPE_CHECKING, Any, Final, final

import trio

from .._model.errors import Close, CloseCode
from .._wire.frames import FrameReader
from .._wire.websocket import PING, close_frame
from ..ports.gate import Opening
from .counters import ABNORMAL
from .customers import Customer
from .outbox import SocketOutbox
from .poller import READ, WRITE, Watcher
from .session import Session

if TYPE_CHECKING:
    from .engine import Engine

logger = logging.getLogger(__name__)

# One read; a larger buffer costs memory for each connection that reads at the same time.
_READ_BYTES: Final = 16 * 1024


@final
class NativeConnection:
    """A WebSocket of the engine's own. `start` begins it; the engine pings it with `beat`.

    While it waits for its client it is an entry in the poller's table, and no task: what was
    read is handled at once, in the poller's task. What then remains to be awaited, and the
    goodbye, are a task each, one at a time, in the nursery of connections; meanwhile nothing
    is read. So whatever waits can be cancelled, and `Heartbeat.keep` ends those that do not.
    """

    __slots__ = (
        "_engine",
        "_heard",
        "_heard_at",
        "_is_leaving",
        "_lost",
        "_nursery",
        "_pinged_at",
        "_poller",
        "_reader",
        "_task",
        "_waiting",
        "customer",
        "events",
        "outbox",
        "session",
        "sock",
    )

    def __init__(
        self,
        engine: "Engine",
        poller: Watcher,
        nursery: trio.Nursery,
        sock: socket.socket,
        opening: Opening,
        *,
        text: bool,
        token: str | None,
        customer: Customer | None,
    ) -> None:
        self._engine = engine
        self._poller = poller
        self.customer = customer
        self._nursery = nursery
        self.sock = sock
        # What the poller watches the socket for.
        self.events = 0
        self._reader = FrameReader(text=text, message_bytes_max=engine.limits.message_bytes_max)
        self.outbox = SocketOutbox(
            engine.flusher, self, sock, text=text, bytes_low=engine.limits.outbox_bytes_low
        )
        self.session: Session = engine.open_session(self, self.outbox, opening, token=token)
        # What cuts the task short that awaits the rest of a read, while there is one.
        self._waiting: trio.CancelScope | None = None
        # The goodbye has begun, and the task that waits in it for the client's.
        self._is_leaving = False
        self._task: trio.lowlevel.Task | None = None
        # Whether anything was read since the last beat, and when that was found.
        self._heard = True
        self._heard_at = self._pinged_at = trio.current_time()
        # The socket is of no more use: not even a close frame can be sent.
        self._lost = False

    def start(self, unread: bytes) -> None:
        """Converse from now on, beginning with what came together with the request head."""
        self._engine.heartbeat.join(self)
        self._poller.watch(self, READ)
        if unread:
            self._handle(unread)

    # --- reading -----------------------------------------------------------------------

    def on_readable(self) -> None:
        """See `poller.Polled`."""
        if self._waiting is not None or self._is_leaving:
            task, self._task = self._task, None
            if task is not None:
                trio.lowlevel.reschedule(task)
            else:
                # Busy: do not ask again until that is over, or the selector would spin.
                self._poller.watch(self, self.events & ~READ)
            return
        data = self._read()
        if data:
            self._handle(data)
        elif data is not None:
            self._lost = True
            self._end()

    def _read(self) -> bytes | None:
        """Return what has come, empty at the end, None when there is nothing after all."""
        try:
            return self.sock.recv(_READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError:
            return b""

    def _handle(self, data: bytes) -> None:
        try:
            rest = self._take(data)
        except Exception:
            logger.exception("the session of %s failed", self.session.user or "nobody")
            self._close_for_bug()
            return
        if self._reader.close is not None and rest is None:
            self.leave()
        elif rest is not None and self._is_leaving:
            rest.close()  # closed by an earlier request of the same read: nothing is owed
        elif rest is not None:
            self._waiting = trio.CancelScope()
            self._nursery.start_soon(self._await, rest, self._waiting)

    def _take(self, data: bytes) -> Coroutine[Any, Any, None] | None:
        """Handle what has come; return what remains to be awaited."""
        self._heard = True
        self._engine.counters.bytes_in += len(data)
        session, reader = self.session, self._reader
        payloads = reader.receive(data)
        for index, payload in enumerate(payloads):
            rest = session.receive(payload)
            if rest is not None or session.is_busy():
                return self._take_slowly(rest, payloads[index + 1 :])
        if reader.replies:
            self._answer_controls()
            if session.is_busy():
                # Pongs that are never read fill the outbox as answers do.
                return self._take_slowly(None, [])
        return None

    async def _take_slowly(self, rest: Awaitable[None] | None, payloads: list[bytes]) -> None:
        """Handle the rest of one read, waiting where it must; nothing overtakes."""
        session = self.session
        if rest is not None:
            await rest
        for payload in payloads:
            if session.is_busy():
                await session.wait_ready()
            rest = session.receive(payload)
            if rest is not None:
                await rest
        self._answer_controls()
        if session.is_busy():
            await session.wait_ready()

    async def _await(self, rest: Coroutine[Any, Any, None], scope: trio.CancelScope) -> None:
        """Await the rest of one read; then be read again, or say goodbye."""
        goes_on = False
        try:
            with scope:
                await rest
            goes_on = not (self._is_over or scope.cancelled_caught)
        except Exception:
            logger.exception("the session of %s failed", self.session.user or "nobody")
            self._close_for_bug()
        finally:
            self._waiting = None
            if goes_on:
                self._poller.watch(self, self.events | READ)
            else:
                self._is_leaving = True
                await self._say_goodbye()

    @property
    def _is_over(self) -> bool:
        return self.session.closing is not None or self._reader.close is not None or self._lost

    def _answer_controls(self) -> None:
        """Answer pings. A close frame is the goodbye's: nothing follows it (RFC 6455, 5.5.1)."""
        if self._reader.replies and self._reader.close is None:
            self.outbox.reply(self._reader.take_replies())

    # --- ending ------------------------------------------------------------------------

    def _close_for_bug(self) -> None:
        """A bug of ours ends one connection, and is told; the others go on."""
        self.session.close(Close(CloseCode.INTERNAL, "internal error"))

    def interrupt(self) -> None:
        """See `connection.Connection`."""
        if self._waiting is not None:
            self._waiting.cancel()
        else:
            self.leave()

    def leave(self) -> None:
        """See `connection.Connection`; what waits is cancelled with the nursery."""
        if self._waiting is None and not self._is_leaving:
            self._is_leaving = True
            self._nursery.start_soon(self._say_goodbye)

    async def _say_goodbye(self) -> None:
        """End the session, and leave nothing behind."""
        self.session.end()
        try:
            if not self._lost:
                await self._farewell()
        finally:
            self._end()

    def _end(self) -> None:
        self._is_leaving = True
        self.session.end()
        self._poller.watch(self, 0)
        self.outbox.discard()
        self._engine.heartbeat.leave(self, code=self._close_code)
        customer, self.customer = self.customer, None
        self._engine.entrance.customers.leave(customer, was_upgraded=True)
        self.sock.close()

    @property
    def _close_code(self) -> int:
        """How it ended, by whichever side was first."""
        if self.session.closing is not None:
            return self.session.closing.code
        ended = self._reader.close
        return ABNORMAL if ended is None else ended.code

    async def _farewell(self) -> None:
        """Write what is owed and a close frame, then give the peer a moment to answer it.

        `close_timeout_s` for the one, and again for the other: who reads slowly has as long to
        answer as anybody else, and a close takes twice as long at most.
        """
        closing, timeout_s = self.session.closing, self._engine.limits.close_timeout_s
        with trio.CancelScope(shield=True) as scope:
            scope.deadline = trio.current_time() + timeout_s
            if self._reader.close is None:
                code, reason = (
                    (closing.code, closing.reason)
                    if closing is not None
                    else (CloseCode.DRAINING, "the server is leaving")
                )
                self.outbox.post(close_frame(int(code), reason))
            else:
                # Behind the entries and answers that wait, with the pongs that came before it.
                self.outbox.post(self._reader.take_replies())
            await self._written()
            scope.deadline = trio.current_time() + timeout_s
            if self._reader.close is not None and self._reader.close.failed and not self._lost:
                self._end_writing()
            # Also what a client sends on after breaking the rules: unread, it would turn the end
            # of the connection into a reset that eats the close frame.
            while not self._lost and (self._reader.close is None or self._reader.close.failed):
                await self._wait_readable()
                data = self._read()
                if data:
                    self._reader.receive(data)
                self._lost = data == b""

    async def _wait_readable(self) -> None:
        self._poller.watch(self, self.events | READ)
        self._task = trio.lowlevel.current_task()

        def abort(_: object) -> trio.lowlevel.Abort:
            self._task = None
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)

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

    # --- writing and beating -----------------------------------------------------------

    def on_writable(self) -> None:
        """See `poller.Polled`."""
        self.outbox.resume()

    def lost(self) -> None:
        """See `outbox.ByteSink`: one connection ends by it, never the flusher."""
        self._lost = True
        self.interrupt()

    def wait_writable(self, *, wanted: bool) -> None:
        """See `outbox.ByteSink`."""
        self._poller.watch(self, self.events | WRITE if wanted else self.events & ~WRITE)

    def beat(self, now: float) -> None:
        """See `connection.Connection`."""
        limits, outbox = self._engine.limits, self.outbox
        if self.session.is_gone:
            return  # it is saying goodbye, and nothing follows a close frame
        if outbox.blocked_since is not None:
            if now - outbox.blocked_since > limits.stall_s:
                self.session.close(Close(CloseCode.TOO_SLOW, "too slow"))
            return
        if self._heard:
            self._heard, self._heard_at = False, now
        elif now - self._heard_at > 2 * limits.heartbeat_s and self._waiting is None:
            self.session.close(Close(CloseCode.TOO_SLOW, "no sign of life"))
            return
        if now - self._pinged_at >= limits.heartbeat_s:
            self._pinged_at = now
            outbox.reply(PING)
