"""A progress bar on stderr, where somebody looks at it; a line now and then, where nobody does."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

# Without a terminal a line is printed for each twentieth part.
_PARTS = 20


@final
class Bar:
    """What a command tells of how far it is: `advance()` for each unit done."""

    def __init__(self, progress: Progress | None, label: str, total: int) -> None:
        self._progress = progress
        self._label = label
        self._total = total
        self._done = 0
        self._task = progress.add_task(label, total=total) if progress is not None else None

    def advance(self, units: int = 1) -> None:
        """Count `units` as done."""
        before, self._done = self._done, self._done + units
        if self._progress is not None and self._task is not None:
            self._progress.advance(self._task, units)
        elif self._part(before) != self._part(self._done):
            sys.stderr.write(f"{self._label}: {self._done} of {self._total}\n")

    def _part(self, units: int) -> int:
        return units * _PARTS // max(1, self._total)


@contextmanager
def bar(label: str, total: int) -> Iterator[Bar]:
    """Show how far a command of `total` units is, for as long as the block lasts."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Bar(None, label, total)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        yield Bar(progress, label, total)
