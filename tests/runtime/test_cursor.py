"""Laws of the pump: who is behind is brought to the head, in order, once, at a bounded price."""

import pytest
import trio
from scene import open_scene, settled

from triolet._domain.cursor import CursorState
from triolet._model.entries import Delete
from triolet._model.errors import StoreUnavailable

# A frame of these tests at most; the outbox may pass its high mark by one.
FRAME_BYTES_MAX = 500


def small(**changes):
    """Open a scene in which everything is soon full: a ring of 5, pages of 4, 8 kB a reader."""
    return open_scene(
        **{
            "outbox_bytes_high": 8000,
            "outbox_bytes_low": 2000,
            "ring_entries_max": 5,
            "page_entries_max": 4,
            "commands_burst": 10_000,
            **changes,
        }
    )


async def tea(scene):
    anna, ben = await scene.enter("anna"), await scene.enter("ben")
    head = await scene.room("tea", anna, ben)
    return anna, ben, head


async def fall_behind(scene, anna, ben, count=400):
    """Have Ben read nothing while Anna writes so much that he cannot keep up."""
    ben.stop_reading()
    for number in range(count):
        await anna.send("tea", f"message {number} " + "x" * 100)
    await settled()
    assert cursor_of(ben).state is CursorState.BEHIND


def cursor_of(participant, room="tea"):
    return participant.session.cursors[room]


async def epoch_of(scene, room="tea"):
    return (await scene.store.real.room(room)).epoch


# --- slow readers ----------------------------------------------------------------------------


@pytest.mark.parametrize("ring", [5, 1000])
async def test_a_slow_reader_costs_its_budget_and_misses_nothing(ring):
    """From the ring where that reaches back far enough, else from the store's pages."""
    async with small(ring_entries_max=ring) as scene:
        anna, ben, head = await tea(scene)
        await fall_behind(scene, anna, ben)
        assert ben.session.outbox.size <= scene.limits.outbox_bytes_high
        assert anna.seqs("tea") == list(range(head + 1, head + 401))

        sizes = []
        ben.reading.set()
        while len(ben.seqs("tea")) < 400:
            await trio.lowlevel.checkpoint()
            sizes.append(ben.session.outbox.size)

        assert ben.seqs("tea") == list(range(head + 1, head + 401))
        assert max(sizes) <= scene.limits.outbox_bytes_high + FRAME_BYTES_MAX
        assert (scene.store.count("page") > 0) == (ring == 5)
        await settled()
        assert cursor_of(ben).state is CursorState.LIVE
        await anna.send("tea", "live again")
        assert (await ben.next("entry", seq=head + 401))["body"] == {"text": "live again"}


async def test_a_page_of_small_entries_does_not_pass_the_budget():
    """A page is bounded in stored bytes; frames are longer, so the outbox judges for itself."""
    async with small(page_entries_max=200, outbox_bytes_low=7000) as scene:
        _anna, ben, head = await tea(scene)
        await ben.ask("unsubscribe", room="tea")
        await scene.messages_elsewhere("tea", 300, offer=True)
        ben.stop_reading()
        await ben.say("subscribe", room="tea", since=[await epoch_of(scene), head])
        await settled()
        assert ben.session.outbox.size <= scene.limits.outbox_bytes_high + FRAME_BYTES_MAX

        ben.reading.set()
        await settled()

        assert ben.seqs("tea") == list(range(head + 1, head + 301))


async def test_a_slow_reader_costs_others_nothing(scene):
    """No entry is read twice for who keeps up, and no page at all."""
    anna, ben, head = await tea(scene)
    ben.stop_reading()
    for _ in range(200):
        await anna.send("tea")
    await settled()

    assert anna.seqs("tea") == list(range(head + 1, head + 201))
    assert scene.store.count("page") == 0


async def test_a_reader_that_keeps_up_has_no_pump(scene):
    """The task of a pump is there while something is behind, and no longer."""
    anna, ben, _ = await tea(scene)
    await anna.send("tea")
    tasks = len(scene.engine._nursery.child_tasks)

    await ben.ask("subscribe", room="tea", since=[await epoch_of(scene), 0])
    await settled()

    assert len(ben.seqs("tea")) == 4
    assert len(scene.engine._nursery.child_tasks) == tasks == scene.tasks["core"]


async def test_after_catching_up_the_states_are_told():
    """Snapshot law: what changed while a cursor was behind is told when it reaches the head."""
    async with small() as scene:
        anna, ben, head = await tea(scene)
        await fall_behind(scene, anna, ben)
        await anna.ask("typing", room="tea", on=True)
        await anna.ask("receipt", room="tea", read=head + 400)
        await trio.sleep(1)

        ben.reading.set()
        await settled()
        last = [one for one in ben.heard if one["op"] in ("entry", "receipts", "typing")][-3:]

        assert [one["op"] for one in last] == ["entry", "receipts", "typing"]
        assert last[0]["seq"] == head + 400
        assert ["anna", head + 400, head + 400] in last[1]["marks"]
        assert last[2]["users"] == ["anna"]


async def test_typing_that_ended_meanwhile_is_told_to_have_ended():
    """Snapshot law: an empty state is a state; else somebody would seem to type for ever."""
    async with small() as scene:
        anna, ben, _ = await tea(scene)
        await anna.ask("typing", room="tea", on=True)
        assert (await ben.next("typing"))["users"] == ["anna"]
        await fall_behind(scene, anna, ben)
        await trio.sleep(10)

        ben.reading.set()
        await settled()

        assert ben.all("typing")[-1]["users"] == []


async def test_cursors_of_one_session_take_turns():
    """A room with much to tell does not keep the others of the session waiting."""
    async with small() as scene:
        anna = await scene.enter("anna")
        names = ("a", "b", "c")
        heads = [await scene.room(name, anna, subscribe=False) for name in names]
        for name in names:
            await scene.messages_elsewhere(name, 20)
            scene.unload(name)
        epoch = await epoch_of(scene, "a")

        places = [[name, epoch, head] for name, head in zip(names, heads, strict=True)]
        await anna.ask("subscribe", rooms=places)
        await settled()
        for name, head in zip(names, heads, strict=True):
            assert anna.seqs(name) == list(range(head + 1, head + 21))

        asked = [args[0] for name, args, _ in scene.store.calls if name == "page"]
        firsts = [entry["room"] for entry in anna.all("entry")]
        assert set(asked) == set(names)
        # Each room has begun before any has ended.
        assert max(firsts.index(name) for name in names) < 20


async def test_two_readers_at_the_same_place_share_a_page():
    async with small() as scene:
        anna, ben, head = await tea(scene)
        for _ in range(12):
            await anna.send("tea")
        await settled()
        step = scene.store.script("page", before=True)
        for one in (anna, ben):
            one.forget()
            await one.ask("subscribe", room="tea", since=[await epoch_of(scene), head])
        await settled()
        assert scene.store.count("page") == 1
        step.release()
        await settled()

        assert anna.seqs("tea") == ben.seqs("tea") == list(range(head + 1, head + 13))


# --- closed, replaced, failed ----------------------------------------------------------------


async def test_who_comes_back_to_the_same_place_later_needs_no_page(scene):
    """After a restart the first of a room's subscribers has its last entries read for all."""
    anna, ben, head = await tea(scene)
    await scene.messages_elsewhere("tea", 20, offer=True)
    room = scene.loaded("tea")
    room.ring.clear()

    for one in (anna, ben):
        await one.ask("subscribe", room="tea", since=[await epoch_of(scene), head])
        await settled()
        assert one.seqs("tea") == [*one.seqs("tea")[:20], *range(head + 1, head + 21)]

    assert scene.store.count("page") == 1
    assert [item.record.seq for item in room.ring.items] == list(range(head + 1, head + 21))


async def test_what_was_read_of_a_room_that_is_gone_is_not_kept(scene):
    anna, _, head = await tea(scene)
    await scene.messages_elsewhere("tea", 20, offer=True)
    room = scene.loaded("tea")
    room.ring.clear()
    step = scene.store.script("page", after=True)
    await anna.ask("subscribe", room="tea", since=[await epoch_of(scene), head])
    await settled()

    scene.hub._gaps.bury(room)
    step.release()
    await settled()

    assert len(room.ring) == 0


async def test_a_resumed_reader_is_told_no_state_that_its_answer_told(scene):
    """A hundred rooms resumed are not a hundred times nobody typing."""
    anna, ben, head = await tea(scene)
    await anna.send("tea")
    await anna.ask("typing", room="tea", on=True)
    await trio.sleep(1)
    before = len(ben.heard)

    answer = await ben.ask("subscribe", room="tea", since=[await epoch_of(scene), head])
    await settled()

    assert answer["typing"] == ["anna"]
    assert [
        one["op"] for one in ben.heard[before:] if one["op"] in ("entry", "receipts", "typing")
    ] == ["entry"]


async def test_a_state_told_while_a_resumed_reader_was_behind_is_told_to_it(scene):
    """Snapshot law: between the answer and the head nothing is missed."""
    anna, ben, head = await tea(scene)
    await anna.send("tea")
    scene.loaded("tea").ring.clear()
    step = scene.store.script("page", before=True)
    answer = await ben.ask("subscribe", room="tea", since=[await epoch_of(scene), head])
    await anna.ask("typing", room="tea", on=True)
    await trio.sleep(1)
    before = len(ben.heard)

    step.release()
    await settled()

    assert answer["typing"] == []
    told = [one for one in ben.heard[before:] if one["op"] == "typing"]
    assert [one["users"] for one in told] == [["anna"]]


async def test_a_late_page_of_a_closed_cursor_is_thrown_away():
    async with small() as scene:
        anna, _, head = await tea(scene)
        for _ in range(12):
            await anna.send("tea")
        await settled()
        step = scene.store.script("page", after=True)
        anna.forget()
        await anna.ask("subscribe", room="tea", since=[await epoch_of(scene), head])
        await step.entered.wait()
        await anna.ask("unsubscribe", room="tea")

        step.release()
        await settled()

        assert anna.seqs("tea") == []


async def test_a_closed_cursor_that_waits_for_its_turn_is_fed_nothing():
    """Not from the ring either: nothing follows the `ok` of `unsubscribe`, then or later."""
    async with small() as scene:
        anna, ben, head = await tea(scene)
        for _ in range(12):
            await anna.send("tea")
        await settled()
        ben.forget()
        await ben.say("subscribe", room="tea", since=[await epoch_of(scene), head + 9])
        await ben.ask("unsubscribe", room="tea")
        await settled()
        await anna.send("tea")
        await settled()

        assert ben.heard[-1] == ben.all("ok")[-1]
        room = scene.loaded("tea")
        assert ben.session not in room.cursors
        assert not any(ben.session.outbox in audience.live for audience in room.audiences)


async def test_a_replaced_cursor_is_fed_no_more():
    """A second subscribe begins anew at its own position; entries do not come twice over."""
    async with small() as scene:
        anna, ben, head = await tea(scene)
        for _ in range(12):
            await anna.send("tea")
        await settled()
        ben.forget()
        epoch = await epoch_of(scene)
        refs = [
            await ben.say("subscribe", room="tea", since=[epoch, since])
            for since in (head, head + 4, head + 8)
        ]
        await ben.answer(refs[-1])
        await settled()

        last = max(i for i, one in enumerate(ben.heard) if one.get("ref") == refs[-1])
        after = [one["seq"] for one in ben.heard[last:] if one["op"] == "entry"]
        assert after == list(range(head + 9, head + 13))
        await anna.send("tea")
        await settled()
        assert ben.seqs("tea")[-1] == head + 13
        assert ben.seqs("tea").count(head + 13) == 1


async def test_the_same_room_twice_in_one_subscribe_is_followed_once(scene):
    anna, ben, head = await tea(scene)
    for _ in range(3):
        await anna.send("tea")
    await settled()
    epoch = await epoch_of(scene)
    await settled()
    ben.forget()

    answer = await ben.ask("subscribe", rooms=[["tea", epoch, head], ["tea", epoch, head + 2]])
    await settled()
    await anna.send("tea")
    await settled()

    assert [row["room"] for row in answer["rooms"]] == ["tea", "tea"]
    assert ben.seqs("tea") == [head + 3, head + 4]


async def test_a_page_that_cannot_be_read_is_asked_for_again():
    async with small() as scene:
        anna, ben, head = await tea(scene)
        for _ in range(12):
            await anna.send("tea")
        await settled()
        ben.forget()
        for _ in range(3):
            scene.store.script("page", error=StoreUnavailable("later"))

        await ben.ask("subscribe", room="tea", since=[await epoch_of(scene), head])
        await trio.sleep(5)

        assert ben.seqs("tea") == list(range(head + 1, head + 13))


async def test_a_session_that_ends_while_a_page_is_read_leaves_nothing():
    async with small() as scene:
        anna, ben, head = await tea(scene)
        for _ in range(12):
            await anna.send("tea")
        await settled()
        step = scene.store.script("page", before=True)
        await ben.ask("subscribe", room="tea", since=[await epoch_of(scene), head])
        await settled()

        await ben.leave()
        step.release()
        await settled()

        assert ben.session._pump._behind == {}


async def test_a_session_that_ends_while_it_is_too_slow_leaves_nothing():
    async with small() as scene:
        anna, ben, _ = await tea(scene)
        await fall_behind(scene, anna, ben)

        await ben.leave()

        assert ben.session.outbox.size == 0


async def test_a_member_removed_while_behind_gets_the_end_and_nothing_after():
    async with small() as scene:
        anna, ben, _ = await tea(scene)
        await fall_behind(scene, anna, ben)
        kick = await anna.ask("kick", room="tea", user="ben")
        await anna.send("tea", "gossip")
        ben.reading.set()
        await settled()

        (closed,) = ben.all("closed")
        entries = [one for one in ben.heard if one["op"] in ("entry", "closed")]
        assert (closed["reason"], closed["seq"]) == ("removed", kick["seq"])
        assert entries[-1] == closed
        assert ben.seqs("tea") == list(range(3, 3 + len(ben.seqs("tea"))))


# --- what the log does under a cursor ----------------------------------------------------------


async def test_a_body_deleted_while_its_page_was_read_is_not_shown():
    async with small() as scene:
        anna, ben, head = await tea(scene)
        for number in range(12):
            await anna.send("tea", f"secret {number}")
        await settled()
        ben.forget()
        step = scene.store.script("page", after=True)
        await ben.ask("subscribe", room="tea", since=[await epoch_of(scene), head])
        await step.entered.wait()
        await settled()
        await anna.ask("delete", room="tea", target=head + 1)
        step.release()
        await settled()

        first = ben.all("entry")[0]
        assert (first["seq"], first["erased"]) == (head + 1, True)
        assert "body" not in first
        assert ben.seqs("tea") == list(range(head + 1, head + 14))


async def test_a_deletion_behind_a_reader_is_replayed_erased():
    async with small(ring_entries_max=100) as scene:
        anna, ben, head = await tea(scene)
        await anna.send("tea", "secret")
        await anna.ask("edit", room="tea", target=head + 1, body={"text": "secret 2"})
        await anna.ask("delete", room="tea", target=head + 1)
        await settled()
        ben.forget()

        await ben.ask("subscribe", room="tea", since=[await epoch_of(scene), head])
        await settled()

        kinds = [(one["kind"], one.get("erased"), "body" in one) for one in ben.all("entry")]
        assert kinds == [
            ("message", True, False),
            ("edit", True, False),
            ("delete", None, False),
        ]


@pytest.mark.parametrize("kept", [3, 0])
async def test_a_reader_that_retention_has_passed_is_reset(kept):
    """It refetches the history and follows from the head; also when nothing at all is left."""
    async with small() as scene:
        anna, ben, head = await tea(scene)
        await fall_behind(scene, anna, ben, 300)
        room = scene.loaded("tea")
        rows = await scene.store.real.prune(
            older_than=0 if kept else 2**52, entries_max=kept, limit=10_000
        )
        room.ring.clear()
        for name, floor, floor_n in rows:
            scene.hub.floor_moved(name, floor, floor_n)
        assert room.floor == head + 300 - kept

        ben.reading.set()
        await settled()
        reset = ben.all("reset")[0]
        await anna.send("tea", "and on")
        await settled()

        assert (reset["room"], reset["floor"], reset["head"]) == (
            "tea",
            head + 300 - kept,
            head + 300,
        )
        assert "since" not in reset
        after = [one for one in ben.heard[ben.heard.index(reset) :] if one["op"] == "entry"]
        assert [one["seq"] for one in after] == [head + 301]
        assert len(ben.all("reset")) == 1


async def test_a_new_epoch_resets_every_reader_at_the_last_common_entry():
    """After a fork `since` names it: the client drops what it has above, and nothing is lost."""
    async with small() as scene:
        anna, ben, head = await tea(scene)
        for _ in range(6):
            await anna.send("tea")
        await settled()
        await fork(scene, keep=head + 4, then=3)

        await scene.hub.compare_heads()
        await settled()

        for one in (anna, ben):
            (reset,) = one.all("reset")
            assert reset["since"] == [await epoch_of(scene), head + 4]
            after = [e["seq"] for e in one.heard[one.heard.index(reset) :] if e["op"] == "entry"]
            assert after == [head + 5, head + 6, head + 7]


async def test_a_new_epoch_that_lost_nothing_names_where_the_reader_stands():
    async with small() as scene:
        anna, ben, head = await tea(scene)
        await anna.send("tea")
        await settled()
        epoch = await scene.store.real.new_generation()
        await scene.messages_elsewhere("tea", 2)

        await scene.hub.compare_heads()
        await settled()

        (reset,) = ben.all("reset")
        assert reset["since"] == [epoch, head + 1]
        assert ben.seqs("tea") == [head + 1, head + 2, head + 3]


async def test_a_page_of_the_old_epoch_is_thrown_away():
    """It was on its way when the new one began: what it holds may be what was lost."""
    async with small() as scene:
        anna, ben, head = await tea(scene)
        for _ in range(12):
            await anna.send("tea")
        await settled()
        step = scene.store.script("page", after=True)
        await ben.ask("subscribe", room="tea", since=[await epoch_of(scene), head])
        ben.forget()
        await step.entered.wait()
        await settled()
        await fork(scene, keep=head + 2, then=3)
        await scene.hub.compare_heads()
        step.release()
        await settled()

        (reset,) = ben.all("reset")
        assert reset["since"] == [await epoch_of(scene), head]
        texts = [one["body"]["text"] for one in ben.all("entry")]
        assert texts == ["hi", "hi", "hi 0", "hi 1", "hi 2"]


async def test_a_shorter_log_of_a_new_epoch_does_not_keep_the_pump_busy():
    async with small() as scene:
        anna, ben, head = await tea(scene)
        for _ in range(6):
            await anna.send("tea")
        await settled()
        await fork(scene, keep=head + 2, then=0)

        await scene.hub.compare_heads()
        await settled()

        assert ben.all("reset")[0]["since"] == [await epoch_of(scene), head + 2]
        assert cursor_of(ben).state is CursorState.LIVE


async def fork(scene, *, keep, then):
    """Have the store lose what came after `keep`, begin a new epoch, and write `then` entries."""
    room = scene.store.real.held.rooms["tea"]
    del room.records[keep - room.floor :]
    room.head, room.n = room.records[-1].seq, room.records[-1].n
    room.message_seqs = [seq for seq in room.message_seqs if seq <= keep]
    await scene.store.real.new_generation()
    await scene.messages_elsewhere("tea", then)


async def test_an_erased_body_is_not_in_the_ring_of_a_loaded_room(scene):
    anna, ben, head = await tea(scene)
    await anna.send("tea", "secret")
    await scene.elsewhere("tea", "anna", Delete(head + 1), op="delete", offer=True)
    await ben.ask("subscribe", room="tea", since=[await epoch_of(scene), head])
    await settled()

    assert "body" not in ben.all("entry", seq=head + 1)[-1]
