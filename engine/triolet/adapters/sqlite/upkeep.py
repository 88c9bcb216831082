"""What the writer does beside its batches, a slice with each: folding, and merging.

Folding takes a window of recent entries to the tables. Sorted by room, it writes one run for
each of them; entry by entry it would touch a page for each. A slice rides in a batch's
transaction and is larger than the batch, so a window is folded before the next one is full,
and no batch waits for a whole window.
"""

import sqlite3
from collections.abc import Iterator
from typing import Final, final

from .bulk import Bulk, Params
from .journal import Journal
from .memtable import MEMTABLE_BITS
from .recent import Lane, Recent, Window
from .rows import SEQ, pack_rows
from .runs import cut
from .segments import Segments, merged

RUNS: Final = Bulk("INSERT INTO runs (id, packed) VALUES ", "(?,?)")
PLACES: Final = Bulk(
    "INSERT INTO places (room_id, lane, seq, last, n, at, run) VALUES ", "(?,?,?,?,?,?,?)"
)

# Entries folded with a batch: twice its own, and no fewer than this.
_SLICE_MIN: Final = 32
# To merge a record costs a quarter of folding an entry, and each is merged once a level.
_MERGED_PER_ENTRY: Final = 4
# Eight rows of a window's cids cost as much as a thousandth of its entries; to clear a
# sixty-fourth of a window from the journal, four times that.
_ROWS_PER_STEP: Final = 8
_ROWS_PART: Final = 1024
_CLEARINGS: Final = 64
_CLEARING_PART: Final = 256
# Eight rows of an unused segment, in entries.
_REMOVED_AS: Final = 64


@final
class Upkeep:
    """Lives in the writer's thread, inside transactions."""

    def __init__(self, recent: Recent, segments: Segments, journal: Journal) -> None:
        self._recent = recent
        self._segments = segments
        self._journal = journal
        # What goes on, and yields what each step has cost, in entries.
        self._folding: Iterator[int] | None = None
        self._merging: Iterator[int] | None = None
        # How much the step that comes next may cost.
        self._budget = 0
        self._next_run = 1
        self.run_bytes = 0

    def load(self, connection: sqlite3.Connection) -> None:
        """Forget how far everything was; memory was read anew."""
        self._folding = self._merging = None
        (last_run,) = connection.execute("SELECT max(id) FROM runs").fetchone()
        self._next_run = (last_run or 0) + 1

    def follow(self, connection: sqlite3.Connection, entries: int) -> None:
        """Do a slice beside a batch of `entries`, if there is something to do."""
        budget = max(2 * entries, _SLICE_MIN)
        if self._folding is not None or self._recent.is_full():
            self._fold(connection, budget)
        elif self._merging is not None or self._segments.unused or self._segments.due():
            self._merge(connection, budget)

    def settle(self, connection: sqlite3.Connection, upto: int, entries: int) -> bool:
        """Fold a slice of what came up to batch `upto`; return whether there may be more."""
        filling = self._recent.filling
        if self._folding is None and (filling.first_batch > upto or not filling.count):
            return False
        self._fold(connection, entries)
        return True

    def _fold(self, connection: sqlite3.Connection, budget: int) -> None:
        if self._folding is None:
            self._folding = self._folded(connection, self._recent.rotate())
        self._budget = budget
        while self._budget > 0:
            cost = next(self._folding, None)
            if cost is None:
                self._folding = None
                return
            self._budget -= cost

    def _folded(self, connection: sqlite3.Connection, window: Window) -> Iterator[int]:
        batches = window.last_batch - window.first_batch + 1
        for _ in self._journal.cleared(connection, batches // _CLEARINGS + 1):
            yield window.count // _CLEARING_PART
        segment = self._segments.begin(
            connection, bits=MEMTABLE_BITS, oldest_at=window.oldest_at, sieve=window.cids.sieve
        )
        for first in range(0, 1 << MEMTABLE_BITS, _ROWS_PER_STEP):
            some = window.cids.buckets[first : first + _ROWS_PER_STEP]
            segment.write(connection, first, some)
            yield window.count // _ROWS_PART
        yield from self._runs(connection, window)
        self._segments.finish(connection, segment)
        connection.execute("UPDATE store SET indexed = ?", (window.last_batch,))
        self._journal.folded(window.first_batch, window.last_batch)
        self._recent.folded()

    def _runs(self, connection: sqlite3.Connection, window: Window) -> Iterator[int]:
        runs: Params = []
        places: Params = []
        cost = 0
        for key in sorted(window.lanes):
            lane = window.lanes[key]
            if window.is_reread:
                _drop_runs(connection, key, lane)
            for run in cut(lane):
                packed = pack_rows(run)
                _, room_id, last, n, _, _, at, *_ = run[-1]
                runs += (self._next_run, packed)
                places += (room_id, key & 1, run[0][SEQ], last, n, at, self._next_run)
                self._next_run += 1
                self.run_bytes += len(packed)
                cost += len(run)
                if cost >= self._budget:
                    RUNS.run(connection, runs)
                    PLACES.run(connection, places)
                    yield cost
                    runs, places, cost = [], [], 0
        RUNS.run(connection, runs)
        PLACES.run(connection, places)

    def _merge(self, connection: sqlite3.Connection, budget: int) -> None:
        while budget > 0:
            if self._merging is None:
                sources = self._segments.due()
                if sources:
                    self._merging = merged(self._segments, connection, sources)
                elif self._segments.unused:
                    self._segments.remove(connection)
                    budget -= _REMOVED_AS
                    continue
                else:
                    return
            cost = next(self._merging, None)
            if cost is None:
                self._merging = None
                return
            budget -= cost // _MERGED_PER_ENTRY + 1


def _drop_runs(connection: sqlite3.Connection, key: int, lane: Lane) -> None:
    """Drop the runs of a lane that were folded before the window was read again."""
    bounds = (key >> 1, key & 1, lane[0][SEQ])
    which = "room_id = ? AND lane = ? AND seq >= ?"
    connection.execute(
        f"DELETE FROM runs WHERE id IN (SELECT run FROM places WHERE {which})",  # noqa: S608
        bounds,
    )
    connection.execute(f"DELETE FROM places WHERE {which}", bounds)  # noqa: S608
