"""The life of connections: pinged, closed when silent or overdue, and ended with the engine."""

from heapq import heappop, heappush
from typing import Final, final

import trio

from .._model.limits import Limits
from ..ports.clock import Clock
from .connection import Connection
from .counters import Counters
from .session import Session

# Connections looked at between two checkpoints: about a millisecond.
_BEATS_PER_TURN: Final = 500
_INTERVAL_S: Final = 1.0
# Where heartbeats are rare, so are rounds: what they find is late by so much of what it waited for.
_LATE: Final = 1 / 25


def _interval_s(limits: Limits) -> float:
    """Return how often connections are looked at.

    >>> [_interval_s(Limits(heartbeat_s=25)), _interval_s(Limits(heartbeat_s=60, stall_s=50))]
    [1.0, 2.0]
    """
    shortest_s = min(limits.heartbeat_s, limits.stall_s, limits.token_notice_s)
    return max(_INTERVAL_S, _LATE * shortest_s)


@final
class Heartbeat:
    """The connections of a node, by nothing but themselves.

    A deadline that is far away costs nothing: each round of beats looks for those that have
    come near, and only these are put in order and waited for, to the moment. A cancel scope
    with a deadline for each connection takes 0.9 KB.
    """

    def __init__(self, clock: Clock, limits: Limits, counters: Counters | None = None) -> None:
        self._clock = clock
        self._counters = counters or Counters()
        self._notice_ms = int(limits.token_notice_s * 1000)
        self._interval_s = _interval_s(limits)
        # Deadlines so near are kept apart; a round of beats takes less than the other interval.
        self._soon_s = 2 * self._interval_s
        self.connections: dict[Connection, None] = {}
        self._left = trio.Event()
        # Near deadlines, the first one first: `(deadline, which, session)`. One that has moved
        # since, or whose session has ended, is passed over when its time comes.
        self._near: list[tuple[float, int, Session]] = []
        self._which = 0
        self._nearer = trio.Event()
        self._is_over = False

    def join(self, connection: Connection) -> None:
        """Begin to look after a connection."""
        self.connections[connection] = None
        self._counters.opened += 1
        if self._is_over:
            connection.leave()

    def leave(self, connection: Connection, *, code: int) -> None:
        """Forget a connection, which has ended with a close code."""
        if connection in self.connections:
            del self.connections[connection]
            self._counters.closed(code)
        self._left.set()

    async def wait_empty(self) -> None:
        """Wait until all connections have gone."""
        while self.connections:
            if self._left.is_set():
                self._left = trio.Event()
            await self._left.wait()

    async def keep(self) -> None:
        """Have every connection say goodbye in the end, and wait until the last one has gone."""
        try:
            await trio.sleep_forever()
        finally:
            self._is_over = True
            # Each goodbye has a time limit of its own.
            with trio.CancelScope(shield=True):
                for connection in list(self.connections):
                    connection.leave()
                await self.wait_empty()

    # --- beating -----------------------------------------------------------------------

    async def run(self) -> None:
        """Beat, and end what is overdue, for as long as the engine lives."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._end_overdue)
            while True:
                due = trio.current_time() + self._interval_s
                await trio.sleep_until(due)
                self._counters.lag.record(trio.current_time() - due)
                # On its own, so that nobody who has gone is held while this sleeps.
                await self._beat_all()

    async def _beat_all(self) -> None:
        connections = list(self.connections)
        for start in range(0, len(connections), _BEATS_PER_TURN):
            await trio.lowlevel.checkpoint()
            for connection in connections[start : start + _BEATS_PER_TURN]:
                self._beat(connection)

    def _beat(self, connection: Connection) -> None:
        connection.beat(trio.current_time())
        session = connection.session
        self.mind(session)
        if not self._notice_ms:
            return
        soon = self._clock.now_ms() + self._notice_ms
        if session.expires_at and session.expires_at < soon and not session.noticed:
            session.notice_expiry()

    # --- deadlines ---------------------------------------------------------------------

    def mind(self, session: Session) -> None:
        """Keep a session's deadline in mind if it is near; else the next round will see."""
        deadline = session.deadline
        if deadline > trio.current_time() + self._soon_s:
            return
        self._which += 1
        heappush(self._near, (deadline, self._which, session))
        if self._near[0][1] == self._which:
            self._nearer.set()

    async def _end_overdue(self) -> None:
        while True:
            with trio.move_on_at(self._near[0][0] if self._near else float("inf")):
                self._nearer = trio.Event()
                await self._nearer.wait()
            await self._end_due()

    async def _end_due(self) -> None:
        while self._near and self._near[0][0] <= trio.current_time():
            deadline, which, session = heappop(self._near)
            if session.deadline == deadline and session.closing is None and not session.is_gone:
                session.expire()
            if not which % _BEATS_PER_TURN:
                await trio.lowlevel.checkpoint()
