"""Law: of three Redis servers one dies, and only what belongs to it comes by the store.

The store is in memory: what is late here is late by the bus.
"""

from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from functools import partial
from zlib import crc32

import pytest
import trio
from fleet import LIMITS, PATIENCE_S, Node, as_it_is, tea
from own_time import open_own_time

from triolet._model.events import Typing
from triolet._model.limits import Limits
from triolet.adapters.memory import MemoryStore
from triolet.adapters.redis import open_redis_bus
from triolet.adapters.system import SystemClock, SystemEntropy
from triolet.embedded import ClosedGate, Engine
from triolet.testing.services.redis import NoRedis, run_redis

# What is promised of what the store must tell.
BY_STORE_S = 2
# Of what is rung nothing is slower than before, on a machine with other things to do.
BY_BELL_S = 1
DEAD = 1
# Entries in each room while the server is gone, and what is between them.
COUNT, PAUSE_S = 12, 0.35


@pytest.fixture
def servers():
    with ExitStack() as stack:
        try:
            yield [stack.enter_context(run_redis()) for _ in range(3)]
        except NoRedis as missing:
            pytest.skip(str(missing))


def room_of(server):
    """Return the name of a room whose channel belongs to one of three servers."""
    names = (f"room-{number}" for number in range(100))
    return next(name for name in names if crc32(f"r:{name}".encode()) % 3 == server)


@asynccontextmanager
async def open_pair(servers):
    """Run two engines over one store and these servers; both are ready at first."""
    clock, entropy, limits = SystemClock(), SystemEntropy(), Limits(**LIMITS)
    store = MemoryStore(clock=clock, entropy=entropy)
    own = {"store": store, "gate": ClosedGate(), "clock": clock}
    own |= {"entropy": entropy, "limits": limits}
    urls = [server.url() for server in servers]
    async with as_it_is() as failures, AsyncExitStack() as stack:
        nodes = []
        time = await stack.enter_async_context(open_own_time())
        for _ in range(2):
            opened = open_redis_bus(urls, entropy=entropy, limits=limits)
            bus = await stack.enter_async_context(opened)
            engine = await stack.enter_async_context(Engine(bus=bus, **own))
            nodes.append(Node(engine, store, bus, time))
        for node in nodes:
            await node.until_ready(True)
        async with trio.open_nursery() as nursery, AsyncExitStack() as people:
            for node in nodes:
                node.stack, node.nursery = people, nursery
            with failures:
                yield nodes
            nursery.cancel_scope.cancel()


class Watched:
    """What a node thought of its bus, and which rooms it compared, meanwhile."""

    def __init__(self, node):
        self.nodes = node.engine.nodes
        self.interruptions = []
        self.nodes.on_missed.append(lambda: self.interruptions.append(trio.current_time()))
        self.was_down = False
        self.compared = []
        self._heads = node.engine.hub._heads
        self._compare = self._heads._compare

    async def look(self):
        self._heads._compare = self._count
        while True:
            self.was_down |= self.nodes.is_down
            await trio.sleep(0.01)

    async def _count(self, name, stored):
        self.compared.append(name)
        await self._compare(name, stored)


async def test_rooms_of_the_others_are_rung_as_ever(servers):
    """At once, with nothing flapping; those of the dead one within 2 s; all at once afterwards."""
    async with open_pair(servers) as (left, right):
        anna, ben = await left.enter("anna"), await right.enter("ben")
        rooms = [await tea(anna, ben, name=room_of(number)) for number in range(3)]
        await trio.to_thread.run_sync(servers[DEAD].kill)
        # Both have found out, and what they did about it is over.
        await _are_one_server_short(left, right, servers[DEAD])
        await trio.sleep(1.5)
        watched = Watched(right)
        right.nursery.start_soon(watched.look)
        began, own_began = trio.current_time(), anna.time.now()
        sent = await _talk(anna, rooms)
        talked_s = anna.time.now() - own_began
        for room in rooms:
            last = max(sent[room])
            await ben.until(lambda event, seq=last, room=room: _is_entry(event, room, seq))
        took_s = trio.current_time() - began
        for index, room in enumerate(rooms):
            late_s = [ben.times(room)[seq] - at for seq, at in sent[room].items()]
            assert max(late_s) <= (BY_STORE_S if index == DEAD else BY_BELL_S), late_s
        assert not watched.was_down
        assert watched.interruptions == []
        # Each second, and in the round of all rooms.
        counts = [watched.compared.count(room) for room in rooms]
        assert counts[DEAD] >= talked_s - 1, counts
        for index in {0, 1, 2} - {DEAD}:
            assert counts[index] <= took_s / 5 + 2, counts
        await _are_one_server_short(left, right, servers[DEAD])
        await trio.to_thread.run_sync(servers[DEAD].start)
        await _is_mended(left, right, anna, ben, rooms)
        assert watched.interruptions


async def _talk(person, rooms):
    """Say something in all rooms now and then; return when each entry was acknowledged."""
    sent = {room: {} for room in rooms}
    for number in range(COUNT):
        for room in rooms:
            seq = (await person.client.send(room, f"without {number}")).seq
            sent[room][seq] = person.time.now()
        await trio.sleep(PAUSE_S)
    return sent


async def _are_one_server_short(left, right, server):
    """Both are ready, and say which one they do not hear."""
    with trio.fail_after(PATIENCE_S):
        for node in (left, right):
            # Whoever was not let run for a moment may think so of all, for a moment.
            while node.engine.statistics().unheard != (server.url(),):  # noqa: ASYNC110 - it tells nobody
                await trio.sleep(0.1)
            assert node.engine.ready()


async def _is_mended(left, right, anna, ben, rooms):
    """All rooms are rung at once again, and nothing came twice, or not."""
    with trio.fail_after(PATIENCE_S):
        for node in (left, right):
            while node.engine.statistics().unheard:  # noqa: ASYNC110 - nor that
                await trio.sleep(0.05)
    for room in rooms:
        began = anna.time.now()
        seq = await anna.send(room, "it rings again")
        await ben.until(lambda event, seq=seq, room=room: _is_entry(event, room, seq))
        assert ben.times(room)[seq] - began <= BY_BELL_S
        await ben.told_at_last(
            partial(anna.client.typing, room, on=True), Typing, room=room, users=("anna",)
        )
        assert ben.seqs(room) == list(range(1, len(ben.seqs(room)) + 1))


def _is_entry(event, room, seq):
    return getattr(event, "seq", 0) == seq and event.room == room
