"""Laws of `_wire.websocket`: what the server sends, an independent client reads."""

import doctest
import logging
from itertools import accumulate

import pytest
from websockets.frames import Close, Opcode
from websockets.protocol import CLIENT, OPEN, Protocol

from triolet._wire import websocket
from triolet._wire.websocket import (
    LOGGER,
    PING,
    binary_frame,
    close_frame,
    frame_payloads,
    text_frame,
)

SIZES = [0, 1, 125, 126, 127, 65_535, 65_536, 200_000]


def read(frame: bytes) -> tuple[Opcode, bytes]:
    """The one frame, as a `websockets` client reads it."""
    client = Protocol(CLIENT, max_size=None)
    client.receive_data(frame)
    (event,) = client.events_received()
    assert not client.reader.buffer
    return event.opcode, bytes(event.data)


@pytest.mark.parametrize("size", SIZES)
def test_a_client_reads_what_was_framed(size: int) -> None:
    """RFC 6455, 5.2: each length form, at its edges, arrives whole and typed."""
    payload = bytes(range(256)) * (size // 256) + b"x" * (size % 256)

    assert read(binary_frame(payload)) == (Opcode.BINARY, payload)
    assert read(text_frame(payload)) == (Opcode.TEXT, payload)


@pytest.mark.parametrize("size", SIZES)
def test_the_payload_comes_back(size: int) -> None:
    """`frame_payloads` undoes both framings, also of frames end to end."""
    payload = b"\x7e" * size

    frames = [binary_frame(payload), text_frame(payload), binary_frame(b"")]
    found = list(frame_payloads(b"".join(frames)))

    assert [one for one, _ in found] == [payload, payload, b""]
    assert [end for _, end in found] == list(accumulate(map(len, frames)))


@pytest.mark.parametrize("size", [125, 126, 65_535, 65_536])
def test_the_shortest_length_form_is_used(size: int) -> None:
    """RFC 6455, 5.2: "the minimal number of bytes MUST be used to encode the length"."""
    header = {125: 2, 126: 4, 65_535: 4, 65_536: 10}[size]

    assert len(binary_frame(bytes(size))) == len(text_frame(bytes(size))) == header + size


def test_a_ping_is_a_ping() -> None:
    """The client answers PING with an empty pong."""
    client = Protocol(CLIENT)
    client.receive_data(PING)

    assert [event.opcode for event in client.events_received()] == [Opcode.PING]
    assert b"".join(client.data_to_send())[:2] == b"\x8a\x80"


@pytest.mark.parametrize("code", [1000, 1002, 1003, 1007, 1008, 1009, 1012, 4001, 4029])
def test_a_client_reads_our_close(code: int) -> None:
    """Every close code of the protocol arrives with its reason."""
    client = Protocol(CLIENT)
    client.receive_data(close_frame(code, "why, ümlaut"))

    assert client.close_rcvd == Close(code, "why, ümlaut")


@pytest.mark.parametrize(
    ("reason", "kept"),
    [
        ("x" * 123, "x" * 123),
        ("x" * 124, "x" * 123),
        ("é" * 62, "é" * 61),
        ("x" + "é" * 61, "x" + "é" * 61),
        ("x" * 121 + "😀", "x" * 121),
        ("\ud800", "?"),
    ],
)
def test_a_reason_is_cut_to_whole_characters(reason: str, kept: str) -> None:
    """RFC 6455, 5.5: a control frame holds 125 bytes; 5.5.1: a reason is UTF-8."""
    client = Protocol(CLIENT)
    client.receive_data(close_frame(1000, reason))

    assert client.close_rcvd == Close(1000, kept)


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 70_000])
def test_a_code_that_may_not_travel_is_refused(code: int) -> None:
    """RFC 6455, 7.4: 1004, 1005, 1006 and 1015 are not sent, nor are unassigned ranges."""
    with pytest.raises(ValueError, match=str(code)):
        close_frame(code, "")


def test_the_library_cannot_log_a_payload() -> None:
    """Even when the host logs at DEBUG, our logger for `websockets` takes errors only."""
    logging.getLogger("triolet").setLevel(logging.DEBUG)
    try:
        client = Protocol(CLIENT, logger=LOGGER)
    finally:
        logging.getLogger("triolet").setLevel(logging.NOTSET)

    assert client.state is OPEN
    assert not client.debug
    assert LOGGER.isEnabledFor(logging.ERROR)


def test_the_examples_are_true() -> None:
    """Each docstring's example runs as printed."""
    assert doctest.testmod(websocket).failed == 0
