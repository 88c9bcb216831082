"""Which rooms have most entries: a bounded table, after Misra and Gries.

Counting is one look-up in a dict. When there are too many rooms in it, all counts are lowered
by that of the first one not to be kept, and who has none left is forgotten: what is shown is
never too high, and a room that had more than its share of all entries is never missing.
"""

from collections.abc import Mapping
from heapq import nlargest
from typing import Final, final

from .._model.observation import RoomRow

# Rooms counted at a time: 0.5 MB; and how many are kept when there are more.
ROOMS_MAX: Final = 4096
ROOMS_KEPT: Final = 256
# What is shown is of the last one or two of these; of longer, if nobody looked.
_PERIOD_S: Final = 60.0


@final
class Busiest:
    """Entries by room, lately.

    Attributes:
        tally: of this period; whoever counts adds to it, and calls `trim` once a batch.

    >>> busiest = Busiest(now=0.0)
    >>> busiest.tally |= {"tea": 3, "cake": 5}
    >>> busiest.top(1, now=30.0), busiest.top(1, now=70.0), busiest.top(2, now=140.0)
    ((('cake', 5),), (('cake', 5),), (('cake', 5), ('tea', 3)))
    >>> busiest.top(2, now=150.0)
    ()
    """

    __slots__ = ("_before", "_began", "tally")

    def __init__(self, *, now: float) -> None:
        self.tally: dict[str, int] = {}
        self._before: Mapping[str, int] = {}
        self._began = now

    def trim(self) -> None:
        """Let go of rooms with few entries, if there are too many."""
        if len(self.tally) > ROOMS_MAX:
            least = nlargest(ROOMS_KEPT + 1, self.tally.values())[-1]
            self.tally = {room: n - least for room, n in self.tally.items() if n > least}

    def top(self, count: int, *, now: float) -> tuple[RoomRow, ...]:
        """Return the busiest rooms of this period and the one before, the busiest first."""
        found = dict(self.tally)
        for room, entries in self._before.items():
            found[room] = found.get(room, 0) + entries
        if now - self._began >= _PERIOD_S:
            self._before, self.tally, self._began = self.tally, {}, now
        ordered = sorted(found.items(), key=lambda row: (-row[1], row[0]))
        return tuple(ordered[:count])
