"""Group commit of small writes: those that wait at the same time share one sync of the disk.

Each caller hands over a job of its own; the first of them does the work of all that wait, and
the others find theirs done. So nobody depends on another one's task, which may be cancelled.
"""

from collections import deque
from collections.abc import Callable
from copy import copy
from functools import partial
from typing import Any, Final, Generic, TypeVar, final

import outcome

from ..._model.errors import StoreError
from .ledger import Ledger
from .writer import Writer

T = TypeVar("T")

# Works of one transaction, so that an append does not wait long for it: some 5 ms.
_WORKS_MAX: Final = 64


@final
class _Waiting(Generic[T]):
    """A work, and what became of it."""

    __slots__ = ("result", "work")

    def __init__(self, work: Callable[[], T]) -> None:
        self.work = work
        self.result: outcome.Outcome[T] | None = None


@final
class Grouping:
    """Works are done one after the other, in the order of the calls; all are kept, or none is.

    But one that raises what is said of itself, as a value that is no text does, fails alone.

    Args:
        writer: whose thread does them.
        ledger: its transactions.
        after_all: called in the thread when what was taken together is done, whatever became of
            it, and before anybody is told.
    """

    def __init__(
        self, writer: Writer, ledger: Ledger, after_all: Callable[[], None] = lambda: None
    ) -> None:
        self._writer = writer
        self._ledger = ledger
        self._after_all = after_all
        # Handed over, and not done; each has a job in the writer's queue.
        self._waiting: deque[_Waiting[Any]] = deque()

    async def do(self, work: Callable[[], T]) -> T:
        """Do `work` in a transaction, perhaps with others.

        Raises:
            StoreUnavailable: nothing was stored.
            OutcomeUnknown: it may have been.
            Exception: nothing was stored; `work` has raised it.
        """
        one = _Waiting(work)
        if self._writer.takes_more:
            # What the writer refuses, nobody else may do.
            self._waiting.append(one)
        return await self._writer.do(partial(self._done, one))

    # --- in the writer's thread ----------------------------------------------------------

    def _done(self, one: _Waiting[T]) -> T:
        if one.result is None:
            works = self._taken(one)
            try:
                self._try(works)
            finally:
                self._after_all()
        assert one.result is not None, "it was among those that waited"
        return one.result.unwrap()

    def _try(self, works: list[_Waiting[Any]]) -> None:
        try:
            self._ledger.write(partial(_do_all, works))
        except StoreError as error:
            for each in works:
                # An exception of one's own: tasks write into it as it passes.
                each.result = outcome.Error(copy(error))
        except BaseException as error:  # noqa: BLE001 - the caller is told
            if len(works) == 1:
                works[0].result = outcome.Error(error)
            else:
                for each in works:
                    self._try([each])

    def _taken(self, one: _Waiting[Any]) -> list[_Waiting[Any]]:
        """Return the next ones that wait: all before this one are done."""
        if not self._waiting or self._waiting[0] is not one:
            return [one]
        count = min(len(self._waiting), _WORKS_MAX)
        return [self._waiting.popleft() for _ in range(count)]


def _do_all(works: list[_Waiting[Any]]) -> None:
    for one in works:
        one.result = outcome.Value(one.work())
