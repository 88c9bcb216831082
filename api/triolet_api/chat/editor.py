"""A line editor: keys in, text and cursor out; it reads and draws nothing."""

from collections import deque
from collections.abc import Callable
from typing import Final, final

from msgspec import Struct
from rich.cells import cell_len

from .keys import Key
from .text import clusters

# Four bytes each are as much as a message may have (`Limits.body_bytes_max`).
TEXT_CHARS_MAX: Final = 8000
# Lines that `up` brings back.
HISTORY_LINES_MAX: Final = 200
# How a line break looks in one line.
BREAK: Final = "⏎"


@final
class View(Struct, frozen=True):
    """What to draw of the line: `left`, the cursor, `right`."""

    left: str
    right: str


@final
class Editor:
    """The line that is being written; its unit is what a person takes for a character.

    >>> editor = Editor()
    >>> editor.insert("helo")
    >>> editor.press(Key.LEFT)
    >>> editor.insert("l")
    >>> editor.text, editor.view(20)
    ('hello', View(left='hell', right='o'))

    Attributes:
        cursor: how many characters are before the cursor.
    """

    def __init__(self) -> None:
        self._clusters: list[str] = []
        self.cursor = 0
        self._history: deque[str] = deque(maxlen=HISTORY_LINES_MAX)
        # How far back `up` has gone, and what was being written before.
        self._back = 0
        self._draft = ""
        # The first character drawn, kept between views so that the line moves seldom.
        self._first = 0

    def __len__(self) -> int:
        return len(self._clusters)

    @property
    def text(self) -> str:
        """What has been written."""
        return "".join(self._clusters)

    def insert(self, text: str) -> None:
        """Put a text at the cursor; what is too much is left out."""
        text = text[: max(TEXT_CHARS_MAX - len(self.text), 0)]
        after = "".join(self._clusters[self.cursor :])
        # A combining mark joins what is before it, so the whole is cut anew.
        before = clusters("".join(self._clusters[: self.cursor]) + text)
        self._clusters = before + clusters(after)
        self.cursor = len(before)

    def press(self, key: Key) -> None:
        """Do what a key does to the line; keys that are not about it do nothing."""
        deed = _DEEDS.get(key)
        if deed is not None:
            deed(self)

    def take(self) -> str:
        """Return the line and begin another; `up` brings it back."""
        text = self.text
        if text.strip() and (not self._history or self._history[-1] != text):
            self._history.append(text)
        self.write("")
        return text

    def write(self, text: str) -> None:
        """Replace the line; the cursor is at its end."""
        self._show(text)
        self._back, self._draft = 0, ""

    def view(self, cells: int) -> View:
        """Return the part of the line around the cursor that fits `cells`, the cursor included."""
        shown = [BREAK if cluster == "\n" else cluster for cluster in self._clusters]
        widths = [cell_len(cluster) for cluster in shown]
        first = min(self._first, self.cursor)
        while first < self.cursor and sum(widths[first : self.cursor]) >= cells:
            first += 1
        # After deletions the line comes back in from the left.
        while first > 0 and sum(widths[first - 1 :]) < cells:
            first -= 1
        self._first = end = first
        room = cells
        while end < len(shown) and widths[end] <= room:
            room -= widths[end]
            end += 1
        left, right = shown[first : self.cursor], shown[self.cursor : end]
        return View("".join(left), "".join(right))

    # --- keys ------------------------------------------------------------------------------

    def _show(self, text: str) -> None:
        self._clusters = clusters(text)
        self.cursor = len(self._clusters)

    def move(self, to: int) -> None:
        """Put the cursor before character `to`, or as near as can be."""
        self.cursor = max(0, min(to, len(self._clusters)))

    def cut(self, start: int, end: int) -> None:
        """Take the characters from `start` to `end` out."""
        start, end = max(start, 0), min(end, len(self._clusters))
        del self._clusters[start:end]
        self.cursor = start

    def word(self, step: int) -> int:
        """Return where the word before (-1) or after (+1) the cursor begins or ends."""
        at = self.cursor
        seen_word = False
        while 0 <= (near := at if step > 0 else at - 1) < len(self._clusters):
            is_space = self._clusters[near].isspace()
            if is_space and seen_word:
                break
            seen_word = seen_word or not is_space
            at += step
        return at

    def recall(self, step: int) -> None:
        """Go to an earlier (+1) or a later (-1) line of the history."""
        back = self._back + step
        if not 0 <= back <= len(self._history):
            return
        if self._back == 0:
            self._draft = self.text
        self._back = back
        self._show(self._history[-back] if back else self._draft)


_DEEDS: Final[dict[Key, Callable[[Editor], None]]] = {
    Key.NEWLINE: lambda line: line.insert("\n"),
    Key.BACKSPACE: lambda line: line.cut(line.cursor - 1, line.cursor),
    Key.DELETE: lambda line: line.cut(line.cursor, line.cursor + 1),
    Key.LEFT: lambda line: line.move(line.cursor - 1),
    Key.RIGHT: lambda line: line.move(line.cursor + 1),
    Key.WORD_LEFT: lambda line: line.move(line.word(-1)),
    Key.WORD_RIGHT: lambda line: line.move(line.word(+1)),
    Key.HOME: lambda line: line.move(0),
    Key.END: lambda line: line.move(len(line)),
    Key.UP: lambda line: line.recall(+1),
    Key.DOWN: lambda line: line.recall(-1),
    Key.KILL_WORD: lambda line: line.cut(line.word(-1), line.cursor),
    Key.KILL_BEFORE: lambda line: line.cut(0, line.cursor),
    Key.KILL_AFTER: lambda line: line.cut(line.cursor, len(line)),
}
