"""Laws of the hub: whatever order entries come in, every cursor sees each once, in order."""

import gc
import logging
import weakref

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from scene import open_scene, settled, virtually

from triolet._model.entries import Member, Message
from triolet._model.errors import StoreUnavailable
from triolet._runtime import heads
from triolet._runtime.room import Room


async def tea(scene, *others):
    anna, ben = await scene.enter("anna"), await scene.enter("ben")
    head = await scene.room("tea", anna, ben, *others)
    return anna, ben, head


async def records_of(scene, count, sender="anna"):
    found = []
    for number in range(count):
        found += await scene.elsewhere("tea", sender, Message({"text": str(number)}))
    return found


# --- any order ---------------------------------------------------------------------------------


@st.composite
def deliveries(draw):
    """How another node's entries come: shuffled, doubled, lost, with pauses in between."""
    count = draw(st.integers(1, 12))
    order = draw(st.permutations(range(count)))
    steps = []
    for index in order:
        fate = draw(st.sampled_from(["once", "once", "once", "twice", "lost"]))
        steps += [index] * {"once": 1, "twice": 2, "lost": 0}[fate]
        if draw(st.booleans()):
            steps.append(draw(st.sampled_from([0.001, 0.004, 0.02])))
    again = draw(st.lists(st.integers(0, count - 1), max_size=4))
    return count, [*steps, *again]


@given(deliveries(), st.booleans())
@settings(max_examples=60, deadline=None)
@virtually
async def test_every_cursor_sees_each_entry_once_in_order(delivery, own_send_in_between):
    """Also among this node's own commits, and for who subscribes in the middle of it all."""
    count, steps = delivery
    async with open_scene() as scene:
        anna, ben, head = await tea(scene)
        epoch = scene.loaded("tea").epoch
        records = await records_of(scene, count)
        cleo = await scene.enter("cleo")
        ben.forget()
        for index, step in enumerate(steps):
            if isinstance(step, int):
                scene.hub.offer(records[step])
            else:
                await trio.sleep(step)
            if index == len(steps) // 2:
                since = [epoch, head + count // 2]
                await ben.ask("subscribe", room="tea", since=since)
                middle = ben.heard.index(ben.all("ok")[-1])
                if own_send_in_between:
                    await cleo.say("send", room="tea", body={})
                    await anna.ask("send", room="tea", body={})
                    count += 1
        await trio.sleep(scene.limits.head_check_s + 0.1)
        await settled()

        assert anna.seqs("tea") == list(range(head + 1, head + count + 1))
        if steps:
            seen = [one["seq"] for one in ben.heard[middle:] if one["op"] == "entry"]
            assert seen == list(range(since[1] + 1, head + count + 1))
            before = [one["seq"] for one in ben.heard[:middle] if one["op"] == "entry"]
            assert before == list(range(head + 1, head + 1 + len(before)))


async def test_an_entry_for_a_room_that_is_not_loaded_is_nobodys(scene):
    anna, ben, _ = await tea(scene)
    for one in (anna, ben):
        await one.ask("unsubscribe", room="tea")
    scene.unload("tea")

    await scene.messages_elsewhere("tea", 1, offer=True)

    assert "tea" not in scene.hub.rooms


async def test_what_comes_early_waits_for_its_predecessor_and_needs_no_read(scene):
    anna, _, head = await tea(scene)
    records = await records_of(scene, 3)

    for record in reversed(records):
        scene.hub.offer(record)
    await settled()

    assert anna.seqs("tea") == [head + 1, head + 2, head + 3]
    await trio.sleep(0.01)
    assert scene.store.count("page") == 0


async def test_a_gap_is_read_once_after_a_moment(scene):
    anna, _, head = await tea(scene)
    records = await records_of(scene, 40)

    for record in records[5:]:
        scene.hub.offer(record)
    await settled()
    assert anna.seqs("tea") == []
    await trio.sleep(scene.limits.gap_wait_s)
    await settled()

    assert anna.seqs("tea") == list(range(head + 1, head + 41))
    assert scene.store.count("page") == 1


async def test_a_gap_that_cannot_be_read_is_found_by_the_comparison_of_heads(scene):
    anna, _, head = await tea(scene)
    records = await records_of(scene, 3)
    scene.store.script("page", error=StoreUnavailable("no"))

    scene.hub.offer(records[-1])
    await trio.sleep(1)
    assert anna.seqs("tea") == []
    await trio.sleep(scene.limits.head_check_s)

    assert anna.seqs("tea") == [head + 1, head + 2, head + 3]


@pytest.mark.parametrize("limits", [{"early_max": 4}, {"gap_max": 20}])
async def test_a_gap_beyond_the_bounds_reloads_the_room(limits):
    """Too much came early, or too much is missing: the head is set, and all catch up by pages."""
    async with open_scene(page_entries_max=10, **limits) as scene:
        anna, ben, head = await tea(scene)
        records = await records_of(scene, 50)

        for record in records[10:]:
            scene.hub.offer(record)
        room = scene.loaded("tea")
        assert len(room.early) <= scene.limits.early_max
        await trio.sleep(scene.limits.head_check_s + 1)

        for one in (anna, ben):
            assert one.seqs("tea") == list(range(head + 1, head + 51))


async def test_too_much_that_comes_while_a_room_is_loaded_is_read_at_once():
    """Not when its next entry comes, or heads are compared, which may be five seconds later."""
    async with open_scene(early_max=4) as scene:
        anna, ben, head = await tea(scene)
        epoch = scene.loaded("tea").epoch
        for one in (anna, ben):
            await one.ask("unsubscribe", room="tea")
        scene.unload("tea")
        step = scene.store.script("rooms", after=True)
        asked = await anna.say("subscribe", room="tea", since=[epoch, head])
        await settled()
        for record in await records_of(scene, 8):
            scene.hub.offer(record)
        step.release()
        await anna.answer(asked)
        await trio.sleep(0.1)

        assert anna.seqs("tea") == list(range(head + 1, head + 9))


async def test_a_gap_that_retention_has_removed_reloads_the_room(scene):
    anna, ben, head = await tea(scene)
    records = await records_of(scene, 10)
    await scene.store.real.prune(older_than=0, entries_max=2, limit=100)
    scene.hub.offer(records[-1])
    await trio.sleep(1)
    await anna.send("tea")
    await settled()

    for one in (anna, ben):
        assert one.all("reset")[0]["floor"] == head + 8
        assert one.seqs("tea") == [head + 11]


async def test_what_was_stored_unnoticed_waits_for_the_store_to_answer(scene):
    anna, _, head = await tea(scene)
    await scene.messages_elsewhere("tea", 2)
    scene.store.script("room", error=StoreUnavailable("no"))
    scene.hub.missed("tea")
    scene.hub.missed("not loaded")
    await settled()
    assert anna.seqs("tea") == []
    await trio.sleep(scene.limits.head_check_s + 0.1)

    assert anna.seqs("tea") == [head + 1, head + 2]


async def test_a_store_that_went_back_without_a_word_is_believed_at_last(scene):
    """It is asked a few times, not for ever; its readers start over from what there is."""
    anna, _, head = await tea(scene)
    for _ in range(5):
        await anna.send("tea")
    await settled()
    stored = scene.store.real.held.rooms["tea"]
    del stored.records[head + 2 :]
    stored.head, stored.n = head + 2, 2
    before = scene.store.count("room")

    await scene.hub.resync(scene.loaded("tea"))
    await settled()

    assert scene.store.count("room") - before <= 5
    assert anna.all("reset")[0]["head"] == head + 2


# --- loading -----------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [5, 100])
async def test_entries_that_come_while_a_room_is_loaded_are_not_lost(scene, count):
    """They wait, and follow the head that was read; those beyond the bound are read again."""
    anna, ben, head = await tea(scene)
    for one in (anna, ben):
        await one.ask("unsubscribe", room="tea")
    scene.unload("tea")
    epoch = (await scene.store.real.room("tea")).epoch
    step = scene.store.script("rooms", after=True)

    ref = await anna.say("subscribe", room="tea", since=[epoch, head])
    await step.entered.wait()
    await settled()
    await scene.messages_elsewhere("tea", count, offer=True)
    step.release()
    await anna.answer(ref)
    await trio.sleep(scene.limits.head_check_s + 1)

    assert anna.seqs("tea") == list(range(head + 1, head + count + 1))


async def test_who_was_removed_while_a_room_was_loaded_is_no_member_of_it(scene):
    """What comes after the read is applied to what was read, before anybody looks."""
    anna, ben, head = await tea(scene)
    for one in (anna, ben):
        await one.ask("unsubscribe", room="tea")
    scene.unload("tea")
    step = scene.store.script("rooms", after=True)

    ref = await anna.say("subscribe", room="tea")
    await settled()
    await scene.elsewhere("tea", "anna", Member("ben", None), revokes=True, offer=True)
    await scene.elsewhere("tea", "anna", Member("cleo", "member"), offer=True)
    step.release()
    answer = await anna.answer(ref)

    assert (answer["head"], answer["members"]) == (head + 2, 2)
    assert sorted(scene.loaded("tea").seats) == ["anna", "cleo"]


async def test_a_room_is_loaded_once_for_all_who_ask(scene):
    anna, ben, _ = await tea(scene)
    for one in (anna, ben):
        await one.ask("unsubscribe", room="tea")
    scene.unload("tea")
    before = scene.store.count("rooms")
    step = scene.store.script("rooms", before=True)
    refs = [await one.say("subscribe", room="tea") for one in (anna, ben)]
    await settled()
    step.release()
    for one, ref in zip((anna, ben), refs, strict=True):
        assert (await one.answer(ref))["op"] == "ok"

    assert scene.store.count("rooms") == before + 1


async def test_many_rooms_are_loaded_by_one_read_and_what_is_asked_meanwhile_by_the_next(scene):
    # More rooms than a person may make at once.
    anna = await scene.enter("anna", tier="service")
    for number in range(150):
        await scene.room(f"room-{number}", anna, subscribe=False)
        scene.unload(f"room-{number}")
    steps = [scene.store.script("rooms", before=True) for _ in range(2)]
    scene.hub.load([f"room-{number}" for number in range(140)])
    scene.hub.load(["room-7", "none"])
    await settled()
    scene.hub.load([f"room-{number}" for number in range(130, 150)])
    for step in steps:
        step.release()
    await settled()

    asked = [args[0] for name, args, _ in scene.store.calls if name == "rooms"][-3:]
    assert [len(names) for names in asked] == [64, 64, 23]
    assert sorted(scene.hub.rooms) == sorted(f"room-{number}" for number in range(150))
    assert scene.hub.loading == 0


async def test_a_load_that_fails_is_told_to_all_and_tried_anew(scene):
    anna, ben, _ = await tea(scene)
    for one in (anna, ben):
        await one.ask("unsubscribe", room="tea")
    scene.unload("tea")
    step = scene.store.script("rooms", before=True, error=StoreUnavailable("no"))
    refs = [await one.say("subscribe", room="tea") for one in (anna, ben)]
    await settled()
    step.release()

    answers = [await one.answer(ref) for one, ref in zip((anna, ben), refs, strict=True)]

    assert [answer["reason"] for answer in answers] == ["store_unavailable"] * 2
    assert answers[0]["retry_after_ms"] == 1000
    await anna.ask("subscribe", room="tea")


async def test_a_load_nobody_waits_for_any_more_ends_idle(scene):
    """A cancelled session leaves a room that can be dropped, and no load."""
    anna, ben, _ = await tea(scene)
    for one in (anna, ben):
        await one.ask("unsubscribe", room="tea")
    scene.unload("tea")
    step = scene.store.script("rooms", before=True)
    await ben.say("subscribe", room="tea")
    await settled()
    await ben.cut()
    step.release()
    await settled()

    assert list(scene.hub.idle) == ["tea"]
    assert scene.hub.loading == 0


# --- dropping ----------------------------------------------------------------------------------


async def test_rooms_nobody_needs_are_dropped_the_longest_unneeded_first():
    async with open_scene(idle_rooms_max=2) as scene:
        anna = await scene.enter("anna")
        for name in "abcde":
            await scene.room(name, anna, subscribe=name == "a")
        await anna.send("c")
        await anna.send("b")

        assert sorted(scene.hub.rooms) == ["a", "b", "c"]


async def test_idle_rooms_have_so_many_seats_and_no_more():
    """Large rooms cost more: the longest unneeded go while their members are too many."""
    async with open_scene(idle_seats_max=5) as scene:
        anna, ben = await scene.enter("anna"), await scene.enter("ben")
        for name in "abcd":
            await scene.room(name, anna, ben, subscribe=False)
        assert sorted(scene.hub.rooms) == ["c", "d"]
        await anna.ask("subscribe", room="c")
        for name in "ef":
            await scene.room(name, anna, ben, subscribe=False)

        assert sorted(scene.hub.rooms) == ["c", "e", "f"]


async def test_a_followed_room_is_never_dropped():
    async with open_scene(idle_rooms_max=1) as scene:
        anna, ben, head = await tea(scene)
        for number in range(5):
            await scene.room(f"other-{number}", anna, subscribe=False)
        await ben.send("tea")
        await settled()

        assert anna.seqs("tea") == [head + 1]


async def test_a_room_with_a_draft_on_its_way_is_not_dropped():
    """Its commit comes back to the room it was decided in: members are told of it."""
    async with open_scene(idle_rooms_max=1) as scene:
        anna = await scene.enter("anna")
        await scene.room("tea", anna, subscribe=False)
        step = scene.store.script("append", before=True)
        ref = await anna.say("send", room="tea", body={})
        await settled()
        room = scene.loaded("tea")
        for number in range(5):
            await scene.hub.open(f"none-{number}")
        ben = await scene.enter("ben")
        for name in ("x", "y", "z"):
            await scene.store.real.append([])
            await ben.refused("history", room=name)
        assert scene.hub.rooms["tea"] is room
        step.release()
        await anna.answer(ref)
        await settled()

        assert scene.loaded("tea").head == 2


@pytest.mark.parametrize("idle", [0, 1, 2])
async def test_many_loads_at_once_all_find_their_room(idle):
    """However few idle rooms are kept, whoever waits for a room gets it, and can keep it."""
    async with open_scene(idle_rooms_max=idle, commands_burst=1000) as scene:
        anna = await scene.enter("anna")
        names = [f"room-{number}" for number in range(20)]
        for name in names:
            await scene.room(name, anna, subscribe=False)
        friends = [await scene.enter("anna", device=f"d{number}") for number in range(20)]
        before = scene.store.count("rooms")
        refs = [
            await one.say("history", room=name) for one, name in zip(friends, names, strict=True)
        ]
        answers = [await one.answer(ref) for one, ref in zip(friends, refs, strict=True)]

        assert [answer["op"] for answer in answers] == ["ok"] * 20
        assert scene.store.count("rooms") <= before + 2 * len(names)


async def test_a_dropped_room_is_not_kept_in_memory():
    """Not by the account of all rings together, nor by anything that was told of it."""
    async with open_scene(idle_rooms_max=1) as scene:
        anna = await scene.enter("anna")
        await scene.room("old", anna, subscribe=False)
        for _ in range(3):
            await anna.send("old")
        alive = weakref.WeakSet(
            one for one in gc.get_objects() if isinstance(one, Room) and one.name == "old"
        )
        assert len(alive) == 1
        await scene.room("new", anna, subscribe=False)
        await trio.sleep(20)
        gc.collect()

        assert [room.name for room in alive] == []


async def test_all_rings_together_are_bounded():
    async with open_scene(ring_entries_total_max=20, commands_burst=1000) as scene:
        anna = await scene.enter("anna")
        for name in "abcd":
            await scene.room(name, anna)
            for _ in range(15):
                await anna.send(name)

        lengths = {name: len(room.ring) for name, room in scene.hub.rooms.items()}
        assert sum(lengths.values()) == 20
        assert lengths["d"] == 15


async def test_a_busy_room_does_not_empty_its_own_ring():
    """What its own bound has dropped does not count against it a second time."""
    limits = {"ring_entries_total_max": 50, "ring_entries_max": 10, "commands_burst": 1000}
    async with open_scene(**limits) as scene:
        anna = await scene.enter("anna")
        await scene.room("tea", anna)
        for _ in range(200):
            await anna.send("tea")

        assert len(scene.loaded("tea").ring) == 10


async def idle_room_with_a_gap(scene):
    """Return a room nobody needs, of which a late entry came, and the held read of what lacks."""
    anna, ben, head = await tea(scene)
    for one in (anna, ben):
        await one.ask("unsubscribe", room="tea")
    records = await records_of(scene, 3)
    step = scene.store.script("page", after=True)
    scene.hub.offer(records[-1])
    await step.entered.wait()
    await settled()
    return anna, head, step


async def test_a_room_that_is_dropped_while_its_gap_is_read_is_left_alone(scene):
    """Nobody waits for it any more, and what was read goes nowhere: it is not read for ever."""
    _, _, step = await idle_room_with_a_gap(scene)
    scene.unload("tea")
    step.release()
    await settled()

    assert scene.store.count("page") == 1
    assert "tea" not in scene.hub.rooms


async def test_a_room_that_is_dropped_and_loaded_while_its_gap_is_read_is_whole(scene):
    anna, head, step = await idle_room_with_a_gap(scene)
    scene.unload("tea")
    answer = await anna.ask("subscribe", room="tea")
    step.release()
    await anna.send("tea")
    await settled()

    assert answer["head"] == head + 3
    assert anna.seqs("tea") == [head + 4]


async def test_the_end_of_a_dropped_room_does_not_touch_its_successor(scene):
    anna, ben, _ = await tea(scene)
    for one in (anna, ben):
        await one.ask("unsubscribe", room="tea")
    old = scene.loaded("tea")
    scene.unload("tea")
    await anna.ask("subscribe", room="tea")
    kept = dict(scene.store.real.held.rooms)
    scene.store.real.held.rooms.clear()
    await scene.hub.resync(old)
    scene.store.real.held.rooms.update(kept)

    assert scene.loaded("tea") is not old
    await anna.send("tea")


# --- comparing heads ---------------------------------------------------------------------------


async def test_lost_doorbells_are_found_within_the_interval(scene):
    anna, ben, head = await tea(scene)
    await scene.messages_elsewhere("tea", 3)

    await trio.sleep(scene.limits.head_check_s + 0.1)

    for one in (anna, ben):
        assert one.seqs("tea") == [head + 1, head + 2, head + 3]


async def test_rooms_nobody_follows_are_not_compared(scene):
    anna = await scene.enter("anna")
    await scene.room("tea", anna, subscribe=False)
    await trio.sleep(3 * scene.limits.head_check_s)

    assert scene.store.count("heads") == 0


async def test_where_nobody_else_writes_so_many_rooms_are_compared_in_turn(scene, monkeypatch):
    """However many are followed, a round costs the same; each one's turn comes."""
    monkeypatch.setattr(heads, "_ALONE_PER_ROUND", 2)
    anna = await scene.enter("anna")
    for name in "abcde":
        await scene.room(name, anna)
    await trio.sleep(6 * scene.limits.head_check_s + 1)

    rounds = [list(args[0]) for name, args, _ in scene.store.calls if name == "heads"]
    assert {len(names) for names in rounds} == {1, 2}
    assert ["a", "b", "c", "d", "e"] * 2 == [name for names in rounds for name in names][:10]


async def test_a_room_whose_gap_could_not_be_read_is_compared_in_the_next_round(scene, monkeypatch):
    """Not when its turn comes: among 100,000 rooms that would be eight minutes."""
    monkeypatch.setattr(heads, "_ALONE_PER_ROUND", 1)
    anna = await scene.enter("anna")
    for name in "abcde":
        head = await scene.room(name, anna)
    scene.store.script("page", error=StoreUnavailable("no"))
    await scene.messages_elsewhere("e", 1)
    await scene.messages_elsewhere("e", 1, offer=True)

    await trio.sleep(scene.limits.head_check_s + 0.1)

    assert anna.seqs("e") == [head + 1, head + 2]
    assert scene.hub._rooms.doubtful == {}


async def test_a_comparison_that_fails_is_repeated_each_second_and_told_once(scene, caplog):
    """A store that was away is asked as soon as it is back, not when the next round is due."""
    anna, _, head = await tea(scene)
    await scene.messages_elsewhere("tea", 1)
    for _ in range(4):
        scene.store.script("heads", error=StoreUnavailable("no"))

    with caplog.at_level(logging.WARNING):
        await trio.sleep(scene.limits.head_check_s + 3.9)
        assert anna.seqs("tea") == []
        await trio.sleep(0.2)

    assert anna.seqs("tea") == [head + 1]
    assert scene.store.count("heads") == 5
    assert caplog.text.count("heads could not be compared") == 1
    assert caplog.text.count("heads can be compared again") == 1


async def test_a_room_that_is_no_more_ends_its_subscriptions(scene):
    anna, ben, head = await tea(scene)
    scene.store.real.held.rooms.clear()
    scene.store.real.held.inboxes.clear()

    await trio.sleep(scene.limits.head_check_s + 0.1)

    for one in (anna, ben):
        assert one.all("closed") == [
            {"op": "closed", "room": "tea", "reason": "deleted", "seq": head}
        ]
    assert scene.hub.rooms == {}
