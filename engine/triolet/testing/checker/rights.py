"""Rights: who was removed from a room sees nothing of it that came after, and writes nothing.

A cursor was authorised when it was granted, by the log up to the head of that moment; later
entries come by the right of the entry before.
Only removals that a log tells of are judged, and only where the room was never public since:
there guests read, and joining makes no entry.
"""

from bisect import bisect_left, bisect_right
from typing import Final, final

from ..._model.entries import Role
from ..history import Seen, Subscribed
from .logs import Known, Log, Logs
from .promises import Findings, Rule

_WRITTEN: Final = ("message", "edit", "delete", "react")


@final
class _Delivery:
    """What came on one cursor: where it was granted, and the last entry so far."""

    __slots__ = ("event", "last", "start")

    def __init__(self, start: Subscribed, event: Seen) -> None:
        self.start = start
        self.event = event
        self.last = event.entry.seq


@final
class Rights:
    """Remembers what came on wire cursors, and judges it once the logs are known."""

    def __init__(self, findings: Findings, logs: Logs) -> None:
        self._findings = findings
        self._logs = logs
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
        changes = {
            room: Changes(log) for room, log in self._logs.rooms.items() if log.stored is not None
        }
        for (client, sub), delivery in self._seen.items():
            found = changes.get(delivery.start.room)
            if found is not None:
                self._judge(client, sub, delivery, users.get(client, client), found)
        for room, found in changes.items():
            self._judge_writing(self._logs.log(room), found)

    def _judge(
        self, client: str, sub: int, delivery: _Delivery, user: str, changes: "Changes"
    ) -> None:
        self._findings.judge(Rule.NOTHING_AFTER_REMOVAL)
        removal = changes.removal(user, delivery.start.head, delivery.last)
        if removal is not None:
            seq = removal[0].seq
            self._findings.add(
                Rule.NOTHING_AFTER_REMOVAL,
                (client, sub, seq),
                f"{user} was removed from {delivery.start.room} at {seq}, "
                f"and {client} got {delivery.last}",
                delivery.start,
                removal[1],
                delivery.event,
            )

    def _judge_writing(self, log: Log, changes: "Changes") -> None:
        self._judge_deletion(log, changes)
        for seq, (entry, event) in log.final().items():
            if entry.fact.kind not in _WRITTEN:
                continue
            self._findings.judge(Rule.WRITTEN_BY_RIGHT)
            removal = changes.removal(entry.sender, seq - 1, seq)
            if removal is not None:
                self._findings.add(
                    Rule.WRITTEN_BY_RIGHT,
                    (log.room, removal[0].seq, seq),
                    f"{entry.sender} was removed from {log.room} at {removal[0].seq}, "
                    f"and wrote {seq}",
                    removal[1],
                    event,
                )

    def _judge_deletion(self, log: Log, changes: "Changes") -> None:
        """A room is deleted by who is an owner, as far as its log tells."""
        deleted = log.deleted
        if deleted is None or log.floor:
            return
        self._findings.judge(Rule.WRITTEN_BY_RIGHT)
        role = changes.role(deleted.user)
        if role != "owner":
            self._findings.add(
                Rule.WRITTEN_BY_RIGHT,
                (log.room, deleted.seq, deleted.user),
                f"{deleted.user} deleted {log.room}, and is {role or 'no member'} there",
                deleted,
            )


@final
class Changes:
    """Who became a member or was removed where in a log, and where it became public."""

    def __init__(self, log: Log) -> None:
        self._members: dict[str, list[Known]] = {}
        # Seqs at which its visibility changed, and whether it was public from there.
        self._public: list[tuple[int, bool]] = []
        final = log.final()
        for seq in sorted(final):
            fact = final[seq][0].fact
            if fact.kind == "member":
                self._members.setdefault(fact.user, []).append(final[seq])
            elif fact.public is not None:
                self._public.append((seq, fact.public))

    def removal(self, user: str, head: int, last: int) -> Known | None:
        """Return what took away, before `last`, the right of somebody who was let in at `head`."""
        known = self._members.get(user, ())
        start = bisect_right(known, head, key=lambda one: one[0].seq) - 1
        for one in known[max(0, start) :]:
            entry = one[0]
            if entry.seq >= last:
                break
            if entry.fact.role is None and not self._was_public(entry.seq, last):
                return one
        return None

    @property
    def is_public(self) -> bool:
        """Whether it ever was."""
        return any(public for _, public in self._public)

    def role(self, user: str) -> Role | None:
        """Return what somebody is in the end."""
        known = self._members.get(user, ())
        return known[-1][0].fact.role if known else None

    def _was_public(self, first: int, last: int) -> bool:
        """Whether it was public at any time between two entries."""
        start = bisect_left(self._public, (first, False)) - 1
        return any(public for seq, public in self._public[max(0, start) :] if public and seq < last)
