"""Law: who knows a password gets tokens, and nobody learns anything by trying others."""

import pytest
import trio
from auth_house import PASSWORD, ended, open_house, open_two, reason

from triolet._model.errors import ErrorCode, Refusal
from triolet.ports.people import Person
from triolet_api.auth.names import RESERVED


@pytest.fixture
async def house():
    async with open_house() as house:
        yield house


class TestRegister:
    async def test_an_account_is_made_and_signed_in(self, house):
        tokens = await house.sign_up("Anna", device="phone")
        assert tokens["user"] == "anna"
        assert (tokens["token_type"], tokens["expires_in"]) == ("Bearer", 900)
        me = (await house.call("GET", "/auth/me", token=tokens["access_token"])).json()
        assert (me["user"], me["roles"], me["tier"]) == ("anna", [], "")
        assert me["session"] == tokens["refresh_token"].split(":")[1]
        async with house.connect(tokens["access_token"]) as anna:
            assert anna.user == "anna"

    @pytest.mark.parametrize("name", ["anna", "ANNA", "Anna"])
    async def test_a_name_is_one_persons_in_any_case(self, house, name):
        await house.sign_up("anna")
        answer = await house.post("/auth/register", user=name, password="another horse")
        assert reason(answer) == (409, "already_exists")
        await house.sign_in(name)

    @pytest.mark.parametrize(
        ("user", "password"),
        [
            ("anna", "short"),
            ("anna", "qwertyuiop"),
            ("ad min", PASSWORD),
            (min(RESERVED), PASSWORD),
        ],
    )
    async def test_what_does_not_do(self, house, user, password):
        answer = await house.post("/auth/register", user=user, password=password)
        assert reason(answer) == (422, "invalid_field")
        assert password not in answer.text

    async def test_who_came_by_tokens_from_elsewhere_keeps_the_name(self, house):
        """Whoever registered it would have that person's rooms."""
        await house.engine.store.put_people([Person("ben", last_seen=5)])
        answer = await house.post("/auth/register", user="ben", password=PASSWORD)
        assert reason(answer) == (409, "already_exists")

    async def test_it_can_be_closed(self):
        async with open_house(registration="closed") as house:
            answer = await house.post("/auth/register", user="anna", password=PASSWORD)
            assert reason(answer) == (403, "forbidden")

    async def test_it_can_be_by_invite(self):
        async with open_house(registration="invite") as house:
            made = await house.post("/admin/invites", token=house.root(), uses=2)
            code = made.json()["code"]
            await house.sign_up("anna", invite=code)
            for invite in ("", "x", made.json()["id"]):
                answer = await house.post(
                    "/auth/register", user="eve", password=PASSWORD, invite=invite
                )
                assert reason(answer) == (403, "forbidden")
            taken = await house.post("/auth/register", user="anna", password=PASSWORD, invite=code)
            assert reason(taken) == (409, "already_exists")
            await house.sign_up("ben", invite=code)
            spent = await house.post("/auth/register", user="eve", password=PASSWORD, invite=code)
            assert reason(spent) == (403, "forbidden")


class TestLogin:
    async def test_who_does_not_know_the_password_learns_nothing(self, house):
        await house.sign_up("anna")
        wrong = await house.post("/auth/login", user="anna", password="wrong horse")
        nobody = await house.post("/auth/login", user="nobody.here", password="wrong horse")
        assert reason(wrong) == (401, "unauthenticated")
        assert (wrong.status_code, wrong.content) == (nobody.status_code, nobody.content)
        assert set(wrong.headers) == set(nobody.headers)

    async def test_a_disabled_account_is_told_to_its_owner_alone(self, house):
        await house.sign_up("anna")
        change = {"disabled": True}
        await house.call("PATCH", "/admin/accounts/anna", token=house.root(), json=change)
        wrong = await house.post("/auth/login", user="anna", password="wrong horse")
        right = await house.post("/auth/login", user="anna", password=PASSWORD)
        assert reason(wrong) == (401, "unauthenticated")
        assert reason(right) == (403, "banned")

    async def test_each_sign_in_is_its_own(self, house):
        first, second = await house.sign_up("anna"), await house.sign_in("anna")
        await house.post("/auth/logout", refresh_token=first["refresh_token"])
        assert not await house.is_in(first["access_token"])
        assert await house.is_in(second["access_token"])


class TestRefresh:
    async def test_the_next_tokens_are_good_and_the_last_session_goes_on(self, house):
        first = await house.sign_up()
        second = (await house.refresh(first["refresh_token"])).json()
        assert second["refresh_token"] != first["refresh_token"]
        assert await house.is_in(second["access_token"])
        assert await house.is_in(first["access_token"])

    @pytest.mark.parametrize("token", ["", "x", "anna:" + "x" * 22 + ":0:" + "y" * 43])
    async def test_what_is_none(self, house, token):
        assert (await house.refresh(token)).status_code == 401

    async def test_who_did_not_get_the_answer_gets_the_same(self, house):
        first = await house.sign_up()
        second, again = [(await house.refresh(first["refresh_token"])).json() for _ in range(2)]
        assert second["refresh_token"] == again["refresh_token"]
        assert await house.is_in(again["access_token"])

    async def test_a_role_given_counts_from_the_next_one(self, house):
        first = await house.sign_up()
        change = {"roles": ["admin"]}
        await house.call("PATCH", "/admin/accounts/anna", token=house.root(), json=change)
        second = (await house.refresh(first["refresh_token"])).json()
        me = (await house.call("GET", "/auth/me", token=second["access_token"])).json()
        assert me["roles"] == ["admin"]


async def test_a_token_that_comes_back_closes_its_sessions_everywhere_and_no_others(leaping):
    """Within a second, on the node that was not asked as well."""
    async with open_two(reuse_grace_s=0) as (one, other):
        stolen = await one.sign_up("anna", device="stolen")
        kept = await other.sign_in("anna", device="kept")
        async with (
            other.connect(stolen["access_token"]) as victim,
            other.connect(kept["access_token"]) as bystander,
        ):
            await one.refresh(stolen["refresh_token"])
            answer = await one.refresh(stolen["refresh_token"])
            assert reason(answer) == (401, "token_invalid")
            with leaping(), trio.fail_after(1):
                assert await ended(victim) == 4001
            await bystander.create("group")
        for node in (one, other):
            assert not await node.is_in(stolen["access_token"])
            assert await node.is_in(kept["access_token"])


class TestLogout:
    async def test_it_ends_this_sign_in_whatever_token_is_shown(self, house):
        first = await house.sign_up()
        second = (await house.refresh(first["refresh_token"])).json()
        answer = await house.post("/auth/logout", refresh_token=first["refresh_token"])
        assert answer.status_code == 204
        assert not await house.is_in(second["access_token"])
        assert (await house.refresh(second["refresh_token"])).status_code == 401

    async def test_what_is_no_token_changes_nothing(self, house):
        first = await house.sign_up()
        for token in ("", "x", first["refresh_token"][:-1] + "!"):
            assert (await house.post("/auth/logout", refresh_token=token)).status_code == 204
        assert await house.is_in(first["access_token"])


class Watching:
    """Attempts that are noted; and refused, if so told."""

    def __init__(self):
        self.log, self.refusal = [], None

    async def check(self, attempt):
        self.log.append(("check", attempt))
        if self.refusal is not None:
            raise self.refusal

    async def failed(self, attempt):
        self.log.append(("failed", attempt))

    async def succeeded(self, attempt):
        self.log.append(("succeeded", attempt))


async def test_every_attempt_is_told_before_and_after():
    """And where it is refused beforehand, no password is looked at."""
    watching = Watching()
    async with open_house(attempts=watching) as house:
        await every_attempt(house, watching)


async def every_attempt(house, watching):
    tokens = await house.sign_up("Anna")
    await house.post("/auth/register", user="anna", password=PASSWORD)
    wrong = {"user": "ANNA", "password": "wrong horse"}
    await house.post("/auth/login", headers={"X-Captcha": "solved"}, **wrong)
    access = tokens["access_token"]
    await house.post("/auth/password", token=access, old="wrong horse", new="new old horse")
    told = [(what, one.kind, one.user, one.captcha) for what, one in watching.log]
    assert told == [
        ("check", "register", "anna", ""),
        ("succeeded", "register", "anna", ""),
        ("check", "register", "anna", ""),
        ("failed", "register", "anna", ""),
        ("check", "login", "anna", "solved"),
        ("failed", "login", "anna", "solved"),
        ("check", "password", "anna", ""),
        ("failed", "password", "anna", ""),
    ]
    assert {one.address for _, one in watching.log} == {"127.0.0.1"}

    watching.refusal = Refusal(ErrorCode.RATE_LIMITED, retry_after_ms=5000)
    for path in ("login", "register"):
        answer = await house.post(f"/auth/{path}", user="anna", password=PASSWORD)
        assert reason(answer) == (429, "rate_limited")
        assert answer.headers["Retry-After"] == "5"
