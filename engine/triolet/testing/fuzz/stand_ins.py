"""Sockets that are none: what a hostile client sends and takes, without the system between.

Through the system each piece of a stream costs 30 µs; an engine is fed a hundred thousand
frames a second without it, and what it is told is the same in every run.
"""

import socket
from collections import deque
from enum import Enum
from typing import cast, final

import trio

from triolet._runtime.poller import READ, WRITE, Polled, Watcher
from triolet._runtime.turn import Turn


class Manner(Enum):
    """How a client treats what it is sent."""

    READS = 0
    READS_LITTLE = 1
    NEVER_READS = 2
    VANISHES = 3


# What a client that reads little takes of each write, and what one that vanishes has taken
# before it does.
_LITTLE_BYTES = 7
_VANISHES_BYTES = 600


@final
class FakeSocket:
    """The server's end of a connection whose client is a list of pieces."""

    def __init__(self, manner: Manner) -> None:
        self._manner = manner
        self._coming: deque[bytes] = deque()
        self._has_ended = False
        # Whether a client that reads little would take bytes now.
        self._may_take = True
        self.taken = 0
        self.sent = 0
        self.closed = False

    # --- the client's end --------------------------------------------------------------------

    def feed(self, piece: bytes) -> None:
        """Send a piece."""
        if piece:
            self._coming.append(piece)

    def end(self) -> None:
        """Go, without a close frame."""
        self._has_ended = True
        self._manner = Manner.VANISHES if self._manner is not Manner.READS else Manner.READS

    @property
    def ready(self) -> int:
        """For what it is ready, as a selector would say."""
        if self._is_broken:
            return READ | WRITE
        writable = self._manner is not Manner.NEVER_READS
        return (READ if self._coming or self._has_ended else 0) | (WRITE if writable else 0)

    @property
    def is_unread(self) -> bool:
        """Whether something that was sent has not been read."""
        return bool(self._coming)

    @property
    def never_reads(self) -> bool:
        """Whether its client takes nothing."""
        return self._manner is Manner.NEVER_READS

    @property
    def _is_broken(self) -> bool:
        return self._manner is Manner.VANISHES and self.sent > _VANISHES_BYTES

    # --- the server's end, as a socket's -------------------------------------------------------

    def recv(self, size: int) -> bytes:
        """See `socket.socket`."""
        assert not self.closed
        if self._is_broken:
            raise ConnectionResetError
        if not self._coming:
            if self._has_ended:
                return b""
            raise BlockingIOError
        piece = self._coming.popleft()
        if len(piece) > size:
            self._coming.appendleft(piece[size:])
        self.taken += min(size, len(piece))
        return piece[:size]

    def send(self, data: bytes) -> int:
        """See `socket.socket`."""
        assert not self.closed
        if self._is_broken:
            raise BrokenPipeError
        size = len(data)
        if not self.sent:
            pass  # the answer to the request head: an empty buffer of the system's takes it whole
        elif self._manner is Manner.NEVER_READS:
            raise BlockingIOError
        elif self._manner is Manner.READS_LITTLE:
            self._may_take = not self._may_take
            if not self._may_take:
                raise BlockingIOError
            size = min(size, _LITTLE_BYTES + self.sent // 4)
        self.sent += size
        return size

    def shutdown(self, how: int) -> None:
        """See `socket.socket`."""
        del how
        if self._is_broken:
            raise OSError("not connected")

    def close(self) -> None:
        """See `socket.socket`."""
        self.closed = True

    def setblocking(self, flag: bool) -> None:
        """See `socket.socket`."""

    def setsockopt(self, *option: int) -> None:
        """See `socket.socket`."""


@final
class FakeListener:
    """A listening socket, at which clients are put."""

    def __init__(self) -> None:
        self._waiting: deque[FakeSocket] = deque()

    def connect(self, sock: FakeSocket) -> None:
        """Have a client knock."""
        self._waiting.append(sock)

    @property
    def ready(self) -> int:
        """See `FakeSocket`."""
        return READ if self._waiting else 0

    def accept(self) -> tuple[FakeSocket, tuple[str, int]]:
        """See `socket.socket`."""
        if not self._waiting:
            raise BlockingIOError
        return self._waiting.popleft(), ("192.0.2.1", 50_000)

    def setblocking(self, flag: bool) -> None:
        """See `socket.socket`."""

    def close(self) -> None:
        """See `socket.socket`."""


def as_socket(fake: FakeSocket | FakeListener) -> socket.socket:
    """Return a stand-in as what the engine takes it for."""
    return cast(socket.socket, fake)


@final
class FakePoller(Watcher):
    """Tells connections what their stand-ins are ready for, when it is asked to."""

    def __init__(self) -> None:
        self.turn = Turn()
        self._polled: dict[object, Polled] = {}

    async def run(self) -> None:
        """See `Watcher`; nothing happens by itself."""
        await trio.sleep_forever()

    def watched(self) -> int:
        """See `Watcher`."""
        return len(self._polled)

    def watch(self, polled: Polled, events: int) -> None:
        """See `Watcher`."""
        polled.events = events
        if events:
            self._polled[polled.sock] = polled
        elif self._polled.get(polled.sock) is polled:
            del self._polled[polled.sock]

    def hand_over(self, polled: Polled, to: Polled) -> None:
        """See `Watcher`."""
        to.events = polled.events
        if to.events:
            self._polled[to.sock] = to

    def of(self, fake: FakeSocket) -> Polled | None:
        """Return what watches a stand-in."""
        return self._polled.get(fake)

    def look(self, fake: FakeSocket | FakeListener) -> bool:
        """Tell what a stand-in is ready for; return whether anybody wanted to know."""
        polled = self._polled.get(fake)
        if polled is None or not polled.events & fake.ready:
            return False

        def tell() -> int:
            if polled.events & WRITE & fake.ready:
                polled.on_writable()
            if polled.events & READ & fake.ready:
                polled.on_readable()
            return 1

        self.turn.take(tell)
        return True
