"""Laws of sockets that listen: who is at the other end, in one way of writing it."""

import socket

import pytest

from triolet._runtime.binding import bind, peer_of


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (("192.0.2.1", 4711), "192.0.2.1"),
        (("::ffff:192.0.2.1", 4711, 0, 0), "192.0.2.1"),
        (("2001:DB8::1", 4711, 0, 0), "2001:db8::1"),
        (("fe80::1%lo", 4711, 0, 1), "fe80::1"),
        ("", "unix"),
        (b"", "unix"),
    ],
)
def test_the_other_end_as_text(address, expected):
    assert peer_of(address) == expected


async def test_a_port_that_is_only_held_takes_nobody():
    (held,) = await bind("127.0.0.1", 0, listens=False)
    with held, socket.socket() as caller, pytest.raises(ConnectionRefusedError):
        caller.connect(held.getsockname())
