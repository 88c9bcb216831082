"""This node among others: rings, follows channels, hears, and knows when it is deaf.

Nothing here knows what a message means: handlers are told, by kind. Whatever fails here is
made good by comparing with the store, so a failure is told (`on_missed`) and never raised.
"""

import logging
from collections.abc import Callable
from typing import Any, Final, TypeVar, final

import trio

from .._model.errors import BusUnavailable
from .._model.limits import Limits
from .._wire.peers import BadFrame, Echo, Missed, PeerMessage, decode_peer, encode_peer, prefix_of
from ..ports.bus import FRAME_BYTES_MAX, Bus, Doorbell
from ..ports.clock import Entropy
from .complaint import Complaint
from .following import Following

logger = logging.getLogger(__name__)

Message = TypeVar("Message", bound=PeerMessage)

# Every node follows it.
ALL_NODES: Final = "nodes"
# Doorbells handled between two checkpoints: about a millisecond.
_HEARD_PER_TURN: Final = 64
# Doorbells of one call of the bus.
_RUNG_AT_ONCE: Final = 1000
# Between two tries of a bus that fails at once.
_RETRY_S: Final = 0.2


def room_channel(room: str) -> str:
    """Return the channel that nodes follow which have the room loaded."""
    return f"r:{room}"


def user_channel(user: str) -> str:
    """Return the channel that nodes follow which have a session of the user."""
    return f"u:{user}"


def presence_channel(user: str) -> str:
    """Return the channel that nodes follow on which somebody watches the user."""
    return f"p:{user}"


def node_channel(node: str) -> str:
    """Return the channel that a node alone follows."""
    return f"n:{node}"


@final
class _Rung:
    """What waits to be rung."""

    __slots__ = ("again", "doorbell")

    def __init__(self, doorbell: Doorbell, *, again: bool) -> None:
        self.doorbell = doorbell
        self.again = again


@final
class Nodes:
    """See the module.

    Args:
        bus: this node's connection; it outlives the engine.
        entropy: names this node: `node:generation`, never the same twice.
        limits: of the bus: how long it is waited for, how much waits for it.

    Attributes:
        name: of this node, in this life of the engine.
        is_hearing: a handler is at work: what happens now, happened elsewhere.
        on_missed: called when doorbells of others may have been missed.
        on_silence: called once in each interval of the canary in which it was not heard, or
            others rang what cannot be read here: they may be of another version.
    """

    def __init__(self, bus: Bus, entropy: Entropy, limits: Limits) -> None:
        self.bus = bus
        self._limits = limits
        self._bytes_max = limits.bus_pending_bytes_max
        self.name = f"{entropy.token()}:{entropy.token()}"
        self._prefix = prefix_of(self.name)
        self.is_hearing = False
        self.on_missed: list[Callable[[], None]] = []
        self.on_silence: list[Callable[[], None]] = []
        self._handlers: dict[type[Any], Callable[[str, Any], None]] = {}
        self._complaint = Complaint(logger, now=trio.current_time)
        self._unreadable = Complaint(logger, now=trio.current_time)
        self._has_dropped = False
        # What is to be rung, and how many bytes it has.
        self._queue: list[_Rung] = []
        self._queue_bytes = 0
        self._wakeup = trio.Event()
        # Set while nothing waits and nothing is being rung.
        self._rung = trio.Event()
        self._rung.set()
        # The bus has failed lately, so nothing waits for it.
        self._is_down = False
        # Others do not know yet that they were not rung for something.
        self._owes_missed = False
        # The count of the canary, and when it was last heard (monotonic, s).
        self._echoes = 0
        self._echo_at = float("-inf")
        self._following = Following(bus, limits, failed=self._failed)
        self.handle(Missed, self._missed_elsewhere)

    # --- what others of this engine use ------------------------------------------------------

    def handle(self, kind: type[Message], handler: Callable[[str, Message], None]) -> None:
        """Have messages of a kind told to `handler(node, message)`: synchronous, must not raise."""
        self._handlers[kind] = handler

    def ring(self, channel: str, message: PeerMessage, *, again: bool = False) -> bool:
        """Ring, soon and in order; False: it was dropped, there is too much already.

        Args:
            channel: who hears it.
            message: what.
            again: until the bus has taken it: of a state, there is no other place to ask.
        """
        return self._push(channel, message, again=again, bytes_max=self._bytes_max)

    def ring_if_idle(self, channel: str, message: PeerMessage) -> bool:
        """Ring what may be dropped, as long as half of the queue is free."""
        return self._push(channel, message, again=False, bytes_max=self._bytes_max // 2)

    def _push(self, channel: str, message: PeerMessage, *, again: bool, bytes_max: int) -> bool:
        frame = encode_peer(self.name, message)
        size = len(frame)
        if size > FRAME_BYTES_MAX or self._queue_bytes + size > bytes_max:
            self._owes_missed = True
            return False
        if self._rung.is_set():
            self._rung = trio.Event()
        self._queue.append(_Rung(Doorbell(channel, frame), again=again))
        self._queue_bytes += size
        self._wakeup.set()
        return True

    async def follow(self, channel: str) -> None:
        """Follow a channel; wait until it is confirmed, unless the bus is known to be down.

        What is missed before the bus is back is told by `on_missed`.
        """
        confirmed = self._following.want(channel)
        if not self._is_down:
            await confirmed.wait()

    def follow_soon(self, channel: str) -> None:
        """Follow a channel, without waiting."""
        self._following.want(channel)

    def unfollow(self, channel: str) -> None:
        """Follow a channel no more."""
        self._following.drop(channel)

    @property
    def is_deaf(self) -> bool:
        """Whether this node has not heard itself for too long."""
        return trio.current_time() - self._echo_at > self._limits.canary_timeout_s

    @property
    def is_down(self) -> bool:
        """Whether the last call of the bus failed."""
        return self._is_down

    # --- the tasks ---------------------------------------------------------------------------

    async def run(self) -> None:
        """Ring and hear for as long as the engine lives."""
        self.follow_soon(ALL_NODES)
        self.follow_soon(node_channel(self.name))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._following.run)
            nursery.start_soon(self._ring)
            nursery.start_soon(self._hear)
            nursery.start_soon(self._sing)

    async def wait_rung(self) -> None:
        """Wait until nothing waits to be rung, but not for a bus that is gone."""
        with trio.move_on_after(self._limits.bus_timeout_s):
            await self._rung.wait()

    async def leave(self) -> None:
        """Ring what waits, and follow nothing any more."""
        await self.wait_rung()
        with trio.move_on_after(self._limits.bus_timeout_s):
            await self._following.leave()

    async def _ring(self) -> None:
        while True:
            if not self._queue:
                self._rung.set()
                self._wakeup = trio.Event()
                await self._wakeup.wait()
                # Others of the same scheduler turn join this batch.
                await trio.lowlevel.checkpoint()
            batch, self._queue = self._queue[:_RUNG_AT_ONCE], self._queue[_RUNG_AT_ONCE:]
            self._queue_bytes -= _bytes(batch)
            if not await self._ring_batch([rung.doorbell for rung in batch]):
                kept = [rung for rung in batch if rung.again]
                self._queue[:0] = kept
                self._queue_bytes += _bytes(kept)
                await trio.sleep(_RETRY_S)

    async def _ring_batch(self, batch: list[Doorbell]) -> bool:
        try:
            with trio.fail_after(self._limits.bus_timeout_s):
                await self.bus.ring(batch)
        except (BusUnavailable, trio.TooSlowError) as error:
            self._owes_missed = True
            self._failed(error)
            return False
        self._works()
        if self._owes_missed:
            self._owes_missed = not self.ring(ALL_NODES, Missed())
        return True

    def _failed(self, error: Exception) -> None:
        self._complaint.again(f"the bus does not work: {error!r}")
        if not self._is_down:
            self._is_down = True
            # What others rang meanwhile may be lost, too.
            self._tell_missed()

    def _works(self) -> None:
        if self._is_down:
            self._is_down = False
            self._complaint.over("the bus works again")
            self._tell_missed()

    def _tell_missed(self) -> None:
        for tell in self.on_missed:
            tell()

    def _missed_elsewhere(self, node: str, message: Missed) -> None:
        del node, message
        self._tell_missed()

    async def _hear(self) -> None:
        while True:
            heard = await self.bus.receive()
            if heard.reconnected:
                self._works()
                self._tell_missed()
            for index, doorbell in enumerate(heard.doorbells):
                if index and not index % _HEARD_PER_TURN:
                    await trio.lowlevel.checkpoint()
                if not doorbell.frame.startswith(self._prefix):
                    self._hear_one(doorbell)
                elif doorbell.channel == node_channel(self.name):
                    self._echo_at = trio.current_time()

    def _hear_one(self, doorbell: Doorbell) -> None:
        try:
            node, message = decode_peer(doorbell.frame)
        except BadFrame as bad:
            self._unreadable.again(f"a doorbell on {doorbell.channel} is dropped: {bad}")
            self._has_dropped = True
            return
        handler = self._handlers.get(type(message))
        if handler is None:
            return
        self.is_hearing = True
        try:
            handler(node, message)
        finally:
            self.is_hearing = False

    async def _sing(self) -> None:
        """The canary: ring this node itself, so that a deaf bus shows.

        A bus that is gone says so, or is slow to; one that is deaf says nothing. Either way this
        node is silent within half an interval, and what others rang meanwhile is looked for. So it
        is while nodes of another version run beside, as they do while a deployment is renewed.
        """
        half_s = self._limits.canary_interval_s / 2
        while True:
            self._echoes += 1
            sung_at = trio.current_time()
            self.ring(node_channel(self.name), Echo(self._echoes))
            await trio.sleep(half_s)
            if self._echo_at < sung_at or self._has_dropped:
                self._has_dropped = False
                for tell in self.on_silence:
                    tell()
            await trio.sleep(half_s)


def _bytes(batch: list[_Rung]) -> int:
    return sum(len(rung.doorbell.frame) for rung in batch)
