"""A node dies: `kill -9` of a real process among two. Its people are back elsewhere, or gone."""

from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest
import trio
from fleet import Person
from own_time import open_own_time

from triolet.testing.chaos.cluster import CLUSTER_SETTINGS, open_cluster
from triolet.testing.chaos.recording import open_recorded
from triolet.testing.checker import check

PATIENCE_S = 60
# In less than it whoever had connected to a node that dies is back elsewhere, and a node that is
# not let run for some seconds meanwhile has not lost its own.
LEASE_S = 12
# A dead node's people are gone when its lease has ended and the others have looked.
GONE_S = LEASE_S + float(CLUSTER_SETTINGS["TRIOLET_LIMIT_PRESENCE_HEARTBEAT_S"])
# What a process waits for the processor, and what is gathered before it is told.
SLACK_S = 2
COUNT = 60


class Town:
    """Two nodes, and people; what they send and see is recorded for the checker."""

    def __init__(self, cluster, time, stack, nursery):
        self.cluster = cluster
        self.time = time
        self.events = []
        self._stack = stack
        self._nursery = nursery

    async def enter(self, user, *nodes):
        """Connect somebody to these nodes, in turn."""
        person = Person(
            await self._stack.enter_async_context(
                open_recorded(
                    [self.cluster.urls[node] for node in nodes],
                    self.cluster.token(user),
                    name=user,
                    user=user,
                    write=self.events.append,
                )
            ),
            user,
            self.time,
        )
        self._nursery.start_soon(person.listen)
        with trio.fail_after(PATIENCE_S):
            await person.client.wait_online()
        return person


@pytest.fixture
def servers(postgres, redis):
    """Skip where there are none; a cluster has its own."""


@asynccontextmanager
async def open_town(folder):
    async with (
        open_cluster(
            folder, 2, settings={"TRIOLET_LIMIT_PRESENCE_LEASE_S": str(LEASE_S)}
        ) as cluster,
        open_own_time() as time,
        trio.open_nursery() as nursery,
        AsyncExitStack() as stack,
    ):
        yield Town(cluster, time, stack, nursery)
        nursery.cancel_scope.cancel()


async def ready(url):
    """Return what a node answers to a load balancer."""
    async with httpx.AsyncClient() as http:
        return (
            await http.get(url.replace("ws:", "http:").replace("/ws", "/health/ready"))
        ).status_code


async def test_a_killed_nodes_people_are_back_elsewhere_or_gone_within_the_lease(servers, tmp_path):
    """Law: nothing acknowledged is lost, all is seen once in order; no ghost outlives the lease."""
    async with open_town(tmp_path) as town:
        anna, ben = await town.enter("anna", 0, 1), await town.enter("ben", 1, 0)
        await town.enter("dora", 0)
        made = await anna.client.create("group", room="tea", members=["ben", "dora"])
        for person in (anna, ben):
            await person.client.subscribe("tea", since=(made.epoch, 0))
        # Who has just come is told to the other node a tenth of a second later; it tells nobody.
        with trio.fail_after(PATIENCE_S):
            while await _seen(ben, "dora", "anna") != ["online", "online"]:  # noqa: ASYNC110
                await trio.sleep(0.05)
        await _talk_while_one_dies(town, anna, ben)
        await ben.told_that("dora", "offline", within_s=GONE_S + SLACK_S)
        # Who came back elsewhere was away for less than a lease: nobody was told.
        rows = [row for _, event in ben.heard for row in getattr(event, "users", ())]
        assert ("anna", "offline") not in [row[:2] for row in rows if len(row) == 3]
        await town.cluster.processes["node-1"].start()
        await ben.told_that("dora", "online")
        assert await ready(town.cluster.urls[0]) in (200, 503)
        last = await ben.send("tea", "all of it")
        for person in (anna, ben):
            await person.until(lambda event: getattr(event, "seq", 0) == last)
            assert person.seqs("tea") == list(range(1, last + 1))
    verdict = check(sorted(town.events, key=lambda event: event.t))
    assert verdict.violations == ()


async def _seen(person, *users):
    """Return how somebody is told that others are."""
    return [row[1] for row in (await person.client.watch(users)).users]


async def _talk_while_one_dies(town, anna, ben):
    """Both say so much, each thing until it is acknowledged; in between, the first node dies."""
    acked = {}

    async def talk(person):
        for number in range(COUNT):
            text = f"{person.device} {number}"
            acked[text] = await person.send("tea", text)
            await trio.sleep(0.02)

    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(talk, anna)
            nursery.start_soon(talk, ben)
            await trio.sleep(0.5)
            await town.cluster.processes["node-1"].kill()
    assert len(dict.fromkeys(acked.values())) == 2 * COUNT
    page = await ben.client.history("tea", after=0, limit=200)
    stored = {message.seq: message.body["text"] for message in page.messages}
    assert {seq: text for text, seq in acked.items()} == stored
