"""Laws of `stats`: for admins, while they look, the latest, of all nodes; else nothing runs."""

import pytest
import trio
from scene import open_scene, settled
from stage import open_stage


@pytest.fixture
async def stage():
    async with open_stage(2) as stage:
        await trio.sleep(stage[0].limits.presence_heartbeat_s + 1)
        yield stage


async def watching(scene, **fields):
    admin = await scene.enter("root", roles=("admin",))
    await admin.ask("stats", on=True, **fields)
    return admin


async def test_only_admins_are_told():
    async with open_scene() as scene:
        anna = await scene.enter("anna", roles=("moderator",))

        assert await anna.refused("stats", on=True) == "forbidden"
        await trio.sleep(5)
        assert anna.all("stats") == []


async def test_the_first_comes_at_once_and_then_one_each_interval():
    async with open_scene() as scene:
        admin = await watching(scene, interval_ms=2000)
        await admin.next("stats", interval_ms=0)
        began = trio.current_time()
        for _ in range(3):
            await admin.next("stats", interval_ms=2000)

        assert trio.current_time() - began == 6


async def test_rates_are_of_the_time_since_the_last_one():
    async with open_scene() as scene:
        admin, anna = await watching(scene), await scene.enter("anna")
        await scene.room("tea", anna)
        await admin.next("stats")
        for number in range(10):
            await anna.send("tea", str(number))
        told = await admin.next("stats")

        assert told["total"]["rates"]["messages"] == 10
        assert told["total"]["gauges"]["sessions"] == 2
        assert told["total"]["busiest"][0][0] == "tea"
        assert (await admin.next("stats"))["total"]["rates"]["messages"] == 0


async def test_every_node_is_told_of_by_name_and_together(stage):
    admin = await watching(stage[0])
    anna = await stage[1].enter("anna")
    await stage[1].room("tea", anna)
    await admin.next("stats")
    await anna.send("tea")
    told = await admin.next("stats")
    nodes = {node["node"]: node for node in told["nodes"]}

    assert list(nodes) == [scene.engine.nodes.name for scene in stage]
    assert nodes[stage[1].engine.nodes.name]["rates"]["messages"] == 1
    assert nodes[stage[0].engine.nodes.name]["rates"]["messages"] == 0
    assert told["total"]["rates"]["messages"] == 1
    assert told["total"]["gauges"]["sessions"] == 2
    assert told["total"]["bus_ms"]["count"] > 0


async def test_a_node_that_is_cut_off_is_named(stage):
    admin = await watching(stage[0])
    await admin.next("stats")
    stage.bus.lose()
    await admin.next("stats", silent=[stage[1].engine.nodes.name])


async def test_nobody_is_asked_while_nobody_looks(stage):
    admin = await watching(stage[0])
    await admin.next("stats")
    await admin.ask("stats", on=False)
    await settled()
    stage.bus.rung.clear()
    admin.forget()
    await trio.sleep(10)

    assert "Asked" not in stage.bus.rung
    assert admin.all("stats") == []


async def test_who_has_gone_is_not_told_and_nothing_runs_for_them(stage):
    admin = await watching(stage[0])
    await admin.leave()
    await trio.sleep(2)
    stage.bus.rung.clear()
    await trio.sleep(10)

    assert "Asked" not in stage.bus.rung
    assert stage[0].engine.oversight.dashboard._watches == {}
    assert stage[0].engine.oversight.dashboard._before == {}


async def test_a_watcher_that_takes_nothing_has_no_more_than_its_outbox_waiting():
    """The latest wins: what is not taken is not followed by another."""
    async with open_scene(outbox_bytes_low=1000) as scene:
        admin = await watching(scene, interval_ms=250)
        admin.stop_reading()
        await trio.sleep(25)
        size = admin.session.outbox.size
        await trio.sleep(4)

        assert admin.session.outbox.size == size < 10_000


async def test_a_token_without_the_role_ends_it():
    async with open_scene() as scene:
        admin = await watching(scene)
        await admin.next("stats")
        scene.gate.knows("plain", "root")
        await admin.ask("refresh", token="plain")
        await trio.sleep(2)
        admin.forget()
        await trio.sleep(5)

        assert admin.all("stats") == []


async def test_two_watchers_each_have_their_own_interval():
    async with open_scene() as scene:
        quick = await watching(scene, interval_ms=500)
        slow = await scene.enter("other", roles=("admin",))
        await slow.ask("stats", on=True, interval_ms=4000)
        await trio.sleep(8.2)

        assert len(quick.all("stats")) == 17
        assert len(slow.all("stats")) == 3
