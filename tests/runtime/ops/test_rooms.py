"""Laws of rooms and members: made once, changed by who may, and every change is in the log."""

import pytest
import trio
from scene import open_scene, settled

from triolet._model.entries import Member
from triolet._model.errors import StoreUnavailable
from triolet.ports.gate import Action


async def tea(scene, **fields):
    anna, ben = await scene.enter("anna"), await scene.enter("ben")
    head = await scene.room("tea", anna, ben, **fields)
    return anna, ben, head


def entries(who, *keys):
    return [tuple(one.get(key) for key in keys) for one in who.all("entry")]


# --- making ------------------------------------------------------------------------------------


async def test_a_room_begins_with_its_owner_its_members_and_its_meta(scene):
    anna = await scene.enter("anna")
    made = await anna.ask(
        "create",
        room="tea",
        kind="group",
        members=["ben", "anna", "ben"],
        title="Tea",
        public=True,
        cid="c1",
    )
    epoch = (await scene.store.real.room("tea")).epoch
    await anna.ask("subscribe", room="tea", since=[epoch, 0])
    await settled()

    assert (made["room"], made["epoch"], made["seq"], made["duplicate"]) == (
        "tea",
        epoch,
        1,
        False,
    )
    assert entries(anna, "seq", "kind", "user", "role", "title", "public") == [
        (1, "member", "anna", "owner", None, None),
        (2, "member", "ben", "member", None, None),
        (3, "meta", None, None, "Tea", True),
    ]


async def test_a_retried_create_is_the_same_room(scene):
    anna = await scene.enter("anna")
    first = await anna.ask("create", kind="group", cid="c1")
    again = await anna.ask("create", kind="group", cid="c1")
    other = await anna.ask("create", kind="group", cid="c2")

    assert (again["room"], again["seq"], again["duplicate"]) == (first["room"], 1, True)
    assert again["epoch"] == first["epoch"]
    assert other["room"] != first["room"]


async def test_a_name_is_taken_once(scene):
    anna, ben, _ = await tea(scene)

    assert await ben.refused("create", room="tea", kind="group", cid="c9") == "already_exists"
    assert await anna.refused("create", room="dm:anna:ben", kind="group") == "invalid_field"
    scene.gate.verdicts["anna", Action.CREATE, "no"] = False
    assert await anna.refused("create", room="no", kind="group") == "forbidden"


async def test_a_direct_room_is_made_on_first_use_by_either(scene):
    anna, ben = await scene.enter("anna"), await scene.enter("ben")
    refs = [await anna.say("direct", user="ben"), await ben.say("direct", user="anna")]
    rooms = [(await one.answer(ref))["room"] for one, ref in zip((anna, ben), refs, strict=True)]
    again = await anna.ask("direct", user="ben")

    assert [*rooms, again["room"]] == ["dm:anna:ben"] * 3
    assert (await scene.store.real.room("dm:anna:ben")).head == 2
    assert await anna.refused("direct", user="anna") == "invalid_field"
    assert await anna.refused("leave", room="dm:anna:ben") == "forbidden"


async def test_the_gate_may_forbid_direct_rooms(scene):
    anna = await scene.enter("anna")
    scene.gate.verdicts["anna", Action.DIRECT, "dm:anna:ben"] = False

    assert await anna.refused("direct", user="ben") == "forbidden"


# --- members -----------------------------------------------------------------------------------


async def test_invitations_kicks_and_roles_are_entries(scene):
    anna, ben, head = await tea(scene)
    await anna.ask("invite", room="tea", user="cleo")
    await anna.ask("role", room="tea", user="cleo", role="admin")
    await anna.ask("kick", room="tea", user="cleo")
    await settled()

    assert entries(ben, "seq", "from", "user", "role") == [
        (head + 1, "anna", "cleo", "member"),
        (head + 2, "anna", "cleo", "admin"),
        (head + 3, "anna", "cleo", None),
    ]


@pytest.mark.parametrize(
    ("op", "fields", "reason"),
    [
        ("invite", {"user": "cleo"}, "forbidden"),
        ("kick", {"user": "anna"}, "forbidden"),
        ("role", {"user": "anna", "role": "member"}, "forbidden"),
        ("meta", {"title": "mine"}, "forbidden"),
    ],
)
async def test_members_do_not_manage(scene, op, fields, reason):
    _, ben, _ = await tea(scene)

    assert await ben.refused(op, room="tea", **fields) == reason
    vera = await scene.enter("vera")
    assert await vera.refused(op, room="tea", **fields) == "no_such_room"


async def test_what_makes_no_sense_is_refused(scene):
    anna, _ben, _ = await tea(scene)

    assert await anna.refused("invite", room="tea", user="ben") == "already_exists"
    assert await anna.refused("kick", room="tea", user="cleo") == "not_a_member"
    assert await anna.refused("kick", room="tea", user="anna") == "forbidden"
    assert await anna.refused("meta", room="tea") == "invalid_field"
    assert await anna.refused("meta", room="tea", title="x", cid="\n") == "invalid_field"
    assert await anna.refused("join", room="nowhere") == "no_such_room"


async def test_a_retry_is_answered_as_the_first_time(scene):
    """Also where it would make no sense any more, or where it would change nothing."""
    anna, _ben, head = await tea(scene)
    asked = [
        ("invite", {"user": "cleo", "cid": "c1"}),
        ("role", {"user": "ben", "role": "admin", "cid": "c2"}),
        ("meta", {"title": "Tea", "cid": "c3"}),
        ("kick", {"user": "cleo", "cid": "c4"}),
    ]
    first = [await anna.ask(op, room="tea", **fields) for op, fields in asked]
    again = [await anna.ask(op, room="tea", **fields) for op, fields in asked]

    assert [one["seq"] for one in again] == [one["seq"] for one in first]
    assert [one["duplicate"] for one in again] == [True] * 4
    assert (await scene.store.real.room("tea")).head == head + 4


async def test_a_retried_leave_and_join_are_answered_as_the_first_time(scene):
    """They change nothing the second time; the place of the first is what was asked for."""
    anna, ben, head = await tea(scene)
    left = await ben.ask("leave", room="tea", cid="c1")
    assert left["seq"] == head + 1
    await anna.ask("meta", room="tea", public=True)
    again = await ben.ask("leave", room="tea", cid="c1")

    assert (again["seq"], again["duplicate"]) == (head + 1, True)
    assert await ben.refused("join", room="tea", cid="c1") == "invalid_field"


async def test_leaving_a_private_room_closes_it(scene):
    anna, ben, head = await tea(scene)
    await ben.ask("leave", room="tea")
    await settled()

    assert ben.all("closed")[0]["reason"] == "removed"
    assert await ben.refused("history", room="tea") == "no_such_room"
    assert await ben.refused("leave", room="tea") == "no_such_room"
    assert entries(anna, "seq", "user", "role") == [(head + 1, "ben", None)]


async def test_in_public_rooms_joins_are_rows(scene):
    anna, _, _head = await tea(scene, public=True)
    vera = await scene.enter("vera")
    joined = await vera.ask("join", room="tea")
    again = await vera.ask("join", room="tea")
    await vera.send("tea")
    left = await vera.ask("leave", room="tea")
    await settled()

    assert [one.get("seq") for one in (joined, again, left)] == [None] * 3
    assert entries(anna, "kind", "from") == [("message", "vera")]
    assert await vera.refused("send", room="tea", body={}) == "not_a_member"


async def test_in_large_rooms_leaving_is_a_row_and_a_managers_is_an_entry():
    async with open_scene(entry_joins_members_max=1) as scene:
        anna, ben, head = await tea(scene)
        await ben.ask("leave", room="tea")
        assert (await anna.ask("leave", room="tea"))["seq"] == head + 1


async def test_a_right_that_is_lost_while_it_is_used_is_lost(scene):
    """Ben, an admin, invites; he is demoted before the store has it. Decided again, refused."""
    anna, ben, _head = await tea(scene)
    await anna.ask("role", room="tea", user="ben", role="admin")
    step = scene.store.script("append", before=True)
    ref = await ben.say("invite", room="tea", user="cleo")
    await settled()
    await scene.elsewhere(
        "tea", "anna", Member("ben", "member"), revokes=True, op="role", offer=True
    )
    step.release()

    assert (await ben.answer(ref))["reason"] == "forbidden"
    assert await scene.store.real.membership("tea", "cleo") is None


async def test_rights_that_keep_changing_end_in_a_refusal(scene):
    anna, _ben, _ = await tea(scene)

    async def demote():
        await scene.elsewhere(
            "tea", "anna", Member("ben", "member"), revokes=True, op="role", offer=False
        )

    for _ in range(5):
        scene.store.script("append", hook=demote)

    assert await anna.refused("meta", room="tea", title="Never") == "forbidden"
    await anna.ask("meta", room="tea", title="At last")


async def test_managing_a_large_room_asks_the_store_who_is_who():
    async with open_scene(feed_members_max=1) as scene:
        anna, ben, _head = await tea(scene)
        await anna.ask("role", room="tea", user="ben", role="admin")
        await ben.ask("invite", room="tea", user="cleo")
        assert await ben.refused("invite", room="tea", user="cleo") == "already_exists"
        answer = await ben.ask("subscribe", room="tea")
        assert (answer["members"], answer["role"]) == (3, "admin")


async def test_hiding_a_room_ends_its_visitors(scene):
    anna, _ben, _head = await tea(scene, public=True)
    vera = await scene.enter("vera")
    await vera.ask("subscribe", room="tea")
    hidden = await anna.ask("meta", room="tea", public=False)
    await anna.send("tea")
    await settled()

    assert vera.all("closed")[0]["seq"] == hidden["seq"]
    assert vera.seqs("tea") == [hidden["seq"]]
    assert await vera.refused("subscribe", room="tea") == "no_such_room"


# --- trouble -----------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["room", "append"])
async def test_a_create_that_fails_is_answered_and_can_be_retried(scene, call):
    anna = await scene.enter("anna")
    scene.store.script(call, error=StoreUnavailable("no"))

    assert await anna.refused("create", kind="group", cid="c1") == "store_unavailable"
    again = await anna.ask("create", kind="group", cid="c1")
    assert again["duplicate"] is (call == "room")


@pytest.mark.parametrize("call", ["room", "rooms", "membership", "members", "append", "find"])
async def test_cancelling_anywhere_leaves_nothing(call):
    """The session is cut at each of the store's calls: no pin, seat or task stays."""
    async with open_scene(feed_members_max=1) as scene:
        _anna, _ben, _ = await tea(scene)
        for op, fields in [
            ("invite", {"room": "tea", "user": "cleo", "cid": "c1"}),
            ("create", {"kind": "group", "cid": "c2"}),
            ("direct", {"user": "ben"}),
            ("kick", {"room": "tea", "user": "nobody", "cid": "c3"}),
            ("leave", {"room": "tea", "cid": "c4"}),
        ]:
            actor = await scene.enter("anna", device=f"{op}-device")
            if "tea" in scene.hub.rooms and not scene.loaded("tea").cursors:
                scene.unload("tea")
            step = scene.store.script(call, before=True)
            await actor.say(op, **fields)
            with trio.move_on_after(1):
                await step.entered.wait()
            await actor.cut()
            step.release()
            scene.store._steps.clear()
            await trio.sleep(1)
