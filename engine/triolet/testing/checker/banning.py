"""Bans: nobody comes in who is banned, who is in goes, and nothing is taken from or told to them.

What counts is when something was asked, so that nothing has to be known of how long it was on
its way: a hello, a command, a question; and of an entry, when it was sent by somebody.
A connection that should not be there is blamed once, not for all that happens on it.
"""

from typing import Final, TypeAlias, final

from ..._model.errors import CloseCode, ErrorCode
from ..history import (
    Acked,
    Banned,
    Connected,
    Disconnected,
    Event,
    Folded,
    Greeted,
    Left,
    Pardoned,
    Receipts,
    Refused,
    Seen,
    Sent,
    Started,
    Unread,
)
from .bans import Bans
from .commands import Commands
from .logs import Logs
from .people import Troubles
from .promises import Bounds, Findings, Rule
from .rights import Changes

_Told: TypeAlias = Folded | Unread | Receipts

# What somebody is told who is no member.
_NO_MEMBER: Final = frozenset({ErrorCode.NOT_A_MEMBER, ErrorCode.NO_SUCH_ROOM})


@final
class _Visit:
    """A connection of somebody, from its hello on.

    Attributes:
        banned: the ban that its node knew of when the hello left.
        welcome: what said that they may come in.
        asked: requests that should not be taken, each with the ban.
        is_blamed: it should not be there, which was said.
    """

    __slots__ = ("asked", "banned", "hello", "is_blamed", "user", "welcome")

    def __init__(self, hello: Greeted, user: str, banned: Banned | None) -> None:
        self.hello = hello
        self.user = user
        self.banned = banned
        self.welcome: Connected | None = None
        self.asked: dict[tuple[str, str], tuple[Sent, Banned]] = {}
        self.is_blamed = False


@final
class Banning:
    """Compares what happens on connections with who is banned."""

    def __init__(
        self,
        findings: Findings,
        bounds: Bounds,
        troubles: Troubles,
        logs: Logs,
        commands: Commands,
    ) -> None:
        self._findings = findings
        self._bounds = bounds
        self._troubles = troubles
        self._logs = logs
        self._commands = commands
        self._bans = Bans(bounds, troubles)
        self._visits: dict[str, _Visit] = {}
        # What was sent when it should not be taken: by whom, and by which ban.
        self._late: list[tuple[str, Sent, Banned]] = []
        self._count = 0
        # Users who were banned once, and what they were answered when all was quiet.
        self._back: dict[str, Pardoned] = {}
        self._is_quiet = False
        self._answers: list[tuple[str, Acked | Refused]] = []

    # --- who is banned -------------------------------------------------------------------

    def started(self, event: Started) -> None:
        """A node begins."""
        self._bans.started(event)

    def banned(self, event: Banned) -> None:
        """Somebody is banned."""
        self._count += not event.node
        self._bans.banned(event)

    def pardoned(self, event: Pardoned) -> None:
        """Somebody is banned no more."""
        if not event.node:
            for client, visit in self._visits.items():
                if visit.user == event.user:
                    self._overstays(client, visit, event)
            self._back[event.user] = event
        self._bans.pardoned(event)

    def settled(self) -> None:
        """All is quiet: who was banned has come back."""
        self._is_quiet = True

    # --- who comes and goes --------------------------------------------------------------

    def greeted(self, event: Greeted, user: str) -> None:
        """Somebody knocks."""
        banned = self._bans.in_force(user, event.node, event.t)
        self._visits[event.client] = _Visit(event, user, banned)

    def connected(self, event: Connected) -> None:
        """Somebody is let in."""
        visit = self._visits.get(event.client)
        if visit is None:
            return
        visit.welcome = event
        banned = self._still(visit, event)
        if banned is not None:
            visit.is_blamed = True
            self._findings.add(
                Rule.BAN_LETS_NOBODY_IN,
                (event.client, event.conn),
                f"{event.client} said hello{_at(visit)} at {visit.hello.t:.3f} s, and was let in; "
                f"{visit.user} was banned at {banned.t:.3f} s",
                banned,
                visit.hello,
                event,
            )

    def disconnected(self, event: Disconnected | Left) -> None:
        """A connection has ended, or nothing came of it."""
        visit = self._visits.pop(event.client, None)
        if visit is None:
            return
        self._overstays(event.client, visit, event)
        if isinstance(event, Disconnected):
            self._sent_away(event, visit)

    def _still(self, visit: _Visit, event: Event) -> Banned | None:
        """Return the ban that was in force when the hello left, if it is still."""
        banned, node = visit.banned, visit.hello.node
        if banned is None or self._bans.in_force(visit.user, node, event.t) is not banned:
            return None
        return banned

    def _sent_away(self, event: Disconnected, visit: _Visit) -> None:
        banned = self._still(visit, event)
        if event.code == CloseCode.BANNED:
            self._has_cause(event, visit)
        elif event.code == CloseCode.UNAUTHENTICATED and banned is not None:
            # Clocks that are wrong make bad tokens of good ones.
            since = visit.hello.t - self._bounds.silence_s
            if self._troubles.mended(since, event.t) > float("-inf"):
                return
            self._findings.add(
                Rule.BAN_IS_SAID,
                (event.client, event.conn, f"{event.t:.6f}"),
                f"{event.client} was sent away with {event.code} at {event.t:.3f} s; "
                f"{visit.user} was banned at {banned.t:.3f} s",
                banned,
                visit.hello,
                event,
            )

    def _has_cause(self, event: Disconnected, visit: _Visit) -> None:
        self._findings.judge(Rule.BAN_HAS_CAUSE)
        self._findings.judge(Rule.BAN_IS_SAID)
        free_s = self._bans.free_since(visit.user, visit.hello.node, event.t)
        if free_s <= visit.hello.t:
            self._findings.add(
                Rule.BAN_HAS_CAUSE,
                (event.client, event.conn, f"{event.t:.6f}"),
                f"{event.client} said hello{_at(visit)} at {visit.hello.t:.3f} s, and was sent "
                f"away as banned; since {free_s:.3f} s {visit.user} was not",
                visit.hello,
                event,
            )

    def _overstays(self, client: str, visit: _Visit, now: Event) -> None:
        """Judge how long somebody was connected who was banned meanwhile."""
        banned = self._bans.of(visit.user)
        if banned is None or visit.welcome is None or visit.is_blamed:
            return
        self._findings.judge(Rule.BAN_ENDS_SESSIONS)
        if self._bans.in_force(visit.user, visit.hello.node, now.t) is not banned:
            return
        # The end is told over the same connection, which may be slow, or broken unnoticed.
        start = max(visit.hello.t, self._bans.since(banned, now.t))
        troubled = self._troubles.mended(start - self._bounds.silence_s, now.t, at_once=False)
        if now.t > max(start, troubled) + self._bounds.silence_s + self._bounds.slack_s:
            visit.is_blamed = True
            self._findings.add(
                Rule.BAN_ENDS_SESSIONS,
                (client, visit.hello.conn),
                f"{client} is connected at {now.t:.3f} s; {visit.user} was banned at "
                f"{banned.t:.3f} s",
                visit.welcome,
                banned,
                now,
            )

    # --- what is asked and told ----------------------------------------------------------

    def sent(self, event: Sent, user: str) -> None:
        """Somebody asks for something, for the first time or again."""
        visit = self._visits.get(event.client)
        if visit is None or visit.is_blamed:
            return
        banned = self._bans.in_force(user, visit.hello.node, event.t)
        # Which of several tries is answered is not to be seen: judged as the first.
        if banned is not None and self._commands.first(event.room, user, event.cid) is event:
            visit.asked[event.room, event.cid] = event, banned
            self._late.append((user, event, banned))

    def refused(self, event: Refused, user: str) -> None:
        """Something was not taken."""
        if self._is_quiet and user in self._back:
            self._answers.append((user, event))

    def acked(self, event: Acked, user: str) -> None:
        """Something was acknowledged."""
        if self._is_quiet and user in self._back:
            self._answers.append((user, event))
        visit = self._visits.get(event.client)
        late = None if visit is None else visit.asked.get((event.room, event.cid))
        if late is not None:
            self._taken(late[0], late[1], event)

    def _taken(self, sent: Sent, banned: Banned, event: Event) -> None:
        self._findings.add(
            Rule.BAN_TAKES_NOTHING,
            (sent.client, sent.room, sent.cid),
            f"{sent.client}'s {sent.cid!r} was sent to {sent.room} at {sent.t:.3f} s, and taken; "
            f"{banned.user} was banned at {banned.t:.3f} s",
            banned,
            sent,
            event,
        )

    def told(self, event: _Told, user: str) -> None:
        """Somebody is answered a question."""
        if event.asked is not None and self._bans.of(user) is not None:
            self._tells(event, event.asked, None)

    def seen(self, event: Seen, user: str) -> None:
        """Somebody gets an entry."""
        entry = event.entry
        # What is theirs should not have been taken.
        if self._bans.of(user) is None or entry.sender == user:
            return
        sent = self._commands.first(event.room, entry.sender, entry.cid)
        if sent is not None:
            self._tells(event, sent.t, sent)

    def _tells(self, event: Event, since: float, sent: Sent | None) -> None:
        visit = self._visits.get(event.client)
        if visit is None or visit.is_blamed:
            return
        banned = self._bans.in_force(visit.user, visit.hello.node, since)
        if banned is None or self._bans.in_force(visit.user, visit.hello.node, event.t) is None:
            return
        self._findings.add(
            Rule.BAN_TELLS_NOTHING,
            (event.client, type(event).__name__, f"{event.t:.6f}"),
            f"{event.client} was told at {event.t:.3f} s what there was since {since:.3f} s; "
            f"{visit.user} was banned at {banned.t:.3f} s",
            banned,
            sent,
            event,
        )

    # --- in the end ----------------------------------------------------------------------

    def finish(self, last: Event | None) -> None:
        """Judge who is there still, and what was stored after all."""
        if last is not None:
            for client, visit in self._visits.items():
                self._overstays(client, visit, last)
        for user, sent, banned in self._late:
            stored = self._logs.log(sent.room).by_cid(user, sent.cid)
            if stored is not None:
                self._taken(sent, banned, stored)
        self._lost()
        for rule in (Rule.BAN_LETS_NOBODY_IN, Rule.BAN_TAKES_NOTHING, Rule.BAN_TELLS_NOTHING):
            self._findings.judge(rule, self._count)

    def _lost(self) -> None:
        """Judge what those are told who have come back to where they are members."""
        for user, event in self._answers:
            log = self._logs.log(event.room)
            if log.stored is None or log.deleted is not None or log.floor:
                continue
            changes = Changes(log)
            # Joining and leaving a public room makes no entry.
            if log.stored.public or changes.is_public or changes.role(user) is None:
                continue
            self._findings.judge(Rule.BAN_LOSES_NOTHING)
            if isinstance(event, Refused) and event.code in _NO_MEMBER:
                self._findings.add(
                    Rule.BAN_LOSES_NOTHING,
                    (event.client, event.room, event.cid),
                    f"{user} was banned until {self._back[user].t:.3f} s, is a member of "
                    f"{event.room}, and refused with {event.code}",
                    self._back[user],
                    event,
                )


def _at(visit: _Visit) -> str:
    return f" to {visit.hello.node}" if visit.hello.node else ""
