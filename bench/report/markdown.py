"""The tables as Markdown, for a page."""

from collections.abc import Iterator

from .results import Results
from .rows import Table, tables, verdicts


def page(results: Results) -> str:
    """Return everything measured as Markdown."""
    return "\n".join(_page(results))


def _page(results: Results) -> Iterator[str]:
    yield from (f"- {name}: {fact}" for name, fact in results.machine.items())
    measured = ", ".join(f"{name} {version}" for name, version in results.peers.items())
    yield f"- measured: {measured}"
    yield from (f"- missing: {name}: {reason}" for name, reason in results.missing.items())
    goals = verdicts(results.samples)
    if goals is not None:
        yield from _table(goals)
    for table in tables(results.samples):
        yield from _table(table)


def _table(table: Table) -> Iterator[str]:
    yield ""
    yield f"### {table.title}"
    yield ""
    yield _row(table.columns)
    yield _row(("---", *("---:" for _ in table.columns[1:])))
    yield from map(_row, table.rows)
    if table.notes:
        yield ""
        yield from (f"{note}  " for note in table.notes)


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"
