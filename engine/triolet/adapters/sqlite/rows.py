"""An entry as the adapter keeps it: in the journal, in memory and in runs the same tuple."""

from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Final, TypeAlias

import msgspec

from ..._model.entries import FactKind, Record

# A kind is kept as its place in this tuple: only ever appended to.
KINDS: Final[tuple[FactKind, ...]] = ("message", "edit", "delete", "react", "member", "meta")
MESSAGE: Final = KINDS.index("message")

# batch, room id, seq, n, kind, sender, at, cid, op (of a draft's first entry, else None), fact
Row: TypeAlias = tuple[int, int, int, int, int, str, int, str, str | None, bytes]

BATCH: Final = 0
ROOM_ID: Final = 1
SEQ: Final = 2
N: Final = 3
SENDER: Final = 5
AT: Final = 6
FACT: Final = 9

batch_of: Final = itemgetter(BATCH)
seq_of: Final = itemgetter(SEQ)

pack_rows = msgspec.msgpack.Encoder().encode
unpack_rows = msgspec.msgpack.Decoder(list[Row]).decode


def records_of(room: str, rows: Iterable[Row]) -> list[Record]:
    """Return a room's rows as the port has them."""
    return [
        Record(room, seq, n, KINDS[kind], sender, at, cid, fact)
        for _, _, seq, n, kind, sender, at, cid, _, fact in rows
    ]


def with_facts(rows: Sequence[Row], room_id: int, facts: Mapping[int, bytes]) -> list[Row]:
    """Return the rows with other facts in one room, by their seqs."""
    return [
        (*row[:FACT], facts[row[SEQ]]) if row[ROOM_ID] == room_id and row[SEQ] in facts else row
        for row in rows
    ]
