"""Nodes are replaced while everybody talks: nothing acknowledged is lost, and no call raises.

Two nodes over one PostgreSQL and one Redis, behind a balancer that looks at their health. Beside
them new ones are started, and the old ones are told to go, one after another. The last one is of
a version whose doorbells the others cannot read, nor it theirs.
"""

import random
import sys
import time
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from pathlib import Path

import httpx
import pytest
import trio
from e2e_scene import Server, token

from triolet import Entry
from triolet.testing import history
from triolet.testing.chaos import rooms
from triolet.testing.chaos.plan import plan
from triolet.testing.chaos.recording import open_recorded
from triolet.testing.checker import Bounds, check

CLIENTS = 10
# Between two requests of one client, on average.
PACE_S = 0.1
LOOK_S = 0.1
# A node answers that it is not ready for so long before it lets anybody go.
LB_DELAY_S = 0.6
NEWER = [sys.executable, str(Path(__file__).with_name("newer_server.py"))]
SETTINGS = {
    "TRIOLET_LIMIT_LB_DELAY_S": str(LB_DELAY_S),
    "TRIOLET_LIMIT_DRAIN_WINDOW_S": "1",
    "TRIOLET_LIMIT_GRACE_S": "5",
    "TRIOLET_LOG_LEVEL": "warning",
}
TIMEOUT_S = 120
# A node that cannot read the others' doorbells looks each 5 s; a busy machine takes longer.
HEARD_S = 60


class Balancer:
    """Passes each new connection on to the next node that says it is ready."""

    def __init__(self):
        self.port = 0
        self.nodes = []
        # Those that were ready when last looked at.
        self.ready = []
        self._turn = count()

    async def run(self, *, task_status=trio.TASK_STATUS_IGNORED):
        async with trio.open_nursery() as nursery:
            (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
            self.port = listener.socket.getsockname()[1]
            nursery.start_soon(partial(trio.serve_listeners, self._pass_on, [listener]))
            nursery.start_soon(self._look)
            task_status.started()

    async def _look(self):
        async with httpx.AsyncClient(trust_env=False, timeout=TIMEOUT_S) as http:
            while True:
                self.ready = [node for node in self.nodes if await is_ready(http, node)]
                await trio.sleep(LOOK_S)

    async def wait_ready(self, *nodes):
        with trio.fail_after(TIMEOUT_S):
            while any(node not in self.ready for node in nodes):  # noqa: ASYNC110 - of processes
                await trio.sleep(LOOK_S)

    async def _pass_on(self, client):
        async with client:
            if not self.ready:
                return
            node = self.ready[next(self._turn) % len(self.ready)]
            try:
                server = await trio.open_tcp_stream("127.0.0.1", node.port)
            except OSError:
                return
            async with server, trio.open_nursery() as nursery:
                nursery.start_soon(copy, client, server, nursery.cancel_scope)
                nursery.start_soon(copy, server, client, nursery.cancel_scope)


async def is_ready(http, node):
    try:
        answer = await http.get(f"http://127.0.0.1:{node.port}/health/ready")
    except httpx.HTTPError:
        return False
    return answer.status_code == 200


async def copy(one, other, scope):
    try:
        async for part in one:
            await other.send_all(part)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass
    scope.cancel()


class Way:
    """What `rooms` needs to know of a system: where to connect, and as whom."""

    def __init__(self, balancer):
        self.urls = (f"ws://127.0.0.1:{balancer.port}/ws",)
        self.token = token


class Talker:
    """A client that asks all the time; whatever raises fails the test."""

    def __init__(self, client, name, places):
        self.client = client
        self.name = name
        self.seen = {room: seq for room, _, seq in places}
        self.heads = {}
        self.acked = 0
        # All that it asked is answered, and noted here.
        self.quiet = trio.Event()
        self._places = places
        self._random = random.Random(name)
        self._numbers = count(1)

    async def follow(self, place):
        room, epoch, since = place
        with self.client.room(room).events(since=(epoch, since)) as events:
            async for event in events:
                if isinstance(event, Entry):
                    assert event.seq == self.seen[room] + 1
                    self.seen[room] = event.seq

    async def talk(self, stop):
        for number in self._numbers:
            if stop.is_set():
                for room in self.seen:
                    await self.client.typing(room, on=False)
                self.quiet.set()
                return
            room = self._random.choice(list(self.seen))
            cid = f"{self.name}.{number}"
            match self._random.randrange(10):
                case 0:
                    await self.client.history(room, limit=20)
                case 1:
                    await self.client.receipt(room, delivered=self.seen[room], read=self.seen[room])
                case 2:
                    await self.client.typing(room, on=True)
                case _:
                    written = await self.client.send(room, cid, cid=cid)
                    self.heads[room] = max(self.heads.get(room, 0), written.seq)
                    self.acked += 1
            await trio.sleep(self._random.expovariate(1 / PACE_S))

    async def read_to(self, heads):
        with trio.fail_after(TIMEOUT_S):
            while any(seq < heads[room] for room, seq in self.seen.items()):  # noqa: ASYNC110
                await trio.sleep(0.02)
        for room in self.seen:
            await self.client.history(room, limit=200)


@asynccontextmanager
async def deployment(tmp_path, postgres_url, bus):
    """Two nodes behind a balancer, and a way to start more and to tell one to go."""
    more = SETTINGS | {"TRIOLET_STORE": postgres_url, "TRIOLET_BUS": bus}
    balancer, everybody, numbers = Balancer(), [], count(1)

    async def start(command=None):
        folder = tmp_path / f"node{next(numbers)}"
        node = await trio.to_thread.run_sync(lambda: Server(folder, command=command, **more))
        everybody.append(node)
        balancer.nodes.append(node)
        await balancer.wait_ready(node)
        return node

    async def go(node):
        status = await trio.to_thread.run_sync(node.stop)
        balancer.nodes.remove(node)
        assert status == 0, node.said

    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(balancer.run)
            yield balancer, start, go
            nursery.cancel_scope.cancel()
    finally:
        for node in everybody:
            node.kill()
    for node in everybody:
        assert "Traceback" not in node.said
        assert " ERROR " not in node.said
    # Two of them could not read each other.
    assert sum("is dropped: version" in node.said for node in everybody) >= 2


@pytest.fixture
def redis_bus(redis_server):
    return redis_server.url()


async def test_a_rolling_upgrade_is_noticed_by_nobody(tmp_path, postgres_url, redis_bus):
    events, talkers = [], []
    made = plan(f"roll{int(time.time()):x}", CLIENTS)
    stop = trio.Event()
    async with deployment(tmp_path, postgres_url, redis_bus) as (balancer, start, go):
        old = [await start(), await start()]
        way = Way(balancer)
        places = await rooms.found(way, made, events.append)
        leave = trio.Event()

        async def live(name, user):
            own = [place for place, members in places.items() if user in members]
            async with (
                open_recorded(
                    way.urls, token(user), name=name, user=user, write=events.append
                ) as client,
                trio.open_nursery() as nursery,
            ):
                talker = Talker(client, name, own)
                talkers.append(talker)
                for place in own:
                    nursery.start_soon(talker.follow, place)
                await talker.talk(stop)
                await leave.wait()
                nursery.cancel_scope.cancel()

        async with trio.open_nursery() as people:
            for name, user in made.clients:
                people.start_soon(live, name, user)
            await all_have_said(talkers, 5)
            for node, command in zip(old, (None, NEWER), strict=True):
                await start(command)
                await go(node)
            await all_have_said(talkers, 5)
            stop.set()
            await settle(way, talkers, places, events)
            leave.set()

    assert all(talker.client.statistics().connections >= 2 for talker in talkers)
    assert all(talker.acked >= 10 for talker in talkers)
    # How soon it is shown that somebody types no more depends on when eight processes are let run:
    # within half a minute, and that it is in the end was waited for.
    verdict = check(events, Bounds(grace_s=5, silence_s=60, slack_s=30))
    assert verdict.holds, verdict.violations[:5]
    assert sum(verdict.judged.values()) > 1000


async def all_have_said(talkers, more):
    """Wait until each client is there and has said so much more."""
    with trio.fail_after(TIMEOUT_S):
        while len(talkers) < CLIENTS:  # noqa: ASYNC110
            await trio.sleep(0.05)
        before = {talker: talker.acked for talker in talkers}
        while any(talker.acked < before[talker] + more for talker in talkers):  # noqa: ASYNC110
            await trio.sleep(0.05)


def still_typing(events):
    """Return who is shown as typing to whom, and in which room."""
    shown = {}
    for event in events:
        match event:
            case history.Typing():
                shown[event.client, event.room] = event.users
            case history.Subscribed() | history.Closed():
                shown.pop((event.client, event.room), None)
            case history.Disconnected():
                shown = {at: users for at, users in shown.items() if at[0] != event.client}
    return {at: users for at, users in shown.items() if users}


async def settle(way, talkers, places, events):
    """Wait until all is answered and read by all, and nobody types; write down what is stored."""
    with trio.fail_after(TIMEOUT_S):
        for talker in talkers:
            await talker.quiet.wait()
        heads = {}
        for (room, _, _), members in places.items():
            least = max((talker.heads.get(room, 0) for talker in talkers), default=0)
            until = trio.current_time() + HEARD_S
            heads[room] = await rooms.read(
                way, room, members[0], events.append, least=least, until=until
            )
        async with trio.open_nursery() as nursery:
            for talker in talkers:
                nursery.start_soon(talker.read_to, heads)
        while still_typing(events):  # noqa: ASYNC110 - the clients write it down
            await trio.sleep(0.2)
    events.append(history.Settled(t=time.monotonic()))
