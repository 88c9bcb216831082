"""Statements over many rows, in few calls.

Each call into SQLite gives the interpreter's lock away and takes it back: 100 rows by
`executemany` are 100 chances to wait for the engine's thread, by `VALUES (…), (…)` four.
"""

import sqlite3
from collections.abc import Iterator
from typing import Any, Final, TypeAlias, final

# Text, numbers, bytes and None, as sqlite3 binds them.
Params: TypeAlias = list[Any]

# Rows of one statement, so that few texts are prepared and kept.
_SIZES: Final = (64, 16, 4, 1)


@final
class Bulk:
    """One statement for any number of rows, given flat: `[a1, b1, a2, b2, …]`."""

    __slots__ = ("_statements",)

    def __init__(self, before: str, row: str, after: str = "") -> None:
        width = row.count("?")
        self._statements = [
            (rows * width, before + ",".join([row] * rows) + after) for rows in _SIZES
        ]

    def each(self, connection: sqlite3.Connection, params: Params) -> Iterator[sqlite3.Cursor]:
        """Run the statement over all rows; yields a cursor for each part."""
        start, end = 0, len(params)
        for size, sql in self._statements:
            while end - start >= size:
                yield connection.execute(sql, params[start : start + size])
                start += size

    def run(self, connection: sqlite3.Connection, params: Params) -> None:
        """Run the statement over all rows, for its effect."""
        for _ in self.each(connection, params):
            pass


# Ids in one IN; the rest of a shorter list repeats the last one, which changes nothing.
_IN_SIZES: Final = (1, 8, 64, 256)


@final
class Among:
    """A query whose text says `{}` where it wants `?, ?, …` for an IN of up to 256 ids."""

    __slots__ = ("_statements",)

    def __init__(self, sql: str) -> None:
        self._statements = [(size, sql.format(",".join("?" * size))) for size in _IN_SIZES]

    def execute(
        self, connection: sqlite3.Connection, ids: Params, *first: int | str
    ) -> sqlite3.Cursor:
        """Run the query; `first` are the parameters before the IN."""
        assert 0 < len(ids) <= _IN_SIZES[-1], "callers ask for pages"
        size, sql = next(one for one in self._statements if len(ids) <= one[0])
        return connection.execute(sql, [*first, *ids, *ids[-1:] * (size - len(ids))])
