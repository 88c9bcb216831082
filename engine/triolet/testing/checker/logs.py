"""The logs of all rooms, as far as a history tells them: one order for everybody.

Every entry that anybody saw, and every one that the store has in the end, goes into one log
for each room and epoch; two different entries at one place are a violation.
What is known of a log in the end is what unread counts, histories and rights are judged by.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import final

import msgspec

from ..history import Deleted, Event, Logged, Seen, Stored, Trace
from .promises import Findings, Rule

# An entry, and the first event that tells of it.
Known = tuple[Logged, Event]


@final
class Log:
    """What is known of one room's log.

    Attributes:
        by_epoch: the entries of each epoch's view, by seq, whoever told of them.
        stored: the last word of the store; None: it was not asked.
        deleted: how the room ended; None: it is there.
        kept: the entries that the store has.
        head: the greatest seq that is known to exist.
    """

    def __init__(self, room: str) -> None:
        self.room = room
        self.by_epoch: dict[str, dict[int, Known]] = {}
        self.stored: Stored | None = None
        self.deleted: Deleted | None = None
        self.kept: dict[int, Known] = {}
        self.head = 0

    @property
    def floor(self) -> int:
        """The last seq that retention has removed."""
        return 0 if self.stored is None else self.stored.floor

    def view(self, epoch: str) -> dict[int, Known]:
        """Return the entries as they stand in an epoch."""
        return self.by_epoch.setdefault(epoch, {})

    def final(self) -> dict[int, Known]:
        """Return the entries that there are: the store's, or else those of the only epoch."""
        if self.stored is not None:
            return self.kept
        return next(iter(self.by_epoch.values()), {})

    def by_cid(self, sender: str, cid: str) -> Event | None:
        """Return what told of an entry that somebody asked for under a cid."""
        known = self.final().values()
        return next((e for entry, e in known if (entry.sender, entry.cid) == (sender, cid)), None)

    def ends(self) -> Iterator[tuple[str, int]]:
        """Yield `(epoch, last)`: the last seq that each former epoch shares with the present."""
        lineage = () if self.stored is None else self.stored.lineage
        for (epoch, _), (_, first) in pairwise(lineage):
            yield epoch, first - 1

    def join(self) -> None:
        """Let the present epoch's view have what the former ones share with it."""
        if self.stored is None:
            return
        present = self.view(self.stored.epoch)
        for epoch, last in self.ends():
            for seq, known in self.view(epoch).items():
                if seq <= last:
                    present.setdefault(seq, known)


def same(one: Logged, other: Logged) -> bool:
    """Whether two sightings are of one entry: equal, but that one may have been erased since."""
    if one == other:
        return True
    return _bare(one) == _bare(other) and (one.fact.erased or other.fact.erased)


def _bare(entry: Logged) -> Logged:
    fact = msgspec.structs.replace(entry.fact, body="", erased=False)
    return msgspec.structs.replace(entry, fact=fact)


def same_fact(asked: Trace, stored: Trace) -> bool:
    """Whether what is stored is what was asked for, or was before it was erased."""
    if stored.erased:
        stored = msgspec.structs.replace(stored, body=asked.body, erased=False)
    return asked == stored


@final
class Logs:
    """Learns of entries, in the order of the history."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self.rooms: dict[str, Log] = {}

    def log(self, room: str) -> Log:
        """Return a room's log."""
        found = self.rooms.get(room)
        if found is None:
            found = self.rooms[room] = Log(room)
        return found

    def seen(self, event: Seen, epoch: str) -> None:
        """Somebody saw an entry, in the view of an epoch."""
        self._learn(self.log(event.room), epoch, event.entry, event)

    def stored(self, event: Stored) -> None:
        """The store has these entries."""
        log = self.log(event.room)
        log.stored = event
        log.head = max(log.head, event.head)
        for entry in event.entries:
            log.kept[entry.seq] = (entry, event)
            self._learn(log, event.epoch, entry, event)

    def deleted(self, event: Deleted) -> None:
        """A room has ended, with the log that the store had then."""
        self.log(event.room).deleted = event

    def _learn(self, log: Log, epoch: str, entry: Logged, event: Event) -> None:
        view = log.view(epoch)
        known = view.get(entry.seq)
        if known is None:
            view[entry.seq] = (entry, event)
            log.head = max(log.head, entry.seq)
            return
        if known[0] == entry:
            return
        if not same(known[0], entry):
            self._findings.add(
                Rule.SAME_ENTRY_FOR_ALL,
                (log.room, epoch, entry.seq),
                f"{log.room} {entry.seq} is {_named(known[0])}, and {_named(entry)}",
                known[1],
                event,
            )
        elif known[0].fact.erased:
            # The other one still has what folding needs.
            view[entry.seq] = (entry, event)

    # --- in the end --------------------------------------------------------------------

    def finish(self) -> None:
        """Judge the logs themselves, now that they are as whole as they will be."""
        for log in self.rooms.values():
            self._compare_epochs(log)
            log.join()
            if log.stored is not None:
                self._whole(log, log.stored)
            self._steps(log)
            self._cids(log)

    def _compare_epochs(self, log: Log) -> None:
        for epoch, last in log.ends():
            for seq, (entry, event) in log.view(epoch).items():
                known = log.kept.get(seq)
                if seq <= last and known is not None and not same(known[0], entry):
                    self._findings.add(
                        Rule.SAME_ENTRY_FOR_ALL,
                        (log.room, epoch, seq),
                        f"{log.room} {seq} is {_named(known[0])}, but was {_named(entry)} "
                        f"before the fork behind {last}",
                        known[1],
                        event,
                    )

    def _whole(self, log: Log, stored: Stored) -> None:
        for seq in range(stored.floor + 1, stored.head + 1):
            self._findings.judge(Rule.STORED_WHOLE)
            if seq not in log.kept:
                self._findings.add(
                    Rule.STORED_WHOLE,
                    (log.room, seq),
                    f"{log.room} has its head at {stored.head}, and nothing at {seq}",
                    stored,
                )
        for seq, (entry, event) in log.view(stored.epoch).items():
            self._findings.judge(Rule.SEEN_IS_STORED)
            if seq > stored.floor and seq not in log.kept:
                self._findings.add(
                    Rule.SEEN_IS_STORED,
                    (log.room, seq),
                    f"{log.room} {seq} was seen as {_named(entry)}, and the store's head is "
                    f"{stored.head}",
                    event,
                    stored,
                )

    def _steps(self, log: Log) -> None:
        """Judge what each entry says beside the one before it."""
        for epoch, view in log.by_epoch.items():
            before: Known | None = None
            self._findings.judge(Rule.SAME_ENTRY_FOR_ALL, len(view))
            for seq in sorted(view):
                known = view[seq]
                if before is not None and before[0].seq == seq - 1:
                    self._step(log, epoch, before, known)
                elif seq == 1:
                    self._count(log, epoch, 0, known)
                before = known

    def _step(self, log: Log, epoch: str, before: Known, known: Known) -> None:
        self._count(log, epoch, before[0].n, known, before[1])
        self._findings.judge(Rule.TIME_GOES_ON)
        if known[0].at < before[0].at:
            self._findings.add(
                Rule.TIME_GOES_ON,
                (log.room, epoch, known[0].seq),
                f"{log.room} {known[0].seq} is {before[0].at - known[0].at} ms older "
                "than the entry before it",
                before[1],
                known[1],
            )

    def _count(
        self, log: Log, epoch: str, n: int, known: Known, before: Event | None = None
    ) -> None:
        entry = known[0]
        expected = n + (entry.fact.kind == "message")
        self._findings.judge(Rule.N_COUNTS_MESSAGES)
        if entry.n != expected:
            self._findings.add(
                Rule.N_COUNTS_MESSAGES,
                (log.room, epoch, entry.seq),
                f"{log.room} {entry.seq} says it is after {entry.n} messages, not {expected}",
                before,
                known[1],
            )

    def _cids(self, log: Log) -> None:
        """Judge that no request has been stored twice.

        One that makes several entries, as the making of a room does, makes them in a row.
        """
        last: dict[tuple[str, str], int] = {}
        final = log.final()
        for seq in sorted(final):
            entry, event = final[seq]
            key = (entry.sender, entry.cid)
            former = last.get(key)
            last[key] = seq
            self._findings.judge(Rule.CID_ONCE)
            if former is None or (former == seq - 1 and entry.fact.kind in ("member", "meta")):
                continue
            self._findings.add(
                Rule.CID_ONCE,
                (log.room, former, seq),
                f"{entry.sender}'s {entry.cid!r} is in {log.room} at {former} and at {seq}",
                final[former][1],
                event,
            )


def _named(entry: Logged) -> str:
    return f"{entry.sender}'s {entry.fact.kind} {entry.cid!r}"
