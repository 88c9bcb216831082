"""What is seen of the demo: both people's screens side by side, or named lines where it is narrow."""

from collections.abc import Sequence
from typing import Final, final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from .proof import Verdict

# Two columns of sentences need that much.
_WIDE_CELLS: Final = 72
# Wider, the two would be too far apart to be read as one.
_WIDE_CELLS_MAX: Final = 110
_MARGIN: Final = "  "
_BETWEEN: Final = " │ "


@final
class Stage:
    """Prints; keeps nothing.

    Args:
        console: where to.
        names: the two people, left and right.
        colours: theirs.
    """

    def __init__(self, console: Console, names: Sequence[str], colours: Sequence[str]) -> None:
        self._console = console
        self._names = names
        self._colours = colours
        self._width = min(console.width, _WIDE_CELLS_MAX)
        self._is_wide = console.width >= _WIDE_CELLS

    def title(self, title: str, subtitle: str) -> None:
        """Print what it is all about."""
        self._print(Text())
        self._print(Text.assemble(_MARGIN, (title, "bold")))
        self._print(Text.assemble(_MARGIN, (subtitle, "dim")))

    def scene(self, text: str) -> None:
        """Print what happens next."""
        self._print(Text())
        self._print(Text.assemble(_MARGIN, ("▸ ", "bold cyan"), (text, "bold")))

    def aside(self, text: str) -> None:
        """Print something about the server."""
        self._print(Text.assemble(_MARGIN, _MARGIN, (text, "dim")))

    def heads(self) -> None:
        """Print whose screen is where."""
        if self._is_wide:
            for index, name in enumerate(self._names):
                style = f"bold {self._colours[index]}"
                if index == 0:
                    left = Text(f"{name}'s screen", style)
                else:
                    self._row(left, Text(f"{name}'s screen", style))
            column = self._column
            line = f"{'─' * column}─┼─{'─' * column}"
            self._print(Text(_MARGIN + line, "dim"))

    def tell(self, name: str, text: Text) -> None:
        """Print what somebody sees."""
        if not self._is_wide:
            self._named(name, text)
        elif name == self._names[0]:
            self._row(text, Text())
        else:
            self._row(Text(), text)

    def verdict(self, verdict: Verdict) -> None:
        """Print the proof."""
        table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
        table.add_column("")
        for name, colour in zip(self._names, self._colours, strict=True):
            table.add_column(name, justify="right", style=colour)
        for row in verdict.rows:
            table.add_row(row.label, *map(str, row.figures))
        self._print(Text())
        grid = Table.grid(padding=(0, 0, 0, 4))
        grid.add_row(table)
        self._console.print(grid)
        self._print(Text())
        if not verdict.faults:
            self._print(Text.assemble(_MARGIN, ("✓ nothing was lost", "bold green")))
        for fault in verdict.faults:
            self._print(Text.assemble(_MARGIN, ("✗ ", "bold red"), fault))
        self._print(Text())

    @property
    def _column(self) -> int:
        return (self._width - len(_MARGIN) - len(_BETWEEN)) // 2

    def _named(self, name: str, text: Text) -> None:
        width = max(map(len, self._names))
        colour = self._colours[self._names.index(name)]
        lines = text.wrap(self._console, max(self._width - width - 5, 8))
        for number, line in enumerate(lines):
            label = name if number == 0 else ""
            self._print(
                Text.assemble(_MARGIN, (f"{label:<{width}}", colour), (_BETWEEN, "dim"), line)
            )

    def _row(self, left: Text, right: Text) -> None:
        column = self._column
        sides = [list(side.wrap(self._console, column)) or [Text()] for side in (left, right)]
        for number in range(max(map(len, sides))):
            one, other = (side[number].copy() if number < len(side) else Text() for side in sides)
            one.pad_right(max(column - one.cell_len, 0))
            self._print(Text.assemble(_MARGIN, one, (_BETWEEN, "dim"), other))

    def _print(self, text: Text) -> None:
        text.rstrip()
        self._console.print(text, soft_wrap=True, highlight=False)
