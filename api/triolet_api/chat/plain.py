"""The chat without a terminal: lines in, lines out, and nothing that a terminal would obey."""

import os
import signal
from collections.abc import AsyncIterator, Sequence
from typing import Final, TextIO, final

import trio
from msgspec import UNSET

from triolet._model.entries import FoldedMessage
from triolet.client import State

from . import words
from .changes import Change, Said, Stored
from .conversation import Conversation
from .face import Backstage
from .text import clean, text_of

_READ_BYTES: Final = 4096
# A line without an end is taken in pieces of the longest message.
_LINE_BYTES_MAX: Final = 32 * 1024
_LEAVE: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@final
class Plain:
    """A face for scripts and pipes: one line for everything that happens.

    Messages are `[NUMBER] HOUR WHO: TEXT`, everything else begins with `*`, errors with `!`.

    Args:
        reads: the descriptor that lines come from; at its end the chat is left.
        writes: where lines go.
        calendar: tells times.
    """

    def __init__(self, reads: int, writes: TextIO, calendar: words.Calendar) -> None:
        self._reads = reads
        self._writes = writes
        self._calendar = calendar
        self._state: State | None = None

    def begin(self, chat: Backstage) -> None:
        """See `Face`."""
        self._chat = chat

    def turn_to(self, conversation: Conversation) -> None:
        """See `Face`."""
        self._print(f"* {words.heading(conversation)} ({words.kind(conversation)})")
        for piece in conversation.pieces:
            if isinstance(piece, int):
                self._print(self._message(conversation.messages[piece]))
            else:
                self._print(f"* {piece.text}")
        self._seen(conversation)

    def show(self, changes: Sequence[Change]) -> None:
        """See `Face`."""
        conversation = self._chat.conversation
        for change in changes:
            if isinstance(change, Said):
                self._print(self._message(change.message))
            elif not isinstance(change, Stored):
                # A message of mine that is in the log has been acknowledged: told by `Said`.
                sign = "!" if words.is_error(change) else "*"
                self._print(f"{sign} {words.tell(change)}".replace("\n", "\n  "))
        self._seen(conversation)

    def refresh(self) -> None:
        """See `Face`."""
        line = self._chat.line
        if line.state is not self._state:
            self._state = line.state
            self._print(f"* {line.state.value}")

    async def run(self) -> None:
        """See `Face`."""
        with trio.open_signal_receiver(*_LEAVE) as signals:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._heed, signals)
                async for line in self._lines():
                    await self._chat.submit(clean(line.decode("utf-8", "replace")))
                await self._chat.finish()

    async def _heed(self, signals: AsyncIterator[int]) -> None:
        async for _ in signals:
            self._chat.leave()

    async def _lines(self) -> AsyncIterator[bytes]:
        rest = b""
        while data := await self._read():
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                yield line
            if len(rest) > _LINE_BYTES_MAX:
                yield rest
                rest = b""
        if rest:
            yield rest

    async def _read(self) -> bytes:
        try:
            await trio.lowlevel.wait_readable(self._reads)
        except PermissionError:
            # A regular file is always readable, and cannot be waited for.
            await trio.lowlevel.checkpoint()
        return os.read(self._reads, _READ_BYTES)

    def _message(self, message: FoldedMessage) -> str:
        text = "(deleted)" if message.erased else text_of(message.body).replace("\n", "\n    ")
        answered = "" if message.reply_to is UNSET else f" ↳ [{message.reply_to}]"
        edited = "" if message.edited_at is UNSET or message.erased else " (edited)"
        is_mine = message.sender == self._chat.conversation.me
        mark = f"  {words.SENT}" if is_mine else ""
        hour = self._calendar.hour(message.at)
        return f"[{message.seq}] {hour} {message.sender}{answered}: {text}{edited}{mark}"

    def _seen(self, conversation: Conversation) -> None:
        if conversation.room:
            self._chat.seen(conversation.received)

    def _print(self, text: str) -> None:
        try:
            self._writes.write(f"{text}\n")
            self._writes.flush()
        except BrokenPipeError:
            # Nobody reads on (`| head`): leave, as others do. What is still buffered would fail
            # once more when Python ends, with status 120.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._writes.fileno())
            os.close(nowhere)
            self._chat.leave()
