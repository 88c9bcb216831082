"""Jobs in the file that wait: those that are claimed with others, and those that are claimed alone.

Each lane has an index, by which a claim goes from priority to priority.
"""

import sqlite3
from collections.abc import Iterator
from typing import Final

from ...ports.jobs import LOST_ALONE, PRIORITY_MAX

# Of those that wait: such as are claimed with others, and such as are claimed alone.
_TOGETHER: Final = f"state = 0 AND lost < {LOST_ALONE}"
_ALONE: Final = f"state = 0 AND lost >= {LOST_ALONE}"
_LANES: Final = {False: _TOGETHER, True: _ALONE}
NEXT_PRIORITY: Final = {
    alone: f"SELECT priority FROM jobs WHERE {lane} AND kind = ? AND priority < ? "  # noqa: S608
    "ORDER BY priority DESC LIMIT 1"
    for alone, lane in _LANES.items()
}
# With whether it may be claimed ahead.
DUE: Final = {
    alone: "SELECT due_at, id, lost = 0 AND attempts + 1 < attempts_max FROM jobs "  # noqa: S608
    f"WHERE {lane} AND kind = ? AND priority = ? AND due_at <= ? ORDER BY due_at, id LIMIT ?"
    for alone, lane in _LANES.items()
}
FIRST_DUE: Final = {
    alone: f"SELECT min(due_at) FROM jobs WHERE {lane} AND kind = ? AND priority = ?"  # noqa: S608
    for alone, lane in _LANES.items()
}


def due_jobs(
    connection: sqlite3.Connection, kind: str, now: int, limit: int, *, alone: bool = False
) -> Iterator[tuple[int, int, int, int]]:
    """Yield the first `(-priority, due_at, id, may be ahead)` of those of a kind that are due."""
    for priority in priorities(connection, kind, alone=alone):
        for row in connection.execute(DUE[alone], (kind, priority, now, limit)):
            yield -priority, *row
            limit -= 1
        if limit <= 0:
            return


def priorities(connection: sqlite3.Connection, kind: str, *, alone: bool) -> Iterator[int]:
    """Yield the priorities of those of a kind that wait, the highest first."""
    below = PRIORITY_MAX + 1
    while (row := connection.execute(NEXT_PRIORITY[alone], (kind, below)).fetchone()) is not None:
        (below,) = row
        yield below


def first_due(connection: sqlite3.Connection, kind: str, *, alone: bool) -> int | None:
    """Return when the first one of a kind that waits is due (ms), or None."""
    levels = list(priorities(connection, kind, alone=alone))
    dues = [connection.execute(FIRST_DUE[alone], (kind, one)).fetchone()[0] for one in levels]
    return min(dues, default=None)


def oldest_due(connection: sqlite3.Connection, kind: str) -> int:
    """Return when the first one of a kind that waits is due (ms), however it is claimed, or 0."""
    dues = [first_due(connection, kind, alone=alone) for alone in _LANES]
    return min((due for due in dues if due is not None), default=0)
