"""Where a room's entries are in the log: from the tables, and from memory beyond them.

The tables hold the older ones of each lane, memory the newer ones; where both know an entry
they agree. The caller bounds every question by the floor and the head of its own snapshot.
"""

import sqlite3
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Final, TypeAlias, final

import msgspec

from .recent import Lane, Window

# (seq, log id)
Place: TypeAlias = tuple[int, int]

# Entries of one row of `places`; unpacking one takes 16 µs.
RUN_ENTRIES_MAX: Final = 256

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(tuple[list[int], list[int]]).decode

# Runs that may hold entries with `after < seq <= upto`.
_UPWARDS: Final = """
    SELECT run FROM places WHERE room_id = ? AND lane = ? AND seq <= ? AND seq >= coalesce(
        (SELECT max(seq) FROM places WHERE room_id = ? AND lane = ? AND seq <= ?), 0)
    ORDER BY seq"""
_DOWNWARDS: Final = """
    SELECT run FROM places WHERE room_id = ? AND lane = ? AND seq < ? ORDER BY seq DESC"""


def pack_run(seqs: list[int], ids: list[int]) -> bytes:
    """Return a row of `places`."""
    return _pack((seqs, ids))


@final
class Places:
    """The places of one state of the store."""

    __slots__ = ("_connection", "_windows")

    def __init__(self, connection: sqlite3.Connection, windows: Sequence[Window]) -> None:
        self._connection = connection
        self._windows = windows

    def ascending(
        self, room_id: int, lane: int, *, after: int, upto: int, limit: int
    ) -> list[Place]:
        """Return the first places with `after < seq <= upto`, oldest first."""
        found: list[Place] = []
        runs = self._connection.execute(_UPWARDS, (room_id, lane, upto, room_id, lane, after + 1))
        for (run,) in runs:
            after = _take_up(_unpack(run), after, upto, limit, found)
            if len(found) >= limit:
                break
        runs.close()
        for part in self._lanes(room_id, lane):
            after = _take_up(part, after, upto, limit, found)
        return found

    def descending(
        self, room_id: int, lane: int, *, before: int, floor: int, limit: int
    ) -> list[Place]:
        """Return the last places with `floor < seq < before`, newest first."""
        found: list[Place] = []
        for part in reversed(self._lanes(room_id, lane)):
            before = _take_down(part, before, floor, limit, found)
        if len(found) < limit:
            runs = self._connection.execute(_DOWNWARDS, (room_id, lane, before))
            for (run,) in runs:
                part = _unpack(run)
                before = _take_down(part, before, floor, limit, found)
                if len(found) >= limit or part[0][0] <= floor:
                    break
            runs.close()
        return found

    def at(self, room_id: int, lane: int, seq: int) -> int | None:
        """Return the log id of the entry at `seq`, or None when this lane has none there."""
        found = self.descending(room_id, lane, before=seq + 1, floor=seq - 1, limit=1)
        return found[0][1] if found else None

    def _lanes(self, room_id: int, lane: int) -> list[tuple[list[int], list[int]]]:
        """Return the lane's part of each window, oldest first."""
        parts: list[Lane] = []
        for window in self._windows:
            tail = window.tails.get(room_id)
            if tail is not None:
                parts.append(tail.lanes[lane])
        return [(part.seqs, part.ids) for part in parts]


def _take_up(
    part: tuple[list[int], list[int]], after: int, upto: int, limit: int, found: list[Place]
) -> int:
    """Add places after `after`; return the seq after which to go on."""
    seqs, ids = part
    start = bisect_right(seqs, after)
    end = min(bisect_right(seqs, upto), start + limit - len(found))
    if start < end:
        found += zip(seqs[start:end], ids[start:end], strict=True)
        return seqs[end - 1]
    return after


def _take_down(
    part: tuple[list[int], list[int]], before: int, floor: int, limit: int, found: list[Place]
) -> int:
    """Add places before `before`, newest first; return the seq before which to go on."""
    seqs, ids = part
    end = bisect_left(seqs, before)
    start = max(bisect_right(seqs, floor), end - (limit - len(found)))
    if start < end:
        found += zip(reversed(seqs[start:end]), reversed(ids[start:end]), strict=True)
        return seqs[start]
    return before
