"""Frames the server sends, as ready-made bytes (RFC 6455, section 5).

A server's frames are not masked, so one frame serves every receiver:
encode once, and give the same bytes object to each outbox.
"""

import logging
from collections.abc import Iterator
from struct import Struct

__all__ = ["LOGGER", "PING", "binary_frame", "close_frame", "frame_payloads", "text_frame"]

PING = b"\x89\x00"
"""An empty ping: the pong to it is empty too, and `frames` takes that without a parser."""

# Not from `getLogger`: that one, the host's logging configuration could set to DEBUG.
LOGGER = logging.Logger("triolet.websocket", logging.ERROR)  # noqa: LOG001
"""Where the `websockets` library may report its own bugs, and nothing below ERROR:
at DEBUG it prints request targets and payloads, and `?token=` must not reach a log.
"""
LOGGER.parent = logging.getLogger("triolet")

_FIN_TEXT = 0x81
_FIN_BINARY = 0x82
_FIN_CLOSE = 0x88

# Headers of the short frames, made once: a lookup and one concatenation, 0.1 µs a frame.
_SHORT_TEXT = tuple(bytes((_FIN_TEXT, size)) for size in range(126))
_SHORT_BINARY = tuple(bytes((_FIN_BINARY, size)) for size in range(126))
_MEDIUM = Struct("!BBH").pack
_LONG = Struct("!BBQ").pack

# A control frame carries at most 125 bytes (RFC 6455, 5.5), two of which are the close code.
_REASON_BYTES_MAX = 123

# RFC 6455, 7.4 and the IANA registry: 1004 is reserved; 1005, 1006 and 1015 never travel.
_CODES = frozenset((1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)))


def text_frame(payload: bytes) -> bytes:
    r"""Wrap UTF-8 text (a JSON object) in one unmasked text frame.

    >>> text_frame(b'{}')
    b'\x81\x02{}'
    """
    size = len(payload)
    if size < 126:
        return _SHORT_TEXT[size] + payload
    if size < 65_536:
        return _MEDIUM(_FIN_TEXT, 126, size) + payload
    return _LONG(_FIN_TEXT, 127, size) + payload


def binary_frame(payload: bytes) -> bytes:
    r"""Wrap bytes (a MessagePack map) in one unmasked binary frame.

    >>> binary_frame(b"\x80")
    b'\x82\x01\x80'
    """
    size = len(payload)
    if size < 126:
        return _SHORT_BINARY[size] + payload
    if size < 65_536:
        return _MEDIUM(_FIN_BINARY, 126, size) + payload
    return _LONG(_FIN_BINARY, 127, size) + payload


def frame_payloads(frames: bytes) -> Iterator[tuple[bytes, int]]:
    """Yield the payloads of frames made here, end to end, each with where its frame ends.

    >>> list(frame_payloads(binary_frame(b"one") + text_frame(b"two")))
    [(b'one', 5), (b'two', 10)]
    >>> [(len(payload), end) for payload, end in frame_payloads(binary_frame(bytes(70_000)))]
    [(70000, 70010)]
    """
    at = 0
    while at < len(frames):
        size = frames[at + 1]
        at += 2
        if size >= 126:
            width = 2 if size == 126 else 8
            size = int.from_bytes(frames[at : at + width], "big")
            at += width
        end = at + size
        yield frames[at:end], end
        at = end


def close_frame(code: int, reason: str) -> bytes:
    r"""Make the close frame that carries `code` and as much of `reason` as fits.

    The reason is cut to 123 bytes of whole UTF-8 characters; a lone surrogate becomes `?`.
    Raises ValueError for a code that may not travel (1005, 1006, 1015, unassigned ones).

    >>> close_frame(1000, "bye")
    b'\x88\x05\x03\xe8bye'
    """
    if code not in _CODES:
        raise ValueError(f"close code {code} may not be sent")
    text = reason.encode("utf-8", "replace")
    if len(text) > _REASON_BYTES_MAX:
        text = text[:_REASON_BYTES_MAX].decode("utf-8", "ignore").encode()
    return bytes((_FIN_CLOSE, 2 + len(text))) + code.to_bytes(2, "big") + text
