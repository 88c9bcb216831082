"""Conversations over sockets, some at a time: each goes on when its socket has something."""

import select
import socket
import time
from collections.abc import Iterator
from typing import Final

from ..errors import Unexpected

# Nothing the server is asked here takes it so long.
ANSWER_TIMEOUT_S: Final = 20
_EVENTS_MAX: Final = 256
_OVER: Final = object()


def take_turns(
    talks: Iterator[tuple[socket.socket, Iterator[None]]], at_a_time: int
) -> Iterator[float]:
    """Go through conversations; yield how long each took, when it is over, s.

    Args:
        talks: begun one by one as others end; each yields whenever its socket must be readable.
        at_a_time: how many are on their way.

    Raises:
        Unexpected: the server is silent; or whatever a conversation finds.
    """
    running: dict[int, tuple[Iterator[None], float]] = {}
    with select.epoll() as epoll:
        while True:
            while len(running) < at_a_time:
                began = time.perf_counter()
                sock, talk = next(talks, (None, None))
                if sock is None or talk is None:
                    break
                next(talk)
                running[sock.fileno()] = talk, began
                epoll.register(sock, select.EPOLLIN)
            if not running:
                return
            ready = epoll.poll(ANSWER_TIMEOUT_S, _EVENTS_MAX)
            if not ready:
                raise Unexpected(f"{len(running)} got no answer for {ANSWER_TIMEOUT_S} s")
            for descriptor, _ in ready:
                talk, began = running[descriptor]
                if next(talk, _OVER) is _OVER:
                    epoll.unregister(descriptor)
                    del running[descriptor]
                    yield time.perf_counter() - began
