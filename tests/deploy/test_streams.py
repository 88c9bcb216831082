"""The way without WebSocket keeps every promise: judged as WebSockets are, over two nodes.

Two engines share a store and a bus, each with its HTTP side on a port of its own. People come by
server-sent events, and their requests go to the other node or wherever a balancer sends them; one
comes by WebSocket. In the middle every HTTP connection of each node is cut.
"""

from contextlib import AsyncExitStack, asynccontextmanager
from random import Random

import pytest
import trio
from deploy_scene import BALANCERS, balancing

from triolet._model.errors import ErrorCode, Refusal
from triolet._model.limits import Limits
from triolet.adapters.memory import MemoryBus, MemoryStore
from triolet.adapters.system import SystemClock, SystemEntropy
from triolet.client import (
    Backoff,
    ClientLimits,
    EventsDialer,
    WebSocketDialer,
    open_client,
)
from triolet.embedded import open_engine
from triolet.ports.gate import FOREVER, Identity
from triolet.testing import history
from triolet.testing.checker import Rule, check
from triolet.testing.recorder import Recorder, stored
from triolet_api.composition import open_api
from triolet_api.http import open_http_door
from triolet_api.settings import Settings

PATIENCE_S = 60
ROOMS = ("tea", "milk")
MESSAGES = 24
SOON = Backoff(base_s=0.02, ceiling_s=0.2)


class Names:
    """A gate to which a token is a name."""

    async def admit(self, token, opening):
        await trio.lowlevel.checkpoint()
        if not token:
            raise Refusal(ErrorCode.UNAUTHENTICATED)
        return Identity(user=token, expires_at=FOREVER, issued_at=1, tier="service")

    def may(self, who, action, *, room="", user=""):
        return None


class Node:
    def __init__(self, engine, door, port):
        self.engine = engine
        self.door = door
        self.port = port
        self.url = f"http://127.0.0.1:{port}"


@asynccontextmanager
async def two_nodes():
    """Run two engines over one store and one bus; yield the store and the nodes."""
    clock, entropy, bus = SystemClock(), SystemEntropy(), MemoryBus()
    store = MemoryStore(clock=clock, entropy=entropy)
    async with AsyncExitStack() as stack:
        nodes = []
        for _ in range(2):
            engine = await stack.enter_async_context(
                open_engine(store, gate=Names(), bus=bus.join(), limits=Limits(drain_window_s=0.1))
            )
            api = await stack.enter_async_context(open_api(engine, Settings()))
            door = await stack.enter_async_context(open_http_door(api.app))
            _, port = await engine.listen("127.0.0.1", 0, fallback=door.serve)
            nodes.append(Node(engine, door, port))
        yield store, nodes


class Chat:
    """People who talk in two rooms, each recorded on one tape."""

    def __init__(self, links):
        self.links = links
        self.tape = []
        self.clients = {}
        self.recorders = []

    async def enter(self, stack, user, dialer, form):
        recorder = Recorder(f"{user}-1", user, self.tape.append, form=form, origin="a test")
        client = await stack.enter_async_context(
            open_client(
                recorder.dialer(dialer),
                token=user,
                device="d",
                form=form,
                backoff=SOON,
                witness=recorder.witness,
            )
        )
        self.clients[user] = client
        self.recorders.append(recorder)

    async def run(self, store, cut):
        """Talk, be cut off in the middle, and go on until everybody has seen everything."""
        first = self.clients["anna"]
        for room in ROOMS:
            await first.create("group", room=room, members=[u for u in self.clients if u != "anna"])
        async with trio.open_nursery() as nursery:
            for client in self.clients.values():
                nursery.start_soon(self._listen, client)
            await self._until(
                lambda: all(
                    client.position(room) for client in self.clients.values() for room in ROOMS
                )
            )
            async with trio.open_nursery() as talking:
                for user, client in self.clients.items():
                    talking.start_soon(self._talk, Random(user), client, cut)
            await self._until_seen(store)
            self.tape.append(history.Settled(trio.current_time()))
            nursery.cancel_scope.cancel()

    async def _listen(self, client):
        async with trio.open_nursery() as nursery:
            for room in ROOMS:
                nursery.start_soon(self._follow, client.room(room))

    async def _follow(self, room):
        async for _ in room:
            pass

    async def _talk(self, chance, client, cut):
        mine = {room: [] for room in ROOMS}
        for number in range(MESSAGES):
            room = chance.choice(ROOMS)
            sent = await client.send(room, {"n": number, "text": "x" * chance.randrange(2000)})
            mine[room].append(sent.seq)
            what = chance.random()
            if what < 0.2:
                await client.edit(room, chance.choice(mine[room]), {"n": -number})
            elif what < 0.4:
                await client.react(room, sent.seq, "🙂")
            elif what < 0.5:
                await client.delete(room, mine[room].pop())
            elif what < 0.8:
                await client.receipt(room, read=sent.seq)
            elif what < 0.9:
                await client.typing(room)
            if number in (MESSAGES // 3, 2 * MESSAGES // 3) and client is self.clients["anna"]:
                cut(number > MESSAGES // 2)
        page = await client.history(chance.choice(ROOMS))
        assert page.messages

    async def _until(self, look):
        with trio.fail_after(PATIENCE_S):
            while not look():  # noqa: ASYNC110 - what is waited for is seen by many
                await trio.sleep(0.02)

    async def _until_seen(self, store):
        heads = {room: (await store.room(room)).head for room in ROOMS}
        await self._until(
            lambda: all(
                (client.position(room) or ("", 0))[1] == head
                for client in self.clients.values()
                for room, head in heads.items()
            )
        )


async def judge(store, nodes, dialers):
    """Let people talk who come by these ways; judge what they saw."""
    cuts = []

    def cut(which):
        cuts.append(which)
        nodes[which].door.cut()

    async with trio.open_nursery() as links:
        chat = Chat(links)
        async with AsyncExitStack() as stack:
            for user, (make, form) in dialers.items():
                await chat.enter(stack, user, make(links), form)
            await chat.run(store, cut)
            statistics = {user: client.statistics() for user, client in chat.clients.items()}
        for recorder in chat.recorders:
            recorder.left()
        chat.tape.extend(await stored(store, ROOMS, trio.current_time()))
        links.cancel_scope.cancel()
    verdict = check(chat.tape)

    assert verdict.holds, "\n".join(map(str, verdict.violations))
    assert cuts == [False, True]
    return verdict, statistics


def by_events(at, *, commands_at=None, **how):
    """Return how to come by server-sent events, with requests going elsewhere."""
    commands_url = commands_at or ""
    return (
        lambda links: EventsDialer(at, links, ClientLimits(), commands_url=commands_url, **how),
        "json",
    )


def by_websocket(at):
    return lambda links: WebSocketDialer(at, "msgpack", links, ClientLimits()), "msgpack"


async def test_requests_go_to_the_other_node():
    """No session is sticky: what is said to one node is of the stream that another carries."""
    async with two_nodes() as (store, nodes):
        one, two = (node.url for node in nodes)
        verdict, statistics = await judge(
            store,
            nodes,
            {
                "anna": by_events(one, commands_at=two),
                "ben": by_events(two, commands_at=one),
                "cleo": by_events(one),
                "dan": by_websocket(two),
            },
        )
        left = [len(node.engine.heartbeat.connections) for node in nodes]

    assert all(statistics[user].connections > 1 for user in ("anna", "ben", "cleo"))
    assert statistics["dan"].connections == 1
    assert all(one.duplicates == 0 for one in statistics.values())
    for rule in (
        Rule.ACKED_IS_STORED,
        Rule.SEEN_IS_STORED,
        Rule.SAME_ENTRY_FOR_ALL,
        Rule.STORED_WHOLE,
        Rule.NO_GAP_SEEN,
    ):
        assert verdict.judged[rule], rule
    assert sum(verdict.judged.values()) > 1000
    assert left == [0, 0]


@pytest.mark.parametrize("name", BALANCERS)
async def test_a_balancer_sends_requests_anywhere(name, tmp_path, ports, certificate):
    """Streams and requests are passed on as they come, through TLS, to whatever node."""
    async with two_nodes() as (store, nodes):
        three = [*(node.port for node in nodes), ports.held()]
        with balancing(name, tmp_path / name, ports, certificate, three) as balancer:
            url = balancer.url.replace("wss://", "https://").removesuffix("/ws")
            trust = balancer.certificate.trust
            _, statistics = await judge(
                store,
                nodes,
                {
                    "anna": by_events(url, ssl_context=trust),
                    "ben": by_events(url, ssl_context=trust),
                    "dan": by_websocket(nodes[1].url),
                },
            )

    assert statistics["anna"].connections + statistics["ben"].connections > 2
