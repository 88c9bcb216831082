"""Tables on the terminal."""

from rich.console import Console
from rich.table import Table as Drawn

from .results import Results
from .rows import Table, tables, verdicts


def show(console: Console, results: Results) -> None:
    """Print the machine, the medians, whatever makes them doubtful, and the goals."""
    for name, fact in results.machine.items():
        console.print(f"[dim]{name:>8}[/]  {fact}", highlight=False, soft_wrap=True)
    for name, reason in results.missing.items():
        console.print(f"[yellow]missing[/]  {name}: ", end="")
        console.print(reason, markup=False, highlight=False)
    for table in tables(results.samples):
        _show(console, table)
    goals = verdicts(results.samples)
    if goals is not None:
        _show(console, goals)


def _show(console: Console, table: Table) -> None:
    drawn = Drawn(title=table.title, title_justify="left")
    for index, column in enumerate(table.columns):
        drawn.add_column(column, justify="right" if index else "left", no_wrap=not index)
    for row in table.rows:
        drawn.add_row(*row)
    console.print(drawn)
    for note in table.notes:
        console.print(f"  {note}", highlight=False, markup=False)
