"""Searching by what is known of runs: those that cannot hold the words are not read.

`words` has for a run the digests of all words its messages hold now, three bytes each, one
after the other: 17 to 20 bytes a message of ten words. Whether a word may be among them is one
`instr` over a kilobyte, in SQLite, without the interpreter's lock. What it lets through is read
and looked at as in any other store, so a false alarm (one run in 13,000) costs time and no more.

Nothing is indexed as it is written, and nothing of rooms that nobody searches: a search notes
what it has read, and the next one need not read it again. What a search has noted counts only
if the run and the edits of its messages are then still as they were read. A change of either
takes it away in the same transaction (`schema`), overwritten like the body itself; the next
search notes the run anew. So a message costs nothing, an edit or a deletion a few microseconds.

Measured with 10^6 messages in a room, a word that is nowhere: 7.5 µs of CPU a message by the
scan, in 100 calls; 22 the first time; then 0.2 s for all of them, in 2 calls, of which 0.1 is
for the 12,600 that are not folded yet. A common word is found in the first page either way.

FTS5 costs as much (5.4 µs and 13 bytes a message, a document a run) and finds a rare word in
0.2 ms, but cannot keep a promise: its `secure-delete` came with SQLite 3.42, and
`contentless_delete` with 3.43. In 3.40, which is Debian 12's, a deleted word stays in the file
until the whole index is written anew: 16 MB and 0.4 s of the writer for 10^6 messages.
"""

from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Final, NamedTuple, final
from zlib import crc32

from ..._domain.words import parts_asked, parts_of
from .._search import PAGE_BYTES, Page, text_of
from .ledger import Ledger
from .reading import edits_of, folded, present_body
from .recent import MESSAGES, Lane
from .rows import FACT, SEQ, unpack_rows
from .runs import between
from .snapshot import RoomRow, Snapshot

# Runs of which one page knows without reading them: 10^5 messages, some 15 ms.
_RUNS_PASSED_MAX: Final = 2048
# Digests of a run, at most: 12 KB. With more words it is read by every search.
_PARTS_MAX: Final = 4096
# Parts looked for in each run; with fewer, more of them are read.
_PARTS_ASKED_MAX: Final = 8
# Runs noted in one transaction: it holds the writer for 1 to 2 ms.
NOTES_PER_STEP: Final = 64

# The run at which a page ends; the runs that may hold the words, from it on; one before it.
_PAGE_END: Final = """
    SELECT seq FROM places WHERE room_id = ? AND lane = 0 AND seq < ? AND last > ?
    ORDER BY seq DESC LIMIT 1 OFFSET ?"""
_CANDIDATES: Final = """
    SELECT p.run, w.run IS NOT NULL, r.packed
    FROM places p LEFT JOIN words w ON w.run = p.run CROSS JOIN runs r ON r.id = p.run
    WHERE p.room_id = ? AND p.lane = 0 AND p.seq < ? AND p.seq >= ? AND p.last > ?
        AND (w.packed IS NULL OR {})
    ORDER BY p.seq DESC"""
_IS_MORE: Final = """
    SELECT 1 FROM places WHERE room_id = ? AND lane = 0 AND seq < ? AND last > ? LIMIT 1"""


class Note(NamedTuple):
    """What a run was found to hold, and what that was read from.

    `where`: the room's id, and the seqs of its first and last message. `words` is None when they
    are too many to be noted.
    """

    run: int
    packed: bytes
    where: tuple[int, int, int]
    edits: dict[int, tuple[int, bytes]]
    words: bytes | None


class Looked(NamedTuple):
    """A page, and what there is to note of the runs that it has read."""

    page: Page
    notes: list[Note]


class _Read(NamedTuple):
    """A run of which nothing is known yet."""

    run: int
    packed: bytes
    rows: Lane


@final
class Search:
    """A search for words, as `asked` returns them, in a room as a user sees it."""

    def __init__(self, room: str, user: str, words: tuple[str, ...]) -> None:
        self._room = room
        self._user = user
        self._keys = [_digest(part) for part in parts_asked(words)[:_PARTS_ASKED_MAX]]
        hold_all = " AND ".join(["instr(w.packed, ?)"] * len(self._keys))
        self._candidates = _CANDIDATES.format(hold_all)

    def page(self, snapshot: Snapshot, *, before: int | None, limit: int) -> Looked | None:
        """Look at messages with a seq below `before`, newest first; None: no such room."""
        room = snapshot.room(self._room)
        if room is None:
            return None
        end = room.head + 1 if before is None else min(before, room.head + 1)
        low = self._low(snapshot, room, end)
        unknown: list[_Read] = []
        parts = self._parts(snapshot, room, unknown, before=end, low=low)
        messages, more = folded(
            snapshot, room, self._user, parts, limit=limit, bytes_max=PAGE_BYTES
        )
        messages.reverse()
        oldest = messages[0].seq if messages else end
        next_before = oldest if more else low and min(low, oldest)
        page = Page(tuple(messages), next_before, snapshot.epoch, room.head)
        # A run of which some is left for the next page is noted with that.
        whole = [one for one in unknown if between(one.rows, room.floor, oldest) == []]
        return Looked(page, [_note(snapshot, room.id, one) for one in whole])

    def _low(self, snapshot: Snapshot, room: RoomRow, before: int) -> int | None:
        """Return the seq at which a page ends in any case; None: it may go to the first."""
        execute = snapshot.connection.execute
        bounds = (before, room.floor, _RUNS_PASSED_MAX - 1)
        row = execute(_PAGE_END, (room.id, *bounds)).fetchone()
        if row is None or execute(_IS_MORE, (room.id, row[0], room.floor)).fetchone() is None:
            return None
        return int(row[0])

    def _parts(
        self,
        snapshot: Snapshot,
        room: RoomRow,
        unknown: list[_Read],
        *,
        before: int,
        low: int | None,
    ) -> Iterator[Lane]:
        """Yield messages that may hold the words, newest first; tell of runs not known yet."""
        for part in snapshot.runs.recent_descending(
            room.place, MESSAGES, before=before, limit=before, after_batch=snapshot.indexed
        ):
            yield part
            before = part[-1][SEQ]
        bounds = (room.id, before, low or 0, room.floor)
        for run, is_known, packed in snapshot.connection.execute(
            self._candidates, (*bounds, *self._keys)
        ):
            rows = unpack_rows(packed)
            if not is_known:
                unknown.append(_Read(run, packed, rows))
            part = between(rows, room.floor, before)[::-1]
            if part:
                yield part


def _note(snapshot: Snapshot, room_id: int, read: _Read) -> Note:
    rows = read.rows
    where = (room_id, rows[0][SEQ], rows[-1][SEQ])
    edits = edits_of(snapshot.connection, *where)
    texts = [text_of(present_body(row[FACT], edits.get(row[SEQ]))) for row in rows]
    parts = parts_of("\n".join(texts))
    words = b"".join(map(_digest, parts)) if len(parts) <= _PARTS_MAX else None
    return Note(read.run, read.packed, where, edits, words)


def _digest(part: str) -> bytes:
    return crc32(part.encode()).to_bytes(4, "big")[1:]


def keep(ledger: Ledger, notes: Sequence[Note]) -> None:
    """Keep what runs hold, if they still do; inside a transaction."""
    execute = ledger.connection.execute
    # A search goes backwards; rows added in that order leave each page half empty.
    for note in sorted(notes, key=attrgetter("run")):
        row = execute("SELECT packed FROM runs WHERE id = ?", (note.run,)).fetchone()
        is_present = row is not None and row[0] == note.packed
        if is_present and edits_of(ledger.connection, *note.where) == note.edits:
            execute("INSERT OR REPLACE INTO words VALUES (?, ?)", (note.run, note.words))
