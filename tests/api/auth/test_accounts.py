"""Law: a name is one person's for ever, and what ends an account ends what was begun for it."""

import pytest
from msgspec.structs import replace

from triolet._model.errors import ErrorCode, Refusal, StoreUnavailable
from triolet.adapters.memory import open_memory_store
from triolet.ports.documents import Change
from triolet.testing.contracts.home import StandingClock
from triolet.testing.entropy import CountingEntropy
from triolet_api.auth.accounts import Accounts
from triolet_api.auth.hashing import Hashing
from triolet_api.auth.settings import AuthSettings

PASSWORD, NEW = "correct horse", "another horse"


class Plain:
    """Hashes that can be read, and are counted."""

    def __init__(self):
        self.mark, self.count = "1", 0

    def hash(self, password):
        self.count += 1
        return f"{self.mark}:{password}"

    def verify(self, hashed, password):
        self.count += 1
        return hashed.partition(":")[2] == password

    def is_outdated(self, hashed):
        return not hashed.startswith(self.mark)


class Stage:
    def __init__(self, store, clock):
        self.store, self.clock, self.hashes = store, clock, Plain()
        settings = AuthSettings()
        hashing = Hashing(settings, self.hashes)
        self.accounts = Accounts(store.documents, store, hashing, clock=clock, settings=settings)


@pytest.fixture
async def stage():
    clock = StandingClock()
    async with open_memory_store(clock=clock, entropy=CountingEntropy()) as store:
        yield Stage(store, clock)


@pytest.fixture
def accounts(stage):
    return stage.accounts


async def refusal(awaitable):
    with pytest.raises(Refusal) as refused:
        await awaitable
    return refused.value.code


async def test_a_password_is_its_accounts(accounts):
    made = await accounts.register("Anna", PASSWORD)
    assert await accounts.authenticate("ANNA", PASSWORD) == made
    for name, password in (("anna", NEW), ("ben", PASSWORD), ("anna", "")):
        code = await refusal(accounts.authenticate(name, password))
        assert code == ErrorCode.UNAUTHENTICATED


async def test_whether_there_is_an_account_costs_no_other_work(stage):
    """As many hashes, and as many questions to the store."""
    accounts = stage.accounts
    await accounts.register("anna", PASSWORD)
    await accounts.remove((await accounts.register("gone", PASSWORD)).user)
    await refusal(accounts.authenticate("nobody", NEW))  # nobody's hash is made
    costs = []
    for name in ("anna", "nobody", "gone"):
        before = stage.hashes.count
        await refusal(accounts.authenticate(name, NEW))
        costs.append(stage.hashes.count - before)
    assert costs == [1, 1, 1]


async def test_parameters_that_were_changed_reach_a_hash_at_the_next_sign_in(stage):
    made = await stage.accounts.register("anna", PASSWORD)
    stage.hashes.mark = "2"
    await refusal(stage.accounts.authenticate("anna", NEW))
    assert (await stage.accounts.find("anna")).password == f"1:{PASSWORD}"
    await stage.accounts.authenticate("anna", PASSWORD)
    assert (await stage.accounts.find("anna")).password == f"2:{PASSWORD}"
    assert await stage.accounts.present(made)


async def test_what_is_written_with_an_account_is_written_with_it_alone(stage):
    spent = Change("invite/x", b"", 7)
    with pytest.raises(StoreUnavailable, match="try again"):
        await stage.accounts.register("anna", PASSWORD, also=[spent])
    assert await stage.accounts.find("anna") is None
    await stage.accounts.register("anna", PASSWORD, also=[replace(spent, version=0)])
    assert await refusal(stage.accounts.register("anna", NEW)) == ErrorCode.ALREADY_EXISTS


async def test_a_removed_name_stays_taken_until_an_operator_gives_it(accounts):
    before = await accounts.register("anna", PASSWORD)
    await accounts.remove("Anna")
    assert await accounts.find("anna") is None
    assert await refusal(accounts.authenticate("anna", PASSWORD)) == ErrorCode.UNAUTHENTICATED
    assert await refusal(accounts.register("anna", NEW)) == ErrorCode.ALREADY_EXISTS
    assert await refusal(accounts.remove("anna")) == ErrorCode.NO_SUCH_ENTRY
    await accounts.add("anna", NEW, roles=["admin"])
    assert await accounts.present(before) is None
    assert (await accounts.authenticate("anna", NEW)).roles == ("admin",)
    assert await refusal(accounts.add("anna", NEW)) == ErrorCode.ALREADY_EXISTS


async def test_an_operator_may_give_reserved_names(accounts):
    assert await refusal(accounts.register("admin", PASSWORD)) == ErrorCode.INVALID_FIELD
    assert (await accounts.add("Admin", PASSWORD)).user == "admin"
    assert await refusal(accounts.add("ben", "short")) == ErrorCode.INVALID_FIELD


@pytest.mark.parametrize("how", ["password", "disabled", "enabled", "removed"])
async def test_what_ends_an_account_is_seen_by_who_began_before(accounts, how):
    made = await accounts.register("anna", PASSWORD)
    assert await accounts.present(made) == made
    if how == "password":
        await accounts.set_password("anna", NEW)
    elif how == "removed":
        await accounts.remove("anna")
    else:
        await accounts.set_disabled("anna", disabled=how == "disabled")
    assert await accounts.present(made) is None


async def test_roles_and_tier_change_alone(accounts):
    await accounts.register("anna", PASSWORD)
    await accounts.set_standing("anna", roles=["admin"])
    _, changed = await accounts.set_standing("anna", tier="service")
    assert (changed.roles, changed.tier) == (("admin",), "service")
    assert await refusal(accounts.set_standing("ben", tier="x")) == ErrorCode.NO_SUCH_ENTRY


async def test_they_are_listed_page_by_page(accounts):
    for name in ("anna", "ben", "cleo", "dora"):
        await accounts.register(name, PASSWORD)
    await accounts.remove("ben")
    first, after = await accounts.page(limit=3)
    assert ([one.user for one in first], after) == (["anna", "cleo"], "cleo")
    rest, after = await accounts.page(after=after, limit=3)
    assert ([one.user for one in rest], after) == (["dora"], "")
