"""Painting a conversation into a terminal that keeps its scrollback: no full-screen takeover.

Blocks are printed one under the other, and a few lines of ours, the *bottom*, below them.
A block that is whole on the screen is *live*: when it changes, the cursor goes up to the first
line that differs and everything from there is printed again. A block that has begun to leave
the screen is *frozen*: it stays as it is, for nothing can be written there any more.
What is sent is text; this module knows no terminal.
"""

from collections.abc import Sequence
from typing import Final, TypeAlias, final

# Key and lines; a line has no line break, and may have colours.
Painted: TypeAlias = tuple[str, tuple[str, ...]]

# A terminal that knows it (most do) shows the whole frame at once; others ignore it.
# Without automatic wrapping a line that is wider than it was taken for (no two terminals agree
# on every emoji) is cut, instead of making a second row that nobody has counted.
_BEGIN: Final = "\x1b[?2026h\x1b[?25l\x1b[?7l"
_END: Final = "\x1b[?7h\x1b[?25h\x1b[?2026l"
_CLEAR_BELOW: Final = "\x1b[J"
_CLEAR_SCREEN: Final = "\x1b[H\x1b[2J"


@final
class Scroll:
    """What stands on the screen, as far as it is known.

    The cursor stands in the last line of the bottom whenever nothing is being painted.
    """

    def __init__(self) -> None:
        self._live: list[Painted] = []
        self._frozen: dict[str, None] = {}
        self._bottom: tuple[str, ...] = ()

    def is_past(self, key: str) -> bool:
        """Whether a block is frozen: its lines need not be known any more."""
        return key in self._frozen

    def paint(self, blocks: Sequence[Painted], bottom: Sequence[str], *, rows: int) -> str:
        """Return what to send so that the screen ends in `blocks` and `bottom`.

        Args:
            blocks: everything, oldest first; frozen ones are skipped.
            bottom: the last lines.
            rows: the height of the screen, more than the bottom's.
        """
        live = [block for block in blocks if block[0] not in self._frozen]
        before, after = _lines(self._live), _lines(live)
        same = _common(before, after)
        bottom = tuple(bottom)
        is_same = same == len(before) == len(after) and bottom == self._bottom
        up = len(before) - same + max(len(self._bottom) - 1, 0)
        sent = _up(up) + _CLEAR_BELOW + "\r\n".join([*after[same:], *bottom])
        self._settle(blocks, live, bottom, rows)
        return "" if is_same else _BEGIN + sent + _END

    def repaint(
        self, blocks: Sequence[Painted], bottom: Sequence[str], *, rows: int, is_torn: bool
    ) -> str:
        """Return what to send after the size has changed, or somebody else has written here.

        Args:
            blocks: everything, oldest first.
            bottom: the last lines.
            rows: the height of the screen.
            is_torn: nobody knows where our lines are now, as when the screen has become
                narrower (some terminals wrap what was there, some cut it): it is cleared.
        """
        live = dict(self._live)
        fills = is_torn or not live
        start, height = len(blocks), len(bottom)
        while start > 0:
            key, lines = blocks[start - 1]
            height += len(lines)
            if key not in live and not (fills and height <= rows):
                break
            start -= 1
        sent = _CLEAR_SCREEN if is_torn else _BEGIN + self._top() + _CLEAR_BELOW
        self._live, self._bottom = [], ()
        self._frozen = dict.fromkeys(key for key, _ in blocks[:start])
        return sent + self.paint(blocks, bottom, rows=rows)

    def _top(self) -> str:
        return _up(len(_lines(self._live)) + max(len(self._bottom) - 1, 0))

    def leave(self) -> str:
        """Return what to send to take the bottom away; what is above belongs to the past."""
        up = max(len(self._bottom) - 1, 0)
        self._live, self._frozen, self._bottom = [], {}, ()
        return _up(up) + _CLEAR_BELOW

    def _settle(
        self,
        blocks: Sequence[Painted],
        live: list[Painted],
        bottom: tuple[str, ...],
        rows: int,
    ) -> None:
        """Freeze what no longer fits, and forget what is no longer there."""
        height, start = len(bottom), len(live)
        while start > 0 and height + len(live[start - 1][1]) <= rows:
            start -= 1
            height += len(live[start][1])
        self._frozen |= dict.fromkeys(key for key, _ in live[:start])
        self._frozen = {key: None for key, _ in blocks if key in self._frozen}
        self._live, self._bottom = live[start:], bottom


def _up(rows: int) -> str:
    return f"\r\x1b[{rows}A" if rows else "\r"


def _lines(blocks: Sequence[Painted]) -> list[str]:
    return [line for _, lines in blocks for line in lines]


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """Return how many lines both begin with."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (left, right) in pairs if left != right), min(len(one), len(other)))
