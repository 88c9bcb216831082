"""People: who is shown is here, who is here is shown, who is shown typing types.

What is told lags behind, and by how much at most is promised: see `Bounds`.
While something is broken, and as long again after it is mended, nobody is blamed.
"""

from typing import final

from ..._model.errors import CloseCode
from ..history import (
    Asked,
    Banned,
    Closed,
    Connected,
    Disconnected,
    Event,
    Fault,
    Left,
    Presence,
    Subscribed,
    Typing,
    Unwatched,
)
from .promises import Bounds, Findings, Rule


@final
class Troubles:
    """When something was broken: `(began, ended)`, and what is broken still."""

    def __init__(self) -> None:
        self._open: dict[str, float] = {}
        self._spans: list[tuple[float, float]] = []

    def fault(self, event: Fault) -> None:
        """Something was broken or mended."""
        if event.phase == "begins":
            self._open.setdefault(event.what, event.t)
        elif event.phase == "ends":
            self._spans.append((self._open.pop(event.what, event.t), event.t))
        else:
            self._spans.append((event.t, event.t))

    def mended(self, start: float, now: float, *, at_once: bool = True) -> float:
        """Return when the last trouble since `start` ended; -inf: there was none; inf: not yet.

        `at_once`: whether troubles count that had no duration, as a crash.
        """
        if any(began <= now for began in self._open.values()):
            return float("inf")
        ends = [
            ended
            for began, ended in self._spans
            if began <= now and ended >= start and (at_once or began < ended)
        ]
        return max(ends, default=float("-inf"))


@final
class _User:
    """The truth about one user: how many connections, and since when it is so."""

    __slots__ = ("banned_at", "conns", "event", "is_hidden", "since", "told", "untold_at")

    def __init__(self) -> None:
        # Client → the event that connected it.
        self.conns: dict[str, Event] = {}
        self.since = float("-inf")
        # The last change between here and gone; None: never here.
        self.event: Event | None = None
        # Whether the server was told of the end.
        self.told = True
        # When a connection ended last of whose end the server was not told.
        self.untold_at = float("-inf")
        # Has asked to be invisible at some time.
        self.is_hidden = False
        # Was banned last.
        self.banned_at = float("-inf")


@final
class _Shown:
    """What one client is shown of one user on its present connection."""

    __slots__ = ("event", "status")

    def __init__(self, status: str, event: Event) -> None:
        self.status = status
        self.event = event


@final
class People:
    """Compares what is shown of people with what they do."""

    def __init__(self, findings: Findings, bounds: Bounds, troubles: Troubles) -> None:
        self._findings = findings
        self._bounds = bounds
        self._troubles = troubles
        self._users: dict[str, _User] = {}
        # Client → user → what is shown.
        self._shown: dict[str, dict[str, _Shown]] = {}
        # User → clients that are shown them.
        self._watchers: dict[str, dict[str, None]] = {}

    def opened(self, user: str) -> None:
        """Somebody's clients are in this history."""
        self._users.setdefault(user, _User())

    def connected(self, event: Connected, user: str) -> None:
        """Somebody has a connection more."""
        self._unwatch(event)
        found = self._users[user]
        if not found.conns:
            self._look(user, event)
            found.since, found.event = event.t, event
        found.conns[event.client] = event

    def disconnected(self, event: Disconnected | Left, user: str) -> None:
        """Somebody has a connection less, and is shown nothing on it any more."""
        self._unwatch(event)
        found = self._users[user]
        is_told = isinstance(event, Disconnected) and event.told
        if not is_told and (event.client in found.conns or isinstance(event, Disconnected)):
            # The server may believe in it through all that this user's clients do meanwhile,
            # also if its welcome was on the way still.
            found.untold_at = event.t
        if event.client not in found.conns:
            return
        if len(found.conns) == 1:
            self._look(user, event)
        del found.conns[event.client]
        if not found.conns:
            found.since, found.event, found.told = event.t, event, True
        # Who is banned hears of it later than others may.
        is_banned = isinstance(event, Disconnected) and event.code == CloseCode.BANNED
        found.told = found.told and is_told and not is_banned

    def asked(self, event: Asked, user: str) -> None:
        """Somebody says how to be shown."""
        if event.status == "invisible":
            self._users[user].is_hidden = True

    def banned(self, event: Banned) -> None:
        """Somebody's connections are about to be ended, if there are any."""
        if event.user in self._users:
            self._users[event.user].banned_at = event.t

    def presence(self, event: Presence) -> None:
        """A client is told how people are."""
        shown = self._shown.setdefault(event.client, {})
        for user, status, _ in event.users:
            if user not in self._users:
                continue
            before = shown.get(user)
            if before is not None:
                self._judge(event.client, user, event)
            if before is not None and (before.status == "offline") == (status == "offline"):
                # It has been so since then, whatever it is called now.
                shown[user] = _Shown(status, before.event)
            else:
                shown[user] = _Shown(status, event)
            self._watchers.setdefault(user, {})[event.client] = None
            if status == "offline":
                self._told_offline(user, event)

    def unwatched(self, event: Unwatched) -> None:
        """A client is shown some people no more."""
        self._hide(event, event.users)

    def _unwatch(self, event: Event) -> None:
        self._hide(event, tuple(self._shown.get(event.client, ())))

    def _hide(self, event: Event, users: tuple[str, ...]) -> None:
        shown = self._shown.get(event.client, {})
        for user in users:
            if user in shown:
                self._judge(event.client, user, event)
                del shown[user], self._watchers[user][event.client]

    def _look(self, user: str, event: Event) -> None:
        """Judge what everybody is shown of a user, before that changes."""
        for client in self._watchers.get(user, {}):
            self._judge(client, user, event)

    def finish(self, event: Event | None) -> None:
        """Judge what is shown in the end."""
        if event is None:
            return
        for client, shown in self._shown.items():
            for user in shown:
                self._judge(client, user, event)

    def _judge(self, client: str, user: str, now: Event) -> None:
        """Judge what has been shown of a user until now."""
        shown, found, bounds = self._shown[client][user], self._users[user], self._bounds
        if found.event is None or found.is_hidden:
            return
        if not found.conns and shown.status != "offline":
            self._findings.judge(Rule.NO_GHOST)
            allowed_s = bounds.grace_s + bounds.lease_s + bounds.slack_s
            start = max(found.since, self._troubles.mended(found.since, now.t, at_once=False))
            if self._mended(found.since, now.t) > float("-inf"):
                start += bounds.silence_s
            # One connection that the server believes in is enough to be shown.
            start = max(start, found.untold_at + bounds.silence_s)
            # Others may hear that somebody is here a moment before their own client does.
            is_news = now.t <= shown.event.t + bounds.slack_s
            if now.t > start + allowed_s and not is_news:
                self._add(Rule.NO_GHOST, client, user, now)
        elif found.conns and shown.status == "offline":
            self._here(client, user, now, max(found.since, shown.event.t))

    def _told_offline(self, user: str, event: Presence) -> None:
        found = self._users[user]
        if found.event is None or found.is_hidden:
            return
        if found.conns:
            self._here(event.client, user, event, found.since)
        elif found.told:
            self._findings.judge(Rule.GRACE_IS_KEPT)
            early = event.t + self._bounds.slack_s < found.since + self._bounds.grace_s
            if early and self._mended(found.since, event.t) == float("-inf"):
                self._add(Rule.GRACE_IS_KEPT, event.client, user, event)

    def _here(self, client: str, user: str, now: Event, since: float) -> None:
        """Judge that somebody who is here since then is shown offline."""
        self._findings.judge(Rule.HERE_IS_SHOWN)
        found, bounds = self._users[user], self._bounds
        if any(conn.t <= found.banned_at for conn in found.conns.values()):
            # Here in the eyes of a client that has yet to hear of its end.
            return
        recovery_s = bounds.silence_s + bounds.grace_s + bounds.lease_s
        start = max(since, self._mended(since, now.t) + recovery_s)
        if now.t > start + bounds.slack_s:
            self._add(Rule.HERE_IS_SHOWN, client, user, now)

    def _mended(self, since: float, now: float) -> float:
        """Return when the last trouble ended of which the server may still have been deaf."""
        return self._troubles.mended(since - self._bounds.silence_s, now)

    def _add(self, rule: Rule, client: str, user: str, now: Event) -> None:
        shown, found = self._shown[client][user], self._users[user]
        what = "here" if found.conns else "gone"
        self._findings.add(
            rule,
            (client, user, str(found.since)),
            f"{client} is shown {user} {shown.status} at {now.t:.3f} s, who is {what} "
            f"since {found.since:.3f} s",
            *sorted((found.event, shown.event), key=lambda event: 0 if event is None else event.t),
            now,
        )


@final
class Typists:
    """Compares who is shown typing with who says so."""

    def __init__(self, findings: Findings, bounds: Bounds, troubles: Troubles) -> None:
        self._findings = findings
        self._bounds = bounds
        self._troubles = troubles
        self._users: dict[str, None] = {}
        # The last time a user said in a room to be typing.
        self._said: dict[tuple[str, str], Asked] = {}
        # Client → room → user → the event that first showed them.
        self._shown: dict[str, dict[str, dict[str, Event]]] = {}

    def opened(self, user: str) -> None:
        """Somebody's clients are in this history."""
        self._users[user] = None

    def asked(self, event: Asked, user: str) -> None:
        """Somebody types, or has stopped."""
        if event.on:
            # What was shown until now is judged by what was said until now.
            for client, rooms in self._shown.items():
                if user in rooms.get(event.room, {}):
                    self._judge(client, event.room, user, event)
            self._said[event.room, user] = event

    def typing(self, event: Typing) -> None:
        """A client is told who types."""
        shown = self._shown.setdefault(event.client, {})
        before = shown.get(event.room, {})
        for user in before:
            self._judge(event.client, event.room, user, event)
        shown[event.room] = {
            user: before.get(user, event) for user in event.users if user in self._users
        }
        for user in shown[event.room]:
            self._judge(event.client, event.room, user, event)

    def ended(self, event: Closed | Subscribed) -> None:
        """A client's cursor on a room is another one, or none."""
        for user in self._shown.get(event.client, {}).get(event.room, {}):
            self._judge(event.client, event.room, user, event)
        self._shown.get(event.client, {}).pop(event.room, None)

    def disconnected(self, event: Event) -> None:
        """A client is told nothing any more."""
        self._judge_all(event.client, event)
        self._shown.pop(event.client, None)

    def finish(self, event: Event | None) -> None:
        """Judge what is shown in the end."""
        if event is not None:
            for client in self._shown:
                self._judge_all(client, event)

    def _judge_all(self, client: str, event: Event) -> None:
        for room, users in self._shown.get(client, {}).items():
            for user in users:
                self._judge(client, room, user, event)

    def _judge(self, client: str, room: str, user: str, now: Event) -> None:
        said, bounds = self._said.get((room, user)), self._bounds
        since = float("-inf") if said is None else said.t
        self._findings.judge(Rule.NO_STUCK_TYPING)
        if now.t <= since + bounds.typing_s + bounds.slack_s:
            return
        if self._troubles.mended(now.t - bounds.silence_s, now.t) > float("-inf"):
            return
        ago = "has never said so" if said is None else f"last said so at {since:.3f} s"
        self._findings.add(
            Rule.NO_STUCK_TYPING,
            (client, room, user, str(since)),
            f"{client} is shown {user} typing in {room} at {now.t:.3f} s, who {ago}",
            said,
            self._shown[client][room][user],
            now,
        )
