"""The chat in a terminal: messages scroll above, the line one writes in stays below."""

import io
import math
import os
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Final, final

import trio
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from . import words
from .bell import Bell
from .blocks import Look, key_of
from .changes import (
    Back,
    Change,
    Deleted,
    Edited,
    Lost,
    MemberChanged,
    Reacted,
    Refused,
    Retitled,
)
from .conversation import Conversation
from .editor import Editor
from .face import Backstage
from .keys import Focused, Key, Keyboard, Pasted, Press, Typed
from .scroll import Painted, Scroll
from .status import rule
from .terminal import Terminal
from .text import shorten, text_of

# A lone ESC is a key after so long; sequences arrive together, even over slow lines.
ESCAPE_TIMEOUT_S: Final = 0.05
# At most so many paints a second: catching up on hundreds of messages is one picture.
PAINT_INTERVAL_S: Final = 0.02
# “in 3 s”, and “last seen yesterday”, must not stay for ever.
CLOCK_INTERVAL_S: Final = 1.0
# With less than that there is no place for anything above the line.
_ROWS_MIN: Final = 3
_COLUMNS_MIN: Final = 8
_PROMPT: Final = "\u203a "
_LEAVE: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_SIGNALS: Final = (*_LEAVE, signal.SIGWINCH, signal.SIGTSTP)
# They have no place among the messages, so a note tells them.
_NOTED: Final = (MemberChanged, Retitled, Lost, Back, Refused)
_SAVE_CURSOR, _RESTORE_CURSOR = "\x1b7", "\x1b8"


@final
class Screen:
    """A face that is a terminal.

    Args:
        terminal: where it is.
        look: how conversations are drawn.
        calendar: tells times.
        now_ms: the wall clock.
    """

    def __init__(
        self,
        terminal: Terminal,
        look: Look,
        *,
        calendar: words.Calendar,
        now_ms: Callable[[], int],
    ) -> None:
        self._terminal = terminal
        self._look = look
        self._calendar = calendar
        self._now_ms = now_ms
        # It turns styles into sequences as far as this terminal has colours; NO_COLOR is heeded.
        self._console = Console(
            file=io.StringIO(), force_terminal=True, legacy_windows=False, highlight=False
        )
        self._scroll = Scroll()
        self._editor = Editor()
        self._bell = Bell()
        self._is_focused = True
        self._has_turned = False
        # The screen is to be painted anew; nobody knows what is on it; how wide it was.
        self._is_stale = self._is_torn = False
        self._columns = 0

    def begin(self, chat: Backstage) -> None:
        """See `Face`."""
        self._chat = chat

    def turn_to(self, conversation: Conversation) -> None:
        """See `Face`."""
        del conversation
        self._has_turned = True
        self._bell.ring()

    def show(self, changes: Sequence[Change]) -> None:
        """See `Face`; what cannot be shown in its place any more is told in a note."""
        conversation = self._chat.conversation
        for change in changes:
            if isinstance(change, _NOTED):
                conversation.note(words.tell(change), is_error=isinstance(change, Refused))
            elif isinstance(change, Edited | Deleted | Reacted):
                message = conversation.messages.get(change.seq)
                if message is None or self._scroll.is_past(key_of(message)):
                    conversation.note(words.tell(change))
        self._bell.ring()

    def refresh(self) -> None:
        """See `Face`."""
        self._bell.ring()

    async def run(self) -> None:
        """See `Face`; the terminal is given back as it was, whatever happens."""
        # Signals first: one that comes while the terminal is ours must find us prepared.
        with trio.open_signal_receiver(*_SIGNALS) as signals, self._terminal.raw():
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._heed, signals)
                    nursery.start_soon(self._read_keys)
                    nursery.start_soon(self._keep_painted)
            finally:
                self._terminal.write(self._scroll.leave())

    # --- what is pressed -------------------------------------------------------------------

    async def _read_keys(self) -> None:
        keyboard = Keyboard()
        while True:
            wait_s = ESCAPE_TIMEOUT_S if keyboard.is_waiting else math.inf
            presses = keyboard.give_up
            with trio.move_on_after(wait_s):
                data = await self._terminal.read()
                if not data:
                    self._chat.leave()
                    return
                presses = partial(keyboard.feed, data)
            for press in presses():
                await self._press(press)
            self._bell.ring()

    async def _press(self, press: Press) -> None:
        editor = self._editor
        match press:
            case Focused(on):
                self._is_focused = on
            case Typed(text) | Pasted(text):
                editor.insert(text)
                self._chat.typed(editor.text)
            case Key.ENTER:
                await self._enter(editor.take())
            case Key.END_OF_INPUT if not editor.text:
                self._chat.quit()
            case Key.END_OF_INPUT:
                editor.press(Key.DELETE)
            case Key.REDRAW:
                self._is_stale = self._is_torn = True
            case Key():
                editor.press(press)
                self._chat.typed(editor.text)

    async def _enter(self, text: str) -> None:
        conversation = self._chat.conversation
        last = conversation.last(mine=True)
        if text.strip() == "/quit":
            self._chat.quit()
        elif text.strip() == "/edit" and last is not None:
            # The line is filled with what there is to edit.
            body = text_of(conversation.messages[last].body)
            self._editor.write(f"/edit {last} {body}")
        else:
            await self._chat.submit(text)

    async def _heed(self, signals: AsyncIterator[int]) -> None:
        async for number in signals:
            if number == signal.SIGWINCH:
                self._is_stale = True
                self._bell.ring()
            elif number == signal.SIGTSTP:
                self._pause()
            else:
                self._chat.leave()

    def _pause(self) -> None:
        """Stop as Ctrl-Z stops others; go on when the shell says so."""
        self._terminal.write(self._scroll.leave())
        self._terminal.leave()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._terminal.enter()
        self._is_stale = True
        self._bell.ring()

    # --- what is painted -------------------------------------------------------------------

    async def _keep_painted(self) -> None:
        while True:
            self._paint()
            await trio.sleep(PAINT_INTERVAL_S)
            with trio.move_on_after(CLOCK_INTERVAL_S):
                await self._bell.wait()

    def _paint(self) -> None:
        conversation = self._chat.conversation
        columns, rows = self._terminal.size()
        width = max(columns - 1, _COLUMNS_MIN)
        rows = max(rows, _ROWS_MIN)
        sent = ""
        if self._has_turned:
            sent, self._has_turned = self._scroll.leave(), False
        is_stale, is_torn = self._is_stale, self._is_torn or columns < self._columns
        self._is_stale, self._is_torn, self._columns = False, False, columns
        blocks, bottom = self._blocks(width, all_of_it=is_stale), self._bottom(width)
        if is_stale:
            sent += self._scroll.repaint(blocks, bottom, rows=rows, is_torn=is_torn)
        else:
            sent += self._scroll.paint(blocks, bottom, rows=rows)
        if sent:
            self._terminal.write(sent)
        if self._is_focused and conversation.room:
            self._chat.seen(conversation.received)

    def _blocks(self, width: int, *, all_of_it: bool) -> list[Painted]:
        conversation = self._chat.conversation
        blocks = [
            self._look.heading(conversation),
            *self._look.blocks(
                conversation,
                width,
                now_ms=self._now_ms(),
                is_past=(lambda _: False) if all_of_it else self._scroll.is_past,
            ),
        ]
        return [(block.key, tuple(map(self._sequence, block.lines))) for block in blocks]

    def _bottom(self, width: int) -> tuple[str, str]:
        chat = self._chat
        above = rule(
            chat.conversation,
            chat.line,
            unread_elsewhere=chat.unread_elsewhere,
            calendar=self._calendar,
            now_ms=self._now_ms(),
            now=trio.current_time(),
            width=width,
        )
        view = self._editor.view(width - cell_len(_PROMPT))
        left = Text.assemble((_PROMPT, "bold"), view.left)
        right = Text(view.right)
        if not self._editor.text:
            right = Text(shorten(words.invitation(chat.conversation), width - 4), "dim italic")
        cursor = _SAVE_CURSOR + self._sequence(right) + _RESTORE_CURSOR
        return self._sequence(above), self._sequence(left) + cursor

    def _sequence(self, text: Text) -> str:
        """Return a line as this terminal takes it."""
        with self._console.capture() as capture:
            self._console.print(text, end="", soft_wrap=True)
        return capture.get()
