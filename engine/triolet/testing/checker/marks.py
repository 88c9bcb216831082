"""Marks only move forward, are within the log, and are somebody's own; unread follows from them.

Unread is derived: messages up to the head, less those up to the mark or to the floor.
"""

from typing import final

from ..history import Asked, Connected, Event, Receipts, Sent, Unread
from .logs import Log, Logs
from .promises import Findings, Rule


@final
class Marks:
    """Follows the marks that people set, and what others are told of them."""

    def __init__(self, findings: Findings, logs: Logs) -> None:
        self._findings = findings
        self._logs = logs
        # What each client was told on its present connection, by where, room and user.
        self._told: dict[str, dict[tuple[str, str, str], tuple[int, int, Event]]] = {}
        # The greatest marks that anybody was told, and that the user asked for.
        self._most: dict[tuple[str, str], tuple[int, int, Event]] = {}
        self._asked: dict[tuple[str, str], tuple[int, int]] = {}
        # Who was to become a member of which room, under which sender's cids.
        self._joining: dict[tuple[str, str], list[tuple[str, str]]] = {}
        self._unread: dict[tuple[str, str, int, int, int], Unread] = {}

    def connected(self, event: Connected) -> None:
        """Another connection may be to another node, which has yet to hear of late marks."""
        self._told.pop(event.client, None)

    def sent(self, event: Sent, user: str) -> None:
        """Somebody may become a member, with marks at the head, and without an entry."""
        if event.op in ("join", "invite"):
            member = user if event.fact is None else event.fact.user
            joining = self._joining.setdefault((event.room, member), [])
            joining.append((user, event.cid))

    def asked(self, event: Asked, user: str) -> None:
        """Somebody moves a mark."""
        delivered, read = self._asked.get((event.room, user), (0, 0))
        moved = (max(delivered, event.delivered, event.read), max(read, event.read))
        self._asked[event.room, user] = moved

    def receipts(self, event: Receipts) -> None:
        """Somebody is told how far people got."""
        for user, delivered, read in event.marks:
            self._told_of(event, ("receipts", event.room, user), delivered, read)

    def unread(self, event: Unread, user: str) -> None:
        """Somebody is told how much there is to read."""
        key = (event.room, event.epoch, event.head, event.unread, event.read)
        self._unread.setdefault(key, event)
        self._told_of(event, ("unread", event.room, user), event.read, event.read)

    def fork(self) -> None:
        """The store may have lost its end: marks that were there may be gone."""
        self._told.clear()
        self._most.clear()

    def _told_of(self, event: Event, who: tuple[str, str, str], delivered: int, read: int) -> None:
        told = self._told.setdefault(event.client, {})
        before = told.get(who)
        if before is not None and _is_overtaken(event, before[2]):
            return
        self._findings.judge(Rule.MARK_FORWARD)
        if before is not None and (delivered < before[0] or read < before[1]):
            self._findings.add(
                Rule.MARK_FORWARD,
                (event.client, event.conn, *who, before[1], read, before[0], delivered),
                f"{event.client} was told that {who[2]} has got {before[0]} and read "
                f"{before[1]} of {who[1]}, then {delivered} and {read}",
                before[2],
                event,
            )
        told[who] = (delivered, read, event)
        if read > delivered:
            self._within(event, who[1:], delivered, read)
        most = self._most.get(who[1:])
        if most is None or delivered > most[0] or read > most[1]:
            self._most[who[1:]] = (delivered, read, event)

    def _within(self, event: Event, who: tuple[str, str], delivered: int, read: int) -> None:
        head = self._logs.log(who[0]).head
        self._findings.add(
            Rule.MARK_WITHIN,
            (event.client, *who, delivered, read),
            f"{event.client} was told that {who[1]} has got {delivered} and read {read} of "
            f"{who[0]}, whose head is {head}",
            event,
        )

    # --- in the end --------------------------------------------------------------------

    def finish(self, users: dict[str, None]) -> None:
        """Judge, once the logs are known; `users` are those whose clients are in the history."""
        claims: dict[str, dict[str, int]] = {}
        for (room, user), (delivered, read, event) in self._most.items():
            log = self._logs.log(room)
            if log.stored is None:
                continue
            self._findings.judge(Rule.MARK_WITHIN)
            if max(delivered, read) > log.head:
                self._within(event, (room, user), delivered, read)
            if user in users:
                if room not in claims:
                    claims[room] = _claims(log)
                self._claimed(event, (room, user), (delivered, read), claims[room])
        for unread in self._unread.values():
            self._count(unread)

    def _claimed(
        self, event: Event, who: tuple[str, str], told: tuple[int, int], claims: dict[str, int]
    ) -> None:
        room, user = who
        if user not in claims:
            # No member as far as the log says: the room is so large that joining is no entry.
            return
        logged = {(entry.sender, entry.cid) for entry, _ in self._logs.log(room).final().values()}
        if any(joining not in logged for joining in self._joining.get(who, ())):
            # May have left and come back without an entry: nobody knows where the head was then.
            return
        delivered, read = self._asked.get(who, (0, 0))
        self._findings.judge(Rule.MARK_CLAIMED)
        if told[0] > max(delivered, claims[user]) or told[1] > max(read, claims[user]):
            self._findings.add(
                Rule.MARK_CLAIMED,
                (event.client, *who),
                f"{event.client} was told that {user} has got {told[0]} and read {told[1]} of "
                f"{room}; {user} asked for {delivered} and {read}",
                event,
            )

    def _count(self, event: Unread) -> None:
        log = self._logs.log(event.room)
        at_head = _n_at(log, event.epoch, event.head)
        at_read = _n_at(log, event.epoch, event.read)
        if at_head is None or at_read is None:
            return
        floor_n = 0 if log.stored is None else log.stored.floor_n
        self._findings.judge(Rule.UNREAD_IS_DERIVED)
        most, least = max(0, at_head - at_read), max(0, at_head - max(at_read, floor_n))
        if not least <= event.unread <= most:
            self._findings.add(
                Rule.UNREAD_IS_DERIVED,
                (event.client, event.room, event.head, event.read, event.unread),
                f"{event.client} was told of {event.unread} unread in {event.room}; there are "
                f"{most} messages up to {event.head} behind the mark at {event.read}",
                event,
            )


def _is_overtaken(event: Event, before: Event) -> bool:
    """Whether an answer was made before another one that has overtaken it.

    The answer to `subscribe` keeps its place among the entries of the room, and others, made
    later, may be written before it: the head that each one names says which is the older.
    """
    return (
        isinstance(event, Unread)
        and isinstance(before, Unread)
        and event.epoch == before.epoch
        and event.head < before.head
    )


def _n_at(log: Log, epoch: str, seq: int) -> int | None:
    if seq == 0:
        return 0
    known = log.view(epoch).get(seq)
    return None if known is None else known[0].n


def _claims(log: Log) -> dict[str, int]:
    """Return how far each user got by writing and by joining, which both move marks.

    Whoever is made a member has read up to the end of what made them one.
    """
    found: dict[str, int] = {}
    joined: dict[tuple[str, str], list[str]] = {}
    final = log.final()
    for seq in sorted(final):
        entry = final[seq][0]
        found[entry.sender] = seq
        if entry.fact.kind == "member":
            joined.setdefault((entry.sender, entry.cid), []).append(entry.fact.user)
        for user in joined.get((entry.sender, entry.cid), ()):
            found[user] = seq
    return found
