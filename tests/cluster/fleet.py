"""Several engines in this process over a real PostgreSQL and a real Redis, in real time.

    async with open_fleet(postgres, redis) as (left, right):
        anna, ben = await left.enter("anna"), await right.enter("ben")

Each engine reaches each server by a way of its own, which can be cut. People use the client that
applications use.
"""

from contextlib import AsyncExitStack, asynccontextmanager, suppress

import trio
from own_time import open_own_time

from triolet._model.entries import Entry
from triolet._model.errors import ConnectionClosed, ErrorCode, Refusal
from triolet._model.limits import Limits
from triolet.adapters.postgres import open_postgres_store
from triolet.adapters.redis import open_redis_bus
from triolet.adapters.system import SystemClock, SystemEntropy
from triolet.client import ClientLimits, open_client
from triolet.embedded import ClosedGate, Engine, _PipeDialer
from triolet.ports.gate import FOREVER, Identity
from triolet.testing.chaos.cluster import at_port
from triolet.testing.chaos.proxy import open_proxy

# Within it everything that is awaited has to happen, unless a law says sooner.
PATIENCE_S = 60
# Short, so that what needs a lease is seen in seconds; long enough for a machine that is busy.
LEASE_S = 3
LIMITS = {
    "grace_s": 1,
    "presence_lease_s": LEASE_S,
    "presence_heartbeat_s": 0.5,
    "presence_check_s": 2,
    "state_interval_s": 0.1,
}
# A refusal is heard as the server says it, not after the client has asked some times more.
TOLD_AT_ONCE = ClientLimits(retries_max=0)


class Person:
    """Somebody on one node; what is told to them is kept in `heard`, in order.

    Times are this process's own: a law is not broken while the machine does something else.
    """

    def __init__(self, client, device, time):
        self.client = client
        self.device = device
        self.time = time
        self.heard = []
        self._since = 0
        self._news = trio.Event()

    async def listen(self):
        with suppress(ConnectionClosed), self.client.events() as events:
            async for event in events:
                self.heard.append((self.time.now(), event))
                self._news.set()
                self._news = trio.Event()

    async def until(self, is_so, within_s=PATIENCE_S):
        """Wait for the first event since `look_ahead` for which something is true."""
        done, began = self._since, self.time.now()
        with trio.fail_after(PATIENCE_S):
            while True:
                for at, event in self.heard[done:]:
                    if is_so(event):
                        assert at - began <= within_s, event
                        return event
                done = len(self.heard)
                await self._news.wait()

    async def told(self, event_type, /, within_s=PATIENCE_S, **fields):
        """Wait for an event of a kind with these fields."""
        return await self.until(
            lambda event: (
                isinstance(event, event_type)
                and all(getattr(event, k) == v for k, v in fields.items())
            ),
            within_s,
        )

    async def told_at_last(self, say, event_type, /, **fields):
        """Have it said each second until it is told: what is rung once is lost with a bell.

        As applications do, who say that somebody types for as long as that is so.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._say_on, say)
            await self.told(event_type, **fields)
            nursery.cancel_scope.cancel()

    async def _say_on(self, say):
        while True:
            await say()
            await trio.sleep(1)

    async def told_that(self, user, status, within_s=PATIENCE_S):
        """Wait until somebody is shown in some way; return when (ms) they were last seen."""

        def rows(event):
            return [row for row in getattr(event, "users", ()) if row[:2] == (user, status)]

        return rows(await self.until(rows, within_s))[0][2]

    def look_ahead(self):
        """Have `until` look at nothing that was heard until now."""
        self._since = len(self.heard)

    def times(self, room):
        """Return when each entry of a room was heard, by seq."""
        return {
            event.seq: at
            for at, event in self.heard
            if isinstance(event, Entry) and event.room == room
        }

    def seqs(self, room):
        """Return what was heard of a room, in order, also what came twice."""
        return [e.seq for _, e in self.heard if isinstance(e, Entry) and e.room == room]

    async def send(self, room, text, cid=None):
        """Say something until it is stored, and return its seq."""
        cid = cid or f"{self.device}-{text}"
        return (await self.insist(lambda: self.client.send(room, text, cid=cid))).seq

    async def insist(self, ask):
        """Ask until the store of this node answers, which has a way of its own to it."""
        with trio.fail_after(PATIENCE_S):
            while True:
                try:
                    return await ask()
                except Refusal as refusal:
                    if refusal.code not in LATER:
                        raise
                    await trio.sleep(0.1)


LATER = (ErrorCode.STORE_UNAVAILABLE, ErrorCode.OUTCOME_UNKNOWN)


class Node:
    """One engine, and its ways to the servers."""

    def __init__(self, engine, store, bus, time):
        self.engine = engine
        self.time = time
        # Proxies: to be cut, held, severed, refused, healed.
        self.store = store
        self.bus = bus
        # Where people's clients and their listening live.
        self.stack = self.nursery = None

    async def enter(self, user, device=""):
        device = device or f"{user}-1"
        dialer = _PipeDialer(self.engine, Identity(user=user, expires_at=FOREVER, tier="service"))
        opened = open_client(dialer, device=device, limits=TOLD_AT_ONCE)
        client = await self.stack.enter_async_context(opened)
        person = Person(client, device, self.time)
        self.nursery.start_soon(person.listen)
        return person

    async def until_ready(self, is_ready):
        """Wait until it is ready, or is not."""
        with trio.fail_after(PATIENCE_S):
            while self.engine.ready() is not is_ready:  # noqa: ASYNC110 - it tells nobody
                await trio.sleep(0.02)


@asynccontextmanager
async def open_fleet(postgres, redis, count=2, **limits):
    """Run so many engines over a database of their own; all of them are ready at first."""
    limits = Limits(**(LIMITS | limits))
    name = await trio.to_thread.run_sync(postgres.create_database)
    async with as_it_is() as failures, AsyncExitStack() as stack:
        nodes = []
        time = await stack.enter_async_context(open_own_time())
        for _ in range(count):
            store = await stack.enter_async_context(open_proxy("127.0.0.1", postgres.port))
            bus = await stack.enter_async_context(open_proxy("127.0.0.1", redis.port))
            urls = at_port(postgres.url(name), store.port), at_port(redis.url(), bus.port)
            engine = await stack.enter_async_context(_open_engine(*urls, limits))
            nodes.append(Node(engine, store, bus, time))
        for node in nodes:
            await node.until_ready(True)
        async with trio.open_nursery() as nursery, AsyncExitStack() as people:
            for node in nodes:
                node.stack, node.nursery = people, nursery
            with failures:
                yield nodes
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def as_it_is():
    """Raise what a test raises within `failures` as it is, outside of all that it has opened.

    In so many groups as there are nurseries it is not shown at all.
    """
    failures = Failures()
    yield failures
    if failures.first is not None:
        raise failures.first


class Failures:
    """Keeps what is raised."""

    first = None

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.first = error if isinstance(error, Exception) else None
        return self.first is not None


@asynccontextmanager
async def _open_engine(store_url, bus_url, limits):
    clock, entropy = SystemClock(), SystemEntropy()
    async with (
        open_postgres_store(store_url, clock=clock, entropy=entropy, limits=limits) as store,
        open_redis_bus([bus_url], entropy=entropy, limits=limits) as bus,
        Engine(
            store=store,
            gate=ClosedGate(),
            clock=clock,
            entropy=entropy,
            limits=limits,
            bus=bus,
        ) as engine,
    ):
        yield engine


async def tea(owner, *others, absent=(), name="tea"):
    """Make a room that all of them follow but the absent; return its name once they do."""
    users = [*(other.client.user for other in others), *absent]
    made = await owner.client.create("group", room=name, members=users)
    for person in (owner, *others):
        await person.client.subscribe(name, since=(made.epoch, 0))
    return name
