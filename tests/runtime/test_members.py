"""Laws of memberships read from the store: what came meanwhile is newer, nobody is forgotten."""

import pytest
import trio
from scene import open_scene, settled

from triolet._model.entries import Member, Message, Meta
from triolet._model.errors import StoreUnavailable
from triolet.ports.store import Mark


async def tea(scene, *others, **fields):
    anna, ben = await scene.enter("anna"), await scene.enter("ben")
    head = await scene.room("tea", anna, ben, *others, **fields)
    return anna, ben, head


# --- reloading -------------------------------------------------------------------------------


async def reload(scene):
    await scene.hub.resync(scene.loaded("tea"))
    await settled()


async def test_who_was_removed_unheard_of_is_removed_by_a_reload(scene):
    """Ben reads nothing of what came after his kick, though he is behind and would be fed it."""
    anna, ben, head = await tea(scene)
    await scene.messages_elsewhere("tea", 2)
    await scene.elsewhere("tea", "anna", Member("ben", None), revokes=True)
    await scene.messages_elsewhere("tea", 3)

    await reload(scene)

    assert max(ben.seqs("tea"), default=0) <= head + 3
    assert [one["reason"] for one in ben.all("closed")] == ["removed"]
    assert anna.seqs("tea") == list(range(head + 1, head + 7))
    assert await ben.refused("history", room="tea") == "no_such_room"
    assert await ben.refused("send", room="tea", body={}) == "no_such_room"


async def test_a_reload_tells_who_gained_and_lost_the_room(scene):
    cleo = await scene.enter("cleo")
    _anna, ben, _ = await tea(scene)
    await trio.sleep(2)
    ben.forget()
    await scene.elsewhere("tea", "anna", Member("ben", None), revokes=True)
    await scene.elsewhere("tea", "anna", Member("cleo", "member"))

    await reload(scene)
    await trio.sleep(2)

    assert [one["removed"] for one in ben.all("feed") if "removed" in one] == [["tea"]]
    assert [one["added"] for one in cleo.all("feed") if "added" in one] == [["tea"]]


async def test_a_small_room_is_whole_again_after_a_reload(scene):
    """Its members are told of movement, of receipts and of each other as before."""
    anna, ben, _ = await tea(scene)
    await scene.elsewhere("tea", "anna", Member("cleo", "member"))
    await reload(scene)
    room = scene.loaded("tea")

    assert (room.complete, room.members, sorted(room.seats)) == (
        True,
        3,
        ["anna", "ben", "cleo"],
    )
    ben.forget()
    await anna.send("tea")
    await trio.sleep(2)
    assert ben.all("feed")


async def test_a_reload_keeps_marks_that_are_not_written_yet(scene):
    anna, ben, head = await tea(scene)
    await anna.send("tea")
    await trio.sleep(2)
    scene.store.always("put_marks", StoreUnavailable("no"))
    await ben.ask("receipt", room="tea", read=head + 1)

    await reload(scene)
    answer = await ben.ask("subscribe", room="tea")

    scene.store.always("put_marks", None)
    assert (answer["read"], answer["unread"]) == (head + 1, 0)


async def test_a_reload_never_moves_the_head_back(scene):
    """What was read before a commit of this node came in is older than the room: read again."""
    anna, ben, head = await tea(scene)
    step = scene.store.script("room", after=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.hub.resync, scene.loaded("tea"))
        await step.entered.wait()
        await settled()
        await anna.send("tea")
        step.release()
    await settled()
    await anna.send("tea")
    await trio.sleep(scene.limits.head_check_s + 1)

    for one in (anna, ben):
        assert one.seqs("tea") == [head + 1, head + 2]
        assert one.all("reset") == []


@pytest.mark.parametrize("call", ["room", "members"])
async def test_a_reload_does_not_undo_a_removal_that_came_meanwhile(scene, call):
    anna, ben, _ = await tea(scene)
    step = scene.store.script(call, after=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.hub.resync, scene.loaded("tea"))
        await step.entered.wait()
        await settled()
        await anna.ask("kick", room="tea", user="ben")
        step.release()
    await settled()

    assert len(ben.all("closed")) == 1
    assert await ben.refused("subscribe", room="tea") == "no_such_room"


async def test_rights_read_again_do_not_undo_a_removal_that_came_meanwhile(scene):
    """A membership read before the kick is older than what the room knows."""
    anna, ben, _ = await tea(scene)
    step = scene.store.script("membership", after=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.hub.refresh_rights, scene.loaded("tea"), "ben")
        await step.entered.wait()
        await settled()
        await anna.ask("kick", room="tea", user="ben")
        step.release()
    await settled()

    assert await ben.refused("typing", room="tea", on=True) == "no_such_room"
    assert await ben.refused("subscribe", room="tea") == "no_such_room"


async def test_a_seat_read_before_a_removal_is_read_again():
    limits = {"feed_members_max": 1}
    async with open_scene(**limits) as scene:
        anna, ben, _ = await tea(scene)
        await ben.ask("unsubscribe", room="tea")
        step = scene.store.script("membership", after=True)
        ref = await ben.say("subscribe", room="tea")
        await step.entered.wait()
        await settled()
        await anna.ask("kick", room="tea", user="ben")
        step.release()

        assert (await ben.answer(ref))["reason"] == "no_such_room"


async def test_unwritten_marks_win_over_stored_ones():
    """A seat that is read anew has what its user last said, written or not."""
    async with open_scene(feed_members_max=1) as scene:
        anna, ben, head = await tea(scene)
        await anna.send("tea")
        await settled()
        await trio.sleep(2)
        scene.store.always("put_marks", StoreUnavailable("no"))
        await ben.ask("receipt", room="tea", read=head + 1)
        await ben.ask("unsubscribe", room="tea")
        assert scene.engine.marks.pending("tea", "ben") == Mark(
            room="tea", user="ben", delivered=head + 1, read=head + 1, read_n=1
        )

        answer = await ben.ask("subscribe", room="tea")

        scene.store.always("put_marks", None)
        assert (answer["read"], answer["unread"]) == (head + 1, 0)


# --- counting ----------------------------------------------------------------------------------


async def test_a_large_room_is_counted_by_the_store_when_it_must_be_known():
    async with open_scene(feed_members_max=1) as scene:
        _anna, ben, _ = await tea(scene)
        await scene.elsewhere("tea", "anna", Member("cleo", "member"), offer=True)
        assert scene.loaded("tea").members is None

        assert (await ben.ask("subscribe", room="tea"))["members"] == 3
        assert scene.loaded("tea").members == 3


async def test_a_count_read_before_a_change_is_read_again():
    async with open_scene(feed_members_max=1) as scene:
        _anna, ben, _ = await tea(scene)
        room = scene.loaded("tea")
        room.members = None
        step = scene.store.script("room", after=True)
        ref = await ben.say("subscribe", room="tea")
        await step.entered.wait()
        await settled()
        await scene.elsewhere("tea", "anna", Member("cleo", "member"), offer=True)
        step.release()

        assert (await ben.answer(ref))["members"] == 3


async def test_a_room_that_is_no_more_has_no_members(scene):
    _anna, _, _ = await tea(scene)
    room = scene.loaded("tea")
    scene.store.real.held.rooms.clear()
    room.members = None

    assert await scene.hub.count(room) == 0
    room.members = 2


# --- large rooms -------------------------------------------------------------------------------


async def test_a_reload_of_a_large_room_asks_for_those_who_are_here():
    """Members nobody sees need no question; a visitor and a removed member are found out."""
    async with open_scene(feed_members_max=1) as scene:
        anna, ben, _head = await tea(scene, public=True)
        vera = await scene.enter("vera")
        await vera.ask("subscribe", room="tea")
        await scene.elsewhere("tea", "anna", Member("dan", "member"), offer=True)
        await scene.elsewhere("tea", "anna", Member("ben", None), revokes=True)
        await scene.elsewhere("tea", "anna", Meta(public=False), revokes=True)
        before = scene.store.count("membership")

        await reload(scene)

        assert scene.store.count("membership") - before == 3
        assert len(ben.all("closed")) == len(vera.all("closed")) == 1
        assert anna.all("closed") == []
        assert sorted(scene.loaded("tea").seats) == ["anna"]


async def test_a_room_that_became_large_unheard_of_lets_go_of_its_members():
    async with open_scene(feed_members_max=3) as scene:
        _anna, ben, _ = await tea(scene)
        for number in range(5):
            await scene.elsewhere("tea", "anna", Member(f"guest-{number}", "member"))
        await ben.ask("unsubscribe", room="tea")

        await reload(scene)

        room = scene.loaded("tea")
        assert (room.complete, list(room.seats)) == (False, ["anna"])
        assert (await ben.ask("subscribe", room="tea"))["members"] == 7


async def test_a_room_that_became_small_unheard_of_knows_its_members_again():
    """They were members all along: nobody is told that they gained it."""
    async with open_scene(feed_members_max=2) as scene:
        cleo = await scene.enter("cleo")
        anna, ben, _head = await tea(scene, cleo)
        await trio.sleep(2)
        for one in (anna, ben):
            one.forget()
        await scene.elsewhere("tea", "anna", Member("cleo", None), revokes=True)
        await scene.elsewhere("tea", "anna", Message({"text": "just us"}))

        await reload(scene)
        await trio.sleep(2)

        assert scene.loaded("tea").complete
        assert [one.get("added") for one in ben.all("feed") if "added" in one] == []
        await anna.send("tea")
        await trio.sleep(2)
        assert ben.all("feed")
