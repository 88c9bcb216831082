"""Sockets that listen, and who is at the other end of those that they take."""

import socket
from typing import Final

import trio

from .._domain.addresses import UNIX, address_of

_BACKLOG: Final = 4096


async def bind(
    host: str, port: int, *, is_shared: bool = False, listens: bool = True
) -> list[socket.socket]:
    """Return sockets that listen on every address of `host`, and on the same port.

    Args:
        host: a name or an address.
        port: 0: the first address chooses, the others follow.
        is_shared: other processes of the same user may listen there as well (SO_REUSEPORT);
            the system shares connections out among them.
        listens: False: the port is only held.

    Raises:
        OSError: an address cannot be had.
    """
    found = await trio.socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    socks: list[socket.socket] = []
    try:
        for family, kind, proto, _, address in found:
            sock = socket.socket(family, kind, proto)
            socks.append(sock)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if is_shared:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind((address[0], port, *address[2:]))
            if listens:
                sock.listen(_BACKLOG)
            port = sock.getsockname()[1]
    except OSError:
        for sock in socks:
            sock.close()
        raise
    return socks


def peer_of(address: object) -> str:
    """Return the other end of a socket as text, from what `accept` says.

    >>> peer_of(("::ffff:192.0.2.1", 4711, 0, 0)), peer_of("")
    ('192.0.2.1', 'unix')
    """
    if not isinstance(address, tuple):
        return UNIX
    text = str(address[0])
    return str(address_of(text) or text)
