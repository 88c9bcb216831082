"""A failing input made as small as it can be, and simple, in a bounded number of tries."""

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

_T = TypeVar("_T")

# A whole connection takes milliseconds to judge, a stream of frames 0.1: seconds at most.
TRIES_MAX: Final = 4_000


def shortest(
    items: Sequence[_T], fails: Callable[[Sequence[_T]], bool], tries_max: int = TRIES_MAX
) -> Sequence[_T]:
    """Return a subsequence that still fails, from which no single item can be left out.

    It is delta debugging: larger parts are left out first. Where the tries are used up before,
    the shortest found so far is returned. `fails(items)` is taken for granted.

    >>> bytes(shortest(b"around the needle it is hay", lambda some: b"needle" in bytes(some)))
    b'needle'
    """
    size, tries = max(1, len(items) // 2), 0
    while True:
        at, before = 0, len(items)
        while at < len(items) and tries < tries_max:
            shorter = [*items[:at], *items[at + size :]]
            tries += 1
            if fails(shorter):
                items = shorter
            else:
                at += size
        if tries >= tries_max or (size == 1 and len(items) == before):
            return items
        if size > 1:
            size //= 2


def simplest(data: bytes, fails: Callable[[bytes], bool], tries_max: int = TRIES_MAX) -> bytes:
    r"""Return `data` shortened, then with as many bytes as may be replaced by 0.

    >>> simplest(b"xxabxx", lambda data: b"a" in data and len(data) > 1)
    b'\x00a'
    """
    found = bytearray(shortest(data, lambda some: fails(bytes(some)), tries_max))
    for at in range(min(len(found), tries_max)):
        kept, found[at] = found[at], 0
        if kept and not fails(bytes(found)):
            found[at] = kept
    return bytes(found)


def minimised(
    inputs: tuple[bytes, ...], fails: Callable[[tuple[bytes, ...]], bool]
) -> tuple[bytes, ...]:
    """Return the fewest inputs that still fail, each made small.

    >>> minimised((b"hay", b"a needle", b"hay"), lambda some: any(b"n" in one for one in some))
    (b'n',)
    """
    found = list(shortest(inputs, lambda some: fails(tuple(some))))
    for index, one in enumerate(found):

        def still_fails(data: bytes, index: int = index) -> bool:
            return fails((*found[:index], data, *found[index + 1 :]))

        found[index] = simplest(one, still_fails)
    return tuple(found)
