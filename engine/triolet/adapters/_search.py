"""Searching a room: one meaning for all stores, page by page backwards through its messages.

A search reads the messages as they are now, so a write costs what it did. How far one call goes
is bounded, and it says where to go on. A store that knows of messages, without reading them,
that they do not hold the words, leaves them out of its pages.
"""

from collections.abc import Awaitable, Callable, Iterator
from typing import Final, NamedTuple, TypeAlias

from .._domain.words import asked, holds
from .._model.entries import FoldedMessage
from ..ports.store import HistorySlice, SearchSlice, Store

# What is looked at between two checkpoints: short messages hold the thread for 1 to 2 ms.
PAGE_MESSAGES: Final = 200
# Or as soon as that much is read: the longest message alone is as long.
PAGE_BYTES: Final = 32 * 1024


class Page(NamedTuple):
    """Messages that may hold the words, oldest first, as of a position of the log.

    `next_before`: those with a smaller seq are not looked at yet; None: there are none.
    """

    messages: tuple[FoldedMessage, ...]
    next_before: int | None
    epoch: str
    head: int


# The next page of messages with a seq smaller than the first argument, at most as many as the
# second; None: no such room.
Pages: TypeAlias = Callable[[int | None, int], Awaitable[Page | None]]


async def search(
    store: Store,
    room: str,
    user: str,
    words: str,
    *,
    before: int | None,
    limit: int,
    scan_max: int,
) -> SearchSlice | None:
    """Answer `Store.search` by the store's own `history`."""

    async def page(before: int | None, size: int) -> Page | None:
        read = await store.history(
            room, user, before=before, after=None, limit=size, bytes_max=PAGE_BYTES
        )
        return None if read is None else _all_of(read)

    return await search_pages(page, asked(words), before=before, limit=limit, scan_max=scan_max)


def _all_of(read: HistorySlice) -> Page:
    next_before = read.messages[0].seq if read.more else None
    return Page(read.messages, next_before, read.epoch, read.head)


async def search_pages(
    pages: Pages, needed: tuple[str, ...], *, before: int | None, limit: int, scan_max: int
) -> SearchSlice | None:
    """Answer `Store.search` from pages; `needed` is as `asked` returns it."""
    if limit < 1 or scan_max < 1:
        raise ValueError("`limit` and `scan_max` are at least 1")
    found: list[FoldedMessage] = []
    as_of: tuple[str, int] | None = None
    for size in _sizes(scan_max):
        page = await pages(before, size)
        if page is None:
            return None
        if as_of is not None and as_of != (page.epoch, page.head):
            break  # what comes now is of another moment
        as_of = page.epoch, page.head
        hits = [one for one in reversed(page.messages) if holds(_text(one), needed)]
        found += hits[: limit - len(found)]
        before = page.next_before
        if len(found) == limit:
            is_over = before is None and found[-1].seq == page.messages[0].seq
            before = None if is_over else found[-1].seq
            break
        if before is None:
            break
    assert as_of is not None, "there is at least one page"
    return SearchSlice(tuple(found), before, *as_of)


def _sizes(scan_max: int) -> Iterator[int]:
    """Yield the sizes of pages of `scan_max` messages in all, at most."""
    for done in range(0, scan_max, PAGE_MESSAGES):
        yield min(PAGE_MESSAGES, scan_max - done)


def _text(message: FoldedMessage) -> str:
    return text_of(message.body)


def text_of(body: object) -> str:
    """Return what a body says: `{text: "…"}` is the convention; others say nothing."""
    text = body.get("text") if isinstance(body, dict) else None
    return text if isinstance(text, str) else ""
