"""Laws of unanswered requests: bounded, each answered once, in effect in the order sent."""

from functools import partial

import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from scene import open_scene, settled, virtually

from triolet._model.errors import SchemaTooNew
from triolet._wire.codec import unpack_fact


async def tea(scene):
    anna, ben = await scene.enter("anna"), await scene.enter("ben")
    await scene.room("tea", anna, ben)
    return anna, ben


async def say(who, *texts, room="tea"):
    return [await who.say("send", room=room, body={"text": text}, cid=text) for text in texts]


async def answers(who, refs):
    return [one.get("reason", one["op"]) for one in [await who.answer(ref) for ref in refs]]


def texts_of(scene, sender, room="tea"):
    """Return what a sender's messages in the log say, in its order."""
    return [
        unpack_fact(record.packed).body["text"]
        for record in scene.store.real.held.rooms[room].records
        if record.kind == "message" and record.sender == sender
    ]


# --- stale rights ------------------------------------------------------------------------------


async def test_sends_behind_a_kick_are_decided_again_and_refused(scene):
    """What was stored before it stands; what came after is answered as to any stranger."""
    anna, ben = await tea(scene)
    first = scene.store.script("append", before=True)
    second = scene.store.script("append", before=True)
    before = await say(ben, "before")
    await settled()
    kick = await anna.say("kick", room="tea", user="ben")
    after = await say(ben, "1", "2", "3")
    await settled()
    first.release()
    await settled()
    late = await say(ben, "4")
    second.release()

    assert await answers(ben, before) == ["ok"]
    assert await answers(anna, [kick]) == ["ok"]
    assert await answers(ben, after + late) == ["no_such_room"] * 4
    assert texts_of(scene, "ben") == ["before"]


async def test_sends_behind_a_lesser_right_that_suffices_are_stored_in_order(scene):
    """Losing a right that sending does not need costs a second decision, and nothing else."""
    anna, ben = await tea(scene)
    await anna.ask("role", room="tea", user="ben", role="admin")
    step = scene.store.script("append", before=True)
    demotion = await anna.say("role", room="tea", user="ben", role="member")
    await settled()
    refs = await say(ben, "1", "2", "3")
    await settled()
    step.release()

    assert await answers(anna, [demotion]) == ["ok"]
    assert await answers(ben, refs) == ["ok"] * 3
    assert texts_of(scene, "ben") == ["1", "2", "3"]


async def test_rights_that_change_again_while_all_is_decided_again_keep_the_order(scene):
    anna, ben = await tea(scene)
    await anna.ask("role", room="tea", user="ben", role="admin")
    held = [scene.store.script("append", before=True) for _ in range(2)]
    await anna.say("role", room="tea", user="ben", role="member")
    await settled()
    refs = await say(ben, "1", "2", "3", "4")
    await settled()
    held[0].release()
    # The batch of the four comes back stale; the first of them is on its way again.
    third = scene.store.script("append", before=True)
    held[1].release()
    await settled()
    await scene.elsewhere("tea", "anna", *demotion("ben"), revokes=True, op="role", offer=True)
    third.release()

    assert await answers(ben, refs) == ["ok"] * 4
    assert texts_of(scene, "ben") == ["1", "2", "3", "4"]


def demotion(user, role="member"):
    from triolet._model.entries import Member

    return (Member(user, role),)


async def test_each_session_keeps_its_order_whatever_another_of_the_same_user_does(scene):
    """The phone has decided on the new rights; the laptop's older sends are still on their way."""
    anna, laptop = await tea(scene)
    phone = await scene.enter("ben", device="tablet")
    await anna.ask("role", room="tea", user="ben", role="admin")
    demoting = scene.store.script("append", before=True)
    await anna.say("role", room="tea", user="ben", role="member")
    await settled()
    sends = scene.store.script("append", before=True)
    first = await say(laptop, "laptop 1")
    await settled()
    demoting.release()
    await settled()
    # The demotion is known here; the laptop's first send is in the store's hands.
    other = await say(phone, "phone")
    await settled()
    second = await say(laptop, "laptop 2")
    await settled()
    sends.release()

    assert await answers(laptop, first + second) == ["ok", "ok"]
    assert await answers(phone, other) == ["ok"]
    ours = [text for text in texts_of(scene, "ben") if text != "phone"]
    assert ours == ["laptop 1", "laptop 2"]


async def test_a_request_that_waits_for_quiet_is_not_forgotten_by_refusals(scene):
    """A kick refuses everything before it: the `leave` behind it is carried out, and answered."""
    anna, ben = await tea(scene)
    kicking = scene.store.script("append", before=True)
    await anna.say("kick", room="tea", user="ben")
    await settled()
    refs = await say(ben, "1", "2")
    refs.append(await ben.say("leave", room="tea"))
    refs.append(await ben.say("ping"))
    await settled()
    kicking.release()

    assert await answers(ben, refs) == ["no_such_room"] * 3 + ["ok"]
    assert ben.session.pipeline.inflight == 0


async def test_a_send_after_a_changed_right_waits_for_those_before_it(scene):
    anna, ben = await tea(scene)
    await anna.ask("role", room="tea", user="ben", role="admin")
    await settled()
    demoting = scene.store.script("append", before=True)
    await anna.say("role", room="tea", user="ben", role="member")
    await settled()
    sends = scene.store.script("append", before=True)
    refs = await say(ben, "1")
    await settled()
    demoting.release()
    await settled()
    refs += await say(ben, "2", "3")
    await settled()
    sends.release()

    assert await answers(ben, refs) == ["ok"] * 3
    assert texts_of(scene, "ben") == ["1", "2", "3"]


async def test_a_retry_that_the_store_cannot_help_is_refused_and_the_next_one_tried(scene):
    from triolet._model.errors import StoreUnavailable

    anna, ben = await tea(scene)
    await anna.ask("role", room="tea", user="ben", role="admin")
    step = scene.store.script("append", before=True)
    await anna.say("role", room="tea", user="ben", role="member")
    await settled()
    refs = await say(ben, "1", "2")
    await settled()
    scene.store.script("membership", error=StoreUnavailable("no"))
    step.release()

    assert await answers(ben, refs) == ["store_unavailable", "ok"]
    assert texts_of(scene, "ben") == ["2"]


async def test_a_session_that_ends_while_its_sends_are_decided_again_leaves_nothing(scene):
    anna, ben = await tea(scene)
    step = scene.store.script("append", before=True)
    await anna.say("kick", room="tea", user="ben")
    await settled()
    await say(ben, "1", "2", "3")
    await settled()
    reading = scene.store.script("membership", before=True)
    step.release()
    await reading.entered.wait()
    await ben.leave()
    reading.release()
    await settled()

    assert ben.session.pipeline.inflight == 0


async def test_a_retry_in_a_room_that_is_gone_is_refused(scene):
    anna, ben = await tea(scene)
    await anna.ask("role", room="tea", user="ben", role="admin")
    step = scene.store.script("append", before=True)
    await anna.say("role", room="tea", user="ben", role="member")
    await settled()
    refs = await say(ben, "1")
    await settled()
    reading = scene.store.script("membership", before=True)
    step.release()
    await reading.entered.wait()
    scene.store.real.held.rooms.clear()
    reading.release()

    assert await answers(ben, refs) == ["no_such_room"]


async def test_whatever_else_a_store_does_is_internal(scene):
    """Not the client's fault, and nothing it could do: logged here, `internal` there."""
    anna, _ = await tea(scene)
    scene.store.script("history", error=SchemaTooNew("newer"))

    assert await anna.refused("history", room="tea") == "internal"


# --- any interleaving --------------------------------------------------------------------------

bens = st.sampled_from(
    ["send", "send", "send", "send", "other", "history", "leave", "subscribe", "typing", "invite"]
)
annas = st.sampled_from(["kick", "invite", "admin", "member", "reader", "send"])
pauses = st.sampled_from([0.0, 0.01, 0.03, 0.1])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("ben"), bens),
        st.tuples(st.just("anna"), annas),
        st.tuples(st.just("pause"), pauses),
    ),
    min_size=3,
    max_size=25,
)


@given(steps, st.lists(pauses, max_size=20), st.sampled_from([2, 64]))
@settings(max_examples=80, deadline=None)
@virtually
async def test_order_and_answers_hold_in_every_interleaving(script, delays, inflight_max):
    """Pipelined sends, rights that come and go, requests that wait: all are answered, once.

    Nothing hangs, and what is stored of a session in a room is stored in the order sent.
    """
    async with open_scene(inflight_max=inflight_max) as scene:
        anna, ben = await tea(scene)
        await scene.room("side", ben, subscribe=False)
        for delay in delays:
            for call in ("append", "membership", "room", "rooms"):
                scene.store.script(call, hook=partial(trio.sleep, delay))
        refs = {anna: [], ben: []}
        for index, (who, what) in enumerate(script):
            if who == "pause":
                await trio.sleep(what)
            elif who == "ben":
                refs[ben].append(await ask_of_ben(ben, what, index))
            else:
                refs[anna].append(await ask_of_anna(anna, what))
        for who, asked in refs.items():
            for ref in asked:
                await who.answer(ref)

        for who, asked in refs.items():
            replies = [one["ref"] for one in who.heard if one.get("ref") in asked]
            assert sorted(replies) == asked
        for room in ("tea", "side"):
            stored = [int(text) for text in texts_of(scene, "ben", room)]
            assert stored == sorted(stored)
        assert ben.session.pipeline.inflight == anna.session.pipeline.inflight == 0
        assert ben.session.pipeline.is_full is False


async def ask_of_ben(ben, what, index):
    match what:
        case "send":
            return (await say(ben, f"{index:03}"))[0]
        case "other":
            return (await say(ben, f"{index:03}", room="side"))[0]
        case "typing":
            return await ben.say("typing", room="tea", on=True)
        case "invite":
            return await ben.say("invite", room="tea", user=f"guest-{index}")
    return await ben.say(what, room="tea")


async def ask_of_anna(anna, what):
    match what:
        case "send":
            return (await say(anna, "hi"))[0]
        case "kick" | "invite":
            return await anna.say(what, room="tea", user="ben")
    return await anna.say("role", room="tea", user="ben", role=what)


# --- bounds ------------------------------------------------------------------------------------


async def test_beyond_the_inflight_bound_nothing_is_read():
    async with open_scene(inflight_max=4) as scene:
        _anna, ben = await tea(scene)
        step = scene.store.script("append", before=True)
        await say(ben, "first")
        await settled()
        refs = await say(ben, *[f"{number}" for number in range(20)])
        await settled()
        assert ben.session.pipeline.inflight == 4
        assert len(scene.engine.sequencer._waiting) == 3

        step.release()

        assert await answers(ben, refs) == ["ok"] * 20
        assert texts_of(scene, "ben")[1:] == [str(number) for number in range(20)]


async def test_a_waiting_request_counts_as_one_and_is_answered_before_the_next_is_read(scene):
    _anna, ben = await tea(scene)
    step = scene.store.script("history", before=True)
    refs = [await ben.say("history", room="tea"), await ben.say("ping")]
    await settled()
    assert ben.session.pipeline.inflight == 1
    assert ben.all("ok") == []
    step.release()

    assert await answers(ben, refs) == ["ok", "ok"]


async def test_structural_requests_wait_for_the_sends_before_them(scene):
    """Sent in a row: say goodbye, leave, speak. The first is stored, the last is refused."""
    _anna, ben = await tea(scene)
    step = scene.store.script("append", before=True)
    refs = await say(ben, "goodbye")
    refs.append(await ben.say("leave", room="tea"))
    refs += await say(ben, "ghost")
    await settled()
    assert scene.store.count("append") == 2
    step.release()

    assert await answers(ben, refs) == ["ok", "ok", "no_such_room"]
    assert texts_of(scene, "ben") == ["goodbye"]


# --- ends --------------------------------------------------------------------------------------


async def test_a_batch_outlives_the_session_that_sent_it(scene):
    """Cancelling a session never cancels what it was promised to be tried."""
    anna, ben = await tea(scene)
    step = scene.store.script("append", before=True)
    await say(ben, "last words")
    await settled()
    await ben.leave()
    step.release()
    await settled()

    assert texts_of(scene, "ben") == ["last words"]
    assert (await anna.next("entry"))["body"] == {"text": "last words"}


async def test_a_structural_request_outlives_its_session_too(scene):
    anna, ben = await tea(scene)
    step = scene.store.script("append", before=True)
    await anna.say("meta", room="tea", title="Green tea")
    await settled()
    await anna.cut()
    step.release()
    await settled()

    assert (await ben.next("entry"))["title"] == "Green tea"
