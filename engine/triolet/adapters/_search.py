"""Searching a room: one meaning for all stores, page by page over `history`.

No index is kept, so a write costs what it did: a search reads backwards through the room's
messages as they are now. How far one call goes is bounded, and it says where to go on.
"""

from collections.abc import Iterator
from typing import Final

from .._domain.words import asked, holds
from .._model.entries import FoldedMessage
from ..ports.store import SearchSlice, Store

# What is looked at between two checkpoints: short messages hold the thread for 1 to 2 ms.
PAGE_MESSAGES: Final = 200
# Or as soon as that much is read: the longest message alone is as long.
PAGE_BYTES: Final = 32 * 1024


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
    needed = asked(words)
    if limit < 1 or scan_max < 1:
        raise ValueError("`limit` and `scan_max` are at least 1")
    found: list[FoldedMessage] = []
    as_of: tuple[str, int] | None = None
    for size in _sizes(scan_max):
        page = await store.history(
            room, user, before=before, after=None, limit=size, bytes_max=PAGE_BYTES
        )
        if page is None:
            return None
        if as_of is not None and as_of != (page.epoch, page.head):
            break  # what comes now is of another moment
        as_of = page.epoch, page.head
        hits = [one for one in reversed(page.messages) if holds(_text(one), needed)]
        found += hits[: limit - len(found)]
        oldest = page.messages[0].seq if page.messages else None
        before = found[-1].seq if len(found) == limit else oldest
        if before == oldest and not page.more:
            before = None
        if before is None or len(found) == limit:
            break
    assert as_of is not None, "there is at least one page"
    return SearchSlice(tuple(found), before, *as_of)


def _sizes(scan_max: int) -> Iterator[int]:
    """Yield the sizes of pages of `scan_max` messages in all, at most."""
    for done in range(0, scan_max, PAGE_MESSAGES):
        yield min(PAGE_MESSAGES, scan_max - done)


def _text(message: FoldedMessage) -> str:
    """Return what a message says: `{text: "…"}` is the convention; others say nothing."""
    text = message.body.get("text") if isinstance(message.body, dict) else None
    return text if isinstance(text, str) else ""
