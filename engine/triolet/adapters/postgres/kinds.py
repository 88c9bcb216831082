"""How values are written for PostgreSQL, in its binary format: flat, and without adaptation.

A batch is a few arrays of many values. psycopg's adaptation looks at each value for its type;
here the statement has said it. Six arrays of 64 values: 0.28 ms against 1.55 ms.
"""

import struct
from collections.abc import Callable, Sequence
from typing import Any, Final, final

from msgspec import Struct

_INT: Final = struct.Struct(">i")
# Dimensions (1), whether there may be nulls, element type, length, lower bound.
_HEADER: Final = struct.Struct(">iiIii")
_NULL: Final = _INT.pack(-1)


@final
class Kind(Struct, frozen=True):
    """A type of parameters.

    Attributes:
        oid: PostgreSQL's number of the type (`pg_type.dat`: they never change).
        encode: turns a value that is not None into its bytes.
    """

    oid: int
    encode: Callable[[Any], bytes]


def _fixed(code: str) -> Callable[[Any], bytes]:
    return struct.Struct(f">{code}").pack


def _numbers(oid: int, code: str) -> Callable[[Any], bytes]:
    """Encode an array of numbers by one call of `pack`, if none of them is None."""
    size = struct.calcsize(f">{code}")
    pack = struct.Struct(f">{code}").pack

    def encode(values: Sequence[Any]) -> bytes:
        count = len(values)
        if None in values:
            return _array(oid, [None if value is None else pack(value) for value in values])
        flat: list[Any] = [size] * (2 * count)
        flat[1::2] = values
        body = struct.pack(">" + f"i{code}" * count, *flat)
        return _HEADER.pack(1, 0, oid, count, 1) + body

    return encode


def _array(oid: int, values: Sequence[bytes | None]) -> bytes:
    parts = [b""] * (2 * len(values) + 1)
    parts[0] = _HEADER.pack(1, 1 if None in values else 0, oid, len(values), 1)
    parts[1::2] = [_NULL if value is None else _INT.pack(len(value)) for value in values]
    parts[2::2] = [value or b"" for value in values]
    return b"".join(parts)


def _texts(values: Sequence[str | None]) -> bytes:
    return _array(25, [None if value is None else value.encode() for value in values])


def _blobs(values: Sequence[bytes | None]) -> bytes:
    return _array(17, values)


BOOL: Final = Kind(16, _fixed("?"))
BYTEA: Final = Kind(17, bytes)
INT8: Final = Kind(20, _fixed("q"))
INT2: Final = Kind(21, _fixed("h"))
INT4: Final = Kind(23, _fixed("i"))
TEXT: Final = Kind(25, str.encode)
FLOAT8: Final = Kind(701, _fixed("d"))
# Arrays: sequences whose elements may be None.
BOOLS: Final = Kind(1000, _numbers(16, "?"))
BYTEAS: Final = Kind(1001, _blobs)
INT2S: Final = Kind(1005, _numbers(21, "h"))
INT4S: Final = Kind(1007, _numbers(23, "i"))
TEXTS: Final = Kind(1009, _texts)
INT8S: Final = Kind(1016, _numbers(20, "q"))
FLOAT8S: Final = Kind(1022, _numbers(701, "d"))
