"""Damage done to bytes: what transmission, attackers and bugs of clients do to them."""

from collections.abc import Callable, Sequence
from random import Random
from typing import Final, TypeAlias

_Mutation: TypeAlias = Callable[[bytearray, Random], None]

# Lengths, marks and signs that have meant something else somewhere.
_INTERESTING: Final = (
    b"\x00", b"\xff", b"\x7f", b"\x80", b"\x7e", b"\xfe", b"\x81", b"\x82", b"\x88", b"\x89",
    b"\xc1", b"\xff\xff", b"\x00\x00", b"\x7f\xff", b"\x80\x00", b"\xff\xff\xff\xff", b"\r\n",
    b"\n", b"\r\n\r\n", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"\\ud800", b'"', b"{",
    b"[", b"\xdf\xff\xff\xff\xff", b"\xdd\x7f\xff\xff\xff", b"\xc6\xff\xff\xff\xff",
)  # fmt: skip


def mutated(data: bytes, chance: Random, others: Sequence[bytes] = ()) -> bytes:
    """Return `data` with one to three kinds of damage done to it; `others` may be spliced in.

    >>> mutated(b"hello", Random(1)) == mutated(b"hello", Random(1)) != b"hello"
    True
    """
    damaged = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        if others and chance.random() < 0.1:
            _splice(damaged, chance, chance.choice(others))
        elif damaged:
            chance.choice(_MUTATIONS)(damaged, chance)
        else:
            damaged += chance.choice(_INTERESTING)
    return bytes(damaged)


def _flip_bit(data: bytearray, chance: Random) -> None:
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _set_byte(data: bytearray, chance: Random) -> None:
    data[chance.randrange(len(data))] = chance.randrange(256)


def _count(data: bytearray, chance: Random) -> None:
    """A length or a tag that is off by little."""
    at = chance.randrange(len(data))
    data[at] = (data[at] + chance.choice((-2, -1, 1, 2))) & 0xFF


def _insert(data: bytearray, chance: Random) -> None:
    at = chance.randrange(len(data) + 1)
    data[at:at] = chance.choice(_INTERESTING)


def _overwrite(data: bytearray, chance: Random) -> None:
    at, what = chance.randrange(len(data)), chance.choice(_INTERESTING)
    data[at : at + len(what)] = what


def _drop(data: bytearray, chance: Random) -> None:
    at = chance.randrange(len(data))
    del data[at : at + chance.choice((1, 1, 2, 4, 9))]


def _truncate(data: bytearray, chance: Random) -> None:
    del data[chance.randrange(len(data)) :]


def _repeat(data: bytearray, chance: Random) -> None:
    at = chance.randrange(len(data))
    part = data[at : at + chance.choice((1, 2, 4, 8, 16, 64))]
    data[at:at] = part * chance.choice((1, 1, 2, 8))


def _splice(data: bytearray, chance: Random, other: bytes) -> None:
    at = chance.randrange(len(data) + 1)
    begin = chance.randrange(len(other) + 1)
    data[at:at] = other[begin : begin + chance.choice((1, 4, 16, 64, 256))]


_MUTATIONS: Final[tuple[_Mutation, ...]] = (
    _flip_bit, _flip_bit, _set_byte, _count, _count, _insert, _overwrite, _drop, _truncate, _repeat,
)  # fmt: skip
