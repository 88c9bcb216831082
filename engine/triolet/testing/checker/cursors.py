"""Cursors: each entry after a cursor's position comes on it once, in order, and nothing else."""

from typing import final

from msgspec import Struct

from ..history import (
    Closed,
    Connected,
    Deleted,
    Disconnected,
    Event,
    Left,
    Reset,
    Seen,
    Settled,
    Subscribed,
)
from .logs import Logs
from .promises import Findings, Rule

# A client's name and a cursor's ordinal.
_Name = tuple[str, int]


@final
class _Cursor:
    __slots__ = ("epoch", "last", "pos", "start")

    def __init__(self, start: Subscribed) -> None:
        self.start = start
        self.epoch = start.epoch
        self.pos = start.pos
        # The event that moved it last.
        self.last: Event = start


@final
class _Rest(Struct, frozen=True):
    """Where a cursor was when all was quiet, and the head that was known then."""

    event: Settled
    name: _Name
    room: str
    pos: int
    last: Event
    head: int


@final
class Cursors:
    """Follows every cursor of every client."""

    def __init__(self, findings: Findings, logs: Logs) -> None:
        self._findings = findings
        self._logs = logs
        self._open: dict[_Name, _Cursor] = {}
        self._ended: dict[_Name, Event] = {}
        self._online: dict[str, Event] = {}
        # Where everybody was when all was quiet: judged in the end, when the heads are known.
        self._settled: list[_Rest] = []
        self._is_quiet = False

    def connected(self, event: Connected) -> None:
        """A client has a connection."""
        self._online[event.client] = event

    def disconnected(self, event: Disconnected | Left) -> None:
        """A client has none any more, and no cursor on it."""
        self._online.pop(event.client, None)
        is_over = isinstance(event, Left)
        for name, cursor in list(self._open.items()):
            if name[0] == event.client and (is_over or cursor.start.wire):
                self._end(name, event)

    def _end(self, name: _Name, event: Event) -> None:
        del self._open[name]
        self._ended[name] = event

    def subscribed(self, event: Subscribed) -> None:
        """A cursor stands."""
        self._open[event.client, event.sub] = _Cursor(event)
        if event.since is None:
            return
        self._findings.judge(Rule.RESUMES_WHERE_IT_WAS)
        epoch, seq = event.since
        if epoch != event.epoch:
            # After a fork, or from another log: judged by what comes.
            return
        key = (event.client, event.sub)
        if event.recovered and event.pos != seq:
            self._findings.add(
                Rule.RESUMES_WHERE_IT_WAS,
                key,
                f"{event.client} asked for {event.room} from {seq}, and got it from {event.pos}",
                event,
            )
        elif not event.recovered and event.floor <= seq <= event.head:
            self._findings.add(
                Rule.LOST_ONLY_BELOW_FLOOR,
                key,
                f"{event.client} asked for {event.room} from {seq}; its floor is {event.floor}, "
                f"its head {event.head}, and it was not recovered",
                event,
            )

    def reset(self, event: Reset) -> None:
        """A cursor was moved."""
        cursor = self._open.get((event.client, event.sub))
        if cursor is None:
            return
        self._findings.judge(Rule.LOST_ONLY_BELOW_FLOOR)
        is_same = event.epoch == cursor.epoch and not event.fork
        if is_same and event.pos != cursor.pos and event.floor <= cursor.pos:
            self._findings.add(
                Rule.LOST_ONLY_BELOW_FLOOR,
                (event.client, event.sub, event.pos),
                f"{event.client} was at {cursor.pos} of {event.room}, whose floor is "
                f"{event.floor}, and was moved to {event.pos}",
                cursor.last,
                event,
            )
        cursor.epoch, cursor.pos, cursor.last = event.epoch, event.pos, event

    def closed(self, event: Closed) -> None:
        """A cursor has ended."""
        if (event.client, event.sub) in self._open:
            self._end((event.client, event.sub), event)

    def seen(self, event: Seen) -> Subscribed | None:
        """Take an entry; return where its cursor began, None if there is none."""
        name = (event.client, event.sub)
        cursor = self._open.get(name)
        if cursor is None:
            self._stray(event, name)
            return None
        self._logs.seen(event, cursor.epoch)
        seq = event.entry.seq
        if seq == cursor.pos + 1:
            cursor.pos, cursor.last = seq, event
        elif seq <= cursor.pos:
            self._findings.add(
                Rule.SEEN_ONCE,
                (*name, seq, cursor.pos),
                f"{event.client} was at {cursor.pos} of {event.room}, and got {seq}",
                cursor.last,
                event,
            )
        else:
            is_resuming = cursor.start.since is not None and cursor.pos < cursor.start.head
            self._findings.add(
                Rule.RESUMED_WHOLE if is_resuming else Rule.NO_GAP_SEEN,
                (*name, cursor.pos, seq),
                f"{event.client} was at {cursor.pos} of {event.room}, and got {seq}",
                cursor.last,
                event,
            )
            cursor.pos, cursor.last = seq, event
        return cursor.start

    def _stray(self, event: Seen, name: _Name) -> None:
        ended = self._ended.get(name)
        is_removed = isinstance(ended, Closed) and ended.reason not in ("unsubscribed", "replaced")
        self._findings.add(
            Rule.NOTHING_AFTER_REMOVAL if is_removed else Rule.SEEN_WHERE_DUE,
            (*name, event.room, event.entry.seq),
            f"{event.client} got {event.room} {event.entry.seq}, "
            + ("with no cursor there" if ended is None else "after its cursor had ended"),
            ended,
            event,
        )

    # --- in the end --------------------------------------------------------------------

    def settled(self, event: Settled) -> None:
        """All is quiet: remember where everybody is."""
        self._is_quiet = True
        self._settled = []
        for name, cursor in self._open.items():
            if name[0] in self._online:
                room = cursor.start.room
                log = self._logs.log(room)
                self._settled.append(_Rest(event, name, room, cursor.pos, cursor.last, log.head))
                if log.deleted is not None:
                    self._unnoticed(event, name, cursor, log.deleted)
        deleted = sum(log.deleted is not None for log in self._logs.rooms.values())
        self._findings.judge(Rule.GONE_IS_NOTICED, deleted * len(self._online))

    def _unnoticed(self, event: Settled, name: _Name, cursor: _Cursor, deleted: Deleted) -> None:
        self._findings.add(
            Rule.GONE_IS_NOTICED,
            name,
            f"{name[0]} follows {deleted.room}, which was deleted at {deleted.t:.3f} s",
            cursor.last,
            deleted,
            event,
        )

    def sent(self) -> None:
        """Somebody asks for something: the store's head in the end is not that of the rest."""
        self._is_quiet = False

    def finish(self, seen: int) -> None:
        """Judge who was there when all was quiet; `seen` entries came in all."""
        for rule in (Rule.SEEN_ONCE, Rule.NO_GAP_SEEN, Rule.RESUMED_WHOLE, Rule.SEEN_WHERE_DUE):
            self._findings.judge(rule, seen)
        for rest in self._settled:
            self._findings.judge(Rule.SEEN_ALL)
            stored = self._logs.log(rest.room).stored
            head = stored.head if stored is not None and self._is_quiet else rest.head
            if rest.pos < head:
                self._findings.add(
                    Rule.SEEN_ALL,
                    (*rest.name, rest.pos, head),
                    f"{rest.name[0]} is at {rest.pos} of {rest.room}, whose head is {head}",
                    rest.last,
                    stored,
                    rest.event,
                )
