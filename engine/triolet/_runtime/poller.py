"""One level-triggered selector for all sockets, watched by Trio as one file descriptor.

What is ready is handled here, in the poller's own task: a connection that waits for its client
has none. Against a task for each this saves 2.2 KB a connection, and a task switch a message.
"""

import select
import socket
from contextvars import Context, copy_context
from time import perf_counter
from typing import Final, Protocol, final

import trio

from .turn import Turn

# Linux's EPOLLIN and EPOLLOUT; where there is no epoll they are names like any other.
READ: Final = 1
WRITE: Final = 4
# Sockets looked after between two checkpoints, so that what they were answered is written soon.
_EVENTS_PER_TURN: Final = 128
# Whoever works on in one scheduler step gives way so often. A look at nothing takes 3 µs.
_GLANCE_S: Final = 50e-6


class Polled(Protocol):
    """Something with a socket that wants to know what it may do.

    Attributes:
        events: what it is watched for (`READ`, `WRITE`, both or 0); the poller alone sets it.
    """

    sock: socket.socket
    events: int

    def on_readable(self) -> None:
        """There are bytes, or the end."""
        ...

    def on_writable(self) -> None:
        """Bytes are taken again."""
        ...


class Watcher(Protocol):
    """What tells connections when their sockets are ready: `Poller`, or a simulated network's.

    Attributes:
        turn: what comes of what connections are told is done in it; set by the engine.
    """

    turn: Turn

    async def run(self) -> None:
        """Watch for as long as the engine lives."""
        ...

    def watched(self) -> int:
        """Return how many sockets are watched."""
        ...

    def watch(self, polled: Polled, events: int) -> None:
        """Watch for these events from now on: `READ`, `WRITE`, both, or 0 for none."""
        ...

    def hand_over(self, polled: Polled, to: Polled) -> None:
        """Tell another one from now on, of the same socket and for the same events."""
        ...

    def glance(self) -> None:
        """Tell now what is ready, between two pieces of other work, if there is a system to ask."""
        return


@final
class Poller(Watcher):
    """Tells registered connections what their sockets are ready for.

    Attributes:
        is_shared: whether the platform has a selector that can be watched as a file descriptor.
            Where it has not, a task for each connection waits with Trio's own means.
    """

    def __init__(self) -> None:
        self.turn = Turn()
        self.is_shared = hasattr(select, "epoll")
        self._epoll = select.epoll() if self.is_shared else None
        # By file descriptor. The system gives the lowest free number, so that a list is dense:
        # 8 bytes a connection, where a dict takes 70.
        self._polled: list[Polled | None] = []
        self._nursery: trio.Nursery | None = None
        self._waits: dict[tuple[Polled, int], trio.CancelScope] = {}
        self._is_over = False
        # When it was last looked, by `perf_counter`.
        self._looked_at = 0.0
        # What is begun for a connection is the engine's, not of the request that gave way to it.
        self._context = Context()

    async def run(self) -> None:
        """Watch for as long as the engine lives."""
        self._context = copy_context()
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            try:
                if self.is_shared:
                    await self._watch()
                await trio.sleep_forever()
            finally:
                self._is_over = True
                if self._epoll is not None:
                    self._epoll.close()

    async def _watch(self) -> None:
        assert self._epoll is not None
        watched = self._epoll.fileno()
        while True:
            await trio.lowlevel.wait_readable(watched)
            while self.look() == _EVENTS_PER_TURN:
                await trio.lowlevel.checkpoint()

    def look(self) -> int:
        """Have what is ready handled now, up to a number; return how much it was."""
        if self._epoll is None or not self.is_shared or self._is_over:
            return 0
        found = self.turn.take(self._look)
        self._looked_at = perf_counter()
        return found

    def glance(self) -> None:
        """Look now, between two pieces of other work, unless that was done just before.

        A request over HTTP takes 1 ms of the event loop, in steps of up to 0.3 ms: a message that
        comes meanwhile is answered within a few hundredths of one.
        """
        if perf_counter() - self._looked_at > _GLANCE_S:
            self._context.run(self.look)

    def _look(self) -> int:
        """Tell what is ready now, up to a number; return how much it was."""
        assert self._epoll is not None
        ready = self._epoll.poll(0, _EVENTS_PER_TURN)
        for number, events in ready:
            polled = self._polled[number]
            if polled is None:
                continue  # given up by what another one of this turn was told
            if events & ~(READ | WRITE):
                events = READ | WRITE  # noqa: PLW2901 - an error or the end: whoever tries will see
            if events & WRITE & polled.events:
                polled.on_writable()
            if events & READ & polled.events:
                polled.on_readable()
        return len(ready)

    def watched(self) -> int:
        """Return how many sockets are watched."""
        return len(self._waits) + sum(polled is not None for polled in self._polled)

    def watch(self, polled: Polled, events: int) -> None:
        """Watch for these events from now on: `READ`, `WRITE`, both, or 0 for none."""
        before, polled.events = polled.events, events
        # Over before its connections: the engine fails, and they are about to end, too.
        if before != events and not self._is_over:
            if self._epoll is not None and self.is_shared:
                self._register(self._epoll, polled, before, events)
            else:
                self._start_waits(polled, before, events)

    def hand_over(self, polled: Polled, to: Polled) -> None:
        """Tell another one from now on, of the same socket and for the same events."""
        to.events = polled.events
        if self.is_shared and to.events:
            self._polled[to.sock.fileno()] = to
        elif to.events:
            to.events = 0
            events = polled.events
            self.watch(polled, 0)
            self.watch(to, events)

    def _register(self, epoll: select.epoll, polled: Polled, before: int, after: int) -> None:
        number = polled.sock.fileno()
        if before and after:
            epoll.modify(number, after)
        elif after:
            while len(self._polled) <= number:
                self._polled.append(None)
            self._polled[number] = polled
            epoll.register(number, after)
        else:
            epoll.unregister(number)
            self._polled[number] = None

    def _start_waits(self, polled: Polled, before: int, after: int) -> None:
        """The fallback: a task for each event that is watched for."""
        assert self._nursery is not None
        for event in (READ, WRITE):
            if before & event and not after & event:
                self._waits.pop((polled, event)).cancel()
            elif after & event and not before & event:
                scope = self._waits[polled, event] = trio.CancelScope()
                self._nursery.start_soon(self._wait, polled, event, scope)

    async def _wait(self, polled: Polled, event: int, scope: trio.CancelScope) -> None:
        """One wait after the other, by Trio."""
        with scope:
            while True:
                # First, for the socket may be closed before this task has begun.
                await trio.lowlevel.checkpoint()
                if event == READ:
                    await trio.lowlevel.wait_readable(polled.sock)
                    tell = polled.on_readable
                else:
                    await trio.lowlevel.wait_writable(polled.sock)
                    tell = polled.on_writable
                # Given up in the turn in which it was found, it is not told.
                if not scope.cancel_called:
                    tell()
