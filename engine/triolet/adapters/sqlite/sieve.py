"""A filter for digests: says of nearly every digest that is not in a segment that it is not.

A blocked Bloom filter: a digest chooses one block of 64 bits, and five bits in it. With four
digests a block, one stranger in 130 is let through. Asking costs 0.2 µs; asking the table 5 µs,
and perhaps a page from the disk.
"""

import sys
from array import array
from collections.abc import Iterable
from typing import Final, TypeAlias, final

from .._digests import DIGEST_BITS, DIGEST_BYTES

Blocks: TypeAlias = "array[int]"

_PER_BLOCK: Final = 4
_BITS_SET: Final = 5
_PATTERNS_BITS: Final = 12
# A digest's first bits choose its block, so that digests in their order fill blocks in order.
_BLOCK_SHIFT: Final = DIGEST_BITS - 32


def _pattern(number: int) -> int:
    """Return a word with five bits, as different as can be from that of any other number."""
    # Multiples of the golden ratio are spread evenly.
    spread = (number + 1) * 0x9E37_79B9_7F4A_7C15 & (1 << 64) - 1
    word = 0
    while word.bit_count() < _BITS_SET:
        word |= 1 << (spread & 63)
        spread = spread >> 6 | number << 52
    return word


PATTERNS: Final = [_pattern(number) for number in range(1 << _PATTERNS_BITS)]


def probe(key: bytes) -> tuple[int, int]:
    """Return what to ask sieves about a digest: where its block is, and the bits in it."""
    number = int.from_bytes(key, "big")
    return number >> _BLOCK_SHIFT, PATTERNS[number & (1 << _PATTERNS_BITS) - 1]


@final
class Sieve:
    """The filter of one segment.

    Args:
        count: how many digests it will hold.
    """

    __slots__ = ("blocks", "count")

    def __init__(self, count: int) -> None:
        # Blocks, not digests.
        self.count = count // _PER_BLOCK + 1
        self.blocks: Blocks = array("Q", bytes(8 * self.count))

    def add(self, place: int, pattern: int) -> None:
        """Let a digest through from now on, by its `probe`."""
        self.blocks[place * self.count >> 32] |= pattern

    def add_all(self, records: Iterable[bytes]) -> None:
        """Let the digests at the beginning of these records through."""
        blocks, count, patterns = self.blocks, self.count, PATTERNS
        from_bytes, mask = int.from_bytes, (1 << _PATTERNS_BITS) - 1
        for record in records:
            number = from_bytes(record[:DIGEST_BYTES], "big")
            blocks[(number >> _BLOCK_SHIFT) * count >> 32] |= patterns[number & mask]

    def lets_through(self, place: int, pattern: int) -> bool:
        """Whether a digest may be there, by its `probe`."""
        return self.blocks[place * self.count >> 32] & pattern == pattern

    def pack(self) -> bytes:
        """Return it as it is kept: little-endian words."""
        return _swapped(self.blocks).tobytes()

    @classmethod
    def unpack(cls, packed: bytes) -> "Sieve":
        """Return what `pack` packed."""
        sieve = cls(0)
        sieve.blocks = array("Q")
        sieve.blocks.frombytes(packed)
        sieve.blocks = _swapped(sieve.blocks)
        sieve.count = len(sieve.blocks)
        return sieve


def _swapped(blocks: Blocks) -> Blocks:
    """Return native words as little-endian ones, or the other way round."""
    if sys.byteorder == "big":
        blocks = blocks[:]
        blocks.byteswap()
    return blocks
