"""This node among others: rings, follows channels, hears, and knows when it is deaf.

Where the bus consists of several parts, each works or fails alone: see `part`.

Nothing here knows what a message means: handlers are told, by kind. Whatever fails here is
made good by comparing with the store, so a failure is told (`on_missed`) and never raised.
"""

import logging
from collections.abc import Callable
from itertools import count
from typing import Any, Final, TypeAlias, TypeVar, final

import trio

from .._model.limits import Limits
from .._wire.peers import BadFrame, Echo, Missed, PeerMessage, decode_peer, encode_peer, prefix_of
from ..ports.bus import Bus, Doorbell
from ..ports.clock import Entropy
from .complaint import Complaint
from .counters import Counters
from .part import Part

logger = logging.getLogger(__name__)

Message = TypeVar("Message", bound=PeerMessage)
# Tells some channels from others.
ChannelTest: TypeAlias = Callable[[str], bool]

# Every node follows it.
ALL_NODES: Final = "nodes"
# Doorbells handled between two checkpoints: about a millisecond.
_HEARD_PER_TURN: Final = 64


def room_channel(room: str) -> str:
    """Return the channel that nodes follow which have the room loaded."""
    return f"r:{room}"


def user_channel(user: str) -> str:
    """Return the channel that nodes follow which have a session of the user."""
    return f"u:{user}"


def presence_channel(user: str) -> str:
    """Return the channel that nodes follow on which somebody watches the user."""
    return f"p:{user}"


def node_channel(node: str, number: int) -> str:
    """Return one of the channels that a node alone follows."""
    return f"n:{node}:{number}"


@final
class Nodes:
    """See the module.

    Args:
        bus: this node's connection; it outlives the engine.
        entropy: names this node: `node:generation`, never the same twice.
        limits: of the bus: how long it is waited for, how much waits for each part of it.
        counters: how long the canaries take adds to.

    Attributes:
        name: of this node, in this life of the engine.
        is_hearing: a handler is at work: what happens now, happened elsewhere.
        on_missed: called when doorbells of others may have been missed, on any channel.
        on_silence: called once in each interval in which canaries were not heard, or others rang
            what cannot be read here: they may be of another version. With what tells the channels
            that this is about; None: all.
    """

    def __init__(
        self, bus: Bus, entropy: Entropy, limits: Limits, counters: Counters | None = None
    ) -> None:
        self.bus = bus
        self._counters = counters or Counters()
        self._limits = limits
        self._bytes_max = limits.bus_pending_bytes_max
        self.name = f"{entropy.token()}:{entropy.token()}"
        self._prefix = prefix_of(self.name)
        self.is_hearing = False
        self.on_missed: list[Callable[[], None]] = []
        self.on_silence: list[Callable[[ChannelTest | None], None]] = []
        self._handlers: dict[type[Any], Callable[[str, Any], None]] = {}
        self._unreadable = Complaint(logger, now=trio.current_time)
        # The count of the canaries.
        self._echoes = 0
        self._parts = [
            Part(
                bus,
                limits,
                name=name,
                canary=self._canary_of(index),
                interrupted=self._tell_missed,
                ring_missed=lambda: self.ring(ALL_NODES, Missed()),
            )
            for index, name in enumerate(bus.parts)
        ]
        self.handle(Missed, self._missed_elsewhere)

    def _canary_of(self, part: int) -> str:
        names = (node_channel(self.name, number) for number in count())
        return next(name for name in names if self.bus.part_of(name) == part)

    def _part(self, channel: str) -> Part:
        return self._parts[self.bus.part_of(channel)]

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
        doorbell = Doorbell(channel, encode_peer(self.name, message))
        return self._part(channel).push(doorbell, again=again, bytes_max=bytes_max)

    async def follow(self, *channels: str) -> None:
        """Follow channels; wait until they are confirmed, but not for what is known to be down.

        What is missed before the bus is back is told by `on_missed`.
        """
        # Those of one part are followed in one round: when the last one is confirmed, all are.
        last = {self._part(one): self._part(one).following.want(one) for one in channels}
        for part, confirmed in last.items():
            if not part.is_down:
                await confirmed.wait()

    def follow_soon(self, channel: str) -> None:
        """Follow a channel, without waiting."""
        self._part(channel).following.want(channel)

    def unfollow(self, channel: str) -> None:
        """Follow a channel no more."""
        self._part(channel).following.drop(channel)

    @property
    def is_deaf(self) -> bool:
        """Whether this node has not heard itself for too long, by any part of the bus.

        One part that is gone makes nobody deaf. It is gone for all nodes, as a rule: if each left
        its balancer for that, nobody would serve, though all that is lost is a second or two for
        some of the rooms.
        """
        return len(self.unheard) == len(self._parts)

    @property
    def unheard(self) -> tuple[str, ...]:
        """The parts of the bus by which this node has not heard itself for too long."""
        oldest = trio.current_time() - self._limits.canary_timeout_s
        return tuple(part.name for part in self._parts if part.echo_at < oldest)

    @property
    def own_channel(self) -> str:
        """A channel that this node alone follows."""
        return self._parts[0].canary

    @property
    def is_down(self) -> bool:
        """Whether the last call of each part of the bus failed."""
        return all(part.is_down for part in self._parts)

    def reaches(self, channel: str) -> bool:
        """Whether what is rung on a channel is taken, as far as the last call there tells."""
        return not self._part(channel).is_down

    # --- the tasks ---------------------------------------------------------------------------

    async def run(self) -> None:
        """Ring and hear for as long as the engine lives."""
        self.follow_soon(ALL_NODES)
        async with trio.open_nursery() as nursery:
            for part in self._parts:
                self.follow_soon(part.canary)
                nursery.start_soon(part.following.run)
                nursery.start_soon(part.run)
            nursery.start_soon(self._hear)
            nursery.start_soon(self._sing)

    async def wait_rung(self) -> None:
        """Wait until nothing waits to be rung, but not for a bus that is gone."""
        with trio.move_on_after(self._limits.bus_timeout_s):
            for part in self._parts:
                await part.wait_rung()

    async def leave(self) -> None:
        """Ring what waits, and follow nothing any more."""
        await self.wait_rung()
        with trio.move_on_after(self._limits.bus_timeout_s):
            async with trio.open_nursery() as nursery:
                for part in self._parts:
                    nursery.start_soon(part.following.leave)

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
                self._tell_missed()
                self._try_again()
            for index, doorbell in enumerate(heard.doorbells):
                if index and not index % _HEARD_PER_TURN:
                    await trio.lowlevel.checkpoint()
                if not doorbell.frame.startswith(self._prefix):
                    self._hear_one(doorbell)
                elif doorbell.channel == (part := self._part(doorbell.channel)).canary:
                    self._echoed(part)

    def _echoed(self, part: Part) -> None:
        now = trio.current_time()
        if part.echo_at < part.sung_at:
            self._counters.bus.record(now - part.sung_at)
        part.echo_at = now

    def _try_again(self) -> None:
        """What was down may be back: ring there at once, to know."""
        for part in self._parts:
            if part.is_down:
                self._sing_in(part)
                part.hurry()

    def _hear_one(self, doorbell: Doorbell) -> None:
        try:
            node, message = decode_peer(doorbell.frame)
        except BadFrame as bad:
            self._unreadable.again(f"a doorbell on {doorbell.channel} is dropped: {bad}")
            self._part(doorbell.channel).has_dropped = True
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
        """The canaries, one in each part: ring this node itself, so that a deaf bus shows.

        A bus that is gone says so, or is slow to; one that is deaf says nothing. Either way this
        node is silent within half an interval, and what others rang meanwhile is looked for. So it
        is while nodes of another version run beside, as they do while a deployment is renewed.
        """
        half_s = self._limits.canary_interval_s / 2
        while True:
            sung_at = trio.current_time()
            for part in self._parts:
                self._sing_in(part)
            await trio.sleep(half_s)
            silent = [one for one in self._parts if one.echo_at < sung_at or one.has_dropped]
            if silent:
                self._tell_silence(silent)
            await trio.sleep(half_s)

    def _sing_in(self, part: Part) -> None:
        self._echoes += 1
        if part.echo_at >= part.sung_at:
            part.sung_at = trio.current_time()
        self.ring(part.canary, Echo(self._echoes))

    def _tell_silence(self, silent: list[Part]) -> None:
        is_about: ChannelTest | None = None
        if len(silent) < len(self._parts):
            is_about = lambda channel: self._part(channel) in silent
        for part in silent:
            part.has_dropped = False
        for tell in self.on_silence:
            tell(is_about)
