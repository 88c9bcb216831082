"""The schema: what each step of it runs, from the files in `sql`.

How it stays fast at 10^8 entries: what a batch writes goes to the ends of the heaps, and in each
index to the last page of the rooms that it touches; what is read is found by an index whose order
is that of the answer, so a page costs its rows, however many there are beside them.
"""

from importlib.resources import files
from typing import Final

# Only ever appended to; a released step is never changed.
_STEPS: Final[tuple[tuple[str, ...], ...]] = (
    ("tables.sql", "append.sql", "reading.sql", "keeping.sql"),
    ("transfer.sql",),
    ("deleting.sql",),
    ("documents.sql",),
    ("families.sql",),
    ("people.sql",),
    ("jobs.sql",),
    ("revocations.sql",),
    ("lost.sql",),
    ("clearing.sql",),
)


def steps() -> list[str]:
    """Return the SQL of each step."""
    folder = files(__package__) / "sql"
    return ["\n".join((folder / name).read_text("utf-8") for name in names) for names in _STEPS]
