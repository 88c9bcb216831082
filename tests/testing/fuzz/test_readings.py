"""Laws of `triolet.testing.fuzz.readings`: three implementations agree on what is specified."""

import pytest

from triolet.testing.fuzz.client_frames import BINARY, CLOSE, CONT, PING, TEXT, frame
from triolet.testing.fuzz.readings import (
    MESSAGE_BYTES_MAX,
    Reading,
    read_by_websockets,
    read_by_wsproto,
    read_ours,
)

BEFORE, AFTER = frame(TEXT, b"before"), frame(TEXT, b"after")


@pytest.mark.parametrize(
    ("stream", "messages", "code"),
    [
        (b"", [], None),
        (frame(TEXT, "é".encode()), ["é".encode()], None),
        (frame(TEXT, b"\xff"), [], 1007),
        (frame(TEXT, b"\xc3", fin=False) + frame(CONT, b"\xa9"), ["é".encode()], None),
        (frame(PING, b"p"), [], None),
        (frame(TEXT, b"x", rsv=4), [], 1002),
        (frame(3, b"x"), [], 1002),
        (frame(CONT, b"x"), [], 1002),
        (frame(TEXT, b"x", masked=False), [], 1002),
        (frame(CLOSE, b"\x03\xe8"), [], 1000),
        (frame(CLOSE), [], 1005),
        (frame(CLOSE, b"\x03\xed"), [], 1002),
        (frame(CLOSE, b"x"), [], 1002),
        (frame(CLOSE, b"\x03\xe8\xff"), [], 1007),
    ],
)
def test_three_readings_are_one(stream, messages, code):
    whole = BEFORE + stream + (AFTER if code is not None else b"")
    readings = [
        read_ours(whole, 3, text=True)[0],
        read_by_websockets(whole, text=True),
        read_by_wsproto(whole),
    ]

    assert [one.messages for one in readings] == [[b"before", *messages]] * 3
    assert [one.code for one in readings] == [code] * 3


def test_rules_of_our_own_are_read_alike():
    for stream, code in (
        (frame(BINARY, b"x"), 1003),
        (frame(TEXT, b"x" * (MESSAGE_BYTES_MAX + 1)), 1009),
        (frame(TEXT, fin=False) + frame(CONT, fin=False) * 1_024, 1009),
    ):
        ours, written = read_ours(stream, 0, text=True)
        assert ours.code == read_by_websockets(stream, text=True).code == code
        assert int.from_bytes(written[2:4], "big") == code


def test_what_is_open_is_told():
    half = frame(TEXT, b"half")[:-1]
    assert read_ours(half, 0, text=True)[0] == Reading(is_open_ended=True)
    assert read_by_wsproto(frame(TEXT, b"x", fin=False)).is_open_ended
