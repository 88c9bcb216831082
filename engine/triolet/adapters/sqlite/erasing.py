"""Erasing the facts of a deleted message and of its edits, wherever they are.

An entry is in the journal and in memory, or in a run, or for a while in all of them.
"""

from bisect import bisect_left
from typing import Final, TypeAlias, final

from ..._model.entries import Edit
from ..._wire.codec import pack_fact
from .._drafts import erased
from .ledger import Ledger, Room
from .recent import MESSAGES, OTHERS, lane_key
from .rows import BATCH, FACT, SEQ, Row, pack_rows, seq_of, unpack_rows, with_facts

# What comes in the place of the facts at these seqs.
_Facts: TypeAlias = dict[int, bytes]

_RUN: Final = (
    "SELECT p.last, r.id, r.packed FROM places p CROSS JOIN runs r ON r.id = p.run "
    "WHERE p.room_id = ? AND p.lane = ? AND p.seq <= ? ORDER BY p.seq DESC LIMIT 1"
)


@final
class Erasing:
    """Erases in one room, inside a transaction.

    Args:
        rows: this batch's, which are not in the journal yet.
    """

    def __init__(self, ledger: Ledger, room: Room, rows: list[Row]) -> None:
        self._ledger = ledger
        self._connection = ledger.connection
        self._room = room
        self._rows = rows

    def message(self, target: int) -> None:
        """Erase a message that is there, and its edits."""
        execute = self._connection.execute
        self._ledger.journal.clear_unknown(self._connection)
        row = self._ledger.runs().at(self._room.place, MESSAGES, target)
        assert row is not None, "the draft was judged"
        self._put(MESSAGES, {target: erased(row[FACT])})
        edit = pack_fact(Edit(target, erased=True))
        seqs = execute(
            "SELECT seq FROM edits WHERE room_id = ? AND target = ? ORDER BY seq",
            (self._room.id, target),
        ).fetchall()
        if seqs:
            self._put(OTHERS, {seq: edit for (seq,) in seqs})
            execute(
                "UPDATE bodies SET packed = ? WHERE room_id = ? AND target = ?",
                (edit, self._room.id, target),
            )

    def _put(self, lane: int, facts: _Facts) -> None:
        self._rows[:] = with_facts(self._rows, self._room.id, facts)
        self._put_in_memory(lane, facts)
        self._put_in_runs(lane, facts)

    def _put_in_memory(self, lane: int, facts: _Facts) -> None:
        for window in self._ledger.recent.view.windows:
            rows = window.lanes.get(lane_key(self._room.id, lane), [])
            batches: dict[int, None] = {}
            for seq, fact in facts.items():
                index = bisect_left(rows, seq, key=seq_of)
                if index < len(rows) and rows[index][SEQ] == seq:
                    rows[index] = (*rows[index][:FACT], fact)
                    batches[rows[index][BATCH]] = None
            for batch in batches:
                self._ledger.journal.replace(self._connection, batch, self._room.id, facts)

    def _put_in_runs(self, lane: int, facts: _Facts) -> None:
        done = 0
        for seq in facts:
            if seq <= done:
                continue
            row = self._connection.execute(_RUN, (self._room.id, lane, seq)).fetchone()
            if row is None or row[0] < seq:
                continue
            done, run, packed = row
            rows = with_facts(unpack_rows(packed), self._room.id, facts)
            self._connection.execute(
                "UPDATE runs SET packed = ? WHERE id = ?", (pack_rows(rows), run)
            )
