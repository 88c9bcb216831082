"""A bus in memory: several engines in one Trio run, for tests and the simulated world."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final, final

import trio

from ..._model.errors import BusUnavailable
from ...ports.bus import FRAME_BYTES_MAX, STATE_BYTES_MAX, Bus, Doorbell, Heard

# What waits for one node: a second of a busy bus, and less than its rings may hold.
QUEUE_DOORBELLS_MAX: Final = 10_000
QUEUE_BYTES_MAX: Final = 16 * 1024 * 1024


class MemoryBus:
    """What the nodes share: who follows what, and who told what under which lease.

    Attributes:
        followers: nodes by channel, in the order in which they came.

    >>> bus = MemoryBus()
    >>> anna, ben = bus.join(), bus.join()
    >>> async def main():
    ...     await ben.follow(["tea"])
    ...     await anna.ring([Doorbell("tea", b"hello")])
    ...     return (await ben.receive()).doorbells
    >>> trio.run(main)
    (Doorbell(channel='tea', frame=b'hello'),)
    """

    def __init__(self) -> None:
        self.followers: dict[str, dict[MemoryNode, None]] = {}
        # When each lease lapses (monotonic, s), of whom something is told under it, and what is
        # told of a user, by lease.
        self._leases: dict[str, float] = {}
        self._told: dict[str, dict[str, None]] = {}
        self._states: dict[str, dict[str, bytes]] = {}

    def join(self) -> "MemoryNode":
        """Return one more node's connection."""
        return MemoryNode(self)

    def carry(self, doorbell: Doorbell, to: "MemoryNode") -> None:
        """Bring a doorbell to one follower; a bus that loses or delays overrides it."""
        to.hear(doorbell)

    def living(self) -> dict[str, float]:
        """Return when each lease lapses; of those that have, nothing is left."""
        now = trio.current_time()
        for lease in [lease for lease, until in self._leases.items() if until <= now]:
            self.end(lease)
        return self._leases

    def begin(self, lease: str, until: float) -> None:
        """Have a lease last until then."""
        self._leases[lease] = until
        self._told.setdefault(lease, {})

    def end(self, lease: str) -> None:
        """End a lease and what was told under it."""
        self._leases.pop(lease, None)
        for user in self._told.pop(lease, {}):
            self._forget(user, lease)

    def tell(self, lease: str, user: str, state: bytes) -> None:
        """Tell under a lease that lives how a user is; empty: nothing of this user any more."""
        if state:
            self._told[lease][user] = None
            self._states.setdefault(user, {})[lease] = state
        elif user in self._told[lease]:
            del self._told[lease][user]
            self._forget(user, lease)

    def _forget(self, user: str, lease: str) -> None:
        states = self._states[user]
        del states[lease]
        if not states:
            del self._states[user]

    def states(self, user: str) -> dict[str, bytes]:
        """Return what is told of a user, by lease; ask `living` first."""
        return dict(sorted(self._states.get(user, {}).items()))


@final
class MemoryNode:
    """One node's connection; see `ports.bus.Bus`."""

    def __init__(self, bus: MemoryBus) -> None:
        self._bus = bus
        self._wanted: dict[str, None] = {}
        self._queue: list[Doorbell] = []
        self._queue_bytes = 0
        self._reconnected = False
        self._news = trio.Event()
        self._is_cut = False

    @property
    def parts(self) -> Sequence[str]:
        """See `Bus`: it is of one piece."""
        return ("memory",)

    def part_of(self, channel: str) -> int:
        """See `Bus`."""
        del channel
        return 0

    # --- doorbells -----------------------------------------------------------------------

    async def ring(self, doorbells: Sequence[Doorbell]) -> None:
        """See `Bus`."""
        for doorbell in doorbells:
            if len(doorbell.frame) > FRAME_BYTES_MAX:
                raise ValueError(f"a frame has at most {FRAME_BYTES_MAX} bytes")
        self._require()
        for doorbell in doorbells:
            for node in list(self._bus.followers.get(doorbell.channel, ())):
                self._bus.carry(doorbell, node)
        await trio.lowlevel.checkpoint()

    async def follow(self, channels: Sequence[str]) -> None:
        """See `Bus`."""
        self._wanted |= dict.fromkeys(channels)
        self._require()
        self._connect(channels)
        await trio.lowlevel.checkpoint()

    async def unfollow(self, channels: Sequence[str]) -> None:
        """See `Bus`."""
        for channel in channels:
            self._wanted.pop(channel, None)
        self._disconnect(channels)
        await trio.lowlevel.checkpoint()

    async def receive(self) -> Heard:
        """See `Bus`."""
        await trio.lowlevel.checkpoint()
        while not (self._queue or self._reconnected):
            self._news = trio.Event()
            await self._news.wait()
        heard = Heard(tuple(self._queue), self._reconnected)
        self._queue, self._queue_bytes, self._reconnected = [], 0, False
        return heard

    def hear(self, doorbell: Doorbell) -> None:
        """Take one doorbell in, unless the node is cut off or does not follow it any more."""
        if self._is_cut or doorbell.channel not in self._wanted:
            return
        self._queue.append(doorbell)
        self._queue_bytes += len(doorbell.frame)
        if len(self._queue) > QUEUE_DOORBELLS_MAX or self._queue_bytes > QUEUE_BYTES_MAX:
            self._queue, self._queue_bytes, self._reconnected = [], 0, True
        self._news.set()

    # --- leases --------------------------------------------------------------------------

    async def take_lease(self, lease: str, *, ttl_s: float) -> None:
        """See `Bus`."""
        self._require()
        self._bus.begin(lease, trio.current_time() + ttl_s)
        await trio.lowlevel.checkpoint()

    async def renew_lease(self, lease: str, *, ttl_s: float) -> bool:
        """See `Bus`."""
        self._require()
        lives = lease in self._bus.living()
        if lives:
            self._bus.begin(lease, trio.current_time() + ttl_s)
        await trio.lowlevel.checkpoint()
        return lives

    async def end_lease(self, lease: str) -> None:
        """See `Bus`."""
        self._require()
        self._bus.end(lease)
        await trio.lowlevel.checkpoint()

    async def leases(self) -> list[str]:
        """See `Bus`."""
        self._require()
        await trio.lowlevel.checkpoint()
        return sorted(self._bus.living())

    async def put_states(self, lease: str, states: Mapping[str, bytes]) -> None:
        """See `Bus`."""
        for state in states.values():
            if len(state) > STATE_BYTES_MAX:
                raise ValueError(f"a state has at most {STATE_BYTES_MAX} bytes")
        self._require()
        if lease in self._bus.living():
            for user, state in states.items():
                self._bus.tell(lease, user, state)
        await trio.lowlevel.checkpoint()

    async def states(self, users: Sequence[str]) -> list[dict[str, bytes]]:
        """See `Bus`."""
        self._require()
        await trio.lowlevel.checkpoint()
        self._bus.living()
        return [self._bus.states(user) for user in users]

    # --- leaving, and being cut off --------------------------------------------------------

    def leave(self) -> None:
        """Follow nothing any more."""
        self._disconnect(list(self._wanted))
        self._wanted.clear()

    def cut(self) -> None:
        """Lose the connection, until `mend`: nothing is heard, and every call fails."""
        self._is_cut = True
        self._disconnect(list(self._wanted))

    def mend(self) -> None:
        """Have the connection back: what was followed is followed again."""
        self._is_cut = False
        self._connect(list(self._wanted))
        self._reconnected = True
        self._news.set()

    def _require(self) -> None:
        if self._is_cut:
            raise BusUnavailable("this node is cut off from the bus")

    def _connect(self, channels: Sequence[str]) -> None:
        for channel in channels:
            self._bus.followers.setdefault(channel, {})[self] = None

    def _disconnect(self, channels: Sequence[str]) -> None:
        for channel in channels:
            followers = self._bus.followers.get(channel, {})
            followers.pop(self, None)
            if not followers:
                self._bus.followers.pop(channel, None)


@asynccontextmanager
async def open_memory_bus(bus: MemoryBus) -> AsyncIterator[Bus]:
    """Join a bus for as long as the block lasts."""
    node = bus.join()
    try:
        yield node
    finally:
        node.leave()
