"""How a node leaves: not ready, then refusing what is durable, then empty.

In this order: it answers that it is not ready, and goes on serving until load balancers have
looked away; it takes no more connections, ends its jobs or gives them back, and tells clients
when to come back; it refuses durable requests, commits what it has accepted, and rings for it; and
it closes its connections, spread over the window, so that other nodes do not get them all at once.
"""

from collections.abc import Sequence
from typing import Final, final

import trio

from .._model.errors import Close, CloseCode, ErrorCode, Refusal
from .._model.events import Notice
from .._model.limits import Limits
from ..ports.clock import Entropy
from .edge import Edge
from .heartbeat import Heartbeat
from .jobs import Jobs
from .nodes import Nodes
from .sequencer import Sequencer
from .session import Session

# Clients are told to leave so often. epoll counts in whole milliseconds: with a sleep after each,
# 15,000 clients took 11 s to send away where 2 s were meant.
_STEP_S: Final = 0.01


@final
class Departure:
    """See the module. `nodes`: None where there are no others.

    Attributes:
        edges: where the node listens.
        is_begun: it is not ready any more.
        is_refusing: and, a little later, it takes no durable requests and no hellos.
    """

    def __init__(
        self,
        heartbeat: Heartbeat,
        sequencer: Sequencer,
        nodes: Nodes | None,
        entropy: Entropy,
        limits: Limits,
        *,
        jobs: Jobs,
    ) -> None:
        self._heartbeat = heartbeat
        self._sequencer = sequencer
        self._jobs = jobs
        self._nodes = nodes
        self._entropy = entropy
        self._limits = limits
        self.edges: list[Edge] = []
        self.is_begun = False
        self.is_refusing = False

    def check(self) -> None:
        """Refuse what a node that is leaving does not take.

        Raises:
            Refusal: `SHUTTING_DOWN`.
        """
        if self.is_refusing:
            raise Refusal(
                ErrorCode.SHUTTING_DOWN,
                "retry after reconnecting, with the same cid",
                retry_after_ms=1000,
            )

    async def leave(self) -> None:
        """Leave; returns at once if it is leaving already."""
        if self.is_begun:
            return
        self.is_begun = True
        await trio.sleep(self._limits.lb_delay_s)
        for edge in self.edges:
            await edge.close()
        # While what its handlers write is still taken.
        await self._jobs.leave()
        window_s = self._limits.drain_window_s
        sessions = [connection.session for connection in self._heartbeat.connections]
        for session in sessions:
            spread_ms = int(1000 * self._entropy.uniform(0.25, 0.25 + window_s))
            session.tell(Notice(kind="draining", retry_after_ms=spread_ms))
        self.is_refusing = True
        # Later than that they have been answered `outcome_unknown`.
        with trio.move_on_after(self._limits.append_deadline_s):
            await self._sequencer.wait_idle()
        if self._nodes is not None:
            await self._nodes.wait_rung()
        await self._close_all(sessions, window_s)
        with trio.move_on_after(self._limits.close_timeout_s):
            await self._heartbeat.wait_empty()

    async def _close_all(self, sessions: Sequence[Session], window_s: float) -> None:
        """Close sessions in order, spread evenly over the window: nobody waits after the last."""
        began, count = trio.current_time(), len(sessions)
        steps = min(count, max(1, int(window_s / _STEP_S)))
        for step in range(steps):
            await trio.sleep_until(began + window_s * step / steps)
            for session in sessions[count * step // steps : count * (step + 1) // steps]:
                session.close(Close(CloseCode.DRAINING, "come back"))
                await trio.lowlevel.checkpoint()
