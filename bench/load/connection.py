"""Connections of the generator: opened many at a time, then driven by one epoll.

What is said until a connection stands is a generator: it yields whenever it needs the server's
bytes, so the same code drives one or thousands.
"""

import resource
import socket
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, Self, TypeAlias

from ..errors import Gone, Unexpected
from ..peers import Peer, Step
from .frames import CLOSE, PING, PONG, Frame, masked, take_frames
from .turns import ANSWER_TIMEOUT_S, take_turns

# Connections opened at a time: enough to keep the server busy, below any listener's backlog.
_OPENING_MAX: Final = 64
_READ_BYTES: Final = 16 * 1024
# Close code 1000: that is all.
_NORMAL: Final = (1000).to_bytes(2, "big")
# File descriptors of the generator that are no connections.
_DESCRIPTORS_SPARE: Final = 64

# Sets the buffers of a socket before it connects.
Buffers: TypeAlias = Callable[[socket.socket], None]


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

    def opening(
        self,
        upgrade: bytes,
        unwrap: Callable[[], Callable[[bytes], bytes]] | None,
        steps: Sequence[Step],
    ) -> Iterator[None]:
        """Upgrade, then say each step once the one before it is answered.

        `unwrap` makes what unwraps everything after the response head.

        Raises:
            Unexpected: the server did not switch protocols, or an answer is not the awaited one.
        """
        self.send(upgrade)
        head = b""
        while b"\r\n\r\n" not in head:
            yield
            head += self.receive()
        if not head.startswith(b"HTTP/1.1 101 "):
            raise Unexpected(f"no upgrade: {head[:200]!r}")
        first = head.partition(b"\r\n\r\n")[2]
        if unwrap is not None:
            self._unwrap = unwrap()
            first = self._unwrap(first)
        self._early = self.take(first)
        for step in steps:
            self.send(step.frame)
            yield from self._awaiting(step.is_answer)

    def _awaiting(self, is_answer: Callable[[bytes], bool]) -> Iterator[None]:
        while True:
            frames, self._early = self._early, []
            for index, (first_byte, payload) in enumerate(frames):
                if not self.control(first_byte, payload) and is_answer(payload):
                    self._early = frames[index + 1 :]
                    return
            yield
            self._early = self.take(self.receive())

    def await_answer(self, is_answer: Callable[[bytes], bool]) -> None:
        """Read until the answer has come."""
        for _ in self._awaiting(is_answer):
            pass

    def leaving(self) -> Iterator[None]:
        """Close as RFC 6455 wants it: a frame each way, then the server hangs up first.

        Raises:
            Unexpected: it hung up without a close frame of its own.
        """
        self.send(masked(CLOSE, _NORMAL))
        # Close frames are frames of the socket, also where messages are wrapped in such.
        rest = self.tail if self._unwrap is None else b""
        is_closed = False
        while True:
            yield
            try:
                data = self.sock.recv(_READ_BYTES)
            except ConnectionResetError:
                data = b""
            if not data:
                break
            frames, taken = take_frames(rest + data)
            rest = (rest + data)[taken:]
            is_closed |= any(first_byte == CLOSE for first_byte, _ in frames)
        if not is_closed:
            raise Unexpected("the server hung up on a leaving client without a close frame")

    def receive(self) -> bytes:
        """Read once.

        Raises:
            BlockingIOError: nothing is there.
            Gone: the server hung up.
        """
        try:
            data = self.sock.recv(_READ_BYTES)
        except ConnectionResetError:
            data = b""
        if not data:
            raise Gone("the server hung up")
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
            Gone: the server closes.
        """
        if first_byte < CLOSE:
            answer = self._answers.get(payload)
            if answer is None:
                return False
            self.send(answer)
            return True
        if first_byte == CLOSE:
            code = int.from_bytes(payload[:2], "big")
            raise Gone(f"the server closed: {code} {payload[2:]!r}")
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


# What `Connections` are made of; the last one: `recording` adds its own for a while.
kinds: Final[list[type[Connection]]] = [Connection]


class Connections:
    """All connections of a run; they end with the block.

    Args:
        ports: where the server's nodes listen: connections go to each in turn.
        peer: how to speak with it.

    Attributes:
        all: those that stand, in the order they were asked for.
        opening_s: from connecting to the last answer of each, in the order they stood, s.
    """

    def __init__(self, ports: Sequence[int], peer: Peer) -> None:
        self._peer = peer
        self._ports = [(port, peer.upgrade(port)) for port in ports]
        self._make = kinds[-1]
        self.all: list[Connection] = []
        self.opening_s = array("d")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.drop(self.all)

    def open(
        self,
        conversations: Sequence[Sequence[Step]],
        told: Callable[[int], None],
        buffers: Buffers | None = None,
    ) -> list[Connection]:
        """Open one connection for each conversation, and hold it.

        Many are on their way at a time: the server is never idle.

        Args:
            conversations: the steps of each connection.
            told: called with the number of connections that stand.
            buffers: for sockets that shall not have the system's own.
        """
        allow_descriptors(len(self.all) + len(conversations) + _DESCRIPTORS_SPARE)
        first = len(self.all)
        opening = (self._opening(steps, buffers) for steps in conversations)
        for count, taken_s in enumerate(take_turns(opening, _OPENING_MAX), start=1):
            self.opening_s.append(taken_s)
            if count % _OPENING_MAX == 0:
                told(count)
        return self.all[first:]

    def _opening(
        self, steps: Sequence[Step], buffers: Buffers | None
    ) -> tuple[socket.socket, Iterator[None]]:
        port, upgrade = self._ports[len(self.all) % len(self._ports)]
        sock = None
        if buffers is not None:
            sock = socket.socket()
            buffers(sock)
            sock.settimeout(ANSWER_TIMEOUT_S)
            sock.connect(("127.0.0.1", port))
        connection = self._make(port, self._peer, sock)
        self.all.append(connection)
        talk = connection.opening(upgrade, self._peer.framing.unwrap, steps)
        return connection.sock, talk

    def leave(self, connections: Sequence[Connection]) -> None:
        """Close connections in good order, all at once.

        Raises:
            Unexpected: the server does not hang up in good order.
        """
        leaving = ((one.sock, one.leaving()) for one in connections)
        for _ in take_turns(leaving, len(connections)):
            pass
        self.drop(connections)

    def drop(self, connections: Sequence[Connection]) -> None:
        """Hang up without a word."""
        for one in connections:
            one.sock.close()
        gone = frozenset(connections)
        self.all = [one for one in self.all if one not in gone]


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
