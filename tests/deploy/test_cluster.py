"""Two real nodes of one deployment behind each balancer: clients go on whatever node goes."""

from collections import Counter
from contextlib import asynccontextmanager

import pytest
import trio
from deploy_scene import BALANCERS, CUT, ask, balancing, get, open_tls, upgrade_head

import triolet
from triolet.testing import history
from triolet.testing.chaos.campaign import Wishes, campaign
from triolet.testing.chaos.cluster import open_cluster
from triolet.testing.checker import check
from triolet.testing.services.postgres import NoPostgres
from triolet.testing.services.redis import NoRedis

# Each fault strikes once.
FAULTS = ("drain", "kill")
# HAProxy looks each second and believes the second success; a busy machine takes longer.
BACK_S = 120


class Deployment:
    """A cluster behind a balancer, as the chaos harness wants to know it."""

    data = None

    def __init__(self, balancer, cluster):
        self.balancer = balancer
        self.urls = (balancer.url,)
        self.nodes = cluster.nodes
        self.processes = cluster.processes
        self.backings, self.links = cluster.backings, cluster.links
        self.bounds = cluster.bounds
        self.token = cluster.token


@pytest.fixture(params=BALANCERS)
async def deployment(request, tmp_path, ports, certificate):
    """Two nodes over PostgreSQL and Redis, and a third that is never there."""
    try:
        async with open_cluster(tmp_path, 2) as cluster:
            three = [*(node.port for node in cluster.nodes), ports.held()]
            folder = tmp_path / request.param
            with balancing(request.param, folder, ports, certificate, three) as balancer:
                yield Deployment(balancer, cluster)
            said = "".join(process.complaints() for process in cluster.processes.values())
            assert "Traceback" not in said, said
    except (NoPostgres, NoRedis) as error:
        pytest.skip(str(error))


class Visitors:
    """Clients that come all the time.

    `turned_away` is what some were answered, and `cut` how many answers ended early.
    """

    def __init__(self, balancer):
        self._balancer = balancer
        self.turned_away = Counter()
        self.cut = 0

    async def come(self):
        while True:
            async with open_tls(self._balancer) as stream:
                page, _ = await ask(stream, get("/health/live"))
                if page == CUT:
                    # Its node died in the middle of the answer: no balancer can ask another one.
                    self.cut += 1
                    continue
                upgrade, _ = await ask(stream, upgrade_head(self._balancer))
            if (page, upgrade) != (200, 101):
                self.turned_away[page, upgrade] += 1
            await trio.sleep(0.02)


def come_back(node, balancer):
    """Have a node that is started be back only when the balancer gives it clients again.

    Who upgrades one node after the other waits for that, too. nginx learns of a node for
    WebSockets and for pages apart: while it leaves one alone for the second, no other may go.
    """
    start = node.process.start

    async def start_and_serve():
        found = await start()
        counts = (balancer.served, balancer.paged)
        before = [count()[node.port] for count in counts]
        with trio.fail_after(BACK_S):
            while any(  # noqa: ASYNC110 - a log tells nobody
                count()[node.port] == had for count, had in zip(counts, before, strict=True)
            ):
                await trio.sleep(0.05)
        return found

    node.process.start = start_and_serve


async def settled(deployment):
    """Wait until each node is ready and serves.

    At its start HAProxy believes in all three until it has looked.
    """
    ports, balancer = {node.port for node in deployment.nodes}, deployment.balancer
    with trio.fail_after(BACK_S):
        while not ports <= balancer.served().keys() or not balancer.has_looked():
            async with open_tls(balancer) as stream:
                await ask(stream, upgrade_head(balancer))
            await trio.sleep(0.1)


async def see_crossing(deployment):
    """Have two clients on two nodes read each other; the address they know is one."""
    before = deployment.balancer.served()
    async with _client(deployment, "anna") as anna, _client(deployment, "ben") as ben:
        room = (await anna.direct("ben")).room
        await ben.subscribe(room)
        with ben.room(room).events() as events, trio.fail_after(BACK_S):
            written = await anna.send(room, "across")
            async for event in events:
                if getattr(event, "seq", None) == written.seq:
                    break
    # Equal numbers of connections: each of the two had a node of its own.
    ports = {node.port for node in deployment.nodes}
    with trio.fail_after(BACK_S):
        while not ports <= (deployment.balancer.served() - before).keys():  # noqa: ASYNC110 - as above
            await trio.sleep(0.05)


@asynccontextmanager
async def _client(deployment, user):
    trust = deployment.balancer.certificate.trust
    token = deployment.token(user)
    async with triolet.connect(deployment.urls[0], token=token, ssl_context=trust) as client:
        yield client


async def test_nothing_is_lost_and_nobody_turned_away_while_nodes_are_drained_and_killed(
    deployment, tmp_path, monkeypatch
):
    """Law: SIGTERM and `kill -9` of one node of two cost no message, no order, no visitor.

    Before that messages cross from one node to the other, for two clients that know one address.
    """
    # The harness's clients, in processes of their own, trust what Python trusts.
    monkeypatch.setenv("SSL_CERT_FILE", str(deployment.balancer.certificate.chain))
    for node in deployment.nodes:
        come_back(node, deployment.balancer)
        # The harness would wait until no socket is left; a balancer keeps some for pages.
        node.process.usage = lambda: None
    wishes = Wishes(
        faults=FAULTS,
        cycles=len(FAULTS),
        seconds=280,
        clients=6,
        workers=1,
        rate=60,
        seed=5,
        folder=tmp_path,
        tempo=0.1,
    )
    visitors = Visitors(deployment.balancer)
    await settled(deployment)
    await see_crossing(deployment)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(visitors.come)
        outcome = await campaign(deployment, wishes)
        nursery.cancel_scope.cancel()
    assert outcome.violations == []
    assert outcome.cycles == len(FAULTS)
    parts = [history.read(path.read_bytes().splitlines()) for path in outcome.histories]
    verdict = check(list(history.merge(parts)), outcome.bounds)
    assert [str(found) for found in verdict.violations] == []
    assert outcome.acked > 0
    assert visitors.turned_away == Counter()
    # One at a time, so at most one for each node that was killed.
    assert visitors.cut <= FAULTS.count("kill")
    assert "eyJ" not in deployment.balancer.said
