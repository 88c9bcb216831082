"""Who reads late gets what everybody got, in order, or it is told what became of them."""

import math
import socket

import pytest
from bench.errors import Unexpected
from bench.load import paced
from bench.load.frames import unmasked
from bench.load.paced import CaughtUp, PacedFan
from bench.load.window import Load
from bench.machine import unsent_bytes
from ends import Motionless, entry, framed

ONE, TWO = framed(entry(1)), framed(entry(2))
CLOSED = unmasked(0x88, b"\x0f\xa8")


@pytest.fixture
def fan(channel, ends):
    """A fan that was sent two messages when they were due; one follower has both."""
    publisher, _ = ends.connection()
    follower, follower_end = ends.connection()
    load = Load(Motionless(), 0, 0, 0, lambda _: None)
    fan = PacedFan(channel, publisher, [follower], load, iter([0, 0, math.inf]))
    fan._fill()
    assert fan._sent == 2
    follower_end.sendall(ONE + TWO)
    fan._receive(fan._subscribers[0])
    yield fan
    fan._epoll.close()


def late(ends, *streams: bytes, hangs_up: bool = False):
    connections = []
    for stream in streams:
        connection, server = ends.connection()
        server.sendall(stream)
        if hangs_up:
            server.shutdown(socket.SHUT_WR)
        connections.append(connection)
    return connections


def test_late_readers_are_verified_like_everybody(fan, ends):
    """In whatever pieces it comes; a ping between is none of it."""
    readers = late(ends, ONE + TWO, ONE + unmasked(0x89, b"") + TWO)
    assert fan.catch_up(readers, is_promised=True) == CaughtUp(2, 0, 0, 0)
    assert fan.bytes_each == len(ONE + TWO)


@pytest.mark.parametrize(
    ("said", "became"),
    [
        ((ONE, False), CaughtUp(0, 0, 1, 0)),
        ((ONE, True), CaughtUp(0, 1, 0, 0)),
        ((ONE + CLOSED, False), CaughtUp(0, 1, 0, 0)),
        ((TWO, False), CaughtUp(0, 0, 0, 1)),
        ((ONE + ONE, False), CaughtUp(0, 0, 0, 1)),
        ((ONE + framed(entry(2, body={"text": "hallo"})), False), CaughtUp(0, 0, 0, 1)),
    ],
    ids=["no more", "hung up", "closed", "a gap", "twice", "another text"],
)
def test_what_was_promised_must_come_and_else_is_told(fan, ends, monkeypatch, said, became):
    monkeypatch.setattr(paced, "_SILENCE_S", 0.05)
    stream, hangs_up = said
    readers = late(ends, stream, hangs_up=hangs_up)
    assert fan.catch_up(readers, is_promised=False) == became
    with pytest.raises(Unexpected):
        fan.catch_up(late(ends, stream, hangs_up=hangs_up), is_promised=True)


def test_what_the_kernel_holds_of_a_port_is_counted():
    """Nobody reads: what was taken and did not fit into the reader's buffer waits."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        reader = socket.socket()
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.connect(listener.getsockname())
        server, _ = listener.accept()
        with reader, server:
            port, others = server.getsockname()[1], {reader.getsockname()[1]}
            assert unsent_bytes(port, others) == 0
            server.setblocking(False)
            assert server.send(bytes(1_000_000)) > 0
            assert unsent_bytes(port, others) > 0
            assert unsent_bytes(port, set()) == 0
