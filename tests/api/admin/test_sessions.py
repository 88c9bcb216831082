"""Sessions over HTTP: those of all nodes, seen and ended by admins alone."""

import pytest
import trio
from admin_house import PATIENCE_S, open_house, open_two

from triolet._model.errors import ConnectionClosed


@pytest.fixture
async def house(serving):
    async with open_house(serving) as house:
        yield house


async def test_sessions_of_both_nodes_are_listed_page_by_page(serving):
    async with (
        open_two(serving) as (one, other),
        one.engine.connect("anna", device="phone"),
        other.engine.connect("ben", device="laptop"),
        one.engine.connect("cleo", device="tablet"),
    ):
        first = await other.ask("GET", "/admin/sessions?limit=2")
        rest = await other.ask("GET", f"/admin/sessions?limit=2&after={first['next']}")

        rows = first["sessions"] + rest["sessions"]
        assert [row["user"] for row in rows] == ["anna", "ben", "cleo"]
        assert rows[0]["node"] == rows[2]["node"] != rows[1]["node"]
        assert "next" not in rest
        assert "silent" not in first


async def test_a_listing_shows_no_token(house):
    async with house.engine.connect("anna", device="phone"):
        (row,) = (await house.ask("GET", "/admin/sessions?user=anna"))["sessions"]

        assert sorted(row) == [
            "address",
            "agent",
            "device",
            "expires_at",
            "node",
            "outbox_bytes",
            "session",
            "since",
            "slow",
            "subscriptions",
            "tier",
            "user",
        ]
        assert await house.ask("GET", f"/admin/sessions/{row['session']}") == row


async def test_a_session_on_the_other_node_is_ended_and_its_client_stops(serving):
    async with open_two(serving) as (one, other), other.engine.connect("anna") as anna:
        session = anna.welcome.session
        assert await one.ask("DELETE", f"/admin/sessions/{session}") == {"ended": 1}
        with trio.fail_after(PATIENCE_S), pytest.raises(ConnectionClosed) as closed:
            async for _ in anna.events():
                pass

        assert closed.value.code == 4001
        await one.ask("GET", f"/admin/sessions/{session}", status=404)
        await one.ask("DELETE", f"/admin/sessions/{session}", status=404)


async def test_all_of_a_user_end_and_their_tokens_are_refused(serving):
    async with (
        open_two(serving) as (one, other),
        one.engine.connect("anna"),
        other.engine.connect("anna"),
        other.engine.connect("ben"),
    ):
        assert await one.ask("DELETE", "/admin/users/anna/sessions") == {"ended": 2}
        left = await one.ask("GET", "/admin/sessions")

        assert [row["user"] for row in left["sessions"]] == ["ben"]
        assert (await one.engine.store.revoked("anna")) > 0


async def test_tokens_may_be_kept(house):
    async with house.engine.connect("anna"):
        path = "/admin/users/anna/sessions?keep_tokens=true"

        assert await house.ask("DELETE", path) == {"ended": 1}
        assert not await house.engine.store.revoked("anna")


@pytest.mark.parametrize("after", ["x", "a/b/c", "/%00"])
async def test_a_place_that_is_none_is_refused(house, after):
    await house.ask("GET", f"/admin/sessions?after={after}", status=422)


@pytest.mark.parametrize("who", ["anna", None])
async def test_nobody_else_may(house, who):
    expected = 403 if who else 401
    for method, path in (
        ("GET", "/admin/sessions"),
        ("DELETE", "/admin/sessions/s"),
        ("DELETE", "/admin/users/anna/sessions"),
    ):
        await house.ask(method, path, who=who, status=expected)
