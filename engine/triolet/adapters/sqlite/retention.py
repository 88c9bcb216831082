"""Removing what is old: in small transactions, found by readers, so that messages come first.

One call of the port is many of these steps. Each leaves the store right: the floor moves in
the transaction that removes the entries below it.
"""

import sqlite3
from heapq import merge
from itertools import islice
from typing import Final, NamedTuple

from .bulk import Among
from .ledger import Ledger
from .recent import MESSAGES, OTHERS
from .snapshot import Snapshot

# Entries, cids or leftovers of one transaction: 250 rows from all over the file hold the
# writer for 3 to 5 ms.
ROWS_PER_STEP: Final = 250

# Rooms looked at in one step.
_ROOMS_PER_STEP: Final = 64
# Rooms whose cids one read goes through, so that no snapshot lasts for seconds.
_ROOMS_PER_READ: Final = 1000

_DUE: Final = """
    SELECT r.id, r.name FROM rooms r JOIN heads h ON h.room_id = r.id
    WHERE h.head > r.floor AND (r.oldest_at < ? OR ? > 0 AND h.head - r.floor > ?)
    ORDER BY r.id LIMIT ?"""
_ROWS: Final = Among("SELECT id, seq, n, at FROM log WHERE id IN ({}) ORDER BY id")
_REMOVE: Final = Among("DELETE FROM log WHERE id IN ({})")

# Ids in one IN.
_IDS: Final = 256

# What was folded for messages that are gone: where it is, and how one row of it is removed.
_LEFTOVERS: Final = (
    (
        "SELECT room_id, target, seq FROM edits WHERE room_id = ? AND target <= ? LIMIT ?",
        "DELETE FROM edits WHERE room_id = ? AND target = ? AND seq = ?",
    ),
    (
        """SELECT room_id, target, emoji, user FROM reactions
        WHERE room_id = ? AND target <= ? LIMIT ?""",
        "DELETE FROM reactions WHERE room_id = ? AND target = ? AND emoji = ? AND user = ?",
    ),
    (
        """SELECT room_id, target, emoji FROM reaction_counts
        WHERE room_id = ? AND target <= ? LIMIT ?""",
        "DELETE FROM reaction_counts WHERE room_id = ? AND target = ? AND emoji = ?",
    ),
)


class Due(NamedTuple):
    """A room that may have entries to remove."""

    room_id: int
    name: str


class Step(NamedTuple):
    """What one transaction did for a room: entries removed, the floor then."""

    due: Due
    floor: int
    floor_n: int
    removed: int
    is_progress: bool


def due(snapshot: Snapshot, *, older_than: int, entries_max: int) -> list[Due]:
    """Return some rooms that may have entries to remove; empty when there is none."""
    rows = snapshot.connection.execute(
        _DUE, (older_than, entries_max, entries_max, _ROOMS_PER_STEP)
    )
    return [Due(*row) for row in rows]


def remove(
    ledger: Ledger, rooms: list[Due], *, older_than: int, entries_max: int, limit: int
) -> list[Step]:
    """Remove at most `limit` entries of these rooms, in one transaction.

    A room that turns out to have nothing due has that noted (`oldest_at`), which is progress.
    Only what is folded is removed: until then, the log is all that knows its cids.
    """
    steps = []
    for room in rooms:
        if limit <= 0:
            break
        step = _remove(ledger, room, older_than=older_than, entries_max=entries_max, limit=limit)
        ledger.forget_room(room.name)
        limit -= step.removed
        steps.append(step)
    return steps


def _remove(ledger: Ledger, room: Due, *, older_than: int, entries_max: int, limit: int) -> Step:
    connection = ledger.connection
    floor, floor_n, noted_at, head, indexed = connection.execute(
        "SELECT r.floor, r.floor_n, r.oldest_at, h.head, s.indexed "
        "FROM rooms r JOIN heads h ON h.room_id = r.id, store s WHERE r.id = ?",
        (room.room_id,),
    ).fetchone()
    beyond = head - entries_max if entries_max else 0
    limit = min(limit, ROWS_PER_STEP)
    gone: list[int] = []
    oldest_at = noted_at
    # One more than may go, to know how old the oldest one left is.
    for log_id, seq, n, at in _oldest(ledger, room, floor, head, limit + 1):
        oldest_at = at
        is_due = at < older_than or seq <= beyond
        if len(gone) == limit or not is_due or log_id > indexed:
            break
        gone.append(log_id)
        floor, floor_n = seq, n
    for start in range(0, len(gone), _IDS):
        _REMOVE.execute(connection, gone[start : start + _IDS])
    connection.execute(
        "UPDATE rooms SET floor = ?, floor_n = ?, oldest_at = ? WHERE id = ?",
        (floor, floor_n, oldest_at, room.room_id),
    )
    if gone:
        _drop_runs(connection, room.room_id, floor)
    return Step(room, floor, floor_n, len(gone), bool(gone) or oldest_at != noted_at)


def _oldest(
    ledger: Ledger, room: Due, floor: int, head: int, count: int
) -> list[tuple[int, int, int, int]]:
    """Return log id, seq, n and at of a room's oldest entries."""
    places = ledger.places()
    lanes = [
        places.ascending(room.room_id, lane, after=floor, upto=head, limit=count)
        for lane in (MESSAGES, OTHERS)
    ]
    ids = [log_id for _, log_id in islice(merge(*lanes), count)]
    rows: list[tuple[int, int, int, int]] = []
    for start in range(0, len(ids), _IDS):
        rows += _ROWS.execute(ledger.connection, ids[start : start + _IDS])
    return rows


def _drop_runs(connection: sqlite3.Connection, room_id: int, floor: int) -> None:
    """Drop runs wholly below the floor: those before the one that holds what comes next."""
    for lane in (MESSAGES, OTHERS):
        connection.execute(
            "DELETE FROM places WHERE room_id = ? AND lane = ? AND seq < (SELECT max(seq) "
            "FROM places WHERE room_id = ? AND lane = ? AND seq <= ?)",
            (room_id, lane, room_id, lane, floor + 1),
        )


def sweep(ledger: Ledger, room: Step) -> int:
    """Remove some of what was folded for messages below a room's floor; return how many rows."""
    count = 0
    for find, remove_one in _LEFTOVERS:
        rows = ledger.connection.execute(
            find, (room.due.room_id, room.floor, ROWS_PER_STEP - count)
        ).fetchall()
        ledger.connection.executemany(remove_one, rows)
        count += len(rows)
    return count


# --- cids --------------------------------------------------------------------------------


class OldCids(NamedTuple):
    """Cids to forget, and the room after which to look on; None: that was the last room."""

    keys: list[tuple[int, str]]
    next_room: int | None


def old_cids(snapshot: Snapshot, *, older_than: int, after_room: int, limit: int) -> OldCids:
    """Find cids older than `older_than` in some rooms after `after_room`."""
    rooms = snapshot.connection.execute(
        "SELECT id FROM rooms WHERE id > ? ORDER BY id LIMIT ?", (after_room, _ROOMS_PER_READ)
    ).fetchall()
    keys: list[tuple[int, str]] = []
    for (room_id,) in rooms:
        keys += snapshot.connection.execute(
            "SELECT room_id, key FROM cids WHERE room_id = ? AND at < ? LIMIT ?",
            (room_id, older_than, limit - len(keys)),
        )
        if len(keys) >= limit:
            # This room may have more.
            return OldCids(keys, room_id - 1)
    return OldCids(keys, rooms[-1][0] if len(rooms) == _ROOMS_PER_READ else None)


def forget_cids(ledger: Ledger, keys: list[tuple[int, str]]) -> None:
    """Forget these cids."""
    ledger.connection.executemany("DELETE FROM cids WHERE room_id = ? AND key = ?", keys)
