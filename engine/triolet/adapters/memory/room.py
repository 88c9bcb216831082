"""One room in memory: its log, what is folded of it, its members and their marks.

A message nobody has changed is its record and nothing else; it is folded when something first
changes it, or each time it is read.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final, final

from msgspec.structs import replace

from ..._domain.fold import Fold
from ..._model.entries import (
    Delete,
    Edit,
    Fact,
    FactKind,
    FoldedMessage,
    Member,
    Message,
    Meta,
    React,
    Record,
    Role,
)
from ..._wire.codec import entry_of
from ...ports.store import Draft, Duplicate, Membership, RoomSpec, RoomState
from .._digests import prefix
from .._drafts import erased

KIND_OF: Final[dict[type[Fact], FactKind]] = {
    Message: "message",
    Edit: "edit",
    Delete: "delete",
    React: "react",
    Member: "member",
    Meta: "meta",
}


@final
class Seat:
    """A membership while it lasts."""

    __slots__ = ("delivered", "read", "read_n", "role")

    def __init__(self, role: Role, seq: int, n: int) -> None:
        self.role = role
        self.delivered = seq
        self.read = seq
        self.read_n = n


@final
class Room:
    """A room's log and what follows from it."""

    def __init__(self, name: str, spec: RoomSpec, epoch: str, number: int) -> None:
        self.name = name
        self.number = number
        self.kind = spec.kind
        self.title = spec.title
        self.public = spec.public
        self.lineage = [(epoch, 1)]
        self.head = 0
        self.n = 0
        self.at = 0
        self.acl_ver = 0
        self.floor = 0
        self.floor_n = 0
        self.seats: dict[str, Seat] = {}
        self.cids: dict[tuple[str, str], Duplicate] = {}
        # `records[i]` is at seq `floor + 1 + i`.
        self.records: list[Record] = []
        self.message_seqs: list[int] = []
        self.edits: dict[int, list[int]] = {}
        # Changed messages only.
        self._fold = Fold()

    def state(self) -> RoomState:
        """Return where the room stands."""
        return RoomState(
            room=self.name,
            kind=self.kind,
            title=self.title,
            public=self.public,
            epoch=self.lineage[-1][0],
            lineage=tuple(self.lineage),
            head=self.head,
            n=self.n,
            floor=self.floor,
            floor_n=self.floor_n,
            acl_ver=self.acl_ver,
            members=len(self.seats),
        )

    def before_cid(self, salt: str) -> str:
        """Return what is digested before a sender and a cid of this room."""
        return prefix(salt, self.number)

    def membership(self, user: str) -> Membership | None:
        """Return one membership, or None."""
        seat = self.seats.get(user)
        if seat is None:
            return None
        return Membership(
            user=user,
            role=seat.role,
            delivered=seat.delivered,
            read=seat.read,
            read_n=seat.read_n,
        )

    def author(self, seq: int) -> str | None:
        """Return who wrote the message at `seq`; None: no message there, or an erased one."""
        if seq in self._fold:
            return self._fold.author(seq)
        record = self._record(seq) if self.floor < seq <= self.head else None
        return record.sender if record is not None and record.kind == "message" else None

    def view(self, seq: int, user: str) -> FoldedMessage:
        """Return the message at `seq` as `user` sees it."""
        fold = self._fold
        if seq not in fold:
            fold = Fold()
            fold.apply(entry_of(self._record(seq)))
        return fold.view(seq, user)

    def _record(self, seq: int) -> Record:
        return self.records[seq - self.floor - 1]

    # --- writing -------------------------------------------------------------------------

    def write_message(self, draft: Draft, now_ms: int) -> Record:
        """Carry out a draft that is one message, and return its record."""
        self.at = at = max(self.at, now_ms)
        ((fact, packed),) = draft.facts
        record = self._log(draft, fact, packed)
        self.cids[record.sender, record.cid] = Duplicate(record.seq, at, draft.op)
        return record

    def write(self, draft: Draft, now_ms: int) -> tuple[Record, ...]:
        """Carry out a draft that was judged, and return its records."""
        if draft.create is not None or (draft.logged and draft.facts):
            self.at = max(self.at, now_ms)
        if draft.revokes:
            self.acl_ver += 1
        if not draft.logged:
            for fact, _ in draft.facts:
                self._apply(fact)
            return ()
        records = tuple([self._log(draft, fact, packed) for fact, packed in draft.facts])
        if draft.create is not None:
            for seat in self.seats.values():
                seat.delivered = seat.read = self.head
                seat.read_n = self.n
        if records:
            self.cids[draft.sender, draft.cid] = Duplicate(records[0].seq, self.at, draft.op)
        return records

    def _log(self, draft: Draft, fact: Fact, packed: bytes) -> Record:
        self.head = head = self.head + 1
        kind = KIND_OF[type(fact)]
        if kind == "message":
            self.n += 1
            self.message_seqs.append(head)
        record = Record(self.name, head, self.n, kind, draft.sender, self.at, draft.cid, packed)
        self.records.append(record)
        if kind != "message":
            self._apply(fact)
            self._change(record, fact)
        return record

    def _apply(self, fact: Fact) -> None:
        if isinstance(fact, Edit):
            self.edits.setdefault(fact.target, []).append(self.head)
        elif isinstance(fact, Delete):
            for seq in (fact.target, *self.edits.get(fact.target, ())):
                self._erase(seq)
        elif isinstance(fact, Member):
            self._seat(fact.user, fact.role)
        elif isinstance(fact, Meta):
            self.title = fact.title if isinstance(fact.title, str) else self.title
            self.public = fact.public if isinstance(fact.public, bool) else self.public

    def _change(self, record: Record, fact: Fact) -> None:
        """Fold what changes a message, and first the message."""
        if isinstance(fact, Edit | Delete | React):
            if fact.target not in self._fold:
                self._fold.apply(entry_of(self._record(fact.target)))
            self._fold.apply(entry_of(record))

    def _erase(self, seq: int) -> None:
        place = seq - self.floor - 1
        record = self.records[place]
        self.records[place] = replace(record, packed=erased(record.packed))

    def restore(self, record: Record) -> None:
        """Take the next entry of the log as another store has kept it; the head stays.

        Its memberships and titles are not carried out, and what it erased is erased already.
        """
        self.records.append(record)
        if record.kind == "message":
            self.message_seqs.append(record.seq)
            return
        fact = entry_of(record).fact
        if isinstance(fact, Edit | Delete | React) and fact.target > self.floor:
            if isinstance(fact, Edit):
                self.edits.setdefault(fact.target, []).append(record.seq)
            self._change(record, fact)

    def _seat(self, user: str, role: Role | None) -> None:
        if role is None:
            self.seats.pop(user, None)
        elif user in self.seats:
            self.seats[user].role = role
        else:
            self.seats[user] = Seat(role, self.head, self.n)

    def prune(self, *, older_than: int, entries_max: int, limit: int) -> int:
        """Remove at most `limit` of the oldest entries that are due, and return how many."""
        beyond = self.head - entries_max if entries_max else 0
        count = 0
        for record in self.records[:limit]:
            if record.at >= older_than and record.seq > beyond:
                break
            count += 1
            self.floor, self.floor_n = record.seq, record.n
            self._fold.forget(record.seq)
            self.edits.pop(record.seq, None)
        del self.records[:count]
        del self.message_seqs[: bisect_right(self.message_seqs, self.floor)]
        return count

    def unseat(self, limit: int) -> list[str]:
        """End at most `limit` memberships of a room that was deleted, and return whose."""
        users = list(islice(self.seats, limit))
        for user in users:
            del self.seats[user]
        return users

    def clear(self, limit: int) -> bool:
        """Let go of at most `limit` entries of a room that was deleted; return whether of any."""
        is_more = bool(self.records)
        del self.records[:limit]
        return is_more

    # --- reading -------------------------------------------------------------------------

    def n_at(self, seq: int) -> int:
        """Return how many messages there were at `seq`."""
        if seq <= self.floor:
            return self.floor_n
        return self.n if seq >= self.head else self.records[seq - self.floor - 1].n

    def page(self, after: int, upto: int, limit: int, bytes_max: int) -> list[Record]:
        """Return records with `after < seq <= upto` within the bounds."""
        first = max(after - self.floor, 0)
        found = self.records[first : max(min(upto - self.floor, first + limit), first)]
        return list(within(found, bytes_max))

    def messages(
        self, user: str, *, before: int | None, after: int | None, limit: int, bytes_max: int
    ) -> tuple[tuple[FoldedMessage, ...], bool]:
        """Return folded messages, oldest first, and whether there are others beyond them."""
        seqs = self.message_seqs
        if before is None and after is not None:
            start = bisect_right(seqs, after)
            chosen = list(self._fitting(seqs[start : start + limit], bytes_max))
            more = start + len(chosen) < len(seqs)
        else:
            end = len(seqs) if before is None else bisect_left(seqs, before)
            newest_first = seqs[max(end - limit, 0) : end][::-1]
            chosen = list(self._fitting(newest_first, bytes_max))[::-1]
            more = len(chosen) < end
        return tuple(self.view(seq, user) for seq in chosen), more

    def _fitting(self, seqs: Iterable[int], bytes_max: int) -> Iterator[int]:
        records = (self.records[self._body_seq(seq) - self.floor - 1] for seq in seqs)
        for seq, _ in zip(seqs, within(records, bytes_max), strict=False):
            yield seq

    def _body_seq(self, seq: int) -> int:
        """Return where the present body of the message at `seq` is."""
        edits = self.edits.get(seq)
        return edits[-1] if edits else seq


def within(records: Iterable[Record], bytes_max: int) -> Iterator[Record]:
    """Yield records while their facts fit in `bytes_max`; the first one in any case."""
    total = 0
    for record in records:
        total += len(record.packed)
        if total > bytes_max and total != len(record.packed):
            return
        yield record
