"""The last warnings and errors of the log, for who administers: bounded, and masked."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, final

from triolet._runtime.counters import Counters

from ..logs import mask

_CHARACTERS_MAX: Final = 300


@final
class RecentErrors(logging.Handler):
    """Puts what is logged as warning or worse where `Engine.observe` finds it."""

    def __init__(self, counters: Counters) -> None:
        super().__init__(logging.WARNING)
        self._counters = counters

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one; of an exception its type alone, for its text may be anything."""
        try:
            text = record.getMessage()
        except Exception:  # noqa: BLE001 - a message that does not fit its values may raise any
            # As the standard library's handlers do: whoever logs must not fail by it.
            self.handleError(record)
            return
        if record.exc_info and record.exc_info[0] is not None:
            text = f"{text}: {record.exc_info[0].__name__}"
        row = (int(1000 * record.created), record.levelname, record.name, mask(text))
        self._counters.errors.append((*row[:3], row[3][:_CHARACTERS_MAX]))
        # Under the handler's lock: threads log, too.
        self._counters.errors_logged += 1


@contextmanager
def recent_errors(counters: Counters) -> Iterator[None]:
    """Keep what is logged for as long as the block lasts."""
    handler, root = RecentErrors(counters), logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
