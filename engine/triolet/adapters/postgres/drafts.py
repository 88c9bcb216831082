"""A batch as the parameters of `triolet.append`, and its answer as outcomes.

Drafts become rows, one for each fact, in columns: `sql/append.sql` says what each column is.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias, final

from msgspec import UNSET

from ..._model.entries import Delete, Edit, Fact, FactKind, Member, Message, Meta, React, Record
from ...ports.store import Appended, Draft, Duplicate, Outcome, Stale
from .._drafts import (
    NEEDS_ENTRY,
    NO_ROOM,
    NO_TARGET,
    NOT_THE_AUTHOR,
    OTHER_OP,
    ROOM_EXISTS,
    erased,
)
from .kinds import BOOLS, BYTEAS, INT2S, INT4S, INT8, INT8S, TEXTS, Kind
from .statement import Row, Statement

# A kind is kept as its place in this tuple: only ever appended to.
KINDS: Final[tuple[FactKind, ...]] = ("message", "edit", "delete", "react", "member", "meta")
_NO_FACT: Final = -1

_FIRST: Final = 1
_REVOKES: Final = 2
_LOGGED: Final = 4

# What a status means that is neither 0, stored, nor 1, known.
REFUSALS: Final[dict[int, Outcome]] = {
    2: OTHER_OP,
    3: ROOM_EXISTS,
    4: NO_ROOM,
    5: Stale(),
    6: NO_TARGET,
    7: NOT_THE_AUTHOR,
    8: NEEDS_ENTRY,
}
_STORED: Final = 0
_KNOWN: Final = 1

# The parameters' names and types, in the function's order.
_COLUMNS: Final[dict[str, Kind]] = {
    "now": INT8,
    "gen": INT8,
    "names": TEXTS,
    "room": INT4S,
    "flags": INT4S,
    "facts": INT4S,
    "before": INT4S,
    "sender": TEXTS,
    "cid": TEXTS,
    "op": TEXTS,
    "acl": INT8S,
    "author": TEXTS,
    "kind": INT2S,
    "target": INT8S,
    "packed": BYTEAS,
    "rest": BYTEAS,
    "text": TEXTS,
    "more": TEXTS,
    "new": INT4S,
    "new_kind": TEXTS,
    "new_title": TEXTS,
    "new_public": BOOLS,
    "new_name": TEXTS,
}
_NUMBERS: Final = ", ".join(f"${i}" for i in range(1, len(_COLUMNS) + 1))
APPEND: Final = Statement(
    f"SELECT o_status, o_seq, o_n, o_at FROM triolet.append({_NUMBERS})",  # noqa: S608 - ours
    *_COLUMNS.values(),
    writes=True,
)


class _Fact(NamedTuple):
    """A fact's columns."""

    kind: int
    target: int | None = None
    packed: bytes | None = None
    rest: bytes | None = None
    text: str | None = None
    more: str | None = None


_Rows: TypeAlias = list[tuple[object, ...]]


@final
class Batch:
    """A batch on its way; `parameters` are what `APPEND` is run with."""

    def __init__(self, drafts: Sequence[Draft]) -> None:
        self._drafts = drafts
        self._names: dict[str, int] = {}
        # The last row of each cid.
        self._cids: dict[tuple[int, str, str], int] = {}
        self._rows: _Rows = []
        self._new: _Rows = []
        self._new_names: dict[str, None] = {}
        for draft in drafts:
            self._add(draft)

    def parameters(self, *, now_ms: int, gen: int) -> list[object]:
        """Return the parameters, in the function's order."""
        new: list[object] = [None] * 5
        if self._new:
            # Their names, each once, in the order of their locks.
            new = [*zip(*self._new, strict=True), sorted(self._new_names)]
        return [now_ms, gen, list(self._names), *zip(*self._rows, strict=True), *new]

    def _add(self, draft: Draft) -> None:
        row = len(self._rows) + 1
        room = self._names.setdefault(draft.room, len(self._names) + 1)
        cid = (room, draft.sender, draft.cid)
        before = self._cids.get(cid, 0)
        self._cids[cid] = row
        flags = _FIRST | (_REVOKES if draft.revokes else 0) | (_LOGGED if draft.logged else 0)
        facts = [columns_of(fact, packed) for fact, packed in draft.facts] or [_Fact(_NO_FACT)]
        for fact in facts:
            self._rows.append(
                (
                    room,
                    flags,
                    len(draft.facts),
                    before,
                    draft.sender,
                    draft.cid,
                    draft.op,
                    draft.acl_ver,
                    draft.author,
                    *fact,
                )
            )
            flags &= ~_FIRST
        if draft.create is not None:
            spec = draft.create
            self._new.append((row, spec.kind, spec.title, spec.public))
            self._new_names[draft.room] = None

    def outcomes(self, answer: Row) -> list[Outcome]:
        """Return what became of each draft, from the one row of the answer."""
        statuses, seqs, ns, ats = answer
        found: list[Outcome] = []
        row = 0
        for draft in self._drafts:
            status = statuses[row]
            if status == _STORED:
                records = (
                    [
                        Record(
                            draft.room,
                            seqs[i],
                            ns[i],
                            KINDS[self._kind(i)],
                            draft.sender,
                            ats[i],
                            draft.cid,
                            packed,
                        )
                        for i, (_, packed) in enumerate(draft.facts, start=row)
                    ]
                    if draft.logged
                    else []
                )
                found.append(Appended(tuple(records)))
            elif status == _KNOWN:
                found.append(Duplicate(seqs[row], ats[row], draft.op))
            else:
                found.append(REFUSALS[status])
            row += max(len(draft.facts), 1)
        return found

    def _kind(self, row: int) -> int:
        kind = self._rows[row][9]
        assert isinstance(kind, int)
        return kind


def columns_of(fact: Fact, packed: bytes) -> _Fact:
    """Return a fact's columns."""
    if isinstance(fact, Message):
        if fact.reply_to is UNSET and fact.mentions is UNSET:
            return _Fact(0, packed=None if fact.erased else packed)
        return _Fact(0, packed=None if fact.erased else packed, rest=erased(packed))
    if isinstance(fact, Edit):
        return _Fact(1, fact.target, None if fact.erased else packed)
    if isinstance(fact, Delete):
        return _Fact(2, fact.target, packed)
    if isinstance(fact, React):
        return _Fact(3, fact.target, packed, text=fact.emoji, more="on" if fact.on else None)
    if isinstance(fact, Member):
        return _Fact(4, None, packed, text=fact.user, more=fact.role)
    assert isinstance(fact, Meta)
    return _Fact(
        5,
        None,
        packed,
        text=fact.title if isinstance(fact.title, str) else None,
        more=("t" if fact.public else "f") if isinstance(fact.public, bool) else None,
    )
