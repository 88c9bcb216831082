"""Clients that come, lose their connection and come back, each at times of its own."""

import errno
import random
import socket
import time
from typing import Final, final

from ..errors import Unexpected
from ..peers import Peer
from ..peers.crowd import Client, Refused
from .backoff import delay_s
from .connection import Connection, kinds
from .frames import CLOSE, PING, PONG, masked
from .loop import Loop

_HEAD_END: Final = b"\r\n\r\n"
_SWITCHED: Final = b"HTTP/1.1 101 "


@final
class Link:
    """One client's connections, one after the other.

    Attributes:
        refusals: how often it was told to come back later.
        ideal_at: when it first knocked at a server that was there: against one that answers at
            once, it would have been back then. None: it has not yet.
        back_at: when it was back, None: it is not.
    """

    __slots__ = (
        "_attempt",
        "_chance",
        "_connection",
        "_head",
        "_knocked_at",
        "_loop",
        "_peer",
        "_port",
        "back_at",
        "client",
        "ideal_at",
        "refusals",
    )

    def __init__(self, loop: Loop, port: int, peer: Peer, client: Client, seed: int) -> None:
        self._loop = loop
        self._port = port
        self._peer = peer
        self.client = client
        self._chance = random.Random(seed)
        self._attempt = 0
        self._knocked_at = 0.0
        self._connection: Connection | None = None
        # What came of the upgrade's response, None once it is whole.
        self._head: bytes | None = None
        self.refusals = 0
        self.ideal_at: float | None = None
        self.back_at: float | None = None

    @property
    def is_back(self) -> bool:
        """Whether its client has been told everything."""
        return self.back_at is not None

    def come(self, hint_s: float = 0.0) -> None:
        """Have it come after a pause, longer with each attempt."""
        pause_s = delay_s(self._attempt, self._chance, hint_s)
        self._attempt += 1
        self._loop.call_at(time.perf_counter() + pause_s, self._connect)

    def cut(self) -> None:
        """Lose the connection, without a word."""
        self._hang_up()
        self._attempt = 0
        self.ideal_at = self.back_at = None

    def pause(self) -> None:
        """Read nothing any more from this connection."""
        assert self._connection is not None
        self._loop.forget(self._connection.sock)

    def resume(self) -> None:
        """Read again."""
        assert self._connection is not None
        self._loop.watch(self._connection.sock, self._read)

    def send(self, frame: bytes) -> None:
        """Send a whole frame on a connection that stands."""
        assert self._connection is not None
        self._connection.send(frame)

    def _connect(self) -> None:
        sock = socket.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection = kinds[-1](self._port, self._peer, sock)
        self._knocked_at = time.perf_counter()
        match sock.connect_ex(("127.0.0.1", self._port)):
            case 0:
                self._begin()
            case errno.EINPROGRESS:
                self._loop.watch_connecting(sock, self._connecting)
            case _:
                self._failed()

    def _connecting(self) -> None:
        assert self._connection is not None
        sock = self._connection.sock
        self._loop.forget(sock)
        if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._failed()
        else:
            self._begin()

    def _failed(self) -> None:
        """There is no server at present."""
        assert self._connection is not None
        self._connection.sock.close()
        self._connection = None
        self.come()

    def _begin(self) -> None:
        assert self._connection is not None
        if self.ideal_at is None:
            self.ideal_at = self._knocked_at
        self._head = b""
        self._loop.watch(self._connection.sock, self._read)
        self._connection.send(self._peer.upgrade(self._port))

    def _hang_up(self) -> None:
        if self._connection is None:
            return
        if self._connection.sock.fileno() in self._loop:
            self._loop.forget(self._connection.sock)
        self._connection.sock.close()
        self._connection = None

    def _read(self) -> None:
        connection = self._connection
        assert connection is not None
        data = connection.receive()
        if self._head is not None:
            data = self._finish_upgrade(connection, data)
        try:
            for first_byte, payload in connection.take(data):
                if not self._control(connection, first_byte, payload):
                    answer = self.client.take(payload)
                    if answer:
                        connection.send(answer)
        except Refused as refused:
            self._refused(refused.hint_s)
            return
        if self.back_at is None and self.client.is_back:
            self.back_at = time.perf_counter()

    def _finish_upgrade(self, connection: Connection, data: bytes) -> bytes:
        """Return what follows the response, once it is whole."""
        assert self._head is not None
        self._head += data
        if not _SWITCHED.startswith(self._head[: len(_SWITCHED)]):
            raise Unexpected(f"no upgrade: {self._head[:200]!r}")
        head, end, rest = self._head.partition(_HEAD_END)
        del head
        if not end:
            return b""
        self._head = None
        connection.send(self.client.come())
        return rest

    def _control(self, connection: Connection, first_byte: int, payload: bytes) -> bool:
        if first_byte < CLOSE:
            answer = self._peer.answers.get(payload)
            if answer is not None:
                connection.send(answer)
            return answer is not None
        if first_byte == CLOSE:
            connection.send(masked(CLOSE, payload[:2]))
            raise Refused(self.client.closed(int.from_bytes(payload[:2], "big"), payload[2:]))
        if first_byte == PING:
            connection.send(masked(PONG, payload))
        return True

    def _refused(self, hint_s: float) -> None:
        self.refusals += 1
        self._hang_up()
        self.come(hint_s)
