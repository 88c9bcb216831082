"""Removing what is old: in small transactions, found by readers, so that messages come first.

One call of the port is many of these steps. Each leaves the store right: the floor moves in
the transaction that removes the entries below it.
"""

import sqlite3
from typing import Final, NamedTuple

from .ledger import Ledger
from .recent import MESSAGES, OTHERS
from .rows import SEQ, Row, pack_rows, seq_of, unpack_rows
from .runs import Place
from .schema import HEAD
from .snapshot import Snapshot

# Entries, cids or leftovers of one transaction: 250 rows from all over the file hold the
# writer for 3 to 5 ms.
ROWS_PER_STEP: Final = 250

# Rooms with something to remove that are looked at in one step.
_ROOMS_PER_STEP: Final = 64
# Rooms that one read goes through, so that no snapshot lasts for long: 3 ms.
_ROOMS_PER_READ: Final = 1000

_CHUNK: Final = "SELECT id FROM rooms WHERE id > ? ORDER BY id LIMIT ?"
_CHUNK_END: Final = f"SELECT count(*), max(id) FROM ({_CHUNK})"  # noqa: S608 - ours
_DUE: Final = f"""
    SELECT id, name FROM (
        SELECT r.id, r.name, r.floor, r.oldest_at, {HEAD} AS head
        FROM rooms r WHERE r.id IN ({_CHUNK}) ORDER BY r.id
    ) WHERE head > floor AND (oldest_at < ? OR ? > 0 AND head - floor > ?)
    LIMIT ?"""  # noqa: S608 - all of it is ours
_ROOM: Final = f"""
    SELECT r.floor, r.floor_n, r.oldest_at, {HEAD} FROM rooms r WHERE r.id = ?
"""  # noqa: S608 - the columns are ours

# What was folded for messages that are gone: where it is, and how one row of it is removed.
_LEFTOVERS: Final = (
    (
        "SELECT room_id, target, seq FROM edits WHERE room_id = ? AND target <= ? LIMIT ?",
        "DELETE FROM edits WHERE room_id = ? AND target = ? AND seq = ?",
    ),
    (
        "SELECT room_id, target FROM bodies WHERE room_id = ? AND target <= ? LIMIT ?",
        "DELETE FROM bodies WHERE room_id = ? AND target = ?",
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


class Found(NamedTuple):
    """Some of those rooms, and the room after which to look on; None: that was the last one."""

    rooms: list[Due]
    next_room: int | None


class Step(NamedTuple):
    """What one transaction did for a room: entries removed, the floor then, whether it is done."""

    due: Due
    floor: int
    floor_n: int
    removed: int
    is_done: bool


def due(snapshot: Snapshot, *, after_room: int, older_than: int, entries_max: int) -> Found:
    """Find rooms after `after_room` that may have entries to remove, in a bounded search.

    What is not folded yet is not seen.
    """
    execute = snapshot.connection.execute
    chunk = after_room, _ROOMS_PER_READ
    rows = execute(_DUE, (*chunk, older_than, entries_max, entries_max, _ROOMS_PER_STEP))
    rooms = [Due(*row) for row in rows]
    if len(rooms) == _ROOMS_PER_STEP:
        return Found(rooms, rooms[-1].room_id)
    count, last = execute(_CHUNK_END, chunk).fetchone()
    return Found(rooms, last if count == _ROOMS_PER_READ else None)


def remove(
    ledger: Ledger, rooms: list[Due], *, older_than: int, entries_max: int, limit: int
) -> list[Step]:
    """Remove at most `limit` entries of the first of these rooms, in one transaction.

    Only what is folded is removed: until then, the journal would bring it back after a crash.
    """
    steps = []
    for room in rooms:
        if limit <= 0:
            break
        if ledger.room(room.name) is None:
            # It was deleted since it was found.
            steps.append(Step(room, 0, 0, 0, is_done=True))
            continue
        step = _remove(ledger, room, older_than=older_than, entries_max=entries_max, limit=limit)
        ledger.forget_room(room.name)
        limit -= step.removed
        steps.append(step)
    return steps


def _remove(ledger: Ledger, room: Due, *, older_than: int, entries_max: int, limit: int) -> Step:
    connection = ledger.connection
    floor, floor_n, oldest_at, head = connection.execute(_ROOM, (room.room_id,)).fetchone()
    beyond = head - entries_max if entries_max else 0
    unfolded_from = ledger.recent.unfolded_from(room.room_id)
    removed = 0
    is_done = True
    # One more than may go, to know how old the oldest one left is.
    for row in _oldest(ledger, Place(*room, floor), head, limit + 1):
        _, _, seq, n, _, _, oldest_at, *_ = row
        is_due = oldest_at < older_than or seq <= beyond
        if not is_due or (unfolded_from is not None and seq >= unfolded_from):
            break
        if removed == limit:
            is_done = False
            break
        removed += 1
        floor, floor_n = seq, n
    connection.execute(
        "UPDATE rooms SET floor = ?, floor_n = ?, oldest_at = ? WHERE id = ?",
        (floor, floor_n, oldest_at, room.room_id),
    )
    if removed:
        for lane in (MESSAGES, OTHERS):
            _drop_runs(connection, room, lane, floor)
    return Step(room, floor, floor_n, removed, is_done)


def _oldest(ledger: Ledger, place: Place, head: int, count: int) -> list[Row]:
    """Return a room's oldest entries."""
    runs = ledger.runs()
    found: list[Row] = []
    for lane in (MESSAGES, OTHERS):
        for part in runs.ascending(place, lane, after=place.floor, upto=head, limit=count):
            found += part
    return sorted(found, key=seq_of)[:count]


def _drop_runs(connection: sqlite3.Connection, room: Due, lane: int, floor: int) -> None:
    """Drop runs wholly below the floor, and what is below it of the one that it is in."""
    place = (room.room_id, lane)
    for seq, last, run in connection.execute(
        "SELECT seq, last, run FROM places WHERE room_id = ? AND lane = ? AND seq <= ?",
        (*place, floor),
    ).fetchall():
        if last <= floor:
            connection.execute("DELETE FROM runs WHERE id = ?", (run,))
            connection.execute(
                "DELETE FROM places WHERE room_id = ? AND lane = ? AND seq = ?", (*place, seq)
            )
            continue
        (packed,) = connection.execute("SELECT packed FROM runs WHERE id = ?", (run,)).fetchone()
        kept = [row for row in unpack_rows(packed) if row[SEQ] > floor]
        connection.execute("UPDATE runs SET packed = ? WHERE id = ?", (pack_rows(kept), run))
        connection.execute(
            "UPDATE places SET seq = ? WHERE room_id = ? AND lane = ? AND seq = ?",
            (kept[0][SEQ], *place, seq),
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
