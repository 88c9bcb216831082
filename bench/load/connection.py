"""Connections of the generator: opened in batches, in lock-step, then driven by one epoll."""

import resource
import socket
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Self

from ..errors import Unexpected
from ..peers import Peer, Step
from .frames import CLOSE, PING, PONG, Frame, masked

# Nothing the server is asked here takes it so long.
ANSWER_TIMEOUT_S: Final = 20
# Connections opened at a time: enough to keep the server busy, below any listener's backlog.
_BATCH: Final = 64
_READ_BYTES: Final = 16 * 1024
# File descriptors of the generator that are no connections.
_DESCRIPTORS_SPARE: Final = 64


class Connection:
    """One WebSocket. Blocking while it is set up, non-blocking under load.

    Args:
        sock: one that is connected, or on its way; None: a blocking one is connected now.

    Attributes:
        tail: the beginning of a frame whose rest has not come yet.
    """

    __slots__ = ("_answers", "_early", "_split", "_unwrap", "sock", "tail")

    def __init__(self, port: int, peer: Peer, sock: socket.socket | None = None) -> None:
        self.tail = b""
        self._answers = peer.answers
        self._split = peer.framing.split
        # Not before the upgrade's response has been read.
        self._unwrap: Callable[[bytes], bytes] | None = None
        # Frames that came in the same read as an answer.
        self._early: list[Frame] = []
        self.sock = sock or socket.create_connection(("127.0.0.1", port), timeout=ANSWER_TIMEOUT_S)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def finish_upgrade(self, unwrap: Callable[[], Callable[[bytes], bytes]] | None) -> None:
        """Read the response head; `unwrap` makes what unwraps everything after it.

        Raises:
            Unexpected: the server did not switch protocols.
        """
        head = b""
        while b"\r\n\r\n" not in head:
            head += self.receive()
        if not head.startswith(b"HTTP/1.1 101 "):
            raise Unexpected(f"no upgrade: {head[:200]!r}")
        self.tail = head.partition(b"\r\n\r\n")[2]
        if unwrap is not None:
            self._unwrap = unwrap()
            self.tail = self._unwrap(self.tail)

    def await_answer(self, is_answer: Callable[[bytes], bool]) -> None:
        """Read until the answer has come."""
        while True:
            frames, self._early = self._early, []
            for index, (first_byte, payload) in enumerate(frames):
                if not self.control(first_byte, payload) and is_answer(payload):
                    self._early = frames[index + 1 :]
                    return
            self._early = self.take(self.receive())

    def receive(self) -> bytes:
        """Read once.

        Raises:
            BlockingIOError: nothing is there.
            Unexpected: the server hung up.
        """
        data = self.sock.recv(_READ_BYTES)
        if not data:
            raise Unexpected("the server hung up")
        return data if self._unwrap is None else self._unwrap(data)

    def take(self, data: bytes) -> list[Frame]:
        """Return the frames that `data` completes."""
        if self.tail:
            data = self.tail + data
        frames, taken = self._split(data)
        self.tail = data[taken:]
        return frames

    def control(self, first_byte: int, payload: bytes) -> bool:
        """Answer a ping; return whether the frame was none of data.

        Raises:
            Unexpected: the server closes.
        """
        if first_byte < CLOSE:
            answer = self._answers.get(payload)
            if answer is None:
                return False
            self.send(answer)
            return True
        if first_byte == CLOSE:
            code = int.from_bytes(payload[:2], "big")
            raise Unexpected(f"the server closed: {code} {payload[2:]!r}")
        if first_byte == PING:
            self.send(masked(PONG, payload))
        return True

    def send(self, frame: bytes) -> None:
        """Send a whole frame at once; the load is bounded so that it always fits.

        Raises:
            Unexpected: it does not.
        """
        try:
            sent = self.sock.send(frame)
        except BlockingIOError:
            sent = 0
        if sent < len(frame):
            raise Unexpected("the server does not read: a socket buffer is full")

    def go_nonblocking(self) -> list[Frame]:
        """End the set-up; return what has come early."""
        self.sock.setblocking(False)
        early, self._early = self._early, []
        return early


class Connections:
    """All connections of a run; they end with the block."""

    def __init__(self, port: int, peer: Peer) -> None:
        self._port = port
        self._peer = peer
        self._upgrade = peer.upgrade(port)
        self.all: list[Connection] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self.all:
            connection.sock.close()

    def open(
        self, conversations: Sequence[Sequence[Step]], told: Callable[[int], None]
    ) -> list[Connection]:
        """Open one connection for each conversation, and hold it.

        All of a batch send, then all await their answers: the server is never idle.

        Args:
            conversations: the steps of each connection; each of the same number.
            told: called with the number of connections that stand.
        """
        allow_descriptors(len(self.all) + len(conversations) + _DESCRIPTORS_SPARE)
        first = len(self.all)
        for start in range(0, len(conversations), _BATCH):
            batch = conversations[start : start + _BATCH]
            opened = []
            for _ in batch:
                connection = Connection(self._port, self._peer)
                self.all.append(connection)
                opened.append(connection)
                connection.send(self._upgrade)
            for connection in opened:
                connection.finish_upgrade(self._peer.framing.unwrap)
            for steps in zip(*batch, strict=True):
                converse(zip(opened, steps, strict=True))
            told(start + len(batch))
        return self.all[first:]


def converse(said: Iterable[tuple[Connection, Step]]) -> None:
    """Have each connection say its step, then await each answer."""
    said = list(said)
    for connection, step in said:
        connection.send(step.frame)
    for connection, step in said:
        connection.await_answer(step.is_answer)


def allow_descriptors(count: int) -> None:
    """Raise the limit of open files to what is needed.

    Raises:
        ValueError: the system does not allow so many.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if count > soft:
        if hard not in (resource.RLIM_INFINITY, -1) and count > hard:
            raise ValueError(f"{count} files would be open, the system allows {hard}")
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
