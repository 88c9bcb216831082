"""Law: what a node committed before it died is told by who comes next, or stays, and once."""

from contextlib import AsyncExitStack

import pytest
from notices import FakeOutgoing
from notified_house import DELAY_S, UNREAD_DELAY_S, open_house
from scene import CountedEntropy, VirtualClock

from triolet.adapters.memory import MemoryBus, MemoryStore, open_memory_bus
from triolet_api.notifications import planning

IN_VIRTUAL_TIME = True
ROOM = "dm:anna:ben"


@pytest.fixture
async def world():
    """What outlives a house: the store, and everything outside."""
    clock, entropy = VirtualClock(), CountedEntropy()
    return {
        "clock": clock,
        "entropy": entropy,
        "store": MemoryStore(clock=clock, entropy=entropy),
        "outgoing": FakeOutgoing(),
        "browsers": {},
    }


async def nodes_of(world):
    found = await world["store"].documents.scan("planner/", limit=9)
    return [one.key.removeprefix("planner/") for one in found]


async def test_what_was_committed_just_before_the_end_is_told_after_it(world):
    async with open_house(**world) as house:
        await house.direct("anna", "ben")
        await house.subscribe("ben")
        await house.passed(100)
        await house.say("anna", ROOM, "hello")
    assert await world["store"].jobs.counts() == []

    async with open_house(**world) as house:
        await house.passed(DELAY_S + 15)
        assert house.texts("ben") == ["hello"]

    async with open_house(**world) as house:
        await house.passed(2 * UNREAD_DELAY_S)
        assert house.texts("ben") == ["hello"]
    assert await nodes_of(world) == ["alone"]


async def test_who_was_connected_then_is_told_too(world):
    """Of those who are connected nobody had written down that they have to be looked at again."""
    async with open_house(**world) as house:
        await house.direct("anna", "ben")
        await house.subscribe("ben")
        async with house.connect("ben"):
            await house.say("anna", ROOM, "hello")
            await house.passed(UNREAD_DELAY_S - 5)
    assert house.notices("ben") == []

    async with open_house(**world) as house:
        await house.passed(DELAY_S + 15)
        assert house.texts("ben") == ["hello"]


async def test_mentions_in_large_rooms_are_found_again(world):
    async with open_house(**world) as house:
        await house.subscribe("ben")
        async with house.connect("anna") as anna:
            tea = (await anna.create(title="Tea", members=("ben",))).room
            for number in range(256):
                await anna.invite(tea, f"m{number}")
            await house.passed(100)
            await anna.send(tea, {"text": "hello"}, mentions=("ben",))

    async with open_house(**world) as house:
        await house.passed(DELAY_S + 15)
        assert house.texts("ben") == ["hello"]


async def test_what_was_long_ago_is_not_looked_at(world):
    async with open_house(**world) as house:
        await house.direct("anna", "ben")
        await house.direct("anna", "carl")
        for room in (ROOM, "dm:anna:carl", "dm:anna:carl"):
            await house.say("anna", room, "hello")
            await house.passed(600)
    asked = []
    page = world["store"].page

    async def asking(room, **how):
        asked.append(room)
        return await page(room, **how)

    world["store"].page = asking
    async with open_house(**world) as house:
        await house.passed(100)

    assert asked == ["dm:anna:carl"]


async def test_without_room_for_it_what_came_is_looked_for(world, monkeypatch):
    monkeypatch.setattr(planning, "_ROOMS_MAX", 1)
    async with open_house(**world) as house:
        for user in ("ben", "carl"):
            await house.direct("anna", user)
            await house.subscribe(user)
        async with house.connect("anna") as anna:
            for user in ("ben", "carl"):
                await anna.send(f"dm:anna:{user}", {"text": "hello"})
        await house.passed(60)

        assert (house.texts("ben"), house.texts("carl")) == (["hello"], ["hello"])


async def test_without_room_for_it_who_was_connected_is_told_too(world, monkeypatch):
    """Of looks that wait until they have had their time to read, there is a bound as well."""
    monkeypatch.setattr(planning, "_ROOMS_MAX", 1)
    async with open_house(**world) as house:
        users = ("ben", "carl", "dora")
        async with AsyncExitStack() as stack:
            for user in users:
                await house.direct("anna", user)
                await house.subscribe(user)
                await stack.enter_async_context(house.connect(user))
            async with house.connect("anna") as anna:
                for text in ("one", "two"):
                    for user in users:
                        await anna.send(f"dm:anna:{user}", {"text": text})
                        await house.passed(1)
            await house.passed(10 * UNREAD_DELAY_S)

        assert [house.texts(user)[-1:] for user in users] == [["two"]] * 3


async def test_a_node_that_died_is_swept_by_another_and_one_that_is_idle_is_not(world):
    shared = MemoryBus()
    async with AsyncExitStack() as stack:
        bus = await stack.enter_async_context(open_memory_bus(shared))
        stays = await stack.enter_async_context(open_house(**world, bus=bus))
        async with open_memory_bus(shared) as other, open_house(**world, bus=other) as dies:
            await stays.direct("anna", "ben")
            await stays.subscribe("ben")
            await stays.passed(300)
            assert len(await nodes_of(world)) == 2
            await dies.say("anna", ROOM, "hello")
        assert stays.notices("ben") == []
        await stays.passed(60)

        assert stays.texts("ben") == ["hello"]
        assert await nodes_of(world) == [stays.engine.nodes.name]
