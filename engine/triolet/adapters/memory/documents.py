"""Documents in memory: a dict, and its keys in order."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence
from typing import final

import trio

from ...ports.clock import Clock
from ...ports.documents import Change, Document, Documents
from .._documents import Span, check_changes, check_keys, check_scan, span


@final
class HeldDocuments:
    """What there is, expired documents included until they are pruned.

    Attributes:
        version: the last that was given to a document.
    """

    def __init__(self) -> None:
        self.by_key: dict[str, Document] = {}
        self.keys: list[str] = []
        self.version = 0

    def put(self, document: Document) -> None:
        """Have a document be what its key names."""
        if document.key not in self.by_key:
            insort(self.keys, document.key)
        self.by_key[document.key] = document

    def remove(self, key: str) -> None:
        """Have there be nothing of a key."""
        if self.by_key.pop(key, None) is not None:
            del self.keys[bisect_left(self.keys, key)]

    def among(self, span: Span) -> list[str]:
        """Return the keys of a span."""
        begin = (bisect_right if span.is_behind else bisect_left)(self.keys, span.first)
        return self.keys[begin : bisect_left(self.keys, span.end)]


@final
class MemoryDocuments(Documents):
    """A write takes effect before the call's only checkpoint."""

    def __init__(self, held: HeldDocuments, clock: Clock) -> None:
        self._held = held
        self._clock = clock

    async def read(self, keys: Sequence[str]) -> list[Document | None]:
        """Return the documents of these keys, in their order, None where there is none."""
        check_keys(keys)
        await trio.lowlevel.checkpoint()
        now_ms = self._clock.now_ms()
        return [self._present(key, now_ms) for key in keys]

    async def scan(
        self, prefix: str, *, after: str = "", limit: int, descending: bool = False
    ) -> list[Document]:
        """Return documents whose keys begin with `prefix`, by key, those behind `after`."""
        check_scan(prefix, after, limit)
        await trio.lowlevel.checkpoint()
        keys = self._held.among(span(prefix, after, descending=descending))
        if descending:
            keys.reverse()
        now_ms = self._clock.now_ms()
        found: list[Document] = []
        for key in keys:
            if (document := self._present(key, now_ms)) is not None:
                found.append(document)
                if len(found) == limit:
                    break
        return found

    async def write(self, changes: Sequence[Change]) -> bool:
        """Make all changes, or none: False, if a version was another than a change says."""
        check_changes(changes)
        is_made = self._make(changes)
        await trio.lowlevel.checkpoint()
        return is_made

    def _make(self, changes: Sequence[Change]) -> bool:
        held, now_ms = self._held, self._clock.now_ms()
        for change in changes:
            present = self._present(change.key, now_ms)
            if change.version not in (None, 0 if present is None else present.version):
                return False
        held.version += 1
        for change in changes:
            if change.value is None:
                held.remove(change.key)
            else:
                held.put(Document(change.key, change.value, held.version, change.expires_at))
        return True

    def _present(self, key: str, now_ms: int) -> Document | None:
        document = self._held.by_key.get(key)
        if document is not None and 0 < document.expires_at <= now_ms:
            return None
        return document

    async def prune(self, *, now: int, limit: int) -> int:
        """Remove documents with `0 < expires_at <= now` (ms), at most `limit`."""
        held = self._held
        expired = [one.key for one in held.by_key.values() if 0 < one.expires_at <= now][:limit]
        for key in expired:
            held.remove(key)
        await trio.lowlevel.checkpoint()
        return len(expired)
