"""The keys of a client's maps, looked at before they are hashed.

A decoder hashes each key of a map. Python keys the hash of text with a secret; but the hash of
a tuple, which is what an array becomes as a key, anybody can compute, and 6,500 keys of one
hash fit into 91 kB of msgpack and cost 0.7 s. JSON has no such keys; in msgpack they are found
here, one level of the maps after the other, without decoding what the maps hold.
"""

from collections.abc import Callable
from itertools import compress
from operator import itemgetter
from typing import Final, final

import msgspec
from msgspec import Raw, Struct

# As many arrays as keys are harmless: 80 of one hash cost 0.1 ms.
ARRAYS_MAX: Final = 80
# 80 arrays that share a hash need 1 kB, so nothing shorter need be looked at.
UNCHECKED_BYTES_MAX: Final = 1024
# Each level looks at the same bytes again; `Limits.body_depth_max` is 16.
NESTING_MAX: Final = 32

_ARRAYS: Final = bytes(range(0x90, 0xA0)) + b"\xdc\xdd"
_MAPS: Final = bytes(range(0x80, 0x90)) + b"\xde\xdf"
# Without the empty ones, which have nothing to look at.
_holds_something: Callable[[int], bool] = (_ARRAYS[1:] + _MAPS[1:]).__contains__

_values = msgspec.msgpack.Decoder(dict[str, Raw]).decode
_items = msgspec.msgpack.Decoder(list[Raw]).decode
_bytes_of: Callable[[Raw], memoryview] = memoryview
_first_byte: Callable[[memoryview], int] = itemgetter(0)


@final
class _Untyped(Struct):
    """The fields of commands that hold maps of the client's making."""

    body: Raw = Raw(b"\x80")
    data: Raw = Raw(b"\x80")


_untyped = msgspec.msgpack.Decoder(_Untyped).decode


def check_keys(payload: bytes) -> None:
    """Make sure that decoding a msgpack command will not hash many keys that are no text.

    Raises:
        msgspec.ValidationError: a key is no text, or a map is nested deeper than any may be.
        msgspec.DecodeError: this is not msgpack.

    >>> check_keys(msgspec.msgpack.encode({"op": "send", "body": {"a": [[]] * 2000}}))
    >>> check_keys(msgspec.msgpack.encode({"op": "send", "body": {"a": {(1, 2): [[]] * 2000}}}))
    Traceback (most recent call last):
    msgspec.ValidationError: Expected `str`, got `array` - at `key` in `$`
    """
    untyped = _untyped(payload)
    level = _containers([untyped.body, untyped.data])
    for depth in range(NESTING_MAX):
        level = _containers(_inside(level))
        # Nearly every body is flat, and few that are not have many arrays.
        if not level or (depth == 0 and _arrays_at_most(payload) <= ARRAYS_MAX):
            return
    raise msgspec.ValidationError("nested too deeply")


def _inside(containers: list[Raw]) -> list[Raw]:
    inner: list[Raw] = []
    for raw in containers:
        if _bytes_of(raw)[0] in _MAPS:
            inner.extend(_values(raw).values())
        else:
            inner.extend(_items(raw))
    return inner


def _containers(items: list[Raw]) -> list[Raw]:
    firsts = map(_first_byte, map(_bytes_of, items))
    return list(compress(items, map(_holds_something, firsts)))


def _arrays_at_most(payload: bytes) -> int:
    # A byte that begins an array may also be text or part of a number.
    return len(payload) - len(payload.translate(None, _ARRAYS))
