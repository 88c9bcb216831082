"""Deleting rooms: a tombstone in a transaction of its own, and what they leave behind in others.

`append` knows nothing of it. A draft that deletes is stored alone, between those before it and
those behind it; a room whose name has a tombstone cannot be made, and that is said by an error.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

from ...ports.store import Draft, Duplicate, Outcome, RoomDeleted
from .._drafts import NO_ROOM, ROOM_EXISTED, repeated
from .drafts import REFUSALS
from .identity import Run
from .kinds import INT8, TEXT, TEXTS
from .statement import Row, Statement

DELETE: Final = Statement(
    "SELECT o_status, o_seq, o_at FROM triolet.delete_room($1, $2, $3, $4, $5, $6, $7)",
    INT8,
    INT8,
    TEXT,
    TEXT,
    TEXT,
    TEXT,
    INT8,
    writes=True,
)
# A room was to be made whose name has a tombstone.
NAME_IS_TAKEN: Final = "TR003"

_TOMBSTONES: Final = Statement("SELECT * FROM triolet.tombstones_of($1)", TEXTS)
_CLEAR: Final = Statement("SELECT * FROM triolet.clear_deleted($1)", INT8, writes=True)

# Rows of one transaction, as of retention.
_ROWS_PER_STEP: Final = 250
_DELETED: Final = 0
_KNOWN: Final = 1


def parts(drafts: Sequence[Draft]) -> Iterator[tuple[Draft, ...]]:
    """Yield what of a batch goes together: each draft that deletes is alone."""
    for deletes, some in groupby(drafts, lambda draft: draft.deletes):
        if deletes:
            for draft in some:
                yield (draft,)
        else:
            yield tuple(some)


def parameters(draft: Draft, *, now_ms: int, gen: int) -> list[object]:
    """Return the parameters of `DELETE`."""
    return [now_ms, gen, draft.room, draft.sender, draft.cid, draft.op, draft.acl_ver]


def outcome(draft: Draft, answer: Row) -> Outcome:
    """Return what became of a draft, from the answer of `DELETE`."""
    status, seq, at = answer
    if status == _DELETED:
        return RoomDeleted(seq, at)
    return Duplicate(seq, at, draft.op) if status == _KNOWN else REFUSALS[status]


async def without_room(
    run: Run, drafts: Sequence[Draft], outcomes: Sequence[Outcome]
) -> list[Outcome]:
    """Return what became of drafts, where they may repeat a deletion."""
    lost = [one.room for one, found in zip(drafts, outcomes, strict=True) if found is NO_ROOM]
    firsts = await _firsts(run, lost) if lost else {}
    return [
        repeated(draft, firsts[draft.room, draft.sender, draft.cid])
        if found is NO_ROOM and (draft.room, draft.sender, draft.cid) in firsts
        else found
        for draft, found in zip(drafts, outcomes, strict=True)
    ]


async def names_taken(run: Run, drafts: Sequence[Draft]) -> list[Outcome | None]:
    """Return what becomes of drafts that would make a room whose name has a tombstone.

    None: it is another kind of draft.
    """
    firsts = await _firsts(run, [draft.room for draft in drafts if draft.create is not None])
    deleted = dict.fromkeys(room for room, _, _ in firsts)
    outcomes: list[Outcome | None] = []
    for draft in drafts:
        found = firsts.get((draft.room, draft.sender, draft.cid))
        if draft.create is None or draft.room not in deleted:
            outcomes.append(None)
        else:
            outcomes.append(ROOM_EXISTED if found is None else repeated(draft, found))
    return outcomes


async def first(run: Run, room: str, sender: str, cid: str) -> Duplicate | None:
    """Return what the draft that deleted a room became, if that is the one; else None."""
    return (await _firsts(run, [room])).get((room, sender, cid))


async def _firsts(run: Run, rooms: Sequence[str]) -> dict[tuple[str, str, str], Duplicate]:
    rows = await run(_TOMBSTONES, list(dict.fromkeys(rooms)))
    return {(room, sender, cid): Duplicate(seq, at, op) for room, sender, cid, seq, at, op in rows}


async def clear(run: Run, *, limit: int) -> list[tuple[str, str]] | None:
    """Remove about `limit` rows of what deleted rooms have left behind; see the port."""
    rows = await run(_CLEAR, min(limit, _ROWS_PER_STEP))
    if not rows:
        return None
    return [(room, user) for room, user in rows if user is not None]


async def clear_all(run: Run) -> None:
    """Remove all that is left."""
    while await clear(run, limit=_ROWS_PER_STEP) is not None:
        pass
