"""Laws of a session: hello first and in time, an end at expiry, and a close that says why."""

import json

import msgspec
import pytest
import trio
from scene import NOW_MS, open_scene, settled

from triolet._model.errors import Close, ErrorCode, Refusal, StoreUnavailable


async def hello(who, **fields):
    await who.pipe.send(msgspec.msgpack.encode({"op": "hello", **fields}))


# --- hello -----------------------------------------------------------------------------------


async def test_a_welcome_says_who_one_is_and_what_is_allowed(scene):
    scene.gate.knows("t", "anna", expires_at=NOW_MS + 3_600_000, device="phone")
    anna = scene.stranger()
    await hello(anna, token="t", agent="test/1")
    welcome = await anna.next("welcome")

    assert welcome == {
        "op": "welcome",
        "session": anna.session.id,
        "user": "anna",
        "device": "phone",
        "now": NOW_MS,
        "heartbeat_s": 25.0,
        "expires_at": NOW_MS + 3_600_000,
        "limits": {
            "body_bytes_max": 32768,
            "message_bytes_max": 131072,
            "signal_bytes_max": 8192,
            "inflight_max": 64,
            "subscriptions_max": 1000,
            "watched_max": 500,
        },
    }


async def test_a_device_is_named_by_hello_the_token_or_the_session(scene):
    scene.gate.knows("named", "anna", device="from-token")
    scene.gate.knows("plain", "anna")
    found = []
    for token, fields in [("named", {"device": "mine"}), ("named", {}), ("plain", {})]:
        anna = scene.stranger()
        await hello(anna, token=token, **fields)
        found.append((await anna.next("welcome"))["device"])

    assert found[:2] == ["mine", "from-token"]
    assert found[2] == scene.cast[-1].session.id


async def test_a_token_of_the_upgrade_serves_when_hello_has_none(scene):
    scene.gate.knows("header", "anna")
    anna = scene.stranger()
    anna.session._token = "header"
    await hello(anna)

    assert (await anna.next("welcome"))["user"] == "anna"


@pytest.mark.parametrize(
    ("code", "close"),
    [
        (ErrorCode.UNAUTHENTICATED, 4001),
        (ErrorCode.TOKEN_INVALID, 4001),
        (ErrorCode.TOKEN_EXPIRED, 4002),
        (ErrorCode.BANNED, 4003),
        (ErrorCode.STORE_UNAVAILABLE, 1012),
    ],
)
async def test_a_refused_hello_is_answered_and_closed(scene, code, close):
    scene.gate.identities["t"] = Refusal(code)
    anna = scene.stranger()
    await hello(anna, token="t")
    answer = await anna.next("error")

    assert (answer["code"], answer["reason"]) == (code.value, code.reason)
    assert await anna.ended() == close


async def test_a_gate_whose_store_is_down_means_come_back(scene, monkeypatch):
    async def down(token, opening):
        await trio.lowlevel.checkpoint()
        raise StoreUnavailable("no", retry_after_ms=500)

    monkeypatch.setattr(scene.gate, "admit", down)
    anna = scene.stranger()
    await hello(anna, token="t")

    assert (await anna.next("error"))["retry_after_ms"] == 500
    assert await anna.ended() == 1012
    assert json.loads(anna.pipe.close.reason) == {"retry_after_ms": 500}


async def test_no_hello_in_time_is_closed(scene):
    anna = scene.stranger()

    assert await anna.ended() == 4009
    assert trio.current_time() == scene.limits.hello_timeout_s


async def test_a_gate_that_takes_its_time_counts_as_no_hello(scene, monkeypatch):
    async def slow(token, opening):
        await trio.sleep_forever()

    monkeypatch.setattr(scene.gate, "admit", slow)
    anna = scene.stranger()
    await hello(anna, token="t")

    assert await anna.ended() == 4009


async def test_after_hello_there_is_time(scene):
    anna = await scene.enter("anna")
    await trio.sleep(1000)

    await anna.ask("ping")


async def test_another_op_before_hello_is_refused_and_closed(scene):
    anna = scene.stranger()
    ref = await anna.say("ping")
    await anna.say("ping")

    assert (await anna.answer(ref))["reason"] == "hello_required"
    assert await anna.ended() == 1008
    assert len(anna.heard) == 1


async def test_hello_comes_once(scene):
    anna = await scene.enter("anna")
    await hello(anna)

    assert (await anna.next("error"))["reason"] == "invalid_field"
    await anna.ask("ping")


async def test_a_user_has_so_many_sessions_and_no_more():
    async with open_scene(sessions_per_user_max=2) as scene:
        anna = [await scene.enter("anna", device=f"d{n}") for n in range(2)]
        await scene.enter("ben")
        extra = scene.pipe("anna")
        await hello(extra)
        error = await extra.next("error")

        assert (error["reason"], error["retry_after_ms"]) == ("too_many_sessions", 60_000)
        assert await extra.ended() == 4029
        assert json.loads(extra.pipe.close.reason) == {"retry_after_ms": 60_000}
        await anna[0].leave()
        await scene.enter("anna")


async def test_hellos_beyond_the_rate_come_back_spread():
    async with open_scene(hellos_rate=10, hellos_burst=2, hello_wait_s=0) as scene:
        for user in ("anna", "ben"):
            await scene.enter(user)
        cleo = scene.pipe("cleo")
        await hello(cleo)
        await cleo.next("error", reason="rate_limited")

        assert await cleo.ended() == 4029
        retry_ms = json.loads(cleo.pipe.close.reason)["retry_after_ms"]
        assert 100 <= retry_ms <= 2200
        await trio.sleep(retry_ms / 1000)
        await scene.enter("cleo")


async def test_a_hello_whose_turn_comes_soon_is_welcomed_then():
    """Whoever leaves meanwhile leaves nothing; a node that drains welcomes nobody any more."""
    async with open_scene(hellos_rate=1, hellos_burst=1, hello_wait_s=5) as scene:
        await scene.enter("anna")
        began = trio.current_time()
        ben, cleo, dan = (scene.pipe(user) for user in ("ben", "cleo", "dan"))
        for one in (ben, cleo, dan):
            await hello(one)
            await settled()
        assert ben.heard == []
        await cleo.cut()
        await ben.next("welcome")
        assert trio.current_time() - began == pytest.approx(1)
        scene.engine._departure.is_refusing = True
        await dan.next("error", reason="shutting_down")
        assert trio.current_time() - began == pytest.approx(3)
        await dan.ended()
        scene.engine._departure.is_refusing = False


# --- bad messages ------------------------------------------------------------------------------


async def test_bad_requests_are_answered_and_close_nothing(scene):
    anna = await scene.enter("anna")
    for _ in range(5):
        assert await anna.refused("dance") == "unknown_op"
        assert await anna.refused("send", room=7, body={}) == "invalid_field"
    await anna.ask("ping")


@pytest.mark.parametrize("payload", [b"\x07", b"\xc1", b"", b"\x80", b"\x81\xa2op\x05"])
async def test_what_is_no_message_at_all_closes_at_the_third(scene, payload):
    anna = await scene.enter("anna")
    for _ in range(2):
        await anna.pipe.send(payload)
        assert (await anna.next("error"))["reason"] == "malformed"
    await anna.ask("ping")
    await anna.pipe.send(payload)

    assert await anna.ended() == 1008


async def test_commands_are_limited_for_all_sessions_of_a_user_together():
    async with open_scene(commands_rate=10, commands_burst=4) as scene:
        phone = await scene.enter("anna")
        laptop = await scene.enter("anna", device="laptop")
        ben = await scene.enter("ben")
        robot = await scene.enter("robot", tier="service")
        for one in (phone, laptop, phone, laptop):
            await one.ask("ping")
        answer = await phone.answer(await phone.say("ping"))

        assert (answer["reason"], 0 < answer["retry_after_ms"] <= 101) == ("rate_limited", True)
        await ben.ask("ping")
        for _ in range(20):
            await robot.ask("ping")
        await trio.sleep(0.11)
        await laptop.ask("ping")


async def test_bad_requests_count_too():
    async with open_scene(commands_rate=10, commands_burst=4) as scene:
        anna = await scene.enter("anna")
        reasons = [await anna.refused("dance") for _ in range(6)]

        assert reasons == ["unknown_op"] * 4 + ["rate_limited"] * 2


# --- reading and writing -----------------------------------------------------------------------


async def test_who_asks_and_never_reads_is_not_read_from():
    """Replies cost the budget and no more: above the high mark the engine stops listening."""
    async with open_scene(outbox_bytes_high=8000, outbox_bytes_low=1000) as scene:
        anna = await scene.enter("anna", tier="service")
        await scene.room("tea", anna)
        for _ in range(20):
            await anna.send("tea", "x" * 200)
        anna.stop_reading()
        most = 0
        with trio.move_on_after(5):
            while True:
                await anna.say("history", room="tea")
                await settled()
                most = max(most, anna.session.outbox.size)
        history_bytes = 20 * 400
        assert most <= 8000 + history_bytes
        assert anna.session.is_busy()
        anna.reading.set()
        await anna.ask("ping")


async def test_a_session_that_is_behind_and_busy_at_once_goes_on():
    """Its pump waits for the low mark and its connection for answers, both for the same news."""
    limits = {"outbox_bytes_high": 8000, "outbox_bytes_low": 1000, "inflight_max": 2}
    async with open_scene(**limits) as scene:
        anna, ben = await scene.enter("anna", tier="service"), await scene.enter("ben")
        head = await scene.room("tea", anna, ben)
        ben.stop_reading()
        for _ in range(200):
            await anna.send("tea", "x" * 100)
        step = scene.store.script("append", before=True)
        refs = [await ben.say("send", room="tea", body={}) for _ in range(5)]
        await settled()
        assert ben.session.is_busy()
        assert ben.session._pump._behind
        step.release()
        await settled()
        ben.reading.set()
        for ref in refs:
            await ben.answer(ref)
        await settled()

        assert ben.seqs("tea") == list(range(head + 1, head + 206))


async def test_who_was_cut_while_waiting_leaves_the_others_who_wait(scene):
    """A wait that was cancelled is not in the way of the next one."""
    anna = await scene.enter("anna")
    await scene.room("tea", anna)
    anna.session.outbox.size += 10**6
    with trio.move_on_after(1):
        await anna.session.wait_low()
    with trio.move_on_after(1):
        await anna.session.wait_ready()
    anna.session.outbox.size -= 10**6
    await anna.session.wait_low()
    await anna.session.wait_ready()
    await anna.ask("ping")


# --- expiry ------------------------------------------------------------------------------------


async def test_at_expiry_the_session_is_closed(scene):
    anna = await scene.enter("anna", expires_at=NOW_MS + 5_000)

    assert await anna.ended() == 4002
    assert trio.current_time() == 5
    assert anna.pipe.close.reason == "token expired"


async def test_expiry_ends_a_session_that_waits_for_the_store(scene):
    anna = await scene.enter("anna", expires_at=NOW_MS + 5_000)
    await scene.room("tea", anna)
    step = scene.store.script("history", before=True)
    await anna.say("history", room="tea")

    assert await anna.ended() == 4002
    step.release()


async def test_the_end_of_the_token_is_announced_once(scene):
    anna = await scene.enter("anna", expires_at=NOW_MS + 120_000)
    await trio.sleep(58)
    assert anna.all("notice") == []
    await trio.sleep(50)

    assert anna.all("notice") == [
        {"op": "notice", "kind": "token_expiring", "expires_at": NOW_MS + 120_000}
    ]


async def test_a_refreshed_token_is_announced_anew(scene):
    scene.gate.knows("new", "anna", expires_at=NOW_MS + 300_000)
    anna = await scene.enter("anna", expires_at=NOW_MS + 90_000)
    await trio.sleep(40)
    await anna.ask("refresh", token="new")
    await trio.sleep(205)

    assert [one["expires_at"] - NOW_MS for one in anna.all("notice")] == [90_000, 300_000]


# --- ends --------------------------------------------------------------------------------------


async def test_the_first_reason_stands(scene):
    anna = await scene.enter("anna")
    anna.session.close(Close(4003, "banned"))
    anna.session.close(Close(1012, "leaving"))

    assert await anna.ended() == 4003


async def test_what_is_owed_is_written_before_the_end(scene):
    """A reply that was queued when the session was closed arrives."""
    anna = await scene.enter("anna")
    ref = await anna.say("ping")
    await trio.lowlevel.checkpoint()
    await anna.answer(ref)
    anna.session.tell(event())
    anna.session.close(Close(4001, "revoked"))
    await anna.ended()

    assert anna.all("notice") == [{"op": "notice", "kind": "announcement"}]


def event():
    from triolet._model.events import Notice

    return Notice(kind="announcement")


async def test_after_the_end_nothing_is_queued(scene):
    """A commit's callback may come when the session is gone."""
    anna = await scene.enter("anna")
    await anna.leave()
    anna.session.tell(event())
    anna.session.write(event())
    anna.session.write_in_order(event())
    anna.session.end()

    assert anna.session.outbox.size == 0
    assert "ended" in repr(anna.session)
