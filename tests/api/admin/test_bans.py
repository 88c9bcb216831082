"""Bans over HTTP: in force at once on both nodes, seen, lifted, and nobody's own."""

import pytest
import trio
from admin_house import open_house, open_two

from triolet._model.errors import ConnectionClosed


@pytest.fixture
async def house(serving):
    async with open_house(serving) as house:
        yield house


async def test_who_is_banned_is_out_within_a_second_on_both_nodes(serving, leaping):
    async with open_two(serving) as (one, other), other.engine.connect("eve") as eve:
        await one.ask("POST", "/admin/bans", body={"user": "eve", "reason": "spam"}, status=201)
        with leaping(), trio.fail_after(1), pytest.raises(ConnectionClosed) as closed:
            async for _ in eve.events():
                pass

        assert closed.value.code == 4003
        await other.ask("GET", "/rooms", who="eve", status=403)


async def test_bans_are_listed_page_by_page_and_lifted(house):
    for who in ({"user": "eve"}, {"user": "mallory"}, {"network": "198.51.100.0/24"}):
        await house.ask("POST", "/admin/bans", body=who | {"reason": "spam"}, status=201)
    first = await house.ask("GET", "/admin/bans?limit=2")
    rest = await house.ask("GET", f"/admin/bans?limit=2&after={first['next']}")

    rows = first["bans"] + rest["bans"]
    assert [row.get("user") or row.get("network") for row in rows] == [
        "198.51.100.0/24",
        "eve",
        "mallory",
    ]
    assert {(row["by"], row["reason"], "until" in row) for row in rows} == {("root", "spam", False)}
    for whom in ("network=198.51.100.0/24", "user=eve", "user=mallory"):
        await house.ask("DELETE", f"/admin/bans?{whom}")
        await house.ask("DELETE", f"/admin/bans?{whom}", status=404)
    assert await house.ask("GET", "/admin/bans") == {"bans": []}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"user": "eve", "network": "192.0.2.1"},
        {"network": "192.0.2.1/24"},
        {"network": "192.0.2.1/99"},
        {"network": "zzz"},
        {"user": "eve", "until": 1},
        {"user": "eve", "reason": "x" * 501},
        {"user": "root"},
        {"network": "127.0.0.0/8"},
        {"network": "0.0.0.0/0"},
    ],
)
async def test_what_cannot_be_banned_is_refused(house, body):
    """Oneself least of all."""
    await house.ask("POST", "/admin/bans", body=body, status=422)

    assert await house.ask("GET", "/admin/bans") == {"bans": []}


@pytest.mark.parametrize("who", ["anna", None])
async def test_nobody_else_may(house, who):
    for method, path in (("GET", "bans"), ("POST", "bans"), ("DELETE", "bans?user=eve")):
        await house.ask(method, f"/admin/{path}", who=who, status=403 if who else 401)
