"""Pages of a room's log, read and encoded once for all who ask the same at the same time."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import final

import trio

from .._model.errors import StoreError
from .._model.limits import Limits
from ..ports.store import Store
from .ring import Item
from .room import Room


@final
class _Page:
    """A page on its way in, as of so many erasures."""

    __slots__ = ("done", "erasures", "error", "items")

    def __init__(self, erasures: int) -> None:
        self.erasures = erasures
        self.done = trio.Event()
        self.items: list[Item] = []
        self.error: StoreError | None = None


@final
class Pages:
    """Reads in flight; what comes of them is `kept` where somebody else may need it.

    Args:
        kept: called with what was read of a room, before anybody sees it.
    """

    def __init__(
        self,
        store: Store,
        limits: Limits,
        spawn: Callable[[Callable[[], Awaitable[None]]], None],
        kept: Callable[[Room, Sequence[Item]], None],
    ) -> None:
        self._store = store
        self._limits = limits
        self._spawn = spawn
        self._kept = kept
        # By the loaded room, not by its name: erasures are counted while it is loaded.
        self._pages: dict[tuple[Room, int], _Page] = {}
        self._slots = trio.CapacityLimiter(limits.pages_inflight_max)

    async def read(self, room: Room, after: int, upto: int | None = None) -> list[Item]:
        """Return a page of entries after `after`, at most up to `upto` or the room's head.

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
                return page.items

    async def _fetch(self, room: Room, after: int, upto: int, page: _Page) -> None:
        epoch = room.epoch
        try:
            async with self._slots:
                records = await self._store.page(
                    room.name,
                    after=after,
                    upto=upto,
                    limit=self._limits.page_entries_max,
                    bytes_max=self._limits.page_bytes_max,
                )
            page.items = [Item(record) for record in records]
            if (room.epoch, room.erasures) == (epoch, page.erasures):
                self._kept(room, page.items)
        except StoreError as error:
            page.error = error
        finally:
            del self._pages[room, after]
            page.done.set()
