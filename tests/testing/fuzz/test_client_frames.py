"""Laws of `triolet.testing.fuzz.client_frames`: frames are what RFC 6455 says, streams mostly."""

from random import Random

from websockets.frames import Opcode
from websockets.protocol import OPEN, SERVER, Protocol

from triolet.testing.fuzz.client_frames import BINARY, CLOSE, TEXT, Streams, control, frame, whole


def test_frames_are_read_by_an_independent_parser():
    for key in (b"\0\0\0\0", b"\x11\x80\xfe\x37"):
        for size in (0, 1, 125, 126, 65_535, 65_536):
            for form in (0, 126, 127):
                protocol = Protocol(SERVER, max_size=None)
                payload = bytes(byte % 251 for byte in range(size))
                protocol.receive_data(frame(BINARY, payload, key=key, form=form))
                (event,) = protocol.events_received()
                assert (event.opcode, event.data) == (Opcode.BINARY, payload)


def test_messages_are_whole_however_they_are_made():
    chance = Random(1)
    for _ in range(200):
        protocol = Protocol(SERVER)
        protocol.receive_data(whole(chance, TEXT, b"hello") + control(chance))
        data = b"".join(event.data for event in protocol.events_received() if event.opcode < CLOSE)
        assert data == b"hello"
        assert protocol.state is OPEN


def test_streams_are_right_up_to_something_that_is_not():
    """About two in three are ended by what is wrong in them, many frames after the first."""
    streams, ends, frames = Streams(Random(1)), 0, 0
    for _ in range(300):
        protocol = Protocol(SERVER, max_size=400)
        protocol.receive_data(streams.stream(BINARY))
        frames += len(protocol.events_received())
        ends += protocol.state is not OPEN

    assert 0.25 < ends / 300 < 0.75
    assert frames / 300 > 12
