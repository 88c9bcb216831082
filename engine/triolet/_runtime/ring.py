"""The last entries of each room as ready frames, so that who is a little behind needs no page.

A ring remembers what is applied, and what was read from the store for somebody who was behind:
after a restart a hundred subscribers of a room come back to the same few entries.
Each ring is bounded by itself, and all rings together by `Rings`.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final, final

from msgspec import Struct, structs

from .._model.entries import Edit, Message, Record
from .._wire.codec import encode_entry, pack_fact, unpack_fact
from .._wire.websocket import binary_frame, text_frame

# What a ring costs a frame beside its bytes; only the order of magnitude matters.
_ITEM_BYTES: Final = 200


@final
class Item(Struct, eq=False, gc=False):
    """One entry at hand: its record, and its frame in each format once somebody needs it."""

    record: Record
    _binary: bytes | None = None
    _text: bytes | None = None

    def replace(self, record: Record) -> None:
        """Forget the old bytes: the entry was erased."""
        self.record = record
        self._binary = self._text = None

    def frame(self, text: bool) -> bytes:
        """Return the entry as a ready WebSocket frame, encoded at most once per format."""
        if text:
            if self._text is None:
                self._text = text_frame(encode_entry(self.record, "json"))
            return self._text
        if self._binary is None:
            self._binary = binary_frame(encode_entry(self.record, "msgpack"))
        return self._binary


@final
class Ring:
    """One room's last entries, without a gap, the newest at the head.

    Attributes:
        counted: its length as `Rings` has counted it.
    """

    __slots__ = ("_bytes_max", "_entries_max", "bytes", "counted", "items")

    def __init__(self, *, entries_max: int, bytes_max: int) -> None:
        self._entries_max = entries_max
        self._bytes_max = bytes_max
        self.items: deque[Item] = deque()
        self.bytes = 0
        self.counted = 0

    def __len__(self) -> int:
        return len(self.items)

    def remember(self, item: Item) -> None:
        """Take the newest entry, and drop the oldest ones beyond the bounds."""
        items = self.items
        items.append(item)
        self.bytes += len(item.record.packed) + _ITEM_BYTES
        while len(items) > self._entries_max or self.bytes > self._bytes_max:
            self.forget_oldest()

    def remember_older(self, items: Sequence[Item], head: int) -> None:
        """Take what was read from the store, as far as it ends where the ring begins, and fits.

        Args:
            items: entries in their order, without a gap.
            head: the room's last seq: where an empty ring begins.
        """
        begin = self.items[0].record.seq if self.items else head + 1
        for item in reversed(items):
            size = len(item.record.packed) + _ITEM_BYTES
            if item.record.seq >= begin:
                continue
            if (
                item.record.seq != begin - 1
                or len(self.items) >= self._entries_max
                or self.bytes + size > self._bytes_max
            ):
                break
            self.items.appendleft(item)
            self.bytes += size
            begin -= 1

    def forget_oldest(self) -> None:
        """Drop the oldest entry; the store still has it."""
        if self.items:
            item = self.items.popleft()
            self.bytes -= len(item.record.packed) + _ITEM_BYTES

    def clear(self) -> None:
        """Drop all."""
        self.items.clear()
        self.bytes = 0

    def after(self, position: int) -> Iterator[Item] | None:
        """Return the entries that follow `position`, None when the ring begins later."""
        if not self.items:
            return None
        offset = position + 1 - self.items[0].record.seq
        return None if offset < 0 else islice(self.items, offset, None)

    def n_at(self, seq: int) -> int | None:
        """Return how many messages the room had at `seq`, None if that is not known here."""
        if self.items:
            offset = seq - self.items[0].record.seq
            if 0 <= offset < len(self.items):
                return self.items[offset].record.n
        return None

    def erase(self, target: int) -> None:
        """Drop the bytes of a deleted message, and of its edits."""
        for item in self.items:
            record = item.record
            if record.kind not in ("message", "edit"):
                continue
            fact = unpack_fact(record.packed)
            if record.seq == target and isinstance(fact, Message):
                erased: Message | Edit = Message(
                    reply_to=fact.reply_to, mentions=fact.mentions, erased=True
                )
            elif isinstance(fact, Edit) and fact.target == target:
                erased = Edit(target, erased=True)
            else:
                continue
            packed = pack_fact(erased)
            self.bytes += len(packed) - len(record.packed)
            item.replace(structs.replace(record, packed=packed))


@final
class Rings:
    """All rings of a node: beyond the bound, the room that was still for longest forgets first."""

    def __init__(self, *, entries_max: int) -> None:
        self._entries_max = entries_max
        # Each ring that holds something, the one that grew last at the end.
        self._stillest_first: dict[Ring, None] = {}
        self.entries = 0

    def grew(self, ring: Ring) -> None:
        """Count a ring anew, and make room elsewhere if there are too many entries."""
        count = len(ring.items)
        self.entries += count - ring.counted
        ring.counted = count
        stillest_first = self._stillest_first
        stillest_first.pop(ring, None)
        stillest_first[ring] = None
        while self.entries > self._entries_max:
            self._shorten(next(iter(self._stillest_first)))

    def drop(self, ring: Ring) -> None:
        """Forget a ring and what it holds."""
        ring.clear()
        self.entries -= ring.counted
        ring.counted = 0
        self._stillest_first.pop(ring, None)

    def _shorten(self, ring: Ring) -> None:
        ring.forget_oldest()
        self.entries += len(ring.items) - ring.counted
        ring.counted = len(ring.items)
        if not ring.items:
            del self._stillest_first[ring]
