"""Folding windows of recent entries into `places` and `cids`, a slice with each batch.

Sorted by room, a window touches each page once; entry by entry it would touch one for each.
A slice rides in a batch's transaction and is a little larger than the batch, so a window is
folded before the next one is full, and no batch waits for a whole window.
"""

import sqlite3
from collections.abc import Iterator
from typing import Final, final

from .bulk import Bulk, Params
from .places import RUN_ENTRIES_MAX, pack_run
from .recent import Recent, Window

# A window that was partly folded when the process died is folded again, perhaps with more
# entries at the end of a run: hence REPLACE and IGNORE.
_RUNS: Final = Bulk("REPLACE INTO places (room_id, lane, seq, run) VALUES ", "(?,?,?,?)")
_CIDS: Final = Bulk("INSERT OR IGNORE INTO cids (room_id, key, seq, at, op) VALUES ", "(?,?,?,?,?)")

# Entries folded with a batch: twice its own, and no fewer than this.
_SLICE_MIN: Final = 32


@final
class Indexer:
    """Folds one window after the other. Lives in the writer's thread, inside transactions."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        recent: Recent,
        *,
        window_entries: int,
    ) -> None:
        self._connection = connection
        self._recent = recent
        self._window_entries = window_entries
        self._slices: Iterator[tuple[Params, Params, int]] | None = None

    def reset(self) -> None:
        """Forget how far the fold was; memory was read anew."""
        self._slices = None

    def follow(self, entries: int) -> None:
        """Fold a slice beside a batch of `entries`, if there is something to fold."""
        if self._slices is None:
            if self._recent.filling.count < self._window_entries:
                return
            self._begin()
        self._fold(max(2 * entries, _SLICE_MIN))

    def settle(self, upto: int, entries: int) -> bool:
        """Fold a slice of what came up to log id `upto`; return whether there may be more."""
        if self._slices is None:
            if self._recent.filling.first_id > upto or not self._recent.filling.count:
                return False
            self._begin()
        self._fold(entries)
        return True

    def _begin(self) -> None:
        self._slices = _slices(self._recent.rotate())

    def _fold(self, entries: int) -> None:
        assert self._slices is not None, "a window is being folded"
        runs: Params = []
        cids: Params = []
        for some_runs, some_cids, count in self._slices:
            runs += some_runs
            cids += some_cids
            entries -= count
            if entries <= 0:
                break
        else:
            self._slices = None
        _RUNS.run(self._connection, runs)
        _CIDS.run(self._connection, cids)
        if self._slices is None:
            window = self._recent.folding
            assert window is not None, "a window is being folded"
            self._connection.execute("UPDATE store SET indexed = ?", (window.last_id,))
            self._recent.folded()


def _slices(window: Window) -> Iterator[tuple[Params, Params, int]]:
    """Yield rows for `places`, rows for `cids`, and how many entries they stand for."""
    for room_id in sorted(window.tails):
        tail = window.tails[room_id]
        # All of the room's at once, though it takes 5 ms when a whole window is one room's:
        # sorted 256 at a time, random cids of a busy room wrote 5.3 KB a message, not 1.
        keys = sorted(tail.cids)
        for start in range(0, len(keys), RUN_ENTRIES_MAX):
            rows: Params = []
            for key in keys[start : start + RUN_ENTRIES_MAX]:
                rows += (room_id, key, *tail.cids[key])
            yield [], rows, len(rows) // 5
        for number, lane in enumerate(tail.lanes):
            for start in range(0, len(lane.seqs), RUN_ENTRIES_MAX):
                seqs = lane.seqs[start : start + RUN_ENTRIES_MAX]
                ids = lane.ids[start : start + RUN_ENTRIES_MAX]
                yield [room_id, number, seqs[0], pack_run(seqs, ids)], [], 1
