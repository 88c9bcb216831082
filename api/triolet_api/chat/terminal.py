"""A terminal as the chat uses it: keys one by one, no echo, and as it was before, in every case."""

import errno
import os
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TypeAlias, final

import trio

# Bracketed paste, and word of the keyboard's coming and going (xterm's control sequences).
_MODES_ON: Final = "\x1b[?2004h\x1b[?1004h"
# Also what a paint that was cut short may have left: no wrapping, a hidden cursor, colours.
_MODES_OFF: Final = "\x1b[?1004l\x1b[?2004l\x1b[?2026l\x1b[?7h\x1b[?25h\x1b[0m"
_READ_BYTES: Final = 4096

_Settings: TypeAlias = list[int | list[bytes | int]]

# Places in what `tcgetattr` returns.
_IFLAG, _LFLAG, _CC = 0, 3, 6


@final
class Terminal:
    """The terminal behind two descriptors.

    Writes block: a paint is a screenful at most, and a terminal that takes nothing for long
    costs the connection, which comes back.
    """

    def __init__(self, reads: int, writes: int) -> None:
        self._reads = reads
        self._writes = writes
        self._before: _Settings | None = None
        # Its window was closed, or its line has gone: nothing is written there any more.
        self._is_gone = False

    @contextmanager
    def raw(self) -> Iterator[None]:
        """Have keys come one by one for the length of a `with` block."""
        self.enter()
        try:
            yield
        finally:
            self.leave()

    def enter(self) -> None:
        """Take the terminal; Ctrl-C and Ctrl-Z stay signals, Ctrl-S and Ctrl-V become keys."""
        self._before = termios.tcgetattr(self._reads)
        ours = termios.tcgetattr(self._reads)
        ours[_IFLAG] &= ~(termios.ICRNL | termios.IXON)
        ours[_LFLAG] &= ~(termios.ECHO | termios.ICANON | termios.IEXTEN)
        ours[_CC][termios.VMIN], ours[_CC][termios.VTIME] = 1, 0
        termios.tcsetattr(self._reads, termios.TCSADRAIN, ours)
        self.write(_MODES_ON)

    def leave(self) -> None:
        """Give the terminal back as it was; no effect the second time."""
        if self._before is None:
            return
        before, self._before = self._before, None
        self.write(_MODES_OFF)
        if not self._is_gone:
            termios.tcsetattr(self._reads, termios.TCSADRAIN, before)

    def size(self) -> os.terminal_size:
        """Return columns and rows; 80 by 24 where nobody knows."""
        size = os.get_terminal_size(self._writes)
        return os.terminal_size((size.columns or 80, size.lines or 24))

    def write(self, text: str) -> None:
        """Send a text; a terminal that is gone takes nothing, which `read` tells."""
        data = text.encode("utf-8", "replace")
        try:
            while data and not self._is_gone:
                data = data[os.write(self._writes, data) :]
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            self._is_gone = True

    async def read(self) -> bytes:
        """Return what was pressed, empty once the terminal is gone."""
        await trio.lowlevel.wait_readable(self._reads)
        try:
            return os.read(self._reads, _READ_BYTES)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            self._is_gone = True
            return b""
