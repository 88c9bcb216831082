"""What a fuzzer led by coverage begins with: the wire vectors, and a few of the grammar's."""

import json
from collections.abc import Iterator
from random import Random
from typing import Final

import msgspec

from ..conformance.vectors import RECORDED
from .client_frames import BINARY, TEXT, frame
from .grammar import USERS
from .table import TARGETS
from .targets import edge, frames

# As many as there are vectors, or so: of an input that is long little is learned in a minute.
_INVENTED: Final = 64
_INVENTED_BYTES_MAX: Final = 2_048


def seeds(target: str, seed: int) -> list[bytes]:
    r"""Return inputs for a target, `seed` deciding those of the grammar.

    >>> b"\x00\x82\xa2op" in {data[:5] for data in seeds("codec", 1)}
    True
    """
    made, chance = TARGETS[target](), Random(seed)  # noqa: S311 - to be reproduced
    invented = (made.invent(chance) for _ in range(_INVENTED))
    return [*_recorded(target), *(data for data in invented if len(data) <= _INVENTED_BYTES_MAX)]


def _recorded(target: str) -> Iterator[bytes]:
    if target == "head":
        return  # it is of HTTP, of which there are no vectors
    for vector in json.loads(RECORDED.read_bytes()):
        for text in (False, True):
            payload = vector["json"].encode() if text else bytes.fromhex(vector["msgpack"])
            sent = frame(TEXT if text else BINARY, payload)
            if target == "codec":
                yield bytes((text,)) + payload
            elif target == "frames":
                yield bytes((text,)).ljust(frames.FLAG_BYTES, b"\0") + sent
            elif vector["side"] == "client":
                yield bytes((text,)).ljust(edge.FLAG_BYTES, b"\0") + _hello(text=text) + sent


def _hello(*, text: bool) -> bytes:
    made = {"op": "hello", "token": USERS[0]}
    if text:
        return frame(TEXT, msgspec.json.encode(made))
    return frame(BINARY, msgspec.msgpack.encode(made))
