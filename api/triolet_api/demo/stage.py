"""What is seen of the demo: two screens side by side, or named lines where it is narrow."""

from collections.abc import Sequence
from itertools import zip_longest
from typing import Final, final

from rich.console import Console
from rich.padding import Padding
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
        self._say(Text.assemble(_MARGIN, (title, "bold")))
        self._say(Text.assemble(_MARGIN, (subtitle, "dim")))

    def scene(self, text: str) -> None:
        """Print what happens next."""
        self._print(Text())
        self._say(Text.assemble(_MARGIN, ("▸ ", "bold cyan"), (text, "bold")), indent=4)

    def aside(self, text: str) -> None:
        """Print something about the server."""
        self._say(Text.assemble(_MARGIN, _MARGIN, (text, "dim")), indent=4)

    def heads(self) -> None:
        """Print whose screen is where."""
        if self._is_wide:
            pairs = zip(self._names, self._colours, strict=True)
            left, right = (Text(f"{name}'s screen", f"bold {colour}") for name, colour in pairs)
            self._row([left], [right])
            column = self._column
            line = f"{'─' * column}─┼─{'─' * column}"
            self._print(Text(_MARGIN + line, "dim"))

    def tell(self, name: str, text: Text, *, indent: int = 0) -> None:
        """Print what somebody sees.

        Args:
            name: who.
            text: what.
            indent: where its second line and the others begin.
        """
        lines = self._wrap(text, indent, self._column)
        if not self._is_wide:
            self._named(name, lines)
        elif name == self._names[0]:
            self._row(lines, [])
        else:
            self._row([], lines)

    def verdict(self, verdict: Verdict) -> None:
        """Print the proof."""
        table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
        table.add_column("")
        for name, colour in zip(self._names, self._colours, strict=True):
            table.add_column(name, justify="right", style=colour)
        for row in verdict.rows:
            table.add_row(row.label, *map(str, row.figures))
        self._print(Text())
        self._console.print(Padding(table, (0, 0, 0, 2 * len(_MARGIN)), expand=False))
        self._print(Text())
        if not verdict.faults:
            self._print(Text.assemble(_MARGIN, ("✓ nothing was lost", "bold green")))
        for fault in verdict.faults:
            self._say(Text.assemble(_MARGIN, ("✗ ", "bold red"), fault), indent=4)
        self._print(Text())

    @property
    def _column(self) -> int:
        if self._is_wide:
            return (self._width - len(_MARGIN) - len(_BETWEEN)) // 2
        return max(self._width - len(_MARGIN) - len(_BETWEEN) - self._name_cells, 12)

    @property
    def _name_cells(self) -> int:
        return max(map(len, self._names))

    def _say(self, text: Text, *, indent: int = len(_MARGIN)) -> None:
        """Print a text over the whole width, its later lines under its first."""
        for line in self._wrap(text, indent, self._console.width):
            self._print(line)

    def _wrap(self, text: Text, indent: int, width: int) -> list[Text]:
        """Return lines of a width, the later ones indented as far as the text begins."""
        head, rest = text.divide([indent])
        lines = rest.wrap(self._console, max(width - indent, 8)) or [Text()]
        blank = Text(" " * indent)
        first, *others = lines
        return [head.append_text(first), *(blank.copy().append_text(line) for line in others)]

    def _named(self, name: str, lines: Sequence[Text]) -> None:
        colour = self._colours[self._names.index(name)]
        for number, line in enumerate(lines):
            label = f"{'' if number else name:<{self._name_cells}}"
            self._print(Text.assemble(_MARGIN, (label, colour), (_BETWEEN, "dim"), line))

    def _row(self, left: Sequence[Text], right: Sequence[Text]) -> None:
        for one, other in zip_longest(left, right, fillvalue=Text()):
            side = one.copy()
            side.pad_right(max(self._column - side.cell_len, 0))
            self._print(Text.assemble(_MARGIN, side, (_BETWEEN, "dim"), other))

    def _print(self, text: Text) -> None:
        text.rstrip()
        self._console.print(text, soft_wrap=True, highlight=False)
