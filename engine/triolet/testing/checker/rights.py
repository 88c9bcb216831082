"""Rights: who was removed from a room sees nothing of it that came after, deletions least of all.

A cursor was authorised when it was granted, by the log up to the head of that moment; later
entries come by the right of the entry before. Only what a log says can be judged: guests of
public rooms, and members of rooms so large that joining makes no entry, are left alone.
"""

from bisect import bisect_right
from typing import final

from ..history import Event, Seen, Subscribed
from .logs import Log, Logs
from .promises import Findings, Rule


@final
class _Delivery:
    """Entries from `first` to `last` that came on one cursor, all by the same right."""

    __slots__ = ("event", "first", "last", "start")

    def __init__(self, start: Subscribed, event: Seen) -> None:
        self.start = start
        self.event = event
        self.first = self.last = event.entry.seq


@final
class Rights:
    """Remembers what came on wire cursors, and judges it once the logs are known."""

    def __init__(self, findings: Findings, logs: Logs) -> None:
        self._findings = findings
        self._logs = logs
        # Room → user → where the user was removed, and by which event it is known.
        self._seen: dict[tuple[str, int], _Delivery] = {}

    def seen(self, event: Seen, start: Subscribed) -> None:
        """An entry came on a cursor."""
        if not start.wire or event.entry.seq <= start.head:
            return
        delivery = self._seen.get((event.client, event.sub))
        if delivery is None:
            self._seen[event.client, event.sub] = _Delivery(start, event)
        elif event.entry.seq > delivery.last:
            delivery.last = event.entry.seq
            delivery.event = event

    def finish(self, users: dict[str, str]) -> None:
        """Judge; `users` says for whom each client acted."""
        removals: dict[str, dict[str, _Removals]] = {}
        for (client, sub), delivery in self._seen.items():
            self._findings.judge(Rule.NOTHING_AFTER_REMOVAL)
            log = self._logs.log(delivery.start.room)
            if log.stored is not None and log.stored.public:
                continue
            if log.room not in removals:
                removals[log.room] = _removals(log)
            found = removals[log.room].get(users.get(client, ""))
            if found is None:
                continue
            lost = found.lost_within(delivery.start.head, delivery.last)
            if lost is None:
                continue
            seq, event = lost
            self._findings.add(
                Rule.NOTHING_AFTER_REMOVAL,
                (client, sub, seq),
                f"{users.get(client, client)} was no member of {log.room} after {seq}, "
                f"and {client} got {delivery.last}",
                delivery.start,
                event,
                delivery.event,
            )


@final
class _Removals:
    """The changes of one user's membership in one room, in order."""

    def __init__(self) -> None:
        self._seqs: list[int] = []
        self._is_member: list[bool] = []
        self._events: list[Event] = []

    def add(self, seq: int, event: Event, *, is_member: bool) -> None:
        """Take the next change."""
        self._seqs.append(seq)
        self._is_member.append(is_member)
        self._events.append(event)

    def lost_within(self, head: int, last: int) -> tuple[int, Event] | None:
        """Return where membership ended before `last`, for who was let in at `head`."""
        start = max(0, bisect_right(self._seqs, head) - 1)
        for seq, is_member, event in zip(
            self._seqs[start:], self._is_member[start:], self._events[start:], strict=True
        ):
            if seq >= last:
                return None
            if not is_member:
                return seq, event
        return None


def _removals(log: Log) -> dict[str, _Removals]:
    found: dict[str, _Removals] = {}
    final = log.final()
    for seq in sorted(final):
        entry, event = final[seq]
        if entry.fact.kind == "member":
            changes = found.setdefault(entry.fact.user, _Removals())
            changes.add(seq, event, is_member=entry.fact.role is not None)
    return found
