"""The newest entries, in memory: those of batches that the journal has and the tables do not.

Entries gather in a window; a full one is folded into the tables by and by, while the next one
gathers. A folded window is kept until the next one is folded, for readers whose snapshot is a
little old. The writer's thread owns all of it; readers hold a `View`, whose lists only grow,
and take from it what their own snapshot of the journal covers.

Everything here follows from `journal` and `store.indexed`: after a rollback it is thrown away
and read again.
"""

import sqlite3
from bisect import bisect_right
from typing import Final, NamedTuple, TypeAlias, final

from .._digests import digest, prefix
from . import journal
from .cids import record
from .memtable import Memtable
from .rows import MESSAGE, Row, batch_of
from .sieve import probe

# A window is folded once it has so many entries, or bytes of facts: what folding costs is one
# row for each room of a window, and what opening a store costs is reading one, 60 ms. A window
# takes about 6 MB of memory.
WINDOW_ENTRIES: Final = 16_384
_WINDOW_BYTES: Final = 4 * 1024 * 1024

MESSAGES: Final = 0
OTHERS: Final = 1

# A room's messages, or its other entries, in their order.
Lane: TypeAlias = list[Row]


def lane_key(room_id: int, lane: int) -> int:
    """Return the key of a room's lane.

    >>> lane_key(7, MESSAGES), lane_key(7, OTHERS)
    (14, 15)
    """
    return room_id << 1 | lane


def visible(lane: Lane, upto: int) -> int:
    """Return how many of a lane's rows are of batches up to `upto`; it may grow meanwhile."""
    count = len(lane)
    if not count or lane[count - 1][0] <= upto:
        return count
    return bisect_right(lane, upto, 0, count, key=batch_of)


@final
class Window:
    """Batches next to each other, by rooms and lanes."""

    __slots__ = (
        "bytes",
        "cids",
        "count",
        "first_batch",
        "is_reread",
        "lanes",
        "last_batch",
        "oldest_at",
    )

    def __init__(self, first_batch: int, *, entries: int, is_reread: bool = False) -> None:
        self.first_batch = first_batch
        self.last_batch = first_batch - 1
        # Whether a part of it may have been folded before it was read again.
        self.is_reread = is_reread
        self.count = 0
        self.bytes = 0
        # No draft is older (ms).
        self.oldest_at = 0
        self.lanes: dict[int, Lane] = {}
        self.cids = Memtable(entries)

    def add(self, row: Row) -> None:
        """Take the next row."""
        lane = lane_key(row[1], MESSAGES if row[4] == MESSAGE else OTHERS)
        self.lanes.setdefault(lane, []).append(row)

    def ended(self, batch: int, rows: list[Row], now_ms: int) -> None:
        """Know that these were the rows of a batch, none of them older than `now_ms`."""
        self.last_batch = batch
        self.oldest_at = min(self.oldest_at, now_ms) if self.count else now_ms
        self.count += len(rows)
        self.bytes += sum([len(row[9]) for row in rows])

    def is_full(self, entries: int) -> bool:
        """Whether it is to be folded."""
        return self.count >= entries or self.bytes >= _WINDOW_BYTES


class View(NamedTuple):
    """What a reader may see: every batch after `dropped_upto`, in windows, oldest first."""

    dropped_upto: int
    windows: tuple[Window, ...]


@final
class Recent:
    """The windows: one gathering, perhaps one being folded, perhaps one folded.

    Args:
        entries: of a window.
    """

    def __init__(self, entries: int = WINDOW_ENTRIES) -> None:
        self.entries = entries
        self.filling = Window(1, entries=entries)
        self.folding: Window | None = None
        self.view = View(0, (self.filling,))

    def load(self, connection: sqlite3.Connection, salt: str, ops: dict[str, int]) -> None:
        """Begin anew from what the tables say is not folded yet."""
        (indexed,) = connection.execute("SELECT indexed FROM store").fetchone()
        window = Window(indexed + 1, entries=self.entries, is_reread=True)
        for number, rows in journal.batches(connection, after=indexed):
            for row in rows:
                window.add(row)
                _, room_id, seq, _, _, sender, at, cid, op, _ = row
                if op is not None:
                    key = digest(prefix(salt, room_id), sender, cid)
                    window.cids.add(record(key, seq, at, ops[op]), *probe(key))
            window.ended(number, rows, min(row[6] for row in rows))
        self.filling, self.folding = window, None
        self.view = View(indexed, (window,))

    def is_full(self) -> bool:
        """Whether the gathering window is to be folded."""
        return self.filling.is_full(self.entries)

    def rotate(self) -> Window:
        """Have the gathering window folded, and gather in a new one."""
        window = self.folding = self.filling
        self.filling = Window(window.last_batch + 1, entries=self.entries)
        dropped_upto, windows = self.view
        self.view = View(dropped_upto, (*windows, self.filling))
        return window

    def folded(self) -> None:
        """Know that the window is in the tables: the one before it may go."""
        window = self.folding
        assert window is not None, "a window was being folded"
        self.folding = None
        self.view = View(window.first_batch - 1, (window, self.filling))

    def rooms(self) -> list[int]:
        """Return the ids of the rooms that have entries here."""
        lanes = [key >> 1 for window in self.view.windows for key in window.lanes]
        return list(dict.fromkeys(lanes))

    def unfolded_from(self, room_id: int) -> int | None:
        """Return the first seq of a room that the tables may not know; None: they know all."""
        for window in (self.folding, self.filling):
            if window is not None:
                lanes = [window.lanes.get(lane_key(room_id, lane)) for lane in (MESSAGES, OTHERS)]
                seqs = [lane[0][2] for lane in lanes if lane]
                if seqs:
                    return min(seqs)
        return None
