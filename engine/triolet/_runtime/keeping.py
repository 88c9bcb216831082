"""What has to go: what is older or more than limits allow, has expired, or deleted rooms left.

It is removed a little at a time, so that messages come first.
"""

import logging
from collections.abc import Callable
from typing import final

import trio

from .._model.errors import StoreError
from .._model.limits import Limits
from ..ports.clock import Clock
from ..ports.store import Store
from .feed import Feeder
from .hub import Hub

logger = logging.getLogger(__name__)

_DAY_MS = 86_400_000
# Between two rounds; retention is counted in days, so a minute is exact enough. Of deleted rooms
# a node that has crashed may have left something: it was unreadable all along.
_ROUND_S = 60.0
# Between two looks for old cids, for which all that is recent must be folded first.
_CIDS_ROUND_S = 3600.0
# Between two looks for documents that have expired; nobody sees them in between.
_DOCUMENTS_ROUND_S = 600.0
# Rows removed at once: about 10 ms of the writer.
_ROWS_PER_STEP = 1000
# Between two steps of a round, so that messages come first.
_STEP_S = 0.05


@final
class Keeping:
    """Prunes entries and cids as `Limits` say, and what has expired or deleted rooms have left."""

    def __init__(
        self, store: Store, hub: Hub, feeder: Feeder, clock: Clock, limits: Limits
    ) -> None:
        self._store = store
        self._hub = hub
        self._feeder = feeder
        self._clock = clock
        self._limits = limits
        # Where other nodes hear of it; None where there are none.
        self.floor_moved: Callable[[str, int, int], None] | None = None
        self.membership_ended: Callable[[str, str], None] | None = None
        # When old cids are looked for again (monotonic, s).
        self._cids_due = 0.0
        # Set when a room was deleted here.
        self._deleted = trio.Event()
        hub.on_deleted.append(self._clear_soon)

    async def run(self) -> None:
        """Prune and clear for as long as the engine lives."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._clear_rounds)
            nursery.start_soon(self._document_rounds)
            await self._rounds()

    async def _rounds(self) -> None:
        limits = self._limits
        while limits.retention_days or limits.retention_entries or limits.dedupe_days:
            try:
                await self.round()
            except StoreError as error:
                logger.warning("retention has to wait: %s", error)
            await trio.sleep(_ROUND_S)

    async def round(self) -> None:
        """Remove all that is due.

        Raises:
            StoreError: the rest has to wait.
        """
        limits = self._limits
        if limits.retention_days or limits.retention_entries:
            days = limits.retention_days
            while moved := await self._store.prune(
                older_than=self._clock.now_ms() - days * _DAY_MS if days else 0,
                entries_max=limits.retention_entries,
                limit=_ROWS_PER_STEP,
            ):
                for room, floor, floor_n in moved:
                    self._hub.floor_moved(room, floor, floor_n)
                    if self.floor_moved is not None:
                        self.floor_moved(room, floor, floor_n)
                await trio.sleep(_STEP_S)
        if limits.dedupe_days and trio.current_time() >= self._cids_due:
            await self._prune_cids()
            self._cids_due = trio.current_time() + _CIDS_ROUND_S

    async def _prune_cids(self) -> None:
        older_than = self._clock.now_ms() - self._limits.dedupe_days * _DAY_MS
        pruned = _ROWS_PER_STEP
        while pruned >= _ROWS_PER_STEP:
            pruned = await self._store.prune_cids(older_than=older_than, limit=_ROWS_PER_STEP)
            await trio.sleep(_STEP_S)

    # --- documents -----------------------------------------------------------------------

    async def _document_rounds(self) -> None:
        while True:
            await trio.sleep(_DOCUMENTS_ROUND_S)
            try:
                await self.prune_documents()
            except StoreError as error:
                logger.warning("documents that have expired have to wait: %s", error)

    async def prune_documents(self) -> None:
        """Remove all documents that have expired.

        Raises:
            StoreError: the rest has to wait.
        """
        documents, pruned = self._store.documents, _ROWS_PER_STEP
        while pruned >= _ROWS_PER_STEP:
            pruned = await documents.prune(now=self._clock.now_ms(), limit=_ROWS_PER_STEP)
            await trio.sleep(_STEP_S)

    # --- deleted rooms -----------------------------------------------------------------

    async def _clear_rounds(self) -> None:
        while True:
            self._deleted = trio.Event()
            is_over = True
            try:
                await self.clear()
            except StoreError as error:
                is_over = False
                logger.warning("what deleted rooms have left has to wait: %s", error)
            # An engine that is alone, and has cleared all, need not wake for it.
            is_alone = self.membership_ended is None
            with trio.move_on_after(float("inf") if is_alone and is_over else _ROUND_S):
                await self._deleted.wait()

    def _clear_soon(self) -> None:
        self._deleted.set()

    async def clear(self) -> None:
        """Remove all that deleted rooms have left behind, and tell whose memberships ended.

        Raises:
            StoreError: the rest has to wait.
        """
        while (ended := await self._store.clear_deleted(limit=_ROWS_PER_STEP)) is not None:
            for room, user in ended:
                self._feeder.told(user, (), (), (room,))
                if self.membership_ended is not None:
                    self.membership_ended(room, user)
            await trio.sleep(_STEP_S)
