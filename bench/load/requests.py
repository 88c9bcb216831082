"""HTTP requests over connections that stay: each sends the next one when it has its answer."""

import select
import socket
import time
from collections.abc import Sequence
from typing import Final, NamedTuple, final

from ..errors import Unexpected
from .window import Clockwork, Load, Spent

_TIMEOUT_S: Final = 20
_RECEIVE_BYTES: Final = 256 * 1024


class RequestOutcome(NamedTuple):
    """What came of a load: all answers had the same status and body."""

    spent: Spent
    answers: int
    body: bytes


@final
class RequestLoad:
    """The same request again and again, over some connections.

    Args:
        ports: of the server; connections go to each in turn.
        count: connections.
        request: whole, as it is sent.
        load: how long.
    """

    def __init__(self, ports: Sequence[int], count: int, request: bytes, load: Load) -> None:
        self._request = request
        self._load = load
        self._answers = 0
        self._body: bytes | None = None
        self._sockets: dict[int, socket.socket] = {}
        self._buffers: dict[int, bytes] = {}
        for index in range(count):
            sock = socket.create_connection(
                ("127.0.0.1", ports[index % len(ports)]), timeout=_TIMEOUT_S
            )
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sockets[sock.fileno()] = sock
            self._buffers[sock.fileno()] = b""

    def run(self) -> RequestOutcome:
        """Load, and return what was verified.

        Raises:
            Unexpected: an answer that is not as the first one was, or none in time.
        """
        try:
            return self._run()
        finally:
            for sock in self._sockets.values():
                sock.close()

    def _run(self) -> RequestOutcome:
        clockwork = Clockwork(self._load, lambda: (self._answers,))
        with select.epoll() as epoll:
            for descriptor, sock in self._sockets.items():
                epoll.register(descriptor, select.EPOLLIN)
                sock.sendall(self._request)
            while clockwork.tick(time.perf_counter()):
                ready = epoll.poll(_TIMEOUT_S)
                if not ready:
                    raise Unexpected(f"no answer for {_TIMEOUT_S} s")
                for descriptor, _ in ready:
                    self._read(descriptor)
        return RequestOutcome(clockwork.spent(), self._answers, self._body or b"")

    def _read(self, descriptor: int) -> None:
        sock = self._sockets[descriptor]
        part = sock.recv(_RECEIVE_BYTES)
        if not part:
            raise Unexpected("the server closed a connection")
        data = self._buffers[descriptor] + part
        body = body_of(data)
        if body is None:
            self._buffers[descriptor] = data
            return
        self._buffers[descriptor] = b""
        if self._body is None:
            self._body = body
        if body != self._body:
            raise Unexpected(f"another answer than before: {body[:200]!r}")
        self._answers += 1
        sock.sendall(self._request)


def body_of(data: bytes) -> bytes | None:
    r"""Return the body of a whole answer; None: there is more of it to come.

    Raises:
        Unexpected: it is no 200 with a length, or more than one.

    >>> body_of(b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok")
    b'ok'
    """
    head, end, body = data.partition(b"\r\n\r\n")
    if not end:
        return None
    status, *lines = head.split(b"\r\n")
    if not status.startswith(b"HTTP/1.1 200"):
        raise Unexpected(f"{status!r}: {body[:200]!r}")
    for line in lines:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
            if len(body) > length:
                raise Unexpected("more than was asked for")
            return body if len(body) == length else None
    raise Unexpected("an answer without a length")
