"""Law: what signing in keeps of somebody is erased, but that the name is taken."""

import pytest
from auth_house import PASSWORD, open_house, reason

from triolet_api.auth.invites import Invites
from triolet_api.auth.keeping import SignInKeeper


@pytest.fixture
async def house():
    async with open_house() as house:
        yield house


async def test_an_account_is_closed_and_its_name_stays_taken(house):
    await house.sign_up()
    keeper = SignInKeeper(house.engine.store.documents)
    for _ in range(2):
        await keeper.close("anna")

    answer = await house.post("/auth/login", user="anna", password=PASSWORD)
    assert reason(answer) == (401, "unauthenticated")
    answer = await house.post("/auth/register", user="anna", password=PASSWORD)
    assert reason(answer) == (409, "already_exists")


async def test_who_is_called_almost_so_and_comes_from_elsewhere_is_somebody_else(house):
    await house.sign_up()
    await SignInKeeper(house.engine.store.documents).close("Anna")

    await house.sign_in()


async def test_of_who_has_no_account_nothing_becomes_taken(house):
    await SignInKeeper(house.engine.store.documents).close("anna")

    await house.sign_up()


async def test_invites_of_who_is_gone_are_no_good(house):
    documents = house.engine.store.documents
    invites = Invites(documents, clock=house.clock, entropy=house.engine.entropy)
    for by in ("anna", "ben", "anna"):
        await invites.make(by, uses=1, ttl_s=60)
    await SignInKeeper(documents).close("anna")

    assert [one.by for one in await invites.page(limit=9)] == ["ben"]


async def test_sign_ins_are_below_one_prefix(house):
    await house.sign_up()
    documents = house.engine.store.documents
    (prefix,) = await SignInKeeper(documents).documents_of("anna")

    assert len(await documents.scan(prefix, limit=9)) == 1
