"""Law: what is read before it was due is told by nothing, and what came after it still is."""

import pytest
import trio
from notified_house import DELAY_S, open_house

from triolet._model.errors import StoreUnavailable
from triolet._model.limits import Limits
from triolet_api.notifications.rings import ROOM

IN_VIRTUAL_TIME = True
TEA = "dm:anna:ben"
# Marks are written, and doorbells taken back, within it.
SOON_S = Limits().marks_interval_s + 1


@pytest.fixture
async def house():
    async with open_house() as house:
        await house.direct("anna", "ben")
        await house.subscribe("ben")
        yield house


async def read(house, user="ben"):
    async with house.connect(user) as one:
        (row,) = [row for row in (await one.rooms()).rooms if row.room == TEA]
        await one.receipt(TEA, read=row.head)
        await trio.sleep(0.2)


async def waiting(house):
    found = {one.kind: one.waiting for one in await house.engine.store.jobs.counts()}
    return found.get(ROOM, 0)


async def test_a_read_takes_back_what_waits(house):
    await house.say("anna", TEA, "hello")
    await house.passed(1)
    assert await waiting(house) == 1
    await read(house)
    await house.passed(SOON_S)

    assert await waiting(house) == 0
    await house.passed(2 * DELAY_S)
    assert house.notices("ben") == []


async def test_what_comes_after_it_is_told(house):
    await house.say("anna", TEA, "hello")
    await house.passed(1)
    await read(house)
    await house.passed(SOON_S)
    await house.say("anna", TEA, "are you there?")
    await house.passed(2 * DELAY_S)

    assert house.texts("ben") == ["are you there?"]


async def test_who_has_read_only_some_is_told_of_the_rest(house):
    await house.say("anna", TEA, "hello")
    await house.passed(1)
    async with house.connect("ben") as ben:
        (row,) = [row for row in (await ben.rooms()).rooms if row.room == TEA]
        await house.say("anna", TEA, "are you there?")
        await ben.receipt(TEA, read=row.head)
    await house.passed(3 * DELAY_S + 30)

    assert house.texts("ben") == ["are you there?"]


async def test_where_it_cannot_be_taken_back_it_is_found_void_when_it_is_due(house):
    async def fail(kind, keys):
        raise StoreUnavailable("away")

    await house.say("anna", TEA, "hello")
    await house.passed(1)
    house.engine.jobs.withdraw = fail
    await read(house)
    await house.passed(2 * DELAY_S)

    assert await waiting(house) == 0
    assert house.notices("ben") == []


async def test_what_another_node_has_found_waiting_is_rung_again(house):
    """It was for a message of theirs, too, and was taken back for one that is read."""
    taken = house.engine.jobs.withdraw

    async def withdraw(kind, keys):
        # As if it had come at that other node, whose doorbell waited for nothing more.
        house.engine.sequencer.notifier = None
        await house.say("anna", TEA, "are you there?")
        return await taken(kind, keys)

    await house.say("anna", TEA, "hello")
    await house.passed(1)
    house.engine.jobs.withdraw = withdraw
    await read(house)
    await house.passed(3 * DELAY_S)

    assert house.texts("ben") == ["are you there?"]
