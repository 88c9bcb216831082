"""What admins see and say: all nodes' counts, and announcements that everybody hears."""

import pytest
import trio
from admin_house import PATIENCE_S, open_house, open_two

from triolet import Notice


async def heard(client):
    with trio.fail_after(PATIENCE_S):
        async for event in client.events():
            if isinstance(event, Notice) and event.kind == "announcement":
                return event.body
    return None


async def test_statistics_are_of_both_nodes_and_together(serving):
    async with open_two(serving) as (one, other), other.engine.connect("anna") as anna:
        room = await anna.create("group")
        await anna.send(room.room, "hi")
        seen = await one.ask("GET", "/admin/stats")

        assert [node["counts"]["messages"] for node in seen["nodes"]] == [0, 1]
        assert seen["total"]["counts"]["messages"] == 1
        assert seen["total"]["gauges"]["memory_bytes"] > 0
        assert seen["total"]["append_ms"]["count"] > 0


async def test_an_announcement_is_heard_on_both_nodes(serving):
    async with (
        open_two(serving) as (one, other),
        one.engine.connect("anna") as anna,
        other.engine.connect("ben") as ben,
        trio.open_nursery() as nursery,
    ):
        found = []

        async def listen(client):
            found.append(await heard(client))

        nursery.start_soon(listen, anna)
        nursery.start_soon(listen, ben)
        await trio.testing.wait_all_tasks_blocked(0.05)
        told = await one.ask("POST", "/admin/announce", body={"body": {"text": "at ten"}})

    assert told == {"here": 1}
    assert found == [{"text": "at ten"}] * 2


@pytest.mark.parametrize(
    "body",
    [
        {"body": {"text": "\0"}},
        {"body": {"text": "x"}, "users": ["a"], "room": "tea"},
        {"body": {"text": "x"}, "users": ["not a name"]},
        {"text": "x"},
    ],
)
async def test_what_cannot_be_told_is_refused(serving, body):
    async with open_house(serving) as house:
        await house.ask("POST", "/admin/announce", body=body, status=422)


@pytest.mark.parametrize("who", ["anna", None])
async def test_nobody_else_may(serving, who):
    async with open_house(serving) as house:
        for method, path in (("GET", "stats"), ("GET", "audit"), ("POST", "announce")):
            await house.ask(method, f"/admin/{path}", who=who, status=403 if who else 401)
