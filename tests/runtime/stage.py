"""Several engines over one store and one bus, in one Trio run: scenes side by side.

    async with open_stage(2) as stage:
        anna, ben = await stage[0].enter("anna"), await stage[1].enter("ben")
        await stage.room("tea", anna, ben)

The bus loses, doubles and delays what it is told to; see `FaultyBus`.
"""

from contextlib import AsyncExitStack, asynccontextmanager

import trio
from scene import (
    CountedEntropy,
    Scene,
    ScriptedStore,
    TableGate,
    VirtualClock,
    leaves_nothing,
    settled,
)

from triolet._model.limits import Limits
from triolet._runtime.engine import Engine
from triolet._wire.peers import BadFrame, decode_peer
from triolet.adapters.memory import MemoryBus, MemoryStore


class FaultyBus(MemoryBus):
    """A bus that asks, for each doorbell and follower, what becomes of it.

    Attributes:
        fate: called with the message's kind and the follower; returns when it is heard, in
            seconds from now: `[0]`, lost: `[]`, twice: `[0, 0.1]`. None: everything at once.
        rung: the kinds of all messages that were carried, in order.
    """

    def __init__(self):
        super().__init__()
        self.fate = None
        self.rung = []
        self.nursery = None

    def carry(self, doorbell, to):
        kind = _kind(doorbell.frame)
        self.rung.append(kind)
        for delay_s in [0] if self.fate is None else self.fate(kind, to):
            if delay_s:
                self.nursery.start_soon(self._carry_late, doorbell, to, delay_s)
            else:
                to.hear(doorbell)

    async def _carry_late(self, doorbell, to, delay_s):
        await trio.sleep(delay_s)
        to.hear(doorbell)

    def lose(self, *kinds):
        """Lose all doorbells of these kinds from now on; none given: all but the canary."""
        self.fate = lambda kind, to: [] if (kind in kinds if kinds else kind != "Echo") else [0]


def _kind(frame):
    try:
        return type(decode_peer(frame)[1]).__name__
    except BadFrame:
        return ""


class Stage(list):
    """The scenes, one a node."""

    def __init__(self, bus, store):
        super().__init__()
        self.bus = bus
        self.store = store

    async def room(self, name, owner, *others, subscribe=True, **fields):
        """Make a room of people who may be on different nodes; return the head."""
        return await owner.scene.room(name, owner, *others, subscribe=subscribe, **fields)


@asynccontextmanager
async def open_stage(count, *, inspect=True, buses=None, posts=(), **changes):
    """Run so many engines over one store and one bus, and inspect what is left of them.

    Args:
        count: how many.
        inspect: False for stages whose end is not theirs to keep tidy.
        buses: a bus for each node instead of the common one's, where given.
        posts: which workers of which server the first nodes are.
        changes: to the usual limits.
    """
    clock, entropy, bus = VirtualClock(), CountedEntropy(), FaultyBus()
    store = MemoryStore(clock=clock, entropy=entropy)
    stage = Stage(bus, store)
    async with trio.open_nursery() as nursery:
        bus.nursery = nursery
        async with AsyncExitStack() as stack:
            for number in range(count):
                node = bus.join() if buses is None else buses[number](bus.join())
                scripted, gate = ScriptedStore(store), TableGate()
                life = await stack.enter_async_context(AsyncExitStack())
                engine = await life.enter_async_context(
                    Engine(
                        store=scripted,
                        gate=gate,
                        clock=clock,
                        entropy=entropy,
                        limits=Limits(**changes),
                        bus=node,
                        post=posts[number] if number < len(posts) else None,
                    )
                )
                await settled()
                scene = Scene(engine, scripted, gate, nursery)
                scene.node = node
                # Ends the engine; the last one first, for they are nested.
                scene.end = life.aclose
                stage.append(scene)
            yield stage
            if inspect:
                for scene in stage:
                    await leaves_nothing(scene)
        assert bus.followers == {}, "an engine that has ended follows nothing"
        nursery.cancel_scope.cancel()
