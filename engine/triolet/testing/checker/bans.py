"""Who is banned, as far as a history tells: since when nobody can say to have not heard of it.

The store decides; every node knows of it within a second, and where something was broken, as
soon as it has asked the store again. Whatever is broken, a node that has said that a ban is in
force, or lifted, knows it from then on; and one that begins lets nobody in before the store has
told of all bans. Between these moments both is good.
"""

from typing import final

from ..history import Banned, Event, Pardoned, Started
from .people import Troubles
from .promises import Bounds


@final
class _Ban:
    """A ban, or several in a row.

    Attributes:
        first: since when there is one in the store.
        last: the one that counts.
        says: by which event a node has said that it is in force there.
    """

    __slots__ = ("first", "last", "says")

    def __init__(self, first: Banned, last: Banned, says: dict[str, Event]) -> None:
        self.first = first
        self.last = last
        self.says = says


@final
class Bans:
    """Follows what the store and its nodes say of bans."""

    def __init__(self, bounds: Bounds, troubles: Troubles) -> None:
        self._bounds = bounds
        self._troubles = troubles
        self._bans: dict[str, _Ban] = {}
        self._started: dict[str, float] = {}
        # User → when there was a ban of theirs no more, and when a node said so.
        self._pardons: dict[str, tuple[float, dict[str, float]]] = {}

    def started(self, event: Started) -> None:
        """A node begins: it knows of every ban that there is."""
        self._started[event.node] = event.t

    def banned(self, event: Banned) -> None:
        """There is a ban, or a node says so."""
        known = self._bans.get(event.user)
        if event.node:
            if known is not None:
                known.says.setdefault(event.node, event)
        elif known is not None and not known.last.until:
            # Who has not heard of this one yet keeps to the one before.
            self._bans[event.user] = _Ban(known.first, event, known.says)
        else:
            self._bans[event.user] = _Ban(event, event, {})

    def pardoned(self, event: Pardoned) -> None:
        """There is none any more, or a node says so."""
        if not event.node:
            self._bans.pop(event.user, None)
            self._pardons[event.user] = (event.t, {})
        elif event.user in self._pardons and event.user not in self._bans:
            self._pardons[event.user][1].setdefault(event.node, event.t)

    def of(self, user: str) -> Banned | None:
        """Return the first of a user's bans in a row, whether it is in force already or not."""
        found = self._bans.get(user)
        return None if found is None else found.first

    def in_force(self, user: str, node: str, at: float) -> Banned | None:
        """Return the ban that a node must have known of at a time until now, if any."""
        found = self._bans.get(user)
        if found is None or found.first.t > at:
            return None
        is_calm = self._mended(found.first.t, at) == float("-inf")
        if found.last.until and not (is_calm and at < found.last.until):
            # Clocks that are wrong let it end sooner, and what is over may be forgotten then.
            return None
        if self._started.get(node, float("-inf")) > found.first.t:
            return found.first
        said = found.says.get(node)
        if said is not None and said.t <= at:
            return found.first
        return found.first if at >= self.since(found.first, at) else None

    def since(self, event: Banned, now: float) -> float:
        """Return from when on every node knows of a ban."""
        return self._known(event.t, now)

    def free_since(self, user: str, node: str, now: float) -> float:
        """Return since when nobody is banned in the eyes of a node; inf: who knows."""
        found = self._bans.get(user)
        if found is not None:
            until = found.last.until
            if not until or now <= until + self._bounds.slack_s:
                return float("inf")
            return max(until + self._bounds.slack_s, self._known(found.last.t, now))
        pardon = self._pardons.get(user)
        if pardon is None:
            return float("-inf")
        t, says = pardon
        return min(says.get(node, float("inf")), self._known(t, now))

    def _known(self, t: float, now: float) -> float:
        """Return from when on every node knows what the store has since `t`."""
        bounds = self._bounds
        # One try may fail at the end of what was broken, and the next one waits its turn.
        recovery_s = 2 * bounds.recheck_s + bounds.slack_s
        return max(t + bounds.ban_s, self._mended(t - recovery_s, now) + recovery_s)

    def _mended(self, start: float, now: float) -> float:
        return self._troubles.mended(start, now, at_once=False)
