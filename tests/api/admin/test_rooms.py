"""All rooms for admins: each once, where it stands, and never what is said there."""

import pytest
import trio
from admin_house import PATIENCE_S, open_house

from triolet import Closed, Refusal


@pytest.fixture
async def house(serving):
    async with open_house(serving) as house:
        yield house


async def test_all_rooms_are_listed_page_by_page(house):
    async with house.engine.connect("anna") as anna:
        for number in range(4):
            await anna.create("group", room=f"r{number}", title=f"Room {number}")
        await anna.direct("ben")
        await anna.send("r1", "a secret")
        seen, after = [], ""
        while True:
            page = await house.ask("GET", f"/admin/rooms?limit=2{after}")
            seen += page["rooms"]
            if "next" not in page:
                break
            after = f"&after={page['next']}"

    assert [row["room"] for row in seen] == ["dm:anna:ben", "r0", "r1", "r2", "r3"]
    assert [row["messages"] for row in seen] == [0, 0, 1, 0, 0]
    assert "secret" not in str(seen)


async def test_one_room_and_its_members(house):
    async with house.engine.connect("anna") as anna:
        await anna.create("group", room="tea", title="Tea", members=["ben", "cleo"])
        room = await house.ask("GET", "/admin/rooms/tea")
        first = await house.ask("GET", "/admin/rooms/tea/members?limit=2")
        rest = await house.ask("GET", f"/admin/rooms/tea/members?limit=2&after={first['next']}")

    assert (room["title"], room["members"], room["public"]) == ("Tea", 3, False)
    members = first["members"] + rest["members"]
    assert [(one["user"], one["role"]) for one in members] == [
        ("anna", "owner"),
        ("ben", "member"),
        ("cleo", "member"),
    ]
    assert "next" not in rest


async def test_a_room_that_is_none_is_not_found(house):
    for path in ("nowhere", "nowhere/members"):
        assert (await house.ask("GET", f"/admin/rooms/{path}", status=404))["reason"] == (
            "no_such_room"
        )


async def test_a_room_is_deleted_for_everybody(house):
    async with house.engine.connect("anna") as anna, house.engine.connect("ben") as ben:
        await anna.create("group", room="tea", members=["ben"])
        stream = ben.events()
        await ben.subscribe("tea")
        await house.ask("DELETE", "/admin/rooms/tea")
        with trio.fail_after(PATIENCE_S):
            async for event in stream:
                if isinstance(event, Closed):
                    break

        assert event.reason == "deleted"
        await house.ask("GET", "/admin/rooms/tea", status=404)
        await house.ask("DELETE", "/admin/rooms/tea", status=404)
        with pytest.raises(Refusal):
            await anna.send("tea", "hi")


async def test_a_room_whose_rights_change_meanwhile_is_deleted_all_the_same(house):
    """What was decided on other rights is decided again."""
    async with house.engine.connect("anna") as anna:
        await anna.create("group", room="tea", members=["ben", "cleo"])
        store, read = house.engine.store, house.engine.store.room

        async def late(room):
            state = await read(room)
            store.room = read
            await anna.kick("tea", "ben")
            return state

        store.room = late
        await house.ask("DELETE", "/admin/rooms/tea")

        assert await store.room("tea") is None


@pytest.mark.parametrize("who", ["anna", None])
async def test_nobody_else_may(house, who):
    """Not even a member of the room: it is the endpoint that is for admins."""
    async with house.engine.connect("anna") as anna:
        await anna.create("group", room="tea")
        for path in ("rooms", "rooms/tea", "rooms/tea/members"):
            await house.ask("GET", f"/admin/{path}", who=who, status=403 if who else 401)
        await house.ask("DELETE", "/admin/rooms/tea", who=who, status=403 if who else 401)
