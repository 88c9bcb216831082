"""Pings: the smallest question that a server answers, and what judges the answer."""

from collections.abc import Callable
from typing import Final, NamedTuple

from ..load.frames import PING, PONG, masked

_NUMBER_BYTES: Final = 8


class Ping(NamedTuple):
    """One kind of ping.

    Attributes:
        frame: returns the frame that asks, by its number.
        is_pong: tells whether a frame (first byte, payload) answers the ping of a number, which
            is the oldest one of its kind that is not answered.
    """

    frame: Callable[[int], bytes]
    is_pong: Callable[[int, bytes, int], bool]


def _frame(number: int) -> bytes:
    return masked(PING, number.to_bytes(_NUMBER_BYTES, "big"))


def _is_pong(first_byte: int, payload: bytes, number: int) -> bool:
    return first_byte == PONG and payload == number.to_bytes(_NUMBER_BYTES, "big")


# Every WebSocket server answers it; how far inside depends on the server.
WEBSOCKET_PING: Final = Ping(_frame, _is_pong)
