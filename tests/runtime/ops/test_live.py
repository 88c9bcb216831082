"""Laws of what is not durable: receipts move forward, signals go once, tokens are renewed."""

import pytest
import trio
from scene import NOW_MS, open_scene, settled

from triolet._model.errors import StoreUnavailable
from triolet.ports.gate import Action


async def tea(scene, messages=0, **fields):
    anna, ben = await scene.enter("anna"), await scene.enter("ben")
    head = await scene.room("tea", anna, ben, **fields)
    for _ in range(messages):
        await anna.send("tea")
    await settled()
    return anna, ben, head


async def standing(who, room="tea"):
    answer = await who.ask("subscribe", room=room)
    mine = next(row for row in answer["receipts"] if row[0] == who.user)
    return mine[1], mine[2], answer["unread"]


# --- receipts ----------------------------------------------------------------------------------


async def test_marks_only_move_forward_and_never_beyond_the_head(scene):
    _anna, ben, head = await tea(scene, messages=5)
    for fields, expected in [
        ({"delivered": head + 2}, (head + 2, head, 5)),
        ({"read": head + 1}, (head + 2, head + 1, 4)),
        ({"delivered": head + 1, "read": head}, (head + 2, head + 1, 4)),
        ({"read": head + 3}, (head + 3, head + 3, 2)),
        ({"read": 2**40}, (head + 5, head + 5, 0)),
    ]:
        await ben.ask("receipt", room="tea", **fields)
        assert await standing(ben) == expected, fields


async def test_a_receipt_needs_a_mark_and_a_room(scene):
    _, ben, _ = await tea(scene)
    vera = await scene.enter("vera")

    assert await ben.refused("receipt", room="tea") == "invalid_field"
    assert await ben.refused("receipt", room="nowhere", read=1) == "no_such_room"
    assert await vera.refused("receipt", room="tea", read=1) == "no_such_room"


async def test_a_visitors_receipt_moves_nothing(scene):
    anna, _, head = await tea(scene, messages=1, public=True)
    vera = await scene.enter("vera")
    await vera.ask("receipt", room="tea", read=head)
    await trio.sleep(1)

    assert anna.all("receipts") == []


async def test_unread_counts_messages_and_nothing_else():
    """Also where the mark lies before what is in memory: the store knows how many came before."""
    async with open_scene(ring_entries_max=2) as scene:
        anna, ben, _head = await tea(scene)
        seqs = []
        for _ in range(6):
            seqs.append((await anna.send("tea"))["seq"])
            await anna.ask("react", room="tea", target=seqs[-1], emoji="🙂", on=True)
        await anna.ask("delete", room="tea", target=seqs[5])
        await ben.ask("receipt", room="tea", read=seqs[2])
        assert await standing(ben) == (seqs[2], seqs[2], 3)
        await ben.ask("receipt", room="tea", read=seqs[3] + 1)
        assert await standing(ben) == (seqs[3] + 1, seqs[3] + 1, 2)


async def test_two_devices_that_read_at_once_end_at_the_greater_mark():
    async with open_scene(ring_entries_max=1) as scene:
        _anna, ben, head = await tea(scene, messages=6)
        laptop = await scene.enter("ben", device="laptop")
        step = scene.store.script("n_at", after=True)
        ref = await ben.say("receipt", room="tea", read=head + 2)
        await step.entered.wait()
        await laptop.ask("receipt", room="tea", read=head + 4)
        step.release()
        await ben.answer(ref)

        assert await standing(ben) == (head + 4, head + 4, 2)


async def test_a_receipt_of_a_room_that_is_not_loaded_is_taken(scene):
    anna, ben, head = await tea(scene, messages=3)
    for one in (anna, ben):
        await one.ask("unsubscribe", room="tea")
    scene.unload("tea")
    await ben.ask("receipt", room="tea", read=head + 2)

    assert await standing(ben) == (head + 2, head + 2, 1)


# --- typing ------------------------------------------------------------------------------------


async def test_who_does_not_write_does_not_type(scene):
    anna, ben, _ = await tea(scene, public=True)
    vera = await scene.enter("vera")
    await anna.ask("role", room="tea", user="ben", role="reader")

    assert await ben.refused("typing", room="tea", on=True) == "forbidden"
    assert await vera.refused("typing", room="tea", on=True) == "not_a_member"
    assert await vera.refused("typing", room="nowhere", on=True) == "no_such_room"


# --- watching ----------------------------------------------------------------------------------


async def test_only_acquaintances_may_be_watched(scene):
    """A shared room that is not public, or the gate's word; others are left out, not refused."""
    anna, _ben, _ = await tea(scene)
    cleo = await scene.enter("cleo")
    await scene.enter("vera")
    await scene.room("square", cleo, anna, public=True)
    scene.gate.verdicts["anna", Action.WATCH, "vera"] = True

    rows = (await anna.ask("watch", users=["vera", "cleo", "ben", "anna"]))["users"]
    assert [row[0] for row in rows] == ["vera", "ben", "anna"]
    await trio.sleep(1)
    anna.forget()
    await cleo.ask("presence", status="away")
    await trio.sleep(1)
    assert anna.all("presence") == []
    scene.gate.verdicts["anna", Action.WATCH, "ben"] = False
    assert (await anna.ask("watch", users=["ben"]))["users"] == []


async def test_a_session_watches_so_many_and_no_more():
    async with open_scene(watched_max=2) as scene:
        anna, _ben, _ = await tea(scene)
        for user in ("cleo", "dan"):
            scene.gate.verdicts["anna", Action.WATCH, user] = True
        await anna.ask("watch", users=["ben", "cleo", "ben"])
        assert await anna.refused("watch", users=["dan"]) == "invalid_field"
        await anna.ask("watch", users=["cleo"])
        await anna.ask("unwatch", users=["cleo"])
        await anna.ask("watch", users=["dan"])


async def test_a_watch_that_is_refused_watches_nobody(scene):
    anna, ben, _ = await tea(scene)
    await ben.leave()
    await trio.sleep(15)
    scene.store.script("people", error=StoreUnavailable("no"))

    assert await anna.refused("watch", users=["ben"]) == "store_unavailable"
    assert scene.engine.presence.watchers.by_user == {}


async def test_a_renewed_watch_that_is_refused_goes_on_as_before(scene):
    anna, ben, _ = await tea(scene)
    await anna.ask("watch", users=["ben"])
    await ben.leave()
    await trio.sleep(15)
    scene.store.script("people", error=StoreUnavailable("no"))
    assert await anna.refused("watch", users=["ben"]) == "store_unavailable"
    await scene.enter("ben")
    await trio.sleep(2)

    assert anna.all("presence")[-1]["users"] == [["ben", "online", 0]]


# --- signals -----------------------------------------------------------------------------------


def signals(who):
    return [one["data"].get("n") for one in who.all("signal")]


async def test_signals_reach_all_but_the_sending_session_in_order(scene):
    anna, ben, _ = await tea(scene)
    laptop = await scene.enter("anna", device="laptop")
    await laptop.ask("subscribe", room="tea")
    for number in range(10):
        await anna.ask("signal", room="tea", kind="ice", data={"n": number})
    await settled()

    assert signals(ben) == signals(laptop) == list(range(10))
    assert signals(anna) == []
    assert ben.all("signal")[0] == {
        "op": "signal",
        "room": "tea",
        "kind": "ice",
        "data": {"n": 0},
        "from": "anna",
        "from_device": "anna-phone",
    }


async def test_signals_go_to_one_member_or_one_of_their_devices(scene):
    anna, ben, _ = await tea(scene)
    tablet = await scene.enter("ben", device="tablet")
    await tablet.ask("subscribe", room="tea")
    await anna.ask("signal", room="tea", kind="ring", data={"n": 1}, to="ben")
    await anna.ask("signal", room="tea", kind="ring", data={"n": 2}, to="ben", to_device="tablet")
    await anna.ask("signal", room="tea", kind="ring", data={"n": 3}, to="nobody")
    await anna.ask("signal", room="tea", kind="ring", data={"n": 4}, to="anna")
    await settled()

    assert (signals(ben), signals(tablet), signals(anna)) == ([1], [1, 2], [])


async def test_signals_are_members_alone_to_send(scene):
    anna, _, _ = await tea(scene, public=True)
    vera = await scene.enter("vera")
    await vera.ask("subscribe", room="tea")

    assert await vera.refused("signal", room="tea", kind="x") == "not_a_member"
    assert await vera.refused("signal", room="nowhere", kind="x") == "no_such_room"
    await anna.ask("unsubscribe", room="tea")
    await anna.ask("signal", room="tea", kind="x")


async def test_signals_are_bounded_in_size_and_content(scene):
    anna, _ben, _ = await tea(scene)
    most = "x" * (scene.limits.signal_bytes_max - 10)

    await anna.ask("signal", room="tea", kind="sdp", data={"s": most})
    big = {"s": most + "x" * 20}
    assert await anna.refused("signal", room="tea", kind="sdp", data=big) == "too_large"
    assert await anna.refused("signal", room="tea", kind="x", data={"b": b"x"}) == "invalid_field"
    assert await anna.refused("signal", room="tea", kind="") == "invalid_field"


async def test_signals_are_limited_a_session_and_recover():
    async with open_scene(signals_rate=10, signals_burst=3) as scene:
        anna, ben, _ = await tea(scene)
        for _ in range(3):
            await anna.ask("signal", room="tea", kind="x")
        answer = await anna.answer(await anna.say("signal", room="tea", kind="x"))
        assert (answer["reason"], 0 < answer["retry_after_ms"] <= 101) == ("rate_limited", True)
        await ben.ask("signal", room="tea", kind="x")
        await trio.sleep(0.11)
        await anna.ask("signal", room="tea", kind="x")


async def test_signals_are_dropped_for_who_is_too_slow():
    """They cost a slow reader nothing of the half of the budget that entries need."""
    limits = {"outbox_bytes_high": 8000, "outbox_bytes_low": 500, "signals_burst": 1000}
    async with open_scene(**limits) as scene:
        anna, ben, _ = await tea(scene)
        ben.stop_reading()
        for number in range(250):
            await anna.ask("signal", room="tea", kind="x", data={"n": number})
        assert ben.session.outbox.size <= 4000
        ben.reading.set()
        await settled()

        heard = signals(ben)
        assert heard == list(range(len(heard)))
        assert 64 < len(heard) < 250


# --- the token ---------------------------------------------------------------------------------


async def test_refreshing_moves_the_end_of_the_session(scene):
    anna = await scene.enter("anna", expires_at=NOW_MS + 30_000)
    scene.gate.knows("new", "anna", expires_at=NOW_MS + 300_000)
    answer = await anna.ask("refresh", token="new")
    await trio.sleep(200)
    await anna.ask("ping")

    assert answer["expires_at"] == NOW_MS + 300_000
    assert await anna.ended() == 4002
    assert 299 <= trio.current_time() <= 301


async def test_only_the_same_users_good_token_refreshes(scene):
    anna = await scene.enter("anna")
    scene.gate.knows("bens", "ben")

    assert await anna.refused("refresh", token="bens") == "token_invalid"
    assert await anna.refused("refresh", token="forged") == "token_invalid"
    await anna.ask("ping")


async def test_refreshing_changes_the_tier():
    async with open_scene(commands_rate=1, commands_burst=3) as scene:
        anna = await scene.enter("anna")
        scene.gate.knows("service", "anna", tier="service")
        await anna.ask("ping")
        await anna.ask("refresh", token="service")
        for _ in range(20):
            await anna.ask("ping")


@pytest.mark.parametrize("status", ["online", "away", "dnd", "invisible"])
async def test_every_status_is_taken(scene, status):
    anna = await scene.enter("anna")

    await anna.ask("presence", status=status)
    assert await anna.refused("presence", status="asleep") == "invalid_field"
