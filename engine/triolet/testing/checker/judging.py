"""The checker proper: hands each event to the judges it concerns, once, in order."""

from collections.abc import Callable, Iterable
from typing import TypeAlias, cast, final

from .. import history
from ..history import Event
from .banning import Banning
from .commands import Commands
from .cursors import Cursors
from .deleting import Deleting
from .erasing import Erasing
from .folding import Folding
from .logs import Logs
from .marks import Marks
from .people import People, Troubles, Typists
from .promises import Bounds, Findings, Verdict, Violation
from .rights import Rights

_Take: TypeAlias = Callable[[Event], None]


@final
class Checker:
    """Judges one history, event by event.

    Memory grows with the logs, the commands and the cursors, not with who saw them:
    an entry that a thousand clients saw is kept once.

    Args:
        bounds: how long what is told of people may lag behind them.
        sought: find this violation, and no other.
    """

    def __init__(self, bounds: Bounds, *, sought: Violation | None = None) -> None:
        self._findings = findings = Findings(sought)
        self._logs = logs = Logs(findings)
        self._commands = Commands(findings, logs)
        self._cursors = Cursors(findings, logs)
        self._rights = Rights(findings, logs)
        self._erasing = Erasing(findings, logs)
        self._folding = Folding(findings, logs)
        self._marks = Marks(findings, logs)
        self._troubles = Troubles()
        self._deleting = Deleting(findings, bounds, self._troubles)
        self._banning = Banning(findings, bounds, self._troubles, logs, self._commands)
        self._people = People(findings, bounds, self._troubles)
        self._typists = Typists(findings, bounds, self._troubles)
        # Client → user.
        self._users: dict[str, str] = {}
        self._last: Event | None = None
        self._count = 0
        self._seen_count = 0
        self._takes = self._table()

    def _table(self) -> dict[type[Event], _Take]:
        found = {
            history.Opened: self._opened,
            history.Greeted: self._greeted,
            history.Connected: self._connected,
            history.Disconnected: self._disconnected,
            history.Left: self._disconnected,
            history.Sent: self._sent,
            history.Acked: self._acked,
            history.Refused: self._refused,
            history.Unknown: self._deleting.unknown,
            history.Subscribed: self._subscribed,
            history.Seen: self._seen,
            history.Reset: self._cursors.reset,
            history.Closed: self._closed,
            history.Asked: self._asked,
            history.Receipts: self._receipts,
            history.Typing: self._typing,
            history.Presence: self._people.presence,
            history.Unwatched: self._people.unwatched,
            history.Unread: self._unread,
            history.Folded: self._folded,
            history.Fault: self._fault,
            history.Stored: self._stored,
            history.Deleted: self._deleted,
            history.Started: self._banning.started,
            history.Banned: self._banned,
            history.Pardoned: self._banning.pardoned,
            history.Settled: self._settled,
        }
        return cast(dict[type[Event], _Take], found)

    def take(self, event: Event) -> None:
        """Take the next event."""
        self._count += 1
        self._last = event
        self._takes[type(event)](event)

    def _user(self, event: Event) -> str:
        """Return for whom a client acts; one that was never opened acts for itself."""
        user = self._users.get(event.client)
        if user is None:
            user = self._users[event.client] = event.client
            self._people.opened(user)
            self._typists.opened(user)
        return user

    def _opened(self, event: history.Opened) -> None:
        self._users[event.client] = event.user
        self._people.opened(event.user)
        self._typists.opened(event.user)

    def _greeted(self, event: history.Greeted) -> None:
        self._banning.greeted(event, self._user(event))

    def _connected(self, event: history.Connected) -> None:
        self._cursors.connected(event)
        self._banning.connected(event)
        self._deleting.connected(event)
        self._marks.connected(event)
        self._people.connected(event, self._user(event))

    def _disconnected(self, event: history.Disconnected | history.Left) -> None:
        self._cursors.disconnected(event)
        self._banning.disconnected(event)
        self._deleting.connected(event)
        self._typists.disconnected(event)
        self._people.disconnected(event, self._user(event))

    def _sent(self, event: history.Sent) -> None:
        self._commands.sent(event, self._user(event))
        self._banning.sent(event, self._user(event))
        self._deleting.sent(event)
        self._cursors.sent()
        self._marks.sent(event, self._user(event))

    def _acked(self, event: history.Acked) -> None:
        self._commands.acked(event, self._user(event))
        self._banning.acked(event, self._user(event))
        self._deleting.acked(event)

    def _refused(self, event: history.Refused) -> None:
        self._commands.refused(event, self._user(event))
        self._banning.refused(event, self._user(event))
        self._deleting.refused(event)

    def _subscribed(self, event: history.Subscribed) -> None:
        self._cursors.subscribed(event)
        self._deleting.told(event)
        self._typists.ended(event)

    def _closed(self, event: history.Closed) -> None:
        self._cursors.closed(event)
        self._deleting.closed(event)
        self._typists.ended(event)

    def _seen(self, event: history.Seen) -> None:
        self._seen_count += 1
        self._banning.seen(event, self._user(event))
        start = self._cursors.seen(event)
        if start is not None:
            self._rights.seen(event, start)
            self._erasing.seen(event, start)

    def _asked(self, event: history.Asked) -> None:
        user = self._user(event)
        if event.op == "receipt":
            self._marks.asked(event, user)
        elif event.op == "typing":
            self._typists.asked(event, user)
        else:
            self._people.asked(event, user)

    def _unread(self, event: history.Unread) -> None:
        self._marks.unread(event, self._user(event))
        self._banning.told(event, self._user(event))
        self._deleting.told(event)

    def _receipts(self, event: history.Receipts) -> None:
        self._marks.receipts(event)
        self._banning.told(event, self._user(event))
        self._deleting.told(event)

    def _typing(self, event: history.Typing) -> None:
        self._typists.typing(event)
        self._deleting.told(event)

    def _folded(self, event: history.Folded) -> None:
        self._folding.folded(event)
        self._banning.told(event, self._user(event))
        self._deleting.told(event)

    def _fault(self, event: history.Fault) -> None:
        self._troubles.fault(event)
        if event.verb == "fork":
            self._commands.fork()
            self._marks.fork()

    def _stored(self, event: history.Stored) -> None:
        self._logs.stored(event)
        self._erasing.stored(event)
        self._deleting.stored(event)

    def _deleted(self, event: history.Deleted) -> None:
        self._logs.deleted(event)
        self._deleting.deleted(event)

    def _banned(self, event: history.Banned) -> None:
        self._banning.banned(event)
        self._people.banned(event)

    def _settled(self, event: history.Settled) -> None:
        self._cursors.settled(event)
        self._banning.settled()
        self._deleting.settled(event)

    def finish(self) -> Verdict:
        """Judge what can only be judged in the end, and return the verdict."""
        findings = self._findings
        self._logs.finish()
        self._commands.finish()
        self._cursors.finish(self._seen_count)
        self._rights.finish(self._users)
        self._erasing.finish()
        self._deleting.finish()
        self._banning.finish(self._last)
        self._folding.finish()
        self._marks.finish(dict.fromkeys(self._users.values()))
        self._typists.finish(self._last)
        self._people.finish(self._last)
        return Verdict(
            violations=tuple(findings.kept),
            judged=findings.judged,
            found=findings.found,
            events=self._count,
        )


def check(events: Iterable[Event], bounds: Bounds | None = None) -> Verdict:
    """Judge a history.

    Args:
        events: in the order in which they were recorded; by time, if by several recorders.
        bounds: how long what is told of people may lag behind them.

    >>> from triolet.testing.history import Acked, Opened, Sent, Stored
    >>> verdict = check(
    ...     [
    ...         Opened(0, "c1", user="anna"),
    ...         Sent(1, "c1", 1, op="send", room="lobby", cid="x"),
    ...         Acked(1, "c1", 1, room="lobby", cid="x", seq=7),
    ...         Stored(2, room="lobby", epoch="e", head=6, floor=6, entries=()),
    ...     ]
    ... )
    >>> print(verdict.violations[0])
    acknowledged means stored: acknowledged, but not in the store: anna's 'x' was acknowledged \
at 7 of lobby, whose head is 6
    """
    checker = Checker(bounds or Bounds())
    for event in events:
        checker.take(event)
    return checker.finish()
