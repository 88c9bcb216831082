"""Laws of deleted rooms: unreadable at once, told to everybody, and gone for ever."""

import pytest
import trio
from scene import open_scene, settled

from triolet._model.errors import OutcomeUnknown, StoreUnavailable
from triolet.ports.gate import Action


async def tea(scene, *others, **fields):
    anna, ben = await scene.enter("anna"), await scene.enter("ben")
    more = [await scene.enter(user) for user in others]
    await scene.room("tea", anna, ben, *more, **fields)
    return anna, ben, *more


async def test_an_owner_ends_the_room_for_everybody(scene):
    """Subscriptions are closed, feeds and `sync` say so, and inboxes have it no more."""
    anna, ben = await tea(scene)
    epoch, head = scene.loaded("tea").epoch, scene.loaded("tea").head
    await anna.send("tea", "secret")
    done = await anna.ask("delete_room", room="tea", cid="end")
    await trio.sleep(2)

    assert (done["seq"], done["duplicate"]) == (head + 1, False)
    for one in (anna, ben):
        assert [("deleted", head + 1)] == [
            (event["reason"], event["seq"]) for event in one.all("closed")
        ]
        assert "tea" in [room for feed in one.all("feed") for room in feed.get("removed", ())]
        assert (await one.ask("rooms"))["rooms"] == []
        assert (await one.ask("sync", have=[["tea", epoch, head]]))["gone"] == ["tea"]
    assert "tea" not in scene.engine.hub.rooms


@pytest.mark.parametrize(
    ("op", "fields"),
    [
        ("send", {"body": {}}),
        ("edit", {"target": 3, "body": {}}),
        ("delete", {"target": 3}),
        ("react", {"target": 3, "emoji": "x"}),
        ("history", {}),
        ("subscribe", {}),
        ("receipt", {"read": 1}),
        ("receipts", {"seq": 1}),
        ("typing", {"on": True}),
        ("signal", {"kind": "x"}),
        ("join", {}),
        ("leave", {}),
        ("invite", {"user": "cleo"}),
        ("kick", {"user": "ben"}),
        ("role", {"user": "ben", "role": "admin"}),
        ("meta", {"title": "x"}),
        ("delete_room", {}),
    ],
)
async def test_every_later_op_finds_no_room(scene, op, fields):
    anna, _ = await tea(scene, public=True)
    await anna.send("tea")
    await anna.ask("delete_room", room="tea", cid="end")

    assert await anna.refused(op, room="tea", **fields) == "no_such_room"


async def test_owners_alone_delete_and_a_direct_room_nobody_but_by_the_gate(scene):
    anna, ben, cleo = await tea(scene, "cleo")
    eve = await scene.enter("eve")
    await anna.ask("role", room="tea", user="cleo", role="admin")
    for one in (ben, cleo):
        assert await one.refused("delete_room", room="tea") == "forbidden"
    assert await eve.refused("delete_room", room="tea") == "no_such_room"
    await anna.ask("direct", user="ben")
    assert await anna.refused("delete_room", room="dm:anna:ben") == "forbidden"

    scene.gate.verdicts["eve", Action.MANAGE, "tea"] = True
    scene.gate.verdicts["eve", Action.MANAGE, "dm:anna:ben"] = True
    await eve.ask("delete_room", room="tea")
    await eve.ask("delete_room", room="dm:anna:ben")
    assert await anna.refused("direct", user="ben") == "no_such_room"
    assert await anna.refused("create", kind="group", room="tea") == "already_exists"


async def test_a_retry_answers_as_the_first_time(scene):
    """Whatever the room has become since; the same cid is no other op's."""
    anna, ben = await tea(scene)
    first = await anna.ask("delete_room", room="tea", cid="end")
    again = await anna.ask("delete_room", room="tea", cid="end")
    await trio.sleep(2)
    later = await anna.ask("delete_room", room="tea", cid="end")

    assert (first["seq"], first["at"]) == (again["seq"], again["at"]) == (later["seq"], later["at"])
    assert [first["duplicate"], again["duplicate"], later["duplicate"]] == [False, True, True]
    assert await ben.refused("delete_room", room="tea", cid="end") == "no_such_room"
    assert await anna.refused("leave", room="tea", cid="end") == "invalid_field"


async def test_what_is_on_its_way_is_refused(scene):
    """Sends that were decided before, and are judged by the store behind the deletion."""
    anna, ben = await tea(scene)
    held = scene.store.script("append", before=True)
    gone = await anna.say("delete_room", room="tea", cid="end")
    await held.entered.wait()
    refs = [await ben.say("send", room="tea", body={"n": n}) for n in range(3)]
    await settled()
    held.release()

    assert (await anna.answer(gone))["op"] == "ok"
    for ref in refs:
        assert (await ben.answer(ref))["reason"] == "no_such_room"
    assert ben.all("entry", kind="message") == []


async def test_a_visitor_is_closed_and_told_nothing_else(scene):
    anna, _ = await tea(scene, public=True)
    eve = await scene.enter("eve")
    await eve.ask("subscribe", room="tea")
    await anna.ask("delete_room", room="tea")
    await trio.sleep(2)

    assert [event["reason"] for event in eve.all("closed")] == ["deleted"]
    assert eve.all("feed") == []


async def test_a_room_that_is_being_read_is_ended_when_it_comes_in(scene):
    """Its state was read before the deletion; its reader learns of it all the same."""
    anna = await scene.enter("anna")
    await scene.room("tea", anna, subscribe=False)
    scene.engine.hub._rooms.drop(scene.loaded("tea"))
    ben = await scene.enter("anna", device="laptop")
    held = scene.store.script("rooms", after=True)
    following = await ben.say("subscribe", room="tea")
    await held.entered.wait()
    await settled()
    await scene.engine.writer.write(deletion("tea"))
    held.release()

    assert (await ben.answer(following))["reason"] == "no_such_room"


def deletion(room):
    from triolet.ports.store import Draft

    return Draft(room=room, sender="anna", cid="x", op="delete_room", facts=(), deletes=True)


async def test_a_room_that_is_deleted_before_its_maker_hears_of_it_is_none(scene):
    anna = await scene.enter("anna")
    held = scene.store.script("append", after=True)
    making = await anna.say("create", kind="group", room="tea")
    await held.entered.wait()
    await settled()
    await scene.store.real.append([deletion("tea")])
    held.release()

    assert (await anna.answer(making))["reason"] == "no_such_room"


async def test_members_of_a_large_room_are_told_who_are_here():
    """Also where their seats are not all known: by the memberships that are removed."""
    async with open_scene(feed_members_max=3) as scene:
        anna, ben = await scene.enter("anna"), await scene.enter("ben")
        await scene.room("tea", anna, ben, subscribe=False)
        for user in ("cleo", "dora", "eve"):
            await anna.ask("invite", room="tea", user=user)
        await anna.ask("delete_room", room="tea")
        await trio.sleep(3)

        assert "tea" in [room for feed in ben.all("feed") for room in feed.get("removed", ())]


async def test_what_is_left_is_cleared_soon_and_again_after_a_failure(caplog):
    async with open_scene() as scene:
        anna = await scene.enter("anna")
        await scene.room("tea", anna)
        await scene.messages_elsewhere("tea", 2500)
        scene.store.script("clear_deleted", error=StoreUnavailable("away"))
        await anna.ask("delete_room", room="tea")
        await trio.sleep(1)
        assert "has to wait" in caplog.text
        assert scene.store.real.held.leftovers
        await trio.sleep(61)
        assert not scene.store.real.held.leftovers


async def test_what_a_room_left_is_cleared_though_the_answer_to_its_deletion_was_lost(scene):
    """It is deleted by the first try; the second finds it so."""
    anna = await scene.enter("anna")
    await scene.room("tea", anna)
    scene.store.script("append", error_after=OutcomeUnknown("lost"))
    assert (await anna.ask("delete_room", room="tea", cid="x"))["duplicate"]
    await trio.sleep(1)

    assert await scene.store.real.clear_deleted(limit=1) is None
