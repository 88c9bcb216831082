"""Signing in on several nodes over PostgreSQL and Redis: what ends on one ends on all."""

from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import trio
from auth_house import ended, open_house, reason
from own_time import open_own_time

from triolet._model.limits import Limits
from triolet.adapters.system import SystemClock, SystemEntropy
from triolet.embedded import open_bus, open_store

RUNG_S = 1
PATIENCE_S = 60


@asynccontextmanager
async def houses(postgres, redis, count=2, **auth):
    """Run so many nodes on which people sign in, over a database of their own."""
    name = await trio.to_thread.run_sync(postgres.create_database)
    limits, clock, entropy = Limits(), SystemClock(), SystemEntropy()
    async with AsyncExitStack() as stack:
        nodes = []
        for _ in range(count):
            url = postgres.url(name)
            opening = open_store(url, clock=clock, entropy=entropy, limits=limits)
            store = await stack.enter_async_context(opening)
            ringing = open_bus(redis.url(), store=url, entropy=entropy, limits=limits)
            bus = await stack.enter_async_context(ringing)
            nodes.append(await stack.enter_async_context(open_house(store=store, bus=bus, **auth)))
        with trio.fail_after(PATIENCE_S):
            while not all(node.engine.ready() for node in nodes):  # noqa: ASYNC110 - it tells nobody
                await trio.sleep(0.02)
        yield nodes


async def test_a_token_that_comes_back_ends_its_sign_in_everywhere(postgres, redis):
    """Law: within a second, its sessions and access tokens, and no other's."""
    async with houses(postgres, redis, reuse_grace_s=0) as (one, other):
        stolen = await one.sign_up("anna", device="stolen")
        kept = await other.sign_in("anna", device="kept")
        async with (
            other.connect(stolen["access_token"]) as victim,
            other.connect(kept["access_token"]) as bystander,
            open_own_time() as time,
        ):
            second = (await other.refresh(stolen["refresh_token"])).json()
            answer = await one.refresh(stolen["refresh_token"])
            assert reason(answer) == (401, "token_invalid")
            began = time.now()
            with trio.fail_after(PATIENCE_S):
                assert await ended(victim) == 4001
            assert time.now() - began <= RUNG_S
            await bystander.create("group")
        for node in (one, other):
            assert not await node.is_in(second["access_token"])
            assert await node.is_in(kept["access_token"])


@pytest.mark.parametrize("count", [6])
async def test_those_who_refresh_at_once_on_several_nodes_go_on_with_one_token(
    postgres, redis, count
):
    """Law: however the database lets them in, one rotates, and all get what it got."""
    async with houses(postgres, redis) as nodes:
        first, found = await nodes[0].sign_up("anna"), []

        async def ask(node):
            answer = await node.refresh(first["refresh_token"])
            found.append(answer.json()["refresh_token"])

        async with trio.open_nursery() as nursery:
            for number in range(count):
                nursery.start_soon(ask, nodes[number % 2])
        assert len(found) == count
        assert len(set(found)) == 1
        assert found[0] != first["refresh_token"]


async def test_a_name_is_registered_by_one_of_several_at_once(postgres, redis):
    """Law: two people never get one name, whichever nodes they ask."""
    async with houses(postgres, redis) as nodes:
        statuses = []

        async def ask(node, user):
            body = {"user": user, "password": "correct horse"}
            statuses.append((await node.post("/auth/register", **body)).status_code)

        async with trio.open_nursery() as nursery:
            for number, user in enumerate(("anna", "Anna", "ANNA", "aNNa")):
                nursery.start_soon(ask, nodes[number % 2], user)
        assert sorted(statuses) == [201, 409, 409, 409]
