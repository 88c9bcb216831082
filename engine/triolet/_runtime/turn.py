"""One scheduler turn from what is read to what is written, where nothing has to be waited for.

A lone message used to wake one task after the other: the lane, the flusher. What it cost was
those turns, 5 µs each where the caches are warm and three times that where they are not.
"""

from collections.abc import Callable
from typing import Protocol, final

import trio


class Held(Protocol):
    """Something that works in a task of its own, or at once in the turn of somebody else."""

    def hold(self) -> None:
        """Wake no task for what comes from now on: `release` follows in this scheduler turn."""
        ...

    def release(self) -> None:
        """Do what has come since `hold`, as far as it fits in this turn; the task does the rest."""
        ...


@final
class Turn:
    """Has what follows from a piece of work done in its turn.

    Args:
        stages: what works on what the work has left, in the order in which they pass it on.
    """

    def __init__(self, *stages: Held) -> None:
        self._stages = stages
        # Between the begin and the end of `take`; and when somebody first asked for the time in it.
        self._is_taken = False
        self._now: float | None = None

    def now(self) -> float:
        """Return the monotonic time (s), of all that is done in one turn the same."""
        now = self._now
        if now is None:
            now = trio.current_time()
            if self._is_taken:
                self._now = now
        return now

    def take(self, work: Callable[[], int]) -> int:
        """Do `work`, then what has come of it; return what it returns."""
        for stage in self._stages:
            stage.hold()
        self._is_taken = True
        try:
            return work()
        finally:
            self._is_taken, self._now = False, None
            for stage in self._stages:
                stage.release()
