"""Presence over HTTP: nobody is told more than they may see."""

import pytest
import trio

from triolet._model.commands import Create, SetPresence
from triolet._model.errors import ErrorCode, Refusal
from triolet.embedded import open_engine
from triolet.ports.gate import FOREVER, Identity
from triolet_api.composition import open_api
from triolet_api.settings import Settings

# In which three have arrived, on a machine that is busy with other things.
PATIENCE_S = 60


class Names:
    """A gate to which a token is a name; `root` is an admin."""

    async def admit(self, token, opening):
        await trio.lowlevel.checkpoint()
        if token is None:
            raise Refusal(ErrorCode.UNAUTHENTICATED)
        roles = ("admin",) * (token == "root")
        return Identity(user=token, expires_at=FOREVER, roles=roles)

    def may(self, who, action, *, room="", user=""):
        return None


class House:
    def __init__(self, engine, client):
        self.engine = engine
        self._client = client

    async def ask(self, user, path):
        headers = {"Authorization": f"Bearer {user}"}
        answer = await self._client.get(f"/v1{path}", headers=headers)
        return answer.status_code, answer.json()


@pytest.fixture
async def house(serving):
    """Anna, Ben and Cleo are here; Anna and Ben share a room, and Cleo is a stranger."""
    async with (
        open_engine(gate=Names()) as engine,
        open_api(engine, Settings()) as api,
        serving(api.app) as host,
        host.client() as client,
        engine.connect("anna"),
        engine.connect("ben"),
        engine.connect("cleo"),
    ):
        anna = Identity(user="anna", expires_at=FOREVER)
        await engine.ask(anna, Create(kind="group", room="tea", members=["ben"]))
        with trio.fail_after(PATIENCE_S):
            while await engine.online_count() < 3:  # noqa: ASYNC110 - nothing tells it
                await trio.sleep(0.1)
        yield House(engine, client)


async def test_one_sees_those_one_shares_a_room_with(house):
    status, page = await house.ask("anna", "/presence?users=ben&users=cleo&users=anna&users=ben")

    assert (status, page) == (200, {"users": [["ben", "online", 0], ["anna", "online", 0]]})


async def test_one_is_told_what_one_has_said_oneself(house):
    """At once, though a status is written a little later; and without a session, as it is kept."""
    _, before = await house.ask("ben", "/presence/me")
    ben = Identity(user="ben", expires_at=FOREVER)
    await house.engine.ask(ben, SetPresence(status="invisible", visible_to="nobody"))
    _, after = await house.ask("ben", "/presence/me")
    dora = Identity(user="dora", expires_at=FOREVER)
    await house.engine.ask(dora, SetPresence(status="dnd"))
    _, away = await house.ask("dora", "/presence/me")

    assert before == {"status": "", "visible_to": "shared"}
    assert after == {"status": "invisible", "visible_to": "nobody"}
    assert away == {"status": "dnd", "visible_to": "shared"}


async def test_who_hides_is_not_seen(house):
    ben = Identity(user="ben", expires_at=FOREVER)
    await house.engine.ask(ben, SetPresence(status="invisible"))
    _, page = await house.ask("anna", "/presence?users=ben")
    _, online = await house.ask("root", "/online")

    assert page["users"][0][:2] == ["ben", "offline"]
    assert [user for user, _ in online["users"]] == ["anna", "cleo"]


async def test_the_list_is_for_admins_and_paged(house):
    status, refusal = await house.ask("anna", "/online")
    assert (status, refusal["reason"]) == (403, "forbidden")
    _, first = await house.ask("root", "/online?limit=2")
    _, rest = await house.ask("root", f"/online?limit=2&after={first['after']}")

    assert [user for user, _ in first["users"] + rest["users"]] == ["anna", "ben", "cleo"]
    assert (first["is_whole"], rest["after"]) == (True, None)


async def test_everybody_may_count(house):
    assert await house.ask("anna", "/online/count") == (200, {"online": 3})


@pytest.mark.parametrize(
    "path", ["/presence", "/presence?users=a%20b", "/online?limit=0", "/online?after=a%20b"]
)
async def test_what_is_no_question_is_refused(house, path):
    status, refusal = await house.ask("root", path)

    assert (status, refusal["reason"]) == (422, "invalid_field")
