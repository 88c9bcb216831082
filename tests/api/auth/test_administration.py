"""Law: what an admin takes from somebody is gone within a second; others may do nothing here."""

import pytest
import trio
from auth_house import PASSWORD, ended, open_house, reason

from triolet._model.errors import StoreUnavailable

NEW = "another horse"


@pytest.fixture
async def house():
    async with open_house() as house:
        yield house


async def change(house, user, **what):
    return await house.call("PATCH", f"/admin/accounts/{user}", token=house.root(), json=what)


async def test_an_account_from_its_beginning_to_its_end(house):
    root = house.root()
    made = await house.post(
        "/admin/accounts", token=root, user="Support", password=PASSWORD, roles=["helper"]
    )
    assert made.status_code == 201
    assert (made.json()["user"], made.json()["roles"]) == ("support", ["helper"])
    assert "password" not in made.json()
    again = await house.post("/admin/accounts", token=root, user="support", password=PASSWORD)
    assert reason(again) == (409, "already_exists")
    shown = await house.call("GET", "/admin/accounts/SUPPORT", token=root)
    assert shown.json() == made.json()
    await house.sign_in("support")
    assert (await change(house, "support", tier="service")).json()["tier"] == "service"
    gone = await house.call("DELETE", "/admin/accounts/support", token=root)
    assert gone.status_code == 204
    for method in ("GET", "DELETE"):
        answer = await house.call(method, "/admin/accounts/support", token=root)
        assert reason(answer) == (404, "no_such_entry")
    assert reason(await change(house, "support", tier="x")) == (404, "no_such_entry")


async def test_they_are_listed(house):
    for name in ("anna", "ben", "cleo"):
        await house.sign_up(name)
    page = await house.call("GET", "/admin/accounts?limit=2", token=house.root())
    assert [one["user"] for one in page.json()["accounts"]] == ["anna", "ben"]
    rest = await house.call(
        "GET", f"/admin/accounts?limit=2&after={page.json()['after']}", token=house.root()
    )
    assert [one["user"] for one in rest.json()["accounts"]] == ["cleo"]
    assert rest.json()["after"] == ""


@pytest.mark.parametrize("what", [{"disabled": True}, {"password": NEW}, {"removed": True}])
async def test_what_ends_an_account_ends_all_that_was_begun(house, what, leaping):
    tokens = await house.sign_up()
    async with house.connect(tokens["access_token"]) as anna:
        if "removed" in what:
            await house.call("DELETE", "/admin/accounts/anna", token=house.root())
        else:
            assert (await change(house, "anna", **what)).status_code == 200
        with leaping(), trio.fail_after(1):
            assert await ended(anna) == 4001
    assert not await house.is_in(tokens["access_token"])
    assert (await house.refresh(tokens["refresh_token"])).status_code in (401, 403)


async def test_a_role_that_is_taken_is_gone_at_once_and_the_sign_in_stays(house):
    await house.sign_up()
    await change(house, "anna", roles=["admin"], tier="premium")
    tokens = await house.sign_in()
    assert (
        await house.call("GET", "/admin/accounts", token=tokens["access_token"])
    ).status_code == 200
    await change(house, "anna", roles=[])
    assert not await house.is_in(tokens["access_token"])
    again = (await house.refresh(tokens["refresh_token"])).json()
    answer = await house.call("GET", "/admin/accounts", token=again["access_token"])
    assert reason(answer) == (403, "forbidden")


async def test_a_role_is_taken_at_last_by_who_asks_again(house, monkeypatch):
    """The store failed after the account was written, and before its tokens were revoked."""
    await house.sign_up()
    await change(house, "anna", roles=["admin"])
    store = house.engine.store

    async def fails(revocation):
        raise StoreUnavailable("gone")

    monkeypatch.setattr(store, "revoke", fails)
    assert (await change(house, "anna", roles=[])).status_code == 503
    monkeypatch.undo()
    assert await store.revoked("anna") == 0
    assert (await change(house, "anna", roles=[])).status_code == 200
    assert await store.revoked("anna") > 0


async def test_an_account_is_removed_at_last_by_who_asks_again(house, monkeypatch):
    """Nothing of it is left that nobody could ask to be ended."""
    await house.sign_up()
    store, path = house.engine.store, "/admin/accounts/anna"

    async def fails(revocation):
        raise StoreUnavailable("gone")

    monkeypatch.setattr(store, "revoke", fails)
    assert (await house.call("DELETE", path, token=house.root())).status_code == 503
    monkeypatch.undo()
    assert (await house.call("DELETE", path, token=house.root())).status_code == 204
    assert await store.revoked("anna") > 0


async def test_what_is_given_ends_nothing(house):
    tokens = await house.sign_up()
    await change(house, "anna", roles=["admin"], tier="premium")
    await change(house, "anna", disabled=False)
    assert await house.is_in(tokens["access_token"])


async def test_invites(house):
    root = house.root()
    made = (await house.post("/admin/invites", token=root, uses=3)).json()
    listed = (await house.call("GET", "/admin/invites", token=root)).json()["invites"]
    assert [(one["id"], one["uses"], one["by"]) for one in listed] == [(made["id"], 3, "root")]
    assert made["code"] not in str(listed)
    await house.call("DELETE", f"/admin/invites/{made['id']}", token=root)
    assert (await house.call("GET", "/admin/invites", token=root)).json() == {"invites": []}


async def test_none_of_it_is_for_others(house):
    token = (await house.sign_up())["access_token"]
    for method, path in (
        ("GET", "accounts"),
        ("POST", "accounts"),
        ("GET", "accounts/anna"),
        ("PATCH", "accounts/anna"),
        ("DELETE", "accounts/anna"),
        ("GET", "invites"),
        ("POST", "invites"),
        ("DELETE", f"invites/{'0' * 64}"),
    ):
        answer = await house.call(method, f"/admin/{path}", token=token, json={})
        assert reason(answer) == (403, "forbidden")
        assert (await house.call(method, f"/admin/{path}", json={})).status_code == 401
