"""WebSocket frames as a client sends and reads them (RFC 6455, section 5)."""

from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

from ..errors import Unexpected

TEXT: Final = 0x81
BINARY: Final = 0x82
CLOSE: Final = 0x88
PING: Final = 0x89
PONG: Final = 0x8A
# A key of zeros leaves the payload as it is, so masking costs the generator nothing;
# the server unmasks it like any other.
KEY: Final = bytes(4)

# First byte and payload.
Frame: TypeAlias = tuple[int, bytes]


def masked(first_byte: int, payload: bytes) -> bytes:
    r"""Return one frame of a client.

    >>> masked(BINARY, b"hi")
    b'\x82\x82\x00\x00\x00\x00hi'
    """
    size = len(payload)
    if size < 126:
        return bytes((first_byte, 0x80 | size)) + KEY + payload
    if size < 65_536:
        return bytes((first_byte, 0x80 | 126)) + size.to_bytes(2, "big") + KEY + payload
    return bytes((first_byte, 0x80 | 127)) + size.to_bytes(8, "big") + KEY + payload


def unmasked(first_byte: int, payload: bytes) -> bytes:
    r"""Return one frame of a server.

    >>> unmasked(BINARY, b"hi")
    b'\x82\x02hi'
    """
    size = len(payload)
    if size < 126:
        return bytes((first_byte, size)) + payload
    if size < 65_536:
        return bytes((first_byte, 126)) + size.to_bytes(2, "big") + payload
    return bytes((first_byte, 127)) + size.to_bytes(8, "big") + payload


def take_frames(data: bytes) -> tuple[list[Frame], int]:
    r"""Take the whole frames at the beginning of `data`; return them and their length in all.

    Raises:
        Unexpected: a masked or fragmented frame, which no measured server sends.

    >>> take_frames(b"\x82\x02hi\x82\x05hal")
    ([(130, b'hi')], 4)
    """
    frames: list[Frame] = []
    at, end = 0, len(data)
    while end - at >= 2:
        first_byte, size, payload_at = data[at], data[at + 1], at + 2
        if first_byte < 0x80 or size > 127:
            raise Unexpected(f"a fragmented or masked frame: {data[at : at + 20]!r}")
        if size >= 126:
            payload_at = at + (4 if size == 126 else 10)
            if payload_at > end:
                break
            size = int.from_bytes(data[at + 2 : payload_at], "big")
        if payload_at + size > end:
            break
        frames.append((first_byte, data[payload_at : payload_at + size]))
        at = payload_at + size
    return frames, at


class Framing(NamedTuple):
    """How the bytes that come from a server are cut into messages.

    Attributes:
        split: takes the whole messages at the beginning of the bytes, like `take_frames`.
        join: the inverse for one message: the bytes that `split` would take it from.
        unwrap: makes, for one connection, a function that turns what its socket gave into the
            bytes that `split` understands; None where they are the same.
    """

    split: Callable[[bytes], tuple[list[Frame], int]]
    join: Callable[[int, bytes], bytes]
    unwrap: Callable[[], Callable[[bytes], bytes]] | None = None


WEBSOCKET: Final = Framing(take_frames, unmasked)
