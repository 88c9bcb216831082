"""Laws of subscribing: the answer first, then each entry once, from where the client stands."""

import msgspec
import pytest
import trio
from scene import open_scene, settled

from triolet._model.entries import Member, Message
from triolet._model.errors import StoreUnavailable


async def tea(scene, messages=5, **fields):
    anna, ben = await scene.enter("anna"), await scene.enter("ben")
    head = await scene.room("tea", anna, ben, subscribe=False, **fields)
    for number in range(messages):
        await anna.send("tea", str(number))
    await trio.sleep(2)
    for one in (anna, ben):
        one.forget()
    epoch = (await scene.store.real.room("tea")).epoch
    return anna, ben, epoch, head + messages


def place(who, ref):
    """Return where in what was heard the reply to `ref` is."""
    return next(index for index, one in enumerate(who.heard) if one.get("ref") == ref)


# --- the answer --------------------------------------------------------------------------------


async def test_without_a_position_it_begins_at_the_head(scene):
    anna, ben, epoch, head = await tea(scene)
    answer = await ben.ask("subscribe", room="tea")
    await anna.send("tea")
    await settled()

    assert ben.seqs("tea") == [head + 1]
    assert answer == {
        "op": "ok",
        "ref": answer["ref"],
        "room": "tea",
        "epoch": epoch,
        "head": head,
        "floor": 0,
        "role": "member",
        "recovered": False,
        "unread": 5,
        "read": 2,
        "members": 2,
        "typing": [],
        "receipts": [["anna", head, head], ["ben", 2, 2]],
    }


async def test_the_answer_comes_before_its_entries(scene):
    """From the ring, from pages, and live."""
    anna, ben, epoch, head = await tea(scene)
    for since in (0, 3, head):
        ben.forget()
        ref = await ben.say("subscribe", room="tea", since=[epoch, since])
        await anna.send("tea")
        head += 1
        await settled()
        after = [one for one in ben.heard[place(ben, ref) :] if one["op"] == "entry"]
        assert [one["seq"] for one in after] == list(range(since + 1, head + 1))


async def test_a_prefix_is_recovered(scene):
    _, ben, epoch, head = await tea(scene)
    answer = await ben.ask("subscribe", room="tea", since=[epoch, 3])
    await settled()

    assert (answer["recovered"], answer.get("since")) == (True, None)
    assert ben.seqs("tea") == list(range(4, head + 1))


async def test_an_unknown_epoch_is_not_recovered(scene):
    anna, ben, _, head = await tea(scene)
    answer = await ben.ask("subscribe", room="tea", since=["of another store", 3])
    await anna.send("tea")
    await settled()

    assert (answer["recovered"], answer["head"]) == (False, head)
    assert ben.seqs("tea") == [head + 1]


async def test_what_retention_removed_is_not_recovered(scene):
    _anna, ben, epoch, head = await tea(scene)
    rows = await scene.store.real.prune(older_than=0, entries_max=2, limit=100)
    for room, floor, floor_n in rows:
        scene.hub.floor_moved(room, floor, floor_n)
    lost = await ben.ask("subscribe", room="tea", since=[epoch, 3])
    await settled()
    assert (lost["recovered"], lost["floor"], lost["unread"]) == (False, head - 2, 2)
    assert ben.seqs("tea") == []

    kept = await ben.ask("subscribe", room="tea", since=[epoch, head - 2])
    await settled()
    assert kept["recovered"] is True
    assert ben.seqs("tea") == [head - 1, head]


async def test_a_position_before_a_fork_is_translated(scene):
    _anna, ben, epoch, head = await tea(scene)
    new = await scene.store.real.new_generation()
    await scene.messages_elsewhere("tea", 2)
    scene.unload("tea")
    answer = await ben.ask("subscribe", room="tea", since=[epoch, head - 1])
    await settled()

    assert (answer["recovered"], answer["since"]) == (True, [new, head - 1])
    assert ben.seqs("tea") == [head, head + 1, head + 2]


async def test_a_position_that_a_fork_lost_goes_back_to_the_last_common_one(scene):
    _anna, ben, epoch, head = await tea(scene)
    new = await scene.store.real.new_generation()
    await scene.messages_elsewhere("tea", 2)
    scene.unload("tea")
    answer = await ben.ask("subscribe", room="tea", since=[epoch, head + 9])
    await settled()

    assert (answer["recovered"], answer["since"]) == (True, [new, head])
    assert ben.seqs("tea") == [head + 1, head + 2]


async def test_a_client_ahead_of_the_node_makes_the_node_look(scene):
    """It has seen, on another node, what this one has not heard of: nothing is sent twice."""
    _anna, ben, epoch, head = await tea(scene)
    await scene.messages_elsewhere("tea", 4)
    answer = await ben.ask("subscribe", room="tea", since=[epoch, head + 3])
    await settled()

    assert (answer["recovered"], answer["head"], answer.get("since")) == (True, head + 4, None)
    assert ben.seqs("tea") == [head + 4]


async def test_a_client_ahead_of_everything_is_told_where_the_log_ends(scene):
    anna, ben, epoch, head = await tea(scene)
    answer = await ben.ask("subscribe", room="tea", since=[epoch, head + 50])
    await anna.send("tea")
    await settled()

    assert (answer["recovered"], answer["since"]) == (True, [epoch, head])
    assert ben.seqs("tea") == [head + 1]


# --- who may -----------------------------------------------------------------------------------


async def test_a_private_room_is_none_to_strangers(scene):
    await tea(scene)
    vera = await scene.enter("vera")

    assert await vera.refused("subscribe", room="tea") == "no_such_room"
    assert await vera.refused("subscribe", room="nowhere") == "no_such_room"


async def test_a_public_room_is_read_by_visitors(scene):
    _anna, _, epoch, head = await tea(scene, public=True)
    vera = await scene.enter("vera")
    answer = await vera.ask("subscribe", room="tea", since=[epoch, 0])
    await settled()

    assert (answer["role"], answer["unread"], answer["members"]) == (None, 0, 2)
    assert vera.seqs("tea") == list(range(1, head + 1))


async def test_the_gate_overrules_both_ways(scene):
    from triolet.ports.gate import Action

    await tea(scene)
    vera, ben = await scene.enter("vera"), scene.cast[1]
    scene.gate.verdicts["vera", Action.READ, "tea"] = True
    scene.gate.verdicts["ben", Action.READ, "tea"] = False

    assert (await vera.ask("subscribe", room="tea"))["role"] is None
    assert await ben.refused("subscribe", room="tea") == "forbidden"


@pytest.mark.parametrize("call", ["count", "catch_up"])
async def test_who_is_removed_while_subscribing_does_not_follow(call):
    """Whatever is awaited after the right was first seen: it is looked at again at the end."""
    async with open_scene(feed_members_max=1) as scene:
        anna, ben, epoch, head = await tea(scene)
        since = [epoch, head]
        if call == "count":
            scene.loaded("tea").members = None
        else:
            await scene.messages_elsewhere("tea", 3)
            since = [epoch, head + 3]
        step = scene.store.script("room", after=True)
        ref = await ben.say("subscribe", room="tea", since=since)
        await step.entered.wait()
        await settled()
        await anna.ask("kick", room="tea", user="ben")
        step.release()

        assert (await ben.answer(ref))["reason"] == "no_such_room"
        await anna.send("tea")
        await settled()
        assert ben.seqs("tea") == []


async def test_who_is_removed_between_the_rooms_of_one_subscribe_is_refused_that_room(scene):
    anna, ben, epoch, _head = await tea(scene)
    await scene.room("milk", anna, ben, subscribe=False)
    scene.unload("milk")
    step = scene.store.script("rooms", before=True)
    ref = await ben.say("subscribe", rooms=[["tea", epoch, 0], ["milk", epoch, 0]])
    await step.entered.wait()
    await anna.ask("kick", room="tea", user="ben")
    step.release()
    rows = (await ben.answer(ref))["rooms"]
    await settled()

    assert [row.get("reason") for row in rows] == ["no_such_room", None]
    assert ben.seqs("tea") == []
    assert ben.seqs("milk") == [1, 2]


async def test_a_second_session_that_leaves_does_not_take_the_seat_of_one_that_comes():
    """Rights are followed for who is subscribing, also while another session of theirs goes."""
    async with open_scene(feed_members_max=1) as scene:
        _anna, ben, _epoch, _head = await tea(scene)
        laptop = await scene.enter("ben", device="laptop")
        await laptop.ask("subscribe", room="tea")
        scene.loaded("tea").members = None
        step = scene.store.script("room", before=True)
        ref = await ben.say("subscribe", room="tea")
        await step.entered.wait()
        await laptop.ask("unsubscribe", room="tea")
        await scene.elsewhere("tea", "anna", Member("ben", None), revokes=True, offer=True)
        step.release()

        assert (await ben.answer(ref))["reason"] == "no_such_room"


# --- several at once ---------------------------------------------------------------------------


async def test_several_rooms_are_answered_in_the_order_asked_refusals_in_place(scene):
    anna, ben, epoch, head = await tea(scene)
    await scene.room("milk", anna, ben, subscribe=False)
    await scene.room("secret", anna, subscribe=False)
    places = [["secret", epoch, 0], ["tea", epoch, head], ["none", epoch, 0], ["milk", epoch, 1]]
    rows = (await ben.ask("subscribe", rooms=places))["rooms"]
    await settled()

    assert [row["room"] for row in rows] == ["secret", "tea", "none", "milk"]
    assert [row.get("reason") for row in rows] == ["no_such_room", None, "no_such_room", None]
    assert (ben.seqs("tea"), ben.seqs("milk")) == ([], [2])


async def test_subscribe_names_one_room_or_several(scene):
    _, ben, epoch, _ = await tea(scene)

    assert await ben.refused("subscribe") == "invalid_field"
    assert await ben.refused("subscribe", room="tea", rooms=[["tea", epoch, 0]]) == "invalid_field"
    assert (await ben.ask("subscribe", rooms=[]))["rooms"] == []


async def test_a_session_follows_so_many_rooms_and_no_more():
    async with open_scene(subscriptions_max=2) as scene:
        anna = await scene.enter("anna")
        for name in "abc":
            await scene.room(name, anna, subscribe=False)
        epoch = (await scene.store.real.room("a")).epoch
        await anna.ask("subscribe", room="a")
        assert (
            await anna.refused("subscribe", rooms=[["b", epoch, 0], ["c", epoch, 0]])
            == "too_many_rooms"
        )
        await anna.ask("subscribe", rooms=[["a", epoch, 0], ["b", epoch, 0]])
        assert await anna.refused("subscribe", room="c") == "too_many_rooms"
        await anna.ask("unsubscribe", room="a")
        await anna.ask("subscribe", room="c")


async def test_a_store_in_trouble_refuses_and_leaves_nothing_half_done(scene):
    anna, ben, epoch, _head = await tea(scene)
    await scene.room("milk", anna, ben, subscribe=False)
    scene.unload("milk")
    scene.store.script("rooms", error=StoreUnavailable("no"))
    places = [["tea", epoch, 0], ["milk", epoch, 0]]

    assert await ben.refused("subscribe", rooms=places) == "store_unavailable"
    assert ben.session.cursors == {}
    assert scene.loaded("tea").pins == 0


# --- ending ------------------------------------------------------------------------------------


async def test_nothing_follows_the_answer_to_unsubscribe_and_nothing_is_missing_before_it(scene):
    anna, ben, _, head = await tea(scene)
    await ben.ask("subscribe", room="tea")
    refs = []
    for number in range(30):
        await anna.say("send", room="tea", body={})
        if number == 10:
            refs.append(await ben.say("unsubscribe", room="tea"))
    await settled()

    end = place(ben, refs[0])
    entries = [index for index, one in enumerate(ben.heard) if one["op"] == "entry"]
    assert max(entries, default=0) < end
    assert ben.seqs("tea") == list(range(head + 1, head + 1 + len(entries)))


async def test_unsubscribing_from_what_is_not_followed_is_fine(scene):
    _, ben, _, _ = await tea(scene)

    await ben.ask("unsubscribe", room="tea")
    await ben.ask("unsubscribe", room="nowhere")


async def test_one_session_ends_its_subscription_and_another_goes_on(scene):
    anna, ben, _, head = await tea(scene)
    laptop = await scene.enter("ben", device="laptop")
    for one in (ben, laptop):
        await one.ask("subscribe", room="tea")
    await ben.ask("unsubscribe", room="tea")
    await anna.send("tea")
    await settled()

    assert (ben.seqs("tea"), laptop.seqs("tea")) == ([], [head + 1])


async def test_a_resubscription_moves_the_position(scene):
    """Back as well as forward: what the client says it has is what counts."""
    _anna, ben, epoch, head = await tea(scene)
    await ben.ask("subscribe", room="tea", since=[epoch, 0])
    await settled()
    ben.forget()
    await ben.ask("subscribe", room="tea", since=[epoch, 2])
    await settled()

    assert ben.seqs("tea") == list(range(3, head + 1))
    assert len(scene.loaded("tea").cursors) == 1
    assert len(scene.loaded("tea").seats["ben"].cursors) == 1


@pytest.mark.parametrize("many", [False, True])
async def test_what_the_replaced_subscription_was_told_comes_before_the_answer(scene, many):
    """Committed in the same scheduler turn, and not written yet: once, and not out of order."""
    anna, ben, epoch, head = await tea(scene)
    await ben.ask("subscribe", room="tea")
    fields = {"rooms": [["tea", epoch, head + 1]]} if many else {"room": "tea"}
    (record,) = await scene.elsewhere("tea", "anna", Message({"text": "hi"}))
    command = msgspec.msgpack.encode({"op": "subscribe", "ref": 99, **fields})

    scene.hub.offer(record)
    assert ben.session.receive(command) is None
    await anna.send("tea")
    await settled()

    assert ben.seqs("tea") == [head + 1, head + 2]
    assert ben.heard.index(ben.all("entry")[0]) < place(ben, 99)
