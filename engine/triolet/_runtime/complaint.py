"""One warning now, then a count: what fails a hundred times a second is not told as often."""

import logging
from collections.abc import Callable
from typing import Final, final

# Between two warnings while it goes on: enough to see that it does, little enough to read.
_INTERVAL_S: Final = 5.0


@final
class Complaint:
    """A failure that may repeat itself: told at once, then summed up, then told to be over.

    Args:
        logger: where it is told.
        now: the monotonic clock, s.
    """

    __slots__ = ("_logger", "_now", "_told_at", "_untold", "is_open")

    def __init__(self, logger: logging.Logger, *, now: Callable[[], float]) -> None:
        self._logger = logger
        self._now = now
        # Whether it has failed since it last succeeded.
        self.is_open = False
        self._told_at = 0.0
        self._untold = 0

    def again(self, what: str) -> None:
        """It has failed: tell it now, or count it."""
        now = self._now()
        if self.is_open and now - self._told_at < _INTERVAL_S:
            self._untold += 1
            return
        self._logger.warning("%s%s", what, self._others())
        self.is_open = True
        self._told_at = now

    def over(self, what: str) -> None:
        """It has succeeded again: tell that, and what has not been told before."""
        if self.is_open:
            self._logger.warning("%s%s", what, self._others())
            self.is_open = False

    def _others(self) -> str:
        untold, self._untold = self._untold, 0
        return f" (and {untold} more like the last one)" if untold else ""
