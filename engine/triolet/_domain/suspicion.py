"""How much somebody behaves as a program does that is not meant well: points, and what they are of.

Nothing of it proves anything, so each sign alone is worth less than the threshold, unless it is
far from what people do. All is forgotten with time: `WINDOW_S` without a sign is innocence.
"""

from collections import deque
from itertools import pairwise
from math import sqrt
from typing import Final, TypeAlias, final

# `(how many, points)`, the fewest first.
Steps: TypeAlias = tuple[tuple[int, int], ...]

# What was longer ago is not looked at.
WINDOW_S: Final = 600.0
# From so many points on somebody is asked to show that they are no program.
THRESHOLD: Final = 4

# Intervals between messages that are looked at; fewer than the least tell nothing.
_TIMES_MAX: Final = 17
_INTERVALS_MIN: Final = 11
# Their spread over their mean. Of people it is beyond 0.5; of a timer with 50 ms of network, 0.05.
_SPREAD_MAX: Final = 0.1
# What is pasted or sent again after a reconnect comes at once, and says nothing.
_MEAN_S_MIN: Final = 0.25
_RATIO_MAX: Final = 2.4
_REGULAR: Final = 3
# Different people written to directly, and rooms that got the same words.
_STRANGERS: Final[Steps] = ((10, 2), (20, 4))
_ROOMS: Final[Steps] = ((5, 2), (10, 4))
_STRANGERS_MAX: Final = 20
_ROOMS_MAX: Final = 10
# Words that are remembered, the last ones; who varies them more sends them to few rooms each.
_BODIES_MAX: Final = 8
# Accounts from one address: a family makes a few, a class makes more and does nothing else here.
_ACCOUNTS: Final[Steps] = ((5, 1), (15, 2))
_ACCOUNTS_MAX: Final = 15


def opening_points(agent: str, origin: str) -> int:
    """Return the points of how a connection began: programs seldom say what every browser says.

    >>> opening_points("Mozilla/5.0 (X11)", "https://chat.example")
    0
    >>> opening_points("", ""), opening_points("Mozilla/5.0 (X11)", "")
    (1, 1)
    """
    is_browser = agent.startswith("Mozilla/")
    return 1 if not agent or (is_browser and not origin) else 0


@final
class Evidence:
    """What one user did lately; at most about 3 KiB. Times are monotonic, s."""

    __slots__ = ("_bodies", "_strangers", "_times")

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=_TIMES_MAX)
        self._strangers: dict[str, float] = {}
        # By what was said: where, and when.
        self._bodies: dict[int, dict[str, float]] = {}

    def wrote(self, room: str, body: int | None, now: float) -> None:
        """They sent something; `body`: a digest of what many would not say by chance."""
        self._times.append(now)
        if body is not None:
            rooms = self._bodies.pop(body, {})
            _remember(rooms, room, now, most=_ROOMS_MAX)
            self._bodies[body] = rooms
            if len(self._bodies) > _BODIES_MAX:
                del self._bodies[next(iter(self._bodies))]

    def met(self, user: str, now: float) -> None:
        """They asked for the direct room with somebody."""
        _remember(self._strangers, user, now, most=_STRANGERS_MAX)

    def points(self, now: float) -> int:
        """Return the points of all that was within the window."""
        found = _points_of(self._strangers, _STRANGERS, now)
        found += max((_points_of(one, _ROOMS, now) for one in self._bodies.values()), default=0)
        return found + (_REGULAR if self._is_regular(now) else 0)

    def _is_regular(self, now: float) -> bool:
        if len(self._times) <= _INTERVALS_MIN or self._differ():
            return False
        times = [at for at in self._times if at > now - WINDOW_S]
        intervals = [later - at for at, later in pairwise(times)]
        if len(intervals) < _INTERVALS_MIN:
            return False
        mean = sum(intervals) / len(intervals)
        variance = sum((one - mean) ** 2 for one in intervals) / len(intervals)
        return mean >= _MEAN_S_MIN and sqrt(variance) <= _SPREAD_MAX * mean

    def _differ(self) -> bool:
        """Whether the last two intervals tell already that there is no timer.

        With a spread of a tenth none of 16 is further from the mean than 0.4 of it.
        """
        last = self._times[-1] - self._times[-2]
        before = self._times[-2] - self._times[-3]
        return max(last, before) > _RATIO_MAX * min(last, before)


@final
class Registrations:
    """When accounts were made from one address."""

    __slots__ = ("_times",)

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=_ACCOUNTS_MAX)

    def add(self, now: float) -> None:
        """One was."""
        self._times.append(now)

    def points(self, now: float) -> int:
        """Return the points of whoever comes from there."""
        return _points(sum(at > now - WINDOW_S for at in self._times), _ACCOUNTS)


def _remember(seen: dict[str, float], name: str, now: float, *, most: int) -> None:
    """Have a name be the last one seen, and let go of the one seen longest ago."""
    seen.pop(name, None)
    seen[name] = now
    if len(seen) > most:
        del seen[next(iter(seen))]


def _points_of(seen: dict[str, float], steps: Steps, now: float) -> int:
    """Return the points of what was seen within the window."""
    if len(seen) < steps[0][0]:
        return 0
    return _points(sum(at > now - WINDOW_S for at in seen.values()), steps)


def _points(count: int, steps: Steps) -> int:
    """Return what the highest step that is reached is worth."""
    return max((points for least, points in steps if count >= least), default=0)
