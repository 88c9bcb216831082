"""Thundering herds: everybody comes back at once, and each costs the store a read.

mattermost-webapp PR #10960, phoenix #4045, channels #568, novu PR #5321, nats-server #1368 (a
hint by the server); socket.io-redis-streams-adapter PR #47 (every client reads the whole stream).
"""

import json
from contextlib import AsyncExitStack

import trio
from house import NameGate, until
from scene import ScriptedStore

import triolet
from triolet._model.events import Notice
from triolet.adapters.memory import open_memory_store
from triolet.adapters.system import SystemClock, SystemEntropy
from triolet.client import Backoff, LinkClosed, WebSocketDialer
from triolet.client.limits import ClientLimits

HERD = 60


async def test_a_herd_that_resumes_one_room_reads_its_pages_once():
    """60 people come back to 500 missed entries: a page is read for all who ask for it."""
    clock, entropy = SystemClock(), SystemEntropy()
    async with open_memory_store(clock=clock, entropy=entropy) as real, AsyncExitStack() as stack:
        store = ScriptedStore(real)
        limits = triolet.Limits(ring_entries_max=8, ring_bytes_max=4096)
        engine = await stack.enter_async_context(triolet.open_engine(store, limits=limits))
        users = [f"user-{number}" for number in range(HERD)]
        anna = await stack.enter_async_context(engine.connect("anna"))
        made = await anna.create("group", members=users)
        for number in range(500):
            await anna.send(made.room, f"{number} " + "x" * 100)
        head = (await real.room(made.room)).head
        people = [await stack.enter_async_context(engine.connect(user)) for user in users]
        counts = dict.fromkeys(users, 0)

        async def resume(person):
            stream = person.room(made.room).entries(since=(made.epoch, 0))
            async for entry in stream:
                counts[person.user] += 1
                if entry.seq == head:
                    return

        before = store.count("page")
        async with trio.open_nursery() as nursery:
            for person in people:
                nursery.start_soon(resume, person)
        assert set(counts.values()) == {head}
        alone = -(-head // 64)
        assert store.count("page") - before <= 4 * alone < HERD * alone / 4


async def test_hellos_beyond_the_nodes_rate_are_told_when_to_come_back(idle_clock):
    """Spread over the time that the queue needs, not all at the same moment."""
    limits = triolet.Limits(hellos_rate=20, hellos_burst=5, hello_wait_s=0)
    async with (
        triolet.open_engine(gate=NameGate(), limits=limits) as engine,
        trio.open_nursery() as nursery,
    ):
        _host, port = await engine.listen("127.0.0.1", 0)
        hints = []

        async def knock(number):
            url = f"ws://127.0.0.1:{port}/ws"
            dialer = WebSocketDialer(url, "json", nursery, ClientLimits())
            link = await dialer.dial()
            await link.send(json.dumps({"op": "hello", "token": f"u{number}"}).encode())
            try:
                answer = json.loads(await link.receive())
            except LinkClosed:
                answer = {}
            if answer.get("op") == "error":
                hints.append(answer["retry_after_ms"])
            await link.aclose(1000, "")

        async with trio.open_nursery() as herd:
            for number in range(HERD):
                herd.start_soon(knock, number)
        assert HERD / 2 < len(hints) < HERD
        assert len({hint // 50 for hint in hints}) > len(hints) / 4
        nursery.cancel_scope.cancel()


async def test_who_is_sent_away_comes_back_spread_over_the_window():
    """A drain tells each client its own time."""
    limits = triolet.Limits(drain_window_s=3, lb_delay_s=0)
    async with (
        triolet.open_engine(gate=NameGate(), limits=limits) as engine,
        trio.open_nursery() as nursery,
        AsyncExitStack() as stack,
    ):
        _host, port = await engine.listen("127.0.0.1", 0)
        hints = []

        async def heed(client):
            async for event in client.events():
                if isinstance(event, Notice):
                    hints.append(event.retry_after_ms)  # noqa: PERF401 - one at a time

        for number in range(20):
            client = await stack.enter_async_context(
                triolet.connect(
                    f"ws://127.0.0.1:{port}",
                    token=f"u{number}",
                    backoff=Backoff(base_s=30),
                )
            )
            nursery.start_soon(heed, client)
        nursery.start_soon(engine.drain)
        await until(lambda: len(hints) == 20)
        assert min(hints) >= 250
        assert max(hints) - min(hints) > 1000
        nursery.cancel_scope.cancel()
