"""Law: an invite is good so often and so long, and is used with what it is used for."""

import pytest

from triolet._model.errors import ErrorCode, Refusal
from triolet.adapters.memory import open_memory_store
from triolet.testing.contracts.home import StandingClock
from triolet.testing.entropy import CountingEntropy
from triolet_api.auth.invites import Invites


@pytest.fixture
def clock():
    return StandingClock()


@pytest.fixture
async def store(clock):
    async with open_memory_store(clock=clock, entropy=CountingEntropy()) as store:
        yield store


@pytest.fixture
def invites(store, clock):
    return Invites(store.documents, clock=clock, entropy=CountingEntropy())


async def is_good(invites, code):
    try:
        await invites.use(code)
    except Refusal as refusal:
        if refusal.code is ErrorCode.FORBIDDEN:
            return False
        raise
    return True


async def test_it_is_good_so_often(store, invites):
    code, made = await invites.make("root", uses=2, ttl_s=60)
    for left in (1, 0):
        assert await store.documents.write([await invites.use(code)])
        assert [one.uses for one in await invites.page(limit=9)] == [left] * bool(left)
    assert not await is_good(invites, code)
    assert made.by == "root"


async def test_two_at_once_do_not_use_the_last_one_twice(store, invites):
    code, _ = await invites.make("root", uses=1, ttl_s=60)
    first, second = await invites.use(code), await invites.use(code)
    assert await store.documents.write([first])
    assert not await store.documents.write([second])


async def test_it_is_good_so_long(clock, invites):
    code, made = await invites.make("root", uses=1, ttl_s=60)
    clock.ms = made.expires_at - 1
    assert await is_good(invites, code)
    clock.ms += 1
    assert not await is_good(invites, code)
    assert await invites.page(limit=9) == []


async def test_what_is_kept_of_it_is_no_code(invites):
    code, made = await invites.make("root", uses=1, ttl_s=60)
    assert code not in repr(made)
    assert not await is_good(invites, made.id)


async def test_it_can_be_taken_back(invites):
    code, made = await invites.make("root", uses=1, ttl_s=60)
    await invites.remove(made.id)
    await invites.remove(made.id)
    assert not await is_good(invites, code)
