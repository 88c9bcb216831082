"""Laws of room states: the latest wins, told seldom, to whom it concerns, and ended in time."""

import trio
from scene import open_scene, settled


async def tea(scene, *users, **fields):
    cast = [await scene.enter(user) for user in ("anna", "ben", *users)]
    head = await scene.room("tea", *cast, **fields)
    return *cast, head


def typists(who, room="tea"):
    return [event["users"] for event in who.all("typing", room=room)]


# --- typing ------------------------------------------------------------------------------------


async def test_typing_is_told_and_ends_by_itself(scene):
    anna, ben, _ = await tea(scene)
    await anna.ask("typing", room="tea", on=True)
    await trio.sleep(scene.limits.typing_s - 0.5)
    assert typists(ben) == [["anna"]]
    await trio.sleep(1.5)

    assert typists(ben) == [["anna"], []]
    assert scene.engine.states._typing == {}


async def test_typing_that_is_renewed_goes_on_without_a_word(scene):
    anna, ben, _ = await tea(scene)
    for _ in range(10):
        await anna.ask("typing", room="tea", on=True)
        await trio.sleep(2)
    assert typists(ben) == [["anna"]]
    await trio.sleep(6)

    assert typists(ben) == [["anna"], []]


async def test_typing_ends_with_a_message(scene):
    anna, ben, _ = await tea(scene)
    await anna.ask("typing", room="tea", on=True)
    await trio.sleep(1)
    await anna.send("tea")
    await trio.sleep(1)

    assert typists(ben) == [["anna"], []]


async def test_typing_ends_when_it_is_taken_back(scene):
    anna, ben, _ = await tea(scene)
    await anna.ask("typing", room="tea", on=True)
    await trio.sleep(1)
    await anna.ask("typing", room="tea", on=False)
    await anna.ask("typing", room="tea", on=False)
    await trio.sleep(1)

    assert typists(ben) == [["anna"], []]


async def test_typing_is_coalesced(scene):
    anna, ben, _ = await tea(scene)
    for turn in range(20):
        await anna.ask("typing", room="tea", on=turn % 2 == 0)
    await anna.ask("typing", room="tea", on=True)
    await trio.sleep(1)

    assert len(typists(ben)) <= 3
    assert typists(ben)[-1] == ["anna"]


async def test_at_most_five_typists_are_named():
    users = [f"user-{number}" for number in range(6)]
    async with open_scene() as scene:
        *cast, _ = await tea(scene, *users)
        for one in cast[2:]:
            await one.ask("typing", room="tea", on=True)
        await trio.sleep(1)

        event = cast[0].all("typing")[-1]
        assert (event["users"], event["more"]) == (users[:5], True)


async def test_rooms_with_many_subscribers_carry_no_typing():
    async with open_scene(typing_subscribers_max=2) as scene:
        anna, ben, cleo, _ = await tea(scene, "cleo")
        await anna.ask("typing", room="tea", on=True)
        await trio.sleep(1)
        assert typists(ben) == []
        assert (await cleo.ask("subscribe", room="tea"))["typing"] == []


async def test_typing_ends_for_all_though_the_room_has_grown_too_large_meanwhile():
    """Whoever was told that somebody types is told that they have stopped."""
    async with open_scene(typing_subscribers_max=2) as scene:
        anna, ben, _ = await tea(scene)
        await anna.ask("invite", room="tea", user="cleo")
        await anna.ask("typing", room="tea", on=True)
        await trio.sleep(1)
        assert typists(ben) == [["anna"]]
        cleo = await scene.enter("cleo")
        await cleo.ask("subscribe", room="tea")
        await trio.sleep(8)

        assert typists(ben) == [["anna"], []]


async def test_a_snapshot_names_who_is_typing(scene):
    anna, ben, _ = await tea(scene)
    await anna.ask("typing", room="tea", on=True)

    assert (await ben.ask("subscribe", room="tea"))["typing"] == ["anna"]
    await trio.sleep(8)
    assert (await ben.ask("subscribe", room="tea"))["typing"] == []


# --- receipts ----------------------------------------------------------------------------------


def marks(who, room="tea"):
    """Return the latest mark of each user a participant was told."""
    return {
        user: (delivered, read)
        for event in who.all("receipts", room=room)
        for user, delivered, read in event["marks"]
    }


async def test_in_small_rooms_everybody_is_told(scene):
    anna, ben, cleo, head = await tea(scene, "cleo")
    await anna.send("tea")
    await ben.ask("receipt", room="tea", delivered=head + 1)
    await trio.sleep(1)
    assert marks(anna) == marks(ben) == marks(cleo) == {"ben": (head + 1, head)}
    await ben.ask("receipt", room="tea", read=head + 1)
    await trio.sleep(1)

    assert marks(cleo) == {"ben": (head + 1, head + 1)}


async def test_receipts_are_coalesced(scene):
    anna, ben, cleo, head = await tea(scene, "cleo")
    for _ in range(20):
        await anna.send("tea")
    for seq in range(1, 21):
        for one in (ben, cleo):
            await one.ask("receipt", room="tea", delivered=head + seq, read=head + seq)
    await trio.sleep(1)

    assert len(anna.all("receipts")) <= 3
    assert marks(anna) == dict.fromkeys(("ben", "cleo"), (head + 20, head + 20))


async def large(scene):
    """Return Anna, who wrote, Ben with two devices, and Cleo, whom it does not concern."""
    anna, ben, cleo, head = await tea(scene, "cleo")
    laptop = await scene.enter("ben", device="laptop")
    await laptop.ask("subscribe", room="tea")
    await anna.send("tea")
    await settled()
    return anna, ben, laptop, cleo, head


async def test_in_large_rooms_the_author_and_ones_own_devices_are_told():
    async with open_scene(receipts_members_max=2) as scene:
        anna, ben, laptop, cleo, head = await large(scene)
        await ben.ask("receipt", room="tea", read=head + 1)
        await trio.sleep(1)

        assert marks(anna) == marks(laptop) == {"ben": (head + 1, head + 1)}
        assert marks(cleo) == {}


async def test_in_large_rooms_the_author_learns_of_reading_after_delivery():
    """Delivered first, read a minute later: two movements, and both concern the author."""
    async with open_scene(receipts_members_max=2) as scene:
        anna, ben, _, cleo, head = await large(scene)
        await ben.ask("receipt", room="tea", delivered=head + 1)
        await trio.sleep(60)
        assert marks(anna) == {"ben": (head + 1, head)}
        await ben.ask("receipt", room="tea", read=head + 1)
        await trio.sleep(1)

        assert marks(anna) == {"ben": (head + 1, head + 1)}
        assert marks(cleo) == {}


async def test_in_large_rooms_movements_of_one_interval_are_told_together():
    async with open_scene(receipts_members_max=2) as scene:
        anna, ben, _, cleo, head = await large(scene)
        await cleo.send("tea")
        await ben.ask("receipt", room="tea", delivered=head + 2)
        await trio.sleep(2)
        for one in (anna, cleo):
            one.forget()
        # Both in one interval: Cleo's was delivered long ago, and is read now.
        await anna.send("tea")
        await ben.ask("receipt", room="tea", delivered=head + 3)
        await ben.ask("receipt", room="tea", read=head + 2)
        await trio.sleep(1)

        expected = {"ben": (head + 3, head + 2)}
        assert marks(anna) == marks(cleo) == expected


async def test_a_room_that_grew_is_large():
    """New members count at once, not when somebody asks the store."""
    async with open_scene(receipts_members_max=2) as scene:
        anna, ben, head = await tea(scene)
        cleo = await scene.enter("cleo")
        await anna.ask("invite", room="tea", user="cleo")
        answer = await cleo.ask("subscribe", room="tea")
        assert (answer["members"], answer.get("receipts")) == (3, None)
        await anna.send("tea")
        await ben.ask("receipt", room="tea", read=head + 2)
        await trio.sleep(1)

        assert marks(cleo) == {}
        assert marks(anna) == {"ben": (head + 2, head + 2)}


async def test_receipts_and_events_equal_fresh_receipts(scene):
    """Snapshot law; a message also moves its sender's marks, without a word."""
    anna, ben, cleo, _head = await tea(scene, "cleo")
    known = as_marks((await anna.ask("subscribe", room="tea"))["receipts"])
    anna.forget()
    for turn in range(9):
        sender = (anna, ben, cleo)[turn % 3]
        seq = (await sender.send("tea"))["seq"]
        reader = (ben, cleo, anna)[turn % 3]
        await reader.ask("receipt", room="tea", delivered=seq, read=seq - turn % 2)
        await trio.sleep(0.3)
    await trio.sleep(1)
    for one in anna.heard:
        if one["op"] == "entry" and one["kind"] == "message":
            known[one["from"]] = (one["seq"], one["seq"])
        for user, delivered, read in one["marks"] if one["op"] == "receipts" else ():
            known[user] = (delivered, read)

    assert known == as_marks((await anna.ask("subscribe", room="tea"))["receipts"])


def as_marks(rows):
    return {user: (delivered, read) for user, delivered, read in rows}
