"""Where a stream is cut: the same bytes in other pieces must mean the same."""

from collections.abc import Iterator, Sequence
from random import Random
from typing import Final

# Byte by byte costs a call each, so it is for streams up to this length.
_BY_BYTE_MAX: Final = 600
# The sizes that ends of headers, short frames, and whole reads are made of.
_SIZES: Final = (1, 1, 2, 3, 4, 5, 6, 7, 8, 13, 14, 15, 40, 125, 150, 1_000)


def pieces(stream: bytes, seed: int) -> Iterator[bytes]:
    """Cut `stream` as `seed` says: whole, byte by byte, in halves, or anyhow.

    >>> [len(piece) for piece in pieces(bytes(10), 3)]
    [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]
    >>> b"".join(pieces(b"any seed joins to the whole", 77))
    b'any seed joins to the whole'
    """
    way = seed & 3
    if way == 0:
        yield stream
    elif way == 1:
        middle = (seed >> 2) % (len(stream) + 1)
        yield stream[:middle]
        yield stream[middle:]
    elif way == 3 and len(stream) <= _BY_BYTE_MAX:
        yield from (stream[at : at + 1] for at in range(len(stream)))
    else:
        yield from _anyhow(stream, Random(seed).choices(_SIZES, k=32))  # noqa: S311 - reproducible


def _anyhow(stream: bytes, sizes: Sequence[int]) -> Iterator[bytes]:
    at = turn = 0
    while at < len(stream):
        # What is long gets longer pieces: no stream takes thousands of them.
        size = sizes[turn % len(sizes)] * (1 + turn // len(sizes))
        yield stream[at : at + size]
        at += size
        turn += 1
