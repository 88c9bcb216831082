"""From the bytes of a terminal to keys, texts and pastes; sans I/O."""

import codecs
import re
from enum import Enum
from typing import Final, TypeAlias, final

from msgspec import Struct

from .text import clean

# A paste beyond it is cut: twice the longest message.
PASTE_CHARS_MAX: Final = 64 * 1024
# No key of any terminal sends a longer sequence; beyond it, it is none.
_SEQUENCE_CHARS_MAX: Final = 32


@final
class Key(Enum):
    """What somebody may press besides letters."""

    ENTER = "enter"
    NEWLINE = "newline"
    BACKSPACE = "backspace"
    DELETE = "delete"
    LEFT = "left"
    RIGHT = "right"
    WORD_LEFT = "word left"
    WORD_RIGHT = "word right"
    UP = "up"
    DOWN = "down"
    HOME = "home"
    END = "end"
    KILL_WORD = "kill word"
    KILL_BEFORE = "kill before"
    KILL_AFTER = "kill after"
    REDRAW = "redraw"
    END_OF_INPUT = "end of input"


@final
class Typed(Struct, frozen=True):
    """Letters."""

    text: str


@final
class Pasted(Struct, frozen=True):
    """A text that was not typed: line breaks in it do not send it."""

    text: str


@final
class Focused(Struct, frozen=True):
    """The terminal's window got, or lost, the keyboard."""

    on: bool


Press: TypeAlias = Key | Typed | Pasted | Focused

_CONTROLS: Final[dict[str, Key]] = {
    "\r": Key.ENTER,
    "\n": Key.NEWLINE,
    "\x7f": Key.BACKSPACE,
    "\x08": Key.BACKSPACE,
    "\x01": Key.HOME,
    "\x02": Key.LEFT,
    "\x04": Key.END_OF_INPUT,
    "\x05": Key.END,
    "\x06": Key.RIGHT,
    "\x0b": Key.KILL_AFTER,
    "\x0c": Key.REDRAW,
    "\x0e": Key.DOWN,
    "\x10": Key.UP,
    "\x15": Key.KILL_BEFORE,
    "\x17": Key.KILL_WORD,
}
# What follows ESC, for each key as the common terminals send it.
_SEQUENCES: Final[dict[str, Press]] = {
    **{
        f"{lead}{final}": key
        for lead in "[O"
        for final, key in zip(
            "ABCDHF", (Key.UP, Key.DOWN, Key.RIGHT, Key.LEFT, Key.HOME, Key.END), strict=True
        )
    },
    **{
        f"[{number}~": key
        for number, key in (
            (1, Key.HOME),
            (7, Key.HOME),
            (4, Key.END),
            (8, Key.END),
            (3, Key.DELETE),
        )
    },
    **{f"[1;{modifier}C": Key.WORD_RIGHT for modifier in (3, 5)},
    **{f"[1;{modifier}D": Key.WORD_LEFT for modifier in (3, 5)},
    "f": Key.WORD_RIGHT,
    "b": Key.WORD_LEFT,
    "\x7f": Key.KILL_WORD,
    "\r": Key.NEWLINE,
    "\n": Key.NEWLINE,
    "[I": Focused(on=True),
    "[O": Focused(on=False),
}
_PASTE_BEGIN: Final = "[200~"
_PASTE_END: Final = "\x1b[201~"

# ECMA-48: a whole sequence, or the beginning of one.
_is_whole = re.compile(r"\[[0-?]*[ -/]*[@-~]|O[@-~]|[^\[O]").fullmatch
_is_partial = re.compile(r"\[[0-?]*[ -/]*|O|").fullmatch


@final
class Keyboard:
    r"""Takes bytes as they come, cut anywhere.

    >>> Keyboard().feed(b"hi\x1b[D\r")
    [Typed(text='hi'), <Key.LEFT: 'left'>, <Key.ENTER: 'enter'>]
    """

    def __init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")(errors="replace").decode
        # After ESC: what came of the sequence so far; None outside of one.
        self._sequence: str | None = None
        # The letters of a paste, and its last few; None outside of one.
        self._paste: list[str] | None = None
        self._tail = ""
        self._letters = ""
        self._found: list[Press] = []

    @property
    def is_waiting(self) -> bool:
        """Whether the last thing was an ESC that may be a key or begin a sequence."""
        return self._sequence is not None

    def feed(self, data: bytes) -> list[Press]:
        """Return what `data` completes."""
        for char in self._decode(data):
            if self._paste is not None:
                self._in_paste(char)
            elif self._sequence is not None:
                self._in_sequence(char)
            elif char == "\x1b":
                self._end_letters()
                self._sequence = ""
            elif char in _CONTROLS:
                self._press(_CONTROLS[char])
            elif char.isprintable() or clean(char) == char:
                self._letters += char
        return self._take()

    def give_up(self) -> list[Press]:
        """Take an ESC that nothing followed for what it is: a key without a meaning here."""
        self._sequence = None
        return self._take()

    def _take(self) -> list[Press]:
        self._end_letters()
        found, self._found = self._found, []
        return found

    def _press(self, press: Press) -> None:
        self._end_letters()
        self._found.append(press)

    def _end_letters(self) -> None:
        if self._letters:
            self._found.append(Typed(self._letters))
            self._letters = ""

    def _in_sequence(self, char: str) -> None:
        assert self._sequence is not None
        if char == "\x1b":
            self._sequence = ""
            return
        sequence = self._sequence + char
        if sequence == _PASTE_BEGIN:
            self._sequence, self._paste, self._tail = None, [], ""
        elif _is_whole(sequence):
            self._sequence = None
            if sequence in _SEQUENCES:
                self._press(_SEQUENCES[sequence])
        elif _is_partial(sequence) and len(sequence) < _SEQUENCE_CHARS_MAX:
            self._sequence = sequence
        else:
            self._sequence = None

    def _in_paste(self, char: str) -> None:
        assert self._paste is not None
        # The end mark is looked for even in a paste that is too long.
        self._tail = (self._tail + char)[-len(_PASTE_END) :]
        if len(self._paste) < PASTE_CHARS_MAX + len(_PASTE_END):
            self._paste.append(char)
        if self._tail == _PASTE_END:
            text = "".join(self._paste).removesuffix(_PASTE_END)[:PASTE_CHARS_MAX]
            self._paste = None
            self._press(Pasted(clean(text)))
