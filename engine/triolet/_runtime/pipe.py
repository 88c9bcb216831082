"""A connection without a socket: the same session and the same messages, in one process."""

import logging
from typing import TYPE_CHECKING, Final, final

import trio

from .._model.errors import Close, CloseCode
from ..ports.gate import Identity, Opening
from .outbox import MessageOutbox

if TYPE_CHECKING:
    from .engine import Engine

logger = logging.getLogger(__name__)

# Messages on their way in each direction; beyond it the sender waits, as with a socket.
_MESSAGES_MAX: Final = 64


@final
class Pipe:
    """Both ends of an in-process connection; messages are msgpack, as on the wire.

    The client's end is `send`, `receive` and `hang_up`; `run` is the engine's.
    """

    def __init__(self, engine: "Engine", identity: Identity) -> None:
        self._engine = engine
        self._to_engine, self._from_client = trio.open_memory_channel[bytes](_MESSAGES_MAX)
        self._to_client, self._from_engine = trio.open_memory_channel[bytes](_MESSAGES_MAX)
        self.outbox = MessageOutbox(
            engine.flusher, self, text=False, bytes_low=engine.limits.outbox_bytes_low
        )
        self.session = engine.open_session(
            self, self.outbox, Opening(address="in-process"), token=None, identity=identity
        )
        self._scope = trio.CancelScope()
        # Why the engine ended it, once it has.
        self.close: Close | None = None

    # --- the client's end ----------------------------------------------------------------

    async def send(self, payload: bytes) -> None:
        """Send one message.

        Raises:
            trio.BrokenResourceError: the engine has ended the connection; see `close`.
        """
        await self._to_engine.send(payload)

    async def receive(self) -> bytes:
        """Return the next message.

        Raises:
            trio.EndOfChannel: the engine has ended the connection; see `close`.
        """
        payload = await self._from_engine.receive()
        if self.outbox.blocked_since is not None:
            self.outbox.resume()
        return payload

    def hang_up(self) -> None:
        """End the connection from the client's side."""
        self._to_engine.close()
        self._from_engine.close()

    # --- the engine's end ----------------------------------------------------------------

    async def run(self) -> None:
        """Converse until either side ends it, then leave nothing behind."""
        session = self.session
        self._engine.heartbeat.join(self)
        try:
            with self._scope:
                async for payload in self._from_client:
                    rest = session.receive(payload)
                    if rest is not None:
                        await rest
                    if session.is_busy:
                        await session.wait_ready()
        except Exception:
            # A bug of ours ends one connection, and is told; the others go on.
            logger.exception("the session of %s failed", session.user or "nobody")
            session.close(Close(CloseCode.INTERNAL, "internal error"))
        finally:
            session.end()
            closing = self.session.closing or Close(CloseCode.BYE)
            self._engine.heartbeat.leave(self, code=closing.code)
            self._farewell()

    def _farewell(self) -> None:
        """Let the client take what is owed, then tell why it ended; what it cannot is dropped."""
        # Not left to the flusher: where the engine itself is cancelled, there is none any more.
        self.outbox.flush()
        self.outbox.discard()
        self.close = self.session.closing or Close(CloseCode.BYE)
        self._to_client.close()
        self._from_client.close()

    def put_nowait(self, payload: bytes) -> bool:
        """See `outbox.MessageSink`."""
        try:
            self._to_client.send_nowait(payload)
        except trio.WouldBlock:
            return False
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            # The client hung up; its session is about to notice.
            return True
        return True

    def interrupt(self) -> None:
        """See `connection.Connection`."""
        self._scope.cancel()

    def leave(self) -> None:
        """See `connection.Connection`: its task ends with the engine's others."""

    def beat(self, now: float) -> None:
        """See `connection.Connection`: nothing can go silent here but a client that never reads."""
        blocked_since = self.outbox.blocked_since
        if blocked_since is not None and now - blocked_since > self._engine.limits.stall_s:
            self.session.close(Close(CloseCode.TOO_SLOW, "too slow"))
