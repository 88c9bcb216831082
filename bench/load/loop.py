"""A loop of the generator: sockets that are ready, and what is due at a time."""

import heapq
import select
import socket
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self, final

from ..errors import Unexpected

_EVENTS_MAX: Final = 256
# What is waited for is looked at so often, whatever happens.
_POLL_S: Final = 0.1


@final
class Loop:
    """One epoll and one heap of times; it runs until what is waited for has come."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Callable[[], None]] = {}
        # When, a number that keeps the order of the same time, and what to do.
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._epoll.close()

    def watch(self, sock: socket.socket, handle: Callable[[], None]) -> None:
        """Call `handle` whenever there is something to read."""
        self._handlers[sock.fileno()] = handle
        self._epoll.register(sock, select.EPOLLIN)

    def watch_connecting(self, sock: socket.socket, handle: Callable[[], None]) -> None:
        """Call `handle` when a socket is connected, or cannot be; then `forget` it."""
        self._handlers[sock.fileno()] = handle
        self._epoll.register(sock, select.EPOLLOUT)

    def __contains__(self, descriptor: int) -> bool:
        return descriptor in self._handlers

    def forget(self, sock: socket.socket) -> None:
        """Look at a socket no more; it is still open."""
        del self._handlers[sock.fileno()]
        self._epoll.unregister(sock)

    def call_at(self, when: float, do: Callable[[], None]) -> None:
        """Call `do` at a time of `time.perf_counter`."""
        self._count += 1
        heapq.heappush(self._timers, (when, self._count, do))

    def run(self, is_over: Callable[[], bool], timeout_s: float, waiting_for: str) -> None:
        """Run until `is_over`.

        Raises:
            Unexpected: the time is over before.
        """
        deadline = time.perf_counter() + timeout_s
        while not is_over():
            now = time.perf_counter()
            if now > deadline:
                raise Unexpected(f"after {timeout_s:.0f} s there is no end of {waiting_for}")
            while self._timers and self._timers[0][0] <= now:
                heapq.heappop(self._timers)[2]()
            wait_s = min(_POLL_S, self._timers[0][0] - now) if self._timers else _POLL_S
            for descriptor, _ in self._epoll.poll(max(0.0, wait_s), _EVENTS_MAX):
                # Whoever was handled before may have forgotten others.
                handle = self._handlers.get(descriptor)
                if handle is not None:
                    handle()
