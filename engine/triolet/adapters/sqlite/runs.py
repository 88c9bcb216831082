"""Runs: up to 64 entries of one lane of a room as one row, packed; and finding them.

The tables hold the older entries of each lane, memory the newer ones; where both know an entry
they agree. The caller bounds every question by the head of its own snapshot.
"""

import sqlite3
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, final

from .recent import MESSAGES, OTHERS, Lane, Window, lane_key, visible
from .rows import FACT, SEQ, Row, seq_of, unpack_rows

# A run is read as a whole: 64 entries are unpacked in 20 µs. More bytes than this are a run's
# only if one fact has them.
RUN_ENTRIES_MAX: Final = 64
_RUN_BYTES_MAX: Final = 16 * 1024

# Runs that may hold entries with `after < seq <= upto`, and those with `floor < seq < before`.
_UPWARDS: Final = """
    SELECT r.packed FROM places p CROSS JOIN runs r ON r.id = p.run
    WHERE p.room_id = ? AND p.lane = ? AND p.seq <= ? AND p.seq >= coalesce(
        (SELECT max(seq) FROM places WHERE room_id = ? AND lane = ? AND seq <= ?), 0)
    ORDER BY p.seq"""
_DOWNWARDS: Final = """
    SELECT r.packed FROM places p CROSS JOIN runs r ON r.id = p.run
    WHERE p.room_id = ? AND p.lane = ? AND p.seq < ? AND p.last > ? ORDER BY p.seq DESC"""


def cut(lane: Lane) -> Iterator[Lane]:
    """Cut a lane into runs."""
    start = size = 0
    for index, row in enumerate(lane):
        size += len(row[FACT])
        if index - start == RUN_ENTRIES_MAX or (size > _RUN_BYTES_MAX and index > start):
            yield lane[start:index]
            start, size = index, len(row[FACT])
    if start < len(lane):
        yield lane[start:]


def between(run: Lane, floor: int, before: int) -> Lane:
    """Return the entries of a run with `floor < seq < before`."""
    start = bisect_right(run, floor, key=seq_of)
    return run[start : bisect_left(run, before, start, key=seq_of)]


class Place(NamedTuple):
    """Whose entries: the room's id and name, and its floor."""

    id: int
    name: str
    floor: int


@final
class Runs:
    """The entries of one state of the store.

    Args:
        windows: the newest entries, in memory.
        batch: the last one of the state.
    """

    __slots__ = ("_batch", "_connection", "_windows")

    def __init__(
        self, connection: sqlite3.Connection, windows: Sequence[Window], batch: int
    ) -> None:
        self._connection = connection
        self._windows = windows
        self._batch = batch

    def ascending(
        self, room: Place, lane: int, *, after: int, upto: int, limit: int
    ) -> Iterator[list[Row]]:
        """Yield the first `limit` entries with `after < seq <= upto`, oldest first, in parts."""
        after = max(after, room.floor)
        place = (room.id, lane)
        rows = self._connection.execute(_UPWARDS, (*place, upto, *place, after + 1))
        for (packed,) in rows:
            run = unpack_rows(packed)
            start = bisect_right(run, after, key=seq_of)
            end = min(bisect_right(run, upto, key=seq_of), start + limit)
            if start < end:
                yield run[start:end]
                after = run[end - 1][SEQ]
                limit -= end - start
                if limit <= 0:
                    return
        for rows_of, count in self._lanes(*place):
            start = bisect_right(rows_of, after, 0, count, key=seq_of)
            end = min(bisect_right(rows_of, upto, 0, count, key=seq_of), start + limit)
            if start < end:
                yield rows_of[start:end]
                after = rows_of[end - 1][SEQ]
                limit -= end - start
                if limit <= 0:
                    return

    def descending(self, room: Place, lane: int, *, before: int, limit: int) -> Iterator[list[Row]]:
        """Yield the last `limit` entries with `seq < before`, newest first, in parts."""
        for part in self.recent_descending(room, lane, before=before, limit=limit, after_batch=0):
            yield part
            before = part[-1][SEQ]
            limit -= len(part)
        if limit <= 0:
            return
        rows = self._connection.execute(_DOWNWARDS, (room.id, lane, before, room.floor))
        for (packed,) in rows:
            part = between(unpack_rows(packed), room.floor, before)[-limit:][::-1]
            if part:
                yield part
                limit -= len(part)
                if limit <= 0:
                    return

    def recent_descending(
        self, room: Place, lane: int, *, before: int, limit: int, after_batch: int
    ) -> Iterator[list[Row]]:
        """Yield those of them that memory has, but for windows of no batch after `after_batch`."""
        for rows_of, count in reversed(self._lanes(room.id, lane, after_batch)):
            end = bisect_left(rows_of, before, 0, count, key=seq_of)
            start = max(bisect_right(rows_of, room.floor, 0, count, key=seq_of), end - limit)
            if start < end:
                yield rows_of[start:end][::-1]
                before = rows_of[start][SEQ]
                limit -= end - start
                if limit <= 0:
                    return

    def at(self, room: Place, lane: int, seq: int) -> Row | None:
        """Return the entry at `seq`, or None when this lane has none there."""
        for part in self.descending(room, lane, before=seq + 1, limit=1):
            return part[0] if part[0][SEQ] == seq else None
        return None

    def recent_rooms(self) -> list[int]:
        """Return the ids of the rooms of which memory has entries."""
        return list(dict.fromkeys(key >> 1 for one in self._windows for key in list(one.lanes)))

    def last(self, room_id: int) -> Row | None:
        """Return a room's last entry, if memory has it."""
        for window in reversed(self._windows):
            lanes = [window.lanes.get(lane_key(room_id, lane)) for lane in (MESSAGES, OTHERS)]
            found = [lane[count - 1] for lane in lanes if lane and (count := self._count(lane))]
            if found:
                return max(found, key=seq_of)
        return None

    def _lanes(self, room_id: int, lane: int, after_batch: int = 0) -> list[tuple[Lane, int]]:
        """Return the lane's part of each window and how much of it counts, oldest first."""
        key = lane_key(room_id, lane)
        windows = [window for window in self._windows if window.last_batch > after_batch]
        parts = [window.lanes.get(key) for window in windows]
        return [(part, self._count(part)) for part in parts if part]

    def _count(self, lane: Lane) -> int:
        return visible(lane, self._batch)
