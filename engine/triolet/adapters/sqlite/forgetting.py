"""Forgetting old cids: one pass over all segments, by the first bits of their digests.

A segment holds drafts of some time, in no order of time, so a pass looks at each row of those
that hold an old one. It goes on where the last call has left it.
"""

import sqlite3
from typing import Final, NamedTuple, final

from .cids import at_bytes, is_since, split
from .segments import Segment, Segments

# Parts of the pass in one transaction: a millisecond or two.
_PARTS_PER_STEP: Final = 4
_BITS_MIN: Final = 4


class Forgotten(NamedTuple):
    """How many cids a step has forgotten, and whether there are no more so old."""

    cids: int
    is_done: bool


@final
class Forgetting:
    """A pass. Lives in the writer's thread, inside transactions."""

    def __init__(self, segments: Segments) -> None:
        self._segments = segments
        self._older_than = 0
        self._upto = 0
        self._bits = 0
        # The part that comes next; None: no pass is going on.
        self._prefix: int | None = None

    def reset(self) -> None:
        """Begin anew: the last step may not have counted."""
        self._prefix = None

    def step(self, connection: sqlite3.Connection, *, older_than: int, limit: int) -> Forgotten:
        """Forget at most `limit` cids of drafts older than `older_than`, in a part of the pass."""
        used = self._segments.used
        if self._prefix is None or older_than != self._older_than:
            if all(segment.oldest_at >= older_than for segment in used):
                return Forgotten(0, is_done=True)
            self._older_than = older_than
            merging = self._segments.merging
            self._upto = max(used[0].id, 0 if merging is None else merging.id)
            self._bits = max(_BITS_MIN, max(segment.bits for segment in used) - 3)
            self._prefix = 0
        count = 0
        for _ in range(_PARTS_PER_STEP):
            count += self._part(connection, self._prefix, limit - count)
            if count >= limit:
                # There may be more in this part.
                return Forgotten(count, is_done=False)
            self._prefix += 1
            if self._prefix == 1 << self._bits:
                self._end(connection)
                return Forgotten(count, is_done=True)
        return Forgotten(count, is_done=False)

    def _part(self, connection: sqlite3.Connection, prefix: int, limit: int) -> int:
        # What was merged already is there twice, and counts once.
        if self._segments.merging is not None:
            self._rows(connection, self._segments.merging, prefix, None)
        count = 0
        for segment in self._segments.used:
            if segment.oldest_at < self._older_than and count < limit:
                count += self._rows(connection, segment, prefix, limit - count)
        return count

    def _rows(
        self, connection: sqlite3.Connection, segment: Segment, prefix: int, limit: int | None
    ) -> int:
        """Forget in the rows of one part of one segment; None: without a limit."""
        if segment.bits < self._bits and prefix & (1 << self._bits - segment.bits) - 1:
            # This row was looked at with the first prefix that it is of.
            return 0
        since = at_bytes(self._older_than)
        count = 0
        for number, packed in list(segment.rows(connection, prefix, self._bits)):
            records = split(packed)
            old = [one for one in records if not is_since(one, since)]
            gone = set(old if limit is None else old[: limit - count])
            if not gone:
                continue
            kept = b"".join(one for one in records if one not in gone)
            if kept:
                connection.execute("UPDATE cids SET packed = ? WHERE id = ?", (kept, number))
            else:
                connection.execute("DELETE FROM cids WHERE id = ?", (number,))
            count += len(gone)
        return count

    def _end(self, connection: sqlite3.Connection) -> None:
        """Note that nothing so old is left in what there was when the pass began."""
        self._prefix = None
        merging = self._segments.merging
        for segment in [*self._segments.used, *([] if merging is None else [merging])]:
            if segment.id <= self._upto:
                segment.oldest_at = max(segment.oldest_at, self._older_than)
        connection.execute(
            "UPDATE segments SET oldest_at = max(oldest_at, ?) WHERE id <= ?",
            (self._older_than, self._upto),
        )
