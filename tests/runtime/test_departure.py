"""Laws of a departure: told, refused, committed, rung and closed in this order; nothing is lost."""

import itertools
from functools import partial

import pytest
import trio
from scene import open_scene, settled
from stage import open_stage

from triolet._wire.peers import VERSION, prefix_of
from triolet.ports.bus import Doorbell


async def tea(scene):
    anna, ben = await scene.enter("anna"), await scene.enter("ben")
    head = await scene.room("tea", anna, ben)
    return anna, ben, head


async def draining(scene, nursery):
    nursery.start_soon(scene.engine.drain)
    await settled()


async def test_a_node_that_will_leave_still_serves_while_the_balancer_looks_away(nursery):
    async with open_scene(lb_delay_s=5) as scene:
        anna, _ben, _ = await tea(scene)
        await draining(scene, nursery)
        assert not scene.engine.ready()
        assert scene.engine.statistics().draining
        await trio.sleep(4)
        await anna.send("tea")
        await scene.enter("cleo")
        assert anna.all("notice") == []
        await trio.sleep(2)

        assert len(anna.all("notice")) == 1


async def test_drain_tells_refuses_commits_and_closes_in_this_order(nursery):
    async with open_scene(drain_window_s=3) as scene:
        anna, ben, head = await tea(scene)
        step = scene.store.script("append", before=True)
        sent = await anna.say("send", room="tea", body={})
        await settled()
        await draining(scene, nursery)

        notice = await ben.next("notice")
        assert (notice["kind"], 250 <= notice["retry_after_ms"] <= 3250) == ("draining", True)
        refused = await ben.answer(await ben.say("send", room="tea", body={}))
        assert (refused["reason"], refused["retry_after_ms"]) == ("shutting_down", 1000)
        for op, fields in [
            ("edit", {"room": "tea", "target": 1, "body": {}}),
            ("leave", {"room": "tea"}),
            ("create", {"kind": "group"}),
            ("direct", {"user": "cleo"}),
        ]:
            assert await ben.refused(op, **fields) == "shutting_down", op
        await ben.ask("history", room="tea")
        assert not anna.closed.is_set()
        step.release()
        assert (await anna.answer(sent))["op"] == "ok"

        assert [await one.ended() for one in (anna, ben)] == [1012, 1012]
        assert anna.seqs("tea") == [head + 1]


async def test_drain_spreads_the_closes_over_its_window(nursery):
    async with open_scene(drain_window_s=10) as scene:
        cast = [await scene.enter("anna", device=f"d{number}") for number in range(10)]
        began = trio.current_time()
        await draining(scene, nursery)
        times = []
        for one in cast:
            assert await one.ended() == 1012
            times.append(trio.current_time() - began)

        assert times == sorted(times)
        assert times[-1] >= 8
        assert max(b - a for a, b in itertools.pairwise(times)) <= 1.01


async def test_drain_sleeps_no_more_often_than_a_clock_can_tell(nursery):
    """With a pause after each, a thousand people took a second, whatever the window was."""
    async with open_scene(drain_window_s=0.05) as scene:
        cast = [await scene.enter("anna", device=f"d{number}") for number in range(100)]
        began = trio.current_time()
        await draining(scene, nursery)
        times = {}
        for one in cast:
            assert await one.ended() == 1012
            times[trio.current_time() - began] = None

        assert 2 <= len(times) <= 5
        assert max(times) <= 0.05


@pytest.mark.parametrize("people", [0, 1])
async def test_who_has_nobody_to_send_away_later_leaves_at_once(people):
    """A window is to spread what comes back; after the last of them a node has no use for it."""
    async with open_scene(drain_window_s=10) as scene:
        cast = [await scene.enter("anna", device=f"d{number}") for number in range(people)]
        began = trio.current_time()
        await scene.engine.drain()

        assert trio.current_time() - began < 0.1
        assert [await one.ended() for one in cast] == [1012] * people


async def test_while_draining_newcomers_are_sent_away(nursery):
    async with open_scene() as scene:
        await scene.enter("anna")
        await draining(scene, nursery)
        ben = scene.pipe("ben")
        await ben.say("hello")

        assert (await ben.next("error"))["reason"] == "shutting_down"
        assert await ben.ended() == 1012


async def test_drain_does_not_wait_for_a_store_that_hangs():
    async with open_scene() as scene:
        anna, ben, _ = await tea(scene)
        step = scene.store.script("append", before=True)
        ref = await anna.say("send", room="tea", body={})
        await settled()
        with trio.fail_after(30):
            await scene.engine.drain()

        assert next(one for one in anna.heard if one.get("ref") == ref)["reason"] == (
            "outcome_unknown"
        )
        assert await ben.ended() == 1012
        step.release()


async def test_drain_and_the_end_of_the_engine_may_both_wait_for_the_last_commit():
    async with trio.open_nursery() as nursery, open_scene(inspect=False) as scene:
        anna, _, _ = await tea(scene)
        scene.store.script("append", hook=partial(trio.sleep, 2))
        await anna.say("send", room="tea", body={})
        await settled()
        nursery.start_soon(scene.engine.drain)
        await settled()

    assert scene.engine.sequencer.pending_bytes == 0


async def test_a_second_drain_is_the_first_one(nursery):
    async with open_scene() as scene:
        anna = await scene.enter("anna")
        await draining(scene, nursery)
        await scene.engine.drain()
        await anna.ended()

        assert len(anna.all("notice")) == 1


# --- among other nodes -------------------------------------------------------------------------


async def test_others_are_rung_before_anybody_is_sent_to_them(nursery):
    """Who comes to another node finds there what was acknowledged on this one."""
    async with open_stage(2, inspect=False, drain_window_s=1) as stage:
        anna, ben = await stage[0].enter("anna"), await stage[1].enter("ben")
        await stage.room("tea", anna, ben)
        rung, order = trio.Event(), []
        ring = stage[0].node.ring

        async def ring_late(doorbells):
            await trio.sleep(0.5)
            await ring(doorbells)
            order.append("rung")
            rung.set()

        stage[0].node.ring = ring_late
        sent = await anna.say("send", room="tea", body={})
        await draining(stage[0], nursery)
        assert (await anna.answer(sent))["op"] == "ok"
        assert await anna.ended() == 1012
        order.append("closed")

    assert order.index("rung") < order.index("closed")
    assert rung.is_set()


async def test_a_bus_that_is_gone_keeps_nobody(nursery):
    async with open_stage(2, inspect=False, drain_window_s=1) as stage:
        anna = await stage[0].enter("anna")
        await anna.ask("create", room="tea", kind="group")
        stage[0].node.cut()
        await anna.ask("send", room="tea", body={})
        began = trio.current_time()
        await draining(stage[0], nursery)
        assert await anna.ended() == 1012

    assert trio.current_time() - began <= stage[0].limits.bus_timeout_s + 1.5


async def test_who_was_sent_away_stays_online_until_the_grace_ends():
    """Whoever comes to another node in time never was away; whoever does not, is then."""
    async with open_stage(2, inspect=False, drain_window_s=1, grace_s=8) as stage:
        anna, cleo = await stage[1].enter("anna"), await stage[1].enter("cleo")
        watcher = await stage[0].enter("ben")
        await watcher.ask("create", room="hall", kind="group", members=["anna", "cleo"])
        await watcher.ask("watch", users=["anna", "cleo"])
        await trio.sleep(1)
        watcher.forget()
        await stage[1].engine.drain()
        assert [await one.ended() for one in (anna, cleo)] == [1012, 1012]
        away_at = trio.current_time()
        await stage[1].end()
        await stage[0].enter("anna")
        await trio.sleep(5)
        assert watcher.all("presence") == []
        news = await watcher.next("presence")
        limits = stage[0].limits
        assert [row[:2] for row in news["users"]] == [["cleo", "offline"]]
        lasted_s = trio.current_time() - away_at
        assert limits.grace_s - 2 <= lasted_s <= limits.grace_s + limits.presence_heartbeat_s + 1
        await trio.sleep(20)
        assert all(row[0] != "anna" for event in watcher.all("presence") for row in event["users"])


# --- beside another version --------------------------------------------------------------------


@pytest.mark.parametrize("version", [VERSION - 1, VERSION + 1])
async def test_nodes_of_another_version_are_heard_of_by_the_store(version, caplog):
    """They cannot read what is rung: what is sent is there soon, and nobody is less ready."""
    async with open_stage(2, inspect=False) as stage:
        carry = stage.bus.carry

        def carry_foreign(doorbell, to):
            (own,) = [scene.engine.nodes.name for scene in stage if scene.node is to]
            if not doorbell.frame.startswith(prefix_of(own)):
                frame = bytes([doorbell.frame[0], version]) + doorbell.frame[2:]
                doorbell = Doorbell(doorbell.channel, frame)
            carry(doorbell, to)

        anna, ben = await stage[0].enter("anna"), await stage[1].enter("ben")
        head = await stage.room("tea", anna, ben)
        await trio.sleep(3)
        stage.bus.carry = carry_foreign
        for number in range(1, 20, 2):
            for offset, (one, other) in enumerate(((anna, ben), (ben, anna))):
                began = trio.current_time()
                await one.send("tea", "hello")
                await other.next("entry", seq=head + number + offset)
                assert trio.current_time() - began <= 2
                await trio.sleep(0.37)
        assert [scene.engine.ready() for scene in stage] == [True, True]
        for person in (anna, ben):
            assert person.seqs("tea") == list(range(head + 1, head + 21))

    assert f"version {version} is not {VERSION}" in caplog.text
