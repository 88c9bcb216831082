"""A session carried by an HTTP response: its messages as they come, a sign of life when none do."""

from collections.abc import Callable
from typing import Final, final

import trio

from triolet._model.errors import Close, CloseCode
from triolet._runtime.pipe import Pipe

from ..application import HeldBody
from .events import HEARTBEAT, EventWriter

# Bytes of one piece of the answer: what gathers while the client takes the piece before.
_PIECE_BYTES: Final = 64 * 1024


@final
class StreamBody(HeldBody):
    """The body of a stream's response, as Quart wants it.

    Args:
        pipe: the session, welcomed; it is hung up on when the response ends, however it does.
        first: messages that have been received of it.
        writer: makes events of messages.
        heartbeat_s: so often something is written, so that a client that has gone is noticed.
        ended: called once, at the end.
    """

    def __init__(
        self,
        pipe: Pipe,
        first: bytes,
        writer: EventWriter,
        *,
        heartbeat_s: float,
        ended: Callable[[], None],
    ) -> None:
        self._pipe = pipe
        self._writer = writer
        self._first: bytes | None = writer.event(first)
        self._heartbeat_s = heartbeat_s
        self._ended = ended
        self._is_over = self._is_released = False

    async def __aenter__(self) -> "StreamBody":
        await trio.lowlevel.checkpoint_if_cancelled()
        return self

    async def __aexit__(self, *error: object) -> None:
        self.release()
        await trio.lowlevel.checkpoint_if_cancelled()

    def release(self) -> None:
        """Hang up; see `HeldBody`."""
        if not self._is_released:
            self._is_released = True
            self._pipe.hang_up()
            self._ended()

    def __aiter__(self) -> "StreamBody":
        return self

    async def __anext__(self) -> bytes:
        if self._first is not None:
            piece, self._first = self._first, None
            return piece
        if self._is_over:
            raise StopAsyncIteration
        payload = b""
        with trio.move_on_after(self._heartbeat_s) as waiting:
            try:
                payload = await self._pipe.receive()
            except trio.EndOfChannel:
                return self._last()
        return HEARTBEAT if waiting.cancelled_caught else self._gathered(payload)

    def _gathered(self, payload: bytes) -> bytes:
        """Return all there is to be written now."""
        pieces = [self._writer.event(payload)]
        size = len(pieces[0])
        while size < _PIECE_BYTES:
            try:
                piece = self._writer.event(self._pipe.receive_nowait())
            except trio.WouldBlock:
                break
            except trio.EndOfChannel:
                piece = self._last()
            pieces.append(piece)
            size += len(piece)
            if self._is_over:
                break
        return b"".join(pieces)

    def _last(self) -> bytes:
        self._is_over = True
        return self._writer.closing(self._pipe.close or Close(CloseCode.BYE))
