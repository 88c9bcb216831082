"""This node's lease: held by beating, and taken anew, under another name, when it has lapsed."""

from collections.abc import Awaitable, Callable
from typing import Final, final

import trio

from .._domain.presence import LEASE_TRANSITIONS, LeaseEvent, LeaseState
from .._model.errors import BusUnavailable
from .._model.limits import Limits
from ..ports.clock import Clock
from .nodes import Nodes

# No user's name: under each lease, when it was last renewed (ms). Who reads it learns in one
# call which leases live.
_BEAT: Final = ":beat"


@final
class Lease:
    """See the module.

    Args:
        nodes: this node; its name is what the lease's name begins with.
        clock: tells others when this node was last alive.
        limits: how long the lease is, and how often it is renewed.
        began: a lease was taken; whatever was told under another one is gone.
        beaten: called after each beat with the leases that live: name → when last renewed (ms).
            With none when they could not be asked for as long as a lease lasts: they may all
            be gone.

    Attributes:
        name: what is told is told under this name.
    """

    def __init__(
        self,
        nodes: Nodes,
        clock: Clock,
        limits: Limits,
        *,
        began: Callable[[], None],
        beaten: Callable[[dict[str, int]], Awaitable[None]],
    ) -> None:
        self._nodes = nodes
        self._clock = clock
        self._limits = limits
        self._began = began
        self._beaten = beaten
        self.name = ""
        self._state = LeaseState.ABSENT
        self._generation = 0
        self._asked_at = float("-inf")
        self._wakeup = trio.Event()

    @property
    def is_held(self) -> bool:
        """Whether what is told now is heard, as far as this node knows."""
        return self._state is LeaseState.HELD

    def is_mine(self, lease: str) -> bool:
        """Whether it is this node's, of whatever generation."""
        return lease.startswith(f"{self._nodes.name}:")

    async def run(self) -> None:
        """Beat for as long as the engine lives."""
        self._asked_at = trio.current_time()
        while True:
            self._wakeup = trio.Event()
            await self._beat()
            with trio.move_on_after(self._limits.presence_heartbeat_s):
                await self._wakeup.wait()

    def beat_soon(self) -> None:
        """Beat now rather than later: the bus may be back."""
        self._wakeup.set()

    async def _beat(self) -> None:
        try:
            with trio.fail_after(self._limits.bus_timeout_s):
                await self._hold()
                (beats,) = await self._nodes.bus.states([_BEAT])
        except (BusUnavailable, trio.TooSlowError):
            # `Nodes` complains about it.
            self._step(LeaseEvent.FAILED)
            if trio.current_time() - self._asked_at >= self._limits.presence_lease_s:
                await self._beaten({})
            return
        self._asked_at = trio.current_time()
        await self._beaten({lease: int(at) for lease, at in beats.items() if at.isdigit()})

    async def _hold(self) -> None:
        bus, ttl_s = self._nodes.bus, self._limits.presence_lease_s
        if self.is_held:
            lives = await bus.renew_lease(self.name, ttl_s=ttl_s)
            self._step(LeaseEvent.RENEWED if lives else LeaseEvent.LAPSED)
        name = self.name
        if self._state is LeaseState.ABSENT:
            # Another generation also if the last try failed: it may have happened.
            self._generation += 1
            name = f"{self._nodes.name}:{self._generation}"
            await bus.take_lease(name, ttl_s=ttl_s)
        if self._state is not LeaseState.LEFT:
            await bus.put_states(name, {_BEAT: str(self._clock.now_ms()).encode()})
        if self._state is LeaseState.ABSENT:
            # Not before its beat is there: others look for it.
            self.name = name
            self._step(LeaseEvent.TAKEN)
            self._began()

    def _step(self, event: LeaseEvent) -> None:
        self._state = LEASE_TRANSITIONS[self._state][event]

    async def leave(self, *, lasts_s: float) -> None:
        """Hold it no more; what was told lasts `lasts_s` yet (0: it ends now).

        Without the bus it lapses by itself.
        """
        was_held = self.is_held
        self._step(LeaseEvent.LEAVE)
        if not was_held:
            return
        try:
            with trio.move_on_after(self._limits.bus_timeout_s):
                if lasts_s > 0:
                    await self._nodes.bus.renew_lease(self.name, ttl_s=lasts_s)
                else:
                    await self._nodes.bus.end_lease(self.name)
        except BusUnavailable:
            return
