"""Who tells the engine when simulated sockets are ready: the counterpart of its `Poller`."""

from typing import Final, cast, final

import trio

from ..._runtime.poller import READ, WRITE, Polled, Watcher
from ..._runtime.turn import Turn
from .sockets import Endpoint, Listener

# As the engine's own poller: sockets looked after between two checkpoints.
_EVENTS_PER_TURN: Final = 128


@final
class SimulatedPoller(Watcher):
    """Level-triggered, like the system's: what stays ready is told again."""

    def __init__(self) -> None:
        self.turn = Turn()
        self._polled: dict[Endpoint | Listener, Polled] = {}
        # Sockets that may be ready; a dict, for its order.
        self._stirred: dict[Endpoint | Listener, None] = {}
        self._sleeper: trio.lowlevel.Task | None = None

    async def run(self) -> None:
        """Tell, for as long as the engine lives."""
        while True:
            if self._stirred:
                await trio.lowlevel.checkpoint()
            else:
                await self._sleep()
            self.turn.take(self._tell_some)

    def _tell_some(self) -> int:
        stirred = list(self._stirred)[:_EVENTS_PER_TURN]
        for sock in stirred:
            del self._stirred[sock]
            self._tell(sock)
        return len(stirred)

    def _tell(self, sock: Endpoint | Listener) -> None:
        polled = self._polled.get(sock)
        if polled is None:
            return
        ready = sock.readiness() & polled.events
        if ready & WRITE:
            polled.on_writable()
        if ready & READ & polled.events:
            polled.on_readable()
        self._look(sock)

    def _look(self, sock: Endpoint | Listener) -> None:
        polled = self._polled.get(sock)
        if polled is not None and sock.readiness() & polled.events:
            self._stirred[sock] = None
            if self._sleeper is not None:
                sleeper, self._sleeper = self._sleeper, None
                trio.lowlevel.reschedule(sleeper)

    def watched(self) -> int:
        """Return how many sockets are watched."""
        return len(self._polled)

    def watch(self, polled: Polled, events: int) -> None:
        """Watch for these events from now on: `READ`, `WRITE`, both, or 0 for none."""
        sock = cast(Endpoint | Listener, polled.sock)
        polled.events = events
        if not events:
            self._polled.pop(sock, None)
            self._stirred.pop(sock, None)
            return
        self._polled[sock] = polled
        sock.on_ready = lambda: self._look(sock)
        self._look(sock)

    def hand_over(self, polled: Polled, to: Polled) -> None:
        """Tell another one from now on, of the same socket and for the same events."""
        to.events = polled.events
        if to.events:
            self._polled[cast(Endpoint | Listener, to.sock)] = to

    async def _sleep(self) -> None:
        self._sleeper = trio.lowlevel.current_task()

        def abort(_: object) -> trio.lowlevel.Abort:
            self._sleeper = None
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)
