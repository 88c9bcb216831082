"""Pages of a room's log, read once for all who ask the same at the same time."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import final

import trio

from .._model.entries import Record
from .._model.errors import StoreError
from .._model.limits import Limits
from ..ports.store import Store
from .room import Room


@final
class _Page:
    """A page on its way in, as of so many erasures."""

    __slots__ = ("done", "erasures", "error", "records")

    def __init__(self, erasures: int) -> None:
        self.erasures = erasures
        self.done = trio.Event()
        self.records: list[Record] = []
        self.error: StoreError | None = None


@final
class Pages:
    """Reads in flight; nothing is kept once those who waited have been served."""

    def __init__(
        self,
        store: Store,
        limits: Limits,
        spawn: Callable[[Callable[[], Awaitable[None]]], None],
    ) -> None:
        self._store = store
        self._limits = limits
        self._spawn = spawn
        # By the loaded room, not by its name: erasures are counted while it is loaded.
        self._pages: dict[tuple[Room, int], _Page] = {}
        self._slots = trio.CapacityLimiter(limits.pages_inflight_max)

    async def read(self, room: Room, after: int, upto: int | None = None) -> list[Record]:
        """Return a page of records after `after`, at most up to `upto` or the room's head.

        Raises:
            StoreError: it could not be read.
        """
        while True:
            page = self._pages.get((room, after))
            if page is None:
                page = self._pages[room, after] = _Page(room.erasures)
                self._spawn(partial(self._fetch, room, after, upto or room.head, page))
            await page.done.wait()
            if page.error is not None:
                raise page.error
            # A deletion since the page was asked for: its bytes must not be shown any more.
            if room.erasures == page.erasures:
                return page.records

    async def _fetch(self, room: Room, after: int, upto: int, page: _Page) -> None:
        try:
            async with self._slots:
                page.records = await self._store.page(
                    room.name,
                    after=after,
                    upto=upto,
                    limit=self._limits.page_entries_max,
                    bytes_max=self._limits.page_bytes_max,
                )
        except StoreError as error:
            page.error = error
        finally:
            del self._pages[room, after]
            page.done.set()
