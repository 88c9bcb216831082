"""Law: what is begun while an account is changed does not outlive the change."""

import pytest
import trio
from auth_house import PASSWORD, open_house, reason

from triolet._model.errors import ErrorCode, Refusal
from triolet_api.auth.signing_in import Device

NEW = "another horse"


@pytest.fixture
async def house():
    async with open_house() as house:
        yield house


def signing_in_of(house):
    return house.parts[0]._signing_in


async def at_the_last_moment(house, monkeypatch, change):
    """Have `change` happen while somebody signs in, after the password was compared."""
    families = signing_in_of(house).families
    begin = families.begin

    async def late(user, **device):
        monkeypatch.setattr(families, "begin", begin)
        await change()
        return await begin(user, **device)

    monkeypatch.setattr(families, "begin", late)


async def test_a_password_that_was_just_changed_lets_nobody_in(house, monkeypatch):
    signing_in = signing_in_of(house)
    await house.sign_up()

    async def change():
        await signing_in.change_password("anna", PASSWORD, NEW, family="")

    await at_the_last_moment(house, monkeypatch, change)
    with pytest.raises(Refusal) as refused:
        await signing_in.sign_in("anna", PASSWORD, Device())
    assert refused.value.code == ErrorCode.UNAUTHENTICATED
    assert await signing_in.families.of("anna") == []


async def test_a_role_that_was_just_taken_is_in_no_token(house, monkeypatch):
    """Also not in one of who signs in meanwhile, which is made after all others were revoked."""
    await house.sign_up()
    path, root = "/admin/accounts/anna", house.root()
    await house.call("PATCH", path, token=root, json={"roles": ["admin"]})
    accounts = signing_in_of(house).accounts
    authenticate = accounts.authenticate

    async def late(name, password):
        account = await authenticate(name, password)
        await house.call("PATCH", path, token=root, json={"roles": []})
        return account

    monkeypatch.setattr(accounts, "authenticate", late)
    tokens = await house.sign_in()
    answer = await house.call("GET", "/auth/me", token=tokens["access_token"])
    assert (answer.status_code, answer.json()["roles"]) == (200, [])


async def test_who_knew_the_old_password_cannot_replace_the_new_one(house, monkeypatch):
    """An operator has just given another, as the old one is known to somebody."""
    signing_in = signing_in_of(house)
    await house.sign_up()
    accounts = signing_in.accounts
    authenticate = accounts.authenticate

    async def late(name, password):
        account = await authenticate(name, password)
        await accounts.set_password("anna", NEW)
        return account

    monkeypatch.setattr(accounts, "authenticate", late)
    with pytest.raises(Refusal) as refused:
        await signing_in.change_password("anna", PASSWORD, "the thief's horse", family="")
    assert refused.value.code == ErrorCode.UNAUTHENTICATED
    monkeypatch.undo()
    assert (await accounts.authenticate("anna", NEW)).user == "anna"


async def test_who_changes_a_password_and_leaves_has_ended_all_others(house, monkeypatch):
    """They could not ask again: the old password is none any more."""
    signing_in = signing_in_of(house)
    other = await house.sign_up()
    set_password = signing_in.accounts.set_password
    with trio.CancelScope() as scope:

        async def leaving(name, password, **how):
            scope.cancel()
            return await set_password(name, password, **how)

        monkeypatch.setattr(signing_in.accounts, "set_password", leaving)
        await signing_in.change_password("anna", PASSWORD, NEW, family="")
    assert (await signing_in.accounts.authenticate("anna", NEW)).user == "anna"
    assert reason(await house.refresh(other["refresh_token"])) == (401, "token_invalid")


async def test_who_was_just_disabled_goes_on_nowhere(house):
    """Also where the disabling did not get as far as the families."""
    signing_in, first = signing_in_of(house), await house.sign_up()
    await signing_in.accounts.set_disabled("anna", disabled=True)
    assert reason(await house.refresh(first["refresh_token"])) == (403, "banned")
    await signing_in.accounts.set_disabled("anna", disabled=False)
    assert reason(await house.refresh(first["refresh_token"])) == (401, "token_invalid")
    assert not await house.is_in(first["access_token"])


async def test_who_was_removed_goes_on_nowhere(house):
    first = await house.sign_up()
    await signing_in_of(house).accounts.remove("anna")
    assert reason(await house.refresh(first["refresh_token"])) == (401, "token_invalid")


async def test_who_signs_in_after_a_revocation_by_a_clock_ahead_is_in(house):
    """Their token is made as if it were later, within what gates bear."""
    from triolet.ports.people import Revocation

    await house.sign_up()
    ahead = house.clock.now_ms() + 5000
    await house.engine.store.revoke(Revocation("anna", ahead))
    tokens = await house.sign_in()
    assert await house.is_in(tokens["access_token"])


async def test_two_who_register_one_name_at_once_are_one_person(house):
    statuses = []

    async def ask():
        answer = await house.post("/auth/register", user="anna", password=PASSWORD)
        statuses.append(answer.status_code)

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(ask)
    assert sorted(statuses) == [201, 409, 409, 409, 409]
