"""Two real nodes of one deployment behind each balancer: clients go on whatever node goes."""

import os
import sys
from collections import Counter
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from deploy_scene import BALANCERS, SECRET, ask, balancing, get, open_tls, token, upgrade_head

import triolet
from triolet.testing import history
from triolet.testing.chaos.campaign import Wishes, campaign
from triolet.testing.chaos.process import Process
from triolet.testing.chaos.system import _ANNOUNCEMENT, BOUNDS, SETTINGS
from triolet.testing.checker import Bounds, check
from triolet.testing.services.postgres import NoPostgres, run_postgres

CYCLES = 2
# HAProxy looks each second and believes the second success.
BACK_S = 30


@pytest.fixture(scope="module")
def postgres():
    try:
        with run_postgres() as server:
            yield server
    except NoPostgres as error:
        pytest.skip(f"PostgreSQL is missing: {error}")


def node(folder, port, store):
    """Return a `triolet serve` on a port that it keeps over restarts."""
    folder.mkdir()
    plain = {k: v for k, v in os.environ.items() if not k.startswith("TRIOLET_")}
    where = ["--port", str(port), "--data", str(folder), "--store", store]
    process = Process(
        lambda: [sys.executable, "-m", "triolet_api", "serve", *where],
        _ANNOUNCEMENT,
        plain | SETTINGS | {"TRIOLET_SECRET": SECRET},
        folder / "server.log",
    )
    # The harness would wait until no socket is left; a balancer keeps some for pages.
    process.usage = lambda: None
    process.port = port
    return process


class Deployment:
    """Two nodes behind a balancer, as the chaos harness wants to know them."""

    data = None
    # A killed node's people are shown until its lease ends.
    bounds = Bounds(grace_s=BOUNDS.grace_s, silence_s=BOUNDS.silence_s)

    def __init__(self, balancer, processes):
        self.balancer = balancer
        self.urls = (balancer.url,)
        self.processes = processes

    def token(self, user):
        return token(user)


@pytest.fixture
async def processes(tmp_path, ports, postgres):
    """Two nodes over one database, which is also their bus."""
    store = postgres.url(postgres.create_database())
    nodes = {name: node(tmp_path / name, ports.free(), store) for name in ("node1", "node2")}
    try:
        async with trio.open_nursery() as nursery:
            for process in nodes.values():
                nursery.start_soon(process.start)
        yield nodes
        said = "".join(process.complaints() for process in nodes.values())
        assert "Traceback" not in said, said
    finally:
        with trio.CancelScope(shield=True):
            for process in nodes.values():
                await process.kill()


@pytest.fixture(params=BALANCERS)
def deployment(request, tmp_path, ports, certificate, processes):
    folder = tmp_path / request.param
    three = [*(process.port for process in processes.values()), ports.dead()]
    with balancing(request.param, folder, ports, certificate, three) as balancer:
        yield Deployment(balancer, processes)


class Visitors:
    """Clients that come all the time.

    Attributes:
        served: how often each node let one in, as far as its port tells.
        turned_away: what others were answered.
    """

    def __init__(self, deployment):
        self._deployment = deployment
        self.served = Counter()
        self.turned_away = Counter()

    async def come(self):
        balancer = self._deployment.balancer
        while True:
            async with open_tls(balancer) as stream:
                page, _ = await ask(stream, get("/health/live"))
                upgrade, _ = await ask(stream, upgrade_head(balancer))
                if (page, upgrade) != (200, 101):
                    self.turned_away[page, upgrade] += 1
                for name, process in self._deployment.processes.items():
                    self.served[name] += connections(process) > 0
            await trio.sleep(0.02)


def after_start(visitors, process, name):
    """Have the harness strike again only when the balancer knows that a node is back.

    Whoever upgrades nodes one after the other has to wait for it, too.
    """
    start = process.start

    async def start_and_wait():
        found = await start()
        served = visitors.served[name]
        with trio.fail_after(BACK_S):
            while visitors.served[name] == served:  # noqa: ASYNC110 - it is a count
                await trio.sleep(0.01)
        return found

    process.start = start_and_wait


async def test_nothing_is_lost_and_nobody_turned_away_while_nodes_are_drained_and_killed(
    deployment, tmp_path, monkeypatch
):
    """Law: SIGTERM and `kill -9` of one node of two cost no message, no order, no visitor."""
    # The harness's clients, in processes of their own, trust what Python trusts.
    monkeypatch.setenv("SSL_CERT_FILE", str(deployment.balancer.certificate.chain))
    wishes = Wishes(
        faults=("drain", "kill"),
        cycles=CYCLES,
        seconds=60,
        clients=6,
        workers=1,
        rate=60,
        seed=5,
        folder=tmp_path,
        tempo=0.1,
    )
    visitors = Visitors(deployment)
    for name, process in deployment.processes.items():
        after_start(visitors, process, name)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(visitors.come)
        outcome = await campaign(deployment, wishes)
        nursery.cancel_scope.cancel()
    assert (outcome.violations, outcome.struck) == ([], {"drain": 1, "kill": 1})
    parts = [history.read(path.read_bytes().splitlines()) for path in outcome.histories]
    verdict = check(list(history.merge(parts)), outcome.bounds)
    assert [str(found) for found in verdict.violations] == []
    assert outcome.acked > 0
    assert visitors.turned_away == Counter()
    assert "eyJ" not in deployment.balancer.said


async def test_messages_cross_from_one_node_to_the_other(deployment):
    """Law: two clients on two nodes read each other; the address they know is one."""
    async with _client(deployment, "anna") as anna, _client(deployment, "ben") as ben:
        room = (await anna.direct("ben")).room
        await ben.subscribe(room)
        with ben.room(room).events() as events, trio.fail_after(10):
            written = await anna.send(room, "across")
            async for event in events:
                if getattr(event, "seq", None) == written.seq:
                    break
        # Equal numbers of connections: each of the two has a node of its own.
        held = [connections(process) for process in deployment.processes.values()]
        assert held == [1, 1]


def connections(process):
    """Return how many connections to its port a node holds, as the system tells."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(int(row[1].split(":")[1], 16) == process.port and row[3] == "01" for row in rows)


@asynccontextmanager
async def _client(deployment, user):
    trust = deployment.balancer.certificate.trust
    async with triolet.connect(deployment.urls[0], token=token(user), ssl_context=trust) as client:
        yield client
