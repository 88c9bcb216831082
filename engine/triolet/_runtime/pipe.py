"""A connection without a socket: the same session and the same messages, in one process.

What carries them further, if anything does, is the client's end's: an HTTP response, say.
"""

import logging
from math import inf
from typing import TYPE_CHECKING, Final, final

import trio
from msgspec import Struct

from .._domain.addresses import INSIDE
from .._model.errors import Close, CloseCode
from ..ports.gate import Identity, Opening
from .customers import Customer
from .outbox import MessageOutbox

if TYPE_CHECKING:
    from .engine import Engine

logger = logging.getLogger(__name__)

# Messages on their way in each direction; beyond it the sender waits, as with a socket.
_MESSAGES_MAX: Final = 64


@final
class Carriage(Struct, frozen=True, kw_only=True):
    """What the engine knows of the client's end.

    Attributes:
        opening: where it comes from.
        text: messages are JSON, not msgpack.
        silence_s: who has not asked for a message for so long has gone, and said nothing.
    """

    opening: Opening = Opening(address=INSIDE)
    text: bool = False
    silence_s: float = inf


IN_PROCESS: Final = Carriage()


@final
class Pipe:
    """Both ends of an in-process connection; messages are as on the wire.

    The client's end is `send`, `receive` and `hang_up`; `run` is the engine's.
    """

    customer: Customer | None = None

    def __init__(
        self, engine: "Engine", identity: Identity, carriage: Carriage = IN_PROCESS
    ) -> None:
        self._engine = engine
        self._silence_s = carriage.silence_s
        self._asked_at = trio.current_time()
        self._to_engine, self._from_client = trio.open_memory_channel[bytes](_MESSAGES_MAX)
        self._to_client, self._from_engine = trio.open_memory_channel[bytes](_MESSAGES_MAX)
        self.outbox = MessageOutbox(
            engine.flusher, self, text=carriage.text, bytes_low=engine.limits.outbox_bytes_low
        )
        self.session = engine.open_session(
            self, self.outbox, carriage.opening, token=None, identity=identity
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

    def send_nowait(self, payload: bytes) -> None:
        """Send one message, if that need not wait.

        Raises:
            trio.WouldBlock: it would have to.
            trio.BrokenResourceError: the engine has ended the connection; see `close`.
        """
        self._to_engine.send_nowait(payload)

    async def receive(self) -> bytes:
        """Return the next message.

        Raises:
            trio.EndOfChannel: the engine has ended the connection; see `close`.
        """
        self._asked_at = trio.current_time()
        payload = await self._from_engine.receive()
        if self.outbox.blocked_since is not None:
            self.outbox.resume()
        return payload

    def receive_nowait(self) -> bytes:
        """Return the next message, if there is one.

        Raises:
            trio.WouldBlock: there is none now.
            trio.EndOfChannel: the engine has ended the connection; see `close`.
        """
        payload = self._from_engine.receive_nowait()
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
                    if session.is_busy():
                        await session.wait_ready()
        except Exception:
            # A bug of ours ends one connection, and is told; the others go on.
            logger.exception("the session of %s failed", session.user or "nobody")
            session.close(Close(CloseCode.INTERNAL, "internal error"))
        finally:
            try:
                session.end()
            finally:
                # Whatever that meets: the engine waits in its end until all have left.
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
        is_stuck = blocked_since is not None and now - blocked_since > self._engine.limits.stall_s
        if is_stuck or now - self._asked_at > self._silence_s:
            self.session.close(Close(CloseCode.TOO_SLOW, "too slow"))
