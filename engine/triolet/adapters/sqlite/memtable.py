"""The cids of a window: in memory what a segment is in the tables, and written as one."""

from typing import Final, final

from .cids import found_in
from .sieve import Sieve

# Bits of a digest that choose its bucket. Of a full window each holds 128 records, which fit
# in a row of a page.
MEMTABLE_BITS: Final = 7
_BUCKET_SHIFT: Final = 32 - MEMTABLE_BITS


@final
class Memtable:
    """Records by the first bits of their digests, and the sieve over them.

    Args:
        count: how many there will be, at most or about.
    """

    __slots__ = ("buckets", "sieve")

    def __init__(self, count: int) -> None:
        self.buckets = [bytearray() for _ in range(1 << MEMTABLE_BITS)]
        self.sieve = Sieve(count)

    def add(self, record: bytes, place: int, pattern: int) -> None:
        """Keep a record, by the `probe` of its digest."""
        self.buckets[place >> _BUCKET_SHIFT] += record
        self.sieve.add(place, pattern)

    def find(self, key: bytes, place: int, pattern: int) -> tuple[int, int, int] | None:
        """Return seq, at and op code of a digest, or None."""
        if not self.sieve.lets_through(place, pattern):
            return None
        return found_in(bytes(self.buckets[place >> _BUCKET_SHIFT]), key)
