"""Non-blocking sockets on a simulated network, and what tells when they are ready.

They have what the edge uses of the system's: `recv`, `send` with short writes and EAGAIN,
`shutdown`, `close`, `accept`; bounded buffers, ends and resets, and silence when the other
side has vanished. The production edge, connections and outboxes run on them unchanged.
"""

import errno
from collections import deque
from collections.abc import Callable
from typing import Final, final

import trio

from ..._runtime.poller import READ, WRITE
from .network import Link, Network, tick

# A socket is writable again when a third of its buffer is free.
_WRITABLE: Final = 2 / 3


def _reset() -> ConnectionResetError:
    return ConnectionResetError(errno.ECONNRESET, "reset by the simulated peer")


@final
class Endpoint:
    """One end of a connection: a non-blocking stream socket.

    Attributes:
        peer: the other end.
        on_ready: called whenever it may have become readable or writable.
        is_closed: closed on this side.
        is_mute: what is sent disappears, and nothing comes any more: the connection is half open.
    """

    def __init__(self, network: Network, link: Link, host: str, number: int) -> None:
        self._network = network
        self._link = link
        self.host = host
        self._number = number
        self.peer: Endpoint | None = None
        self.on_ready: Callable[[], None] | None = None
        self.is_closed = False
        self.is_mute = False
        # What has arrived; whether the end has, or a reset.
        self._inbox: deque[bytes] = deque()
        self._inbox_bytes = 0
        self._is_ended = False
        self._is_reset = False
        # What is sent and not yet read by the other side.
        self._outstanding = 0
        self._has_shut = False
        # When the line is free again, and when what was sent last arrives.
        self._free_at = 0.0
        self._arrives_at = 0.0
        # What would have arrived, was the link not cut.
        self._held: list[Callable[[], None]] = []
        network.open[self] = None

    # --- as a socket -------------------------------------------------------------------

    def fileno(self) -> int:
        """Return a number of its own, -1 once closed."""
        return -1 if self.is_closed else self._number

    def setblocking(self, flag: bool) -> None:
        """Do nothing: it never blocks."""

    def setsockopt(self, level: int, option: int, value: int) -> None:
        """Do nothing: no option concerns a simulated network."""

    def readiness(self) -> int:
        """Return `READ`, `WRITE`, both or 0."""
        if self.is_closed:
            return 0
        ready = READ if self._inbox or self._is_ended or self._is_reset else 0
        # As Linux does: else who waits writes the few bytes that were read last, and again.
        is_open = self._outstanding <= _WRITABLE * self._network.quality.buffer_bytes
        return ready | WRITE if is_open or self._is_reset else ready

    def recv(self, limit: int) -> bytes:
        """Return what has come, at most `limit` bytes, empty at the end."""
        if self.is_closed:
            raise OSError(errno.EBADF, "closed")
        if self._is_reset:
            raise _reset()
        if not self._inbox:
            if self._is_ended:
                return b""
            raise BlockingIOError
        data = self._inbox.popleft()
        if len(data) > limit:
            self._inbox.appendleft(data[limit:])
            data = data[:limit]
        self._inbox_bytes -= len(data)
        if self._network.witness is not None:
            self._network.witness(self.host, data)
        if self.peer is not None:
            self.peer.acknowledged(len(data))
        return data

    def send(self, data: bytes) -> int:
        """Take what fits, and return how much that was."""
        if self.is_closed:
            raise OSError(errno.EBADF, "closed")
        if self._is_reset:
            raise _reset()
        if self._has_shut:
            raise BrokenPipeError(errno.EPIPE, "shut down")
        room = self._network.quality.buffer_bytes - self._outstanding
        if room <= 0:
            raise BlockingIOError
        taken = bytes(data[:room])
        self._outstanding += len(taken)
        self._depart(taken)
        return len(taken)

    def shutdown(self, how: int) -> None:
        """Send the end; reading goes on."""
        del how
        if self._is_reset:
            raise OSError(errno.ENOTCONN, "not connected")
        if not self._has_shut:
            self._has_shut = True
            self._carry(0, Endpoint.arrive_end)

    def close(self) -> None:
        """Give the socket back; unread bytes make a reset of the end, as the system's do."""
        if self.is_closed:
            return
        self.is_closed = True
        del self._network.open[self]
        if self._inbox:
            self._carry(0, Endpoint.arrive_reset)
        elif not self._has_shut and not self._is_reset:
            self._carry(0, Endpoint.arrive_end)
        self._inbox.clear()
        self.on_ready = None

    # --- on the way --------------------------------------------------------------------

    def _depart(self, data: bytes) -> None:
        network = self._network
        if len(data) > 1 and network.random.random() < network.quality.splits:
            middle = network.random.randrange(1, len(data))
            first, data = data[:middle], data[middle:]
            self._carry(middle, lambda peer: peer.arrive(first))
        self._carry(len(data), lambda peer: peer.arrive(data))

    def _carry(self, size: int, arrive: "Callable[[Endpoint], None]") -> None:
        """Have something arrive at the other side, after all that was sent before."""
        peer, network = self.peer, self._network
        if peer is None or self.is_mute:
            return
        now = trio.current_time()
        self._free_at = max(now, self._free_at) + size / network.quality.bandwidth
        arrives_at = tick(self._free_at + network.travel_s(self._link))
        self._arrives_at = max(self._arrives_at, arrives_at)
        network.at(self._arrives_at, lambda: self._reach(peer, arrive))

    def _reach(self, peer: "Endpoint", arrive: "Callable[[Endpoint], None]") -> None:
        if self.is_mute or peer.is_mute:
            return
        if not (self._link.is_cut or self._held):
            arrive(peer)
            return
        if not self._held:
            self._link.when_healed(self._repeat)
        self._held.append(lambda: arrive(peer))

    def _repeat(self) -> None:
        """The link is whole: what it held comes, when TCP tries again."""
        self._network.at(tick(trio.current_time() + self._network.repeat_s()), self._release)

    def _release(self) -> None:
        if self._link.is_cut:
            self._link.when_healed(self._repeat)
            return
        held, self._held = self._held, []
        for arrive in held:
            arrive()

    def arrive(self, data: bytes) -> None:
        """Have bytes come in; called by the network."""
        if self.is_closed:
            # Nobody is there any more, and the system says so.
            self._carry(0, Endpoint.arrive_reset)
        elif not self._is_reset:
            self._inbox.append(data)
            self._inbox_bytes += len(data)
            self._stir()

    def arrive_end(self) -> None:
        """Have the other side's end come in."""
        self._is_ended = True
        self._stir()

    def arrive_reset(self) -> None:
        """Have a reset come in: what has come and was not read is lost."""
        self._is_reset = True
        self._inbox.clear()
        self._stir()

    def acknowledged(self, size: int) -> None:
        """The other side has read `size` bytes: as much may be sent again."""
        self._outstanding -= size
        self._stir()

    def _stir(self) -> None:
        if self.on_ready is not None:
            self.on_ready()

    # --- faults ------------------------------------------------------------------------

    def reset(self) -> None:
        """Have both sides find the connection reset, as a middle box does."""
        for end in (self, self.peer):
            if end is not None and not end.is_closed:
                end.arrive_reset()

    def vanish(self) -> None:
        """Leave the connection half open: nothing passes any more, and nobody is told."""
        for end in (self, self.peer):
            if end is not None:
                end.is_mute = True


@final
class Listener:
    """A listening socket: connections wait in it until they are accepted."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._waiting: deque[Endpoint] = deque()
        self.on_ready: Callable[[], None] | None = None
        self.is_closed = False

    def fileno(self) -> int:
        """Return a number of its own, -1 once closed."""
        return -1 if self.is_closed else self._number

    def setblocking(self, flag: bool) -> None:
        """Do nothing: it never blocks."""

    def readiness(self) -> int:
        """Return `READ` when somebody waits, else 0."""
        return READ if self._waiting and not self.is_closed else 0

    def knock(self, end: Endpoint) -> None:
        """Have a connection wait to be accepted."""
        self._waiting.append(end)
        if self.on_ready is not None:
            self.on_ready()

    def accept(self) -> tuple[Endpoint, tuple[str, int]]:
        """Return the next connection, and the address it comes from."""
        if self.is_closed:
            raise OSError(errno.EBADF, "closed")
        if not self._waiting:
            raise BlockingIOError
        end = self._waiting.popleft()
        assert end.peer is not None
        return end, (end.peer.host, end.peer.fileno())

    def close(self) -> None:
        """Take nobody any more; who waits is reset."""
        self.is_closed = True
        self.on_ready = None
        while self._waiting:
            end = self._waiting.popleft()
            end.reset()
            end.close()
