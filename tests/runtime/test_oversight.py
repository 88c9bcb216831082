"""Laws of what administrators see: it is what happened, and what is."""

import trio
from scene import open_scene
from stage import open_stage

from triolet._model.observation import Post
from triolet._runtime.process import cpu_ms, memory_bytes
from triolet._runtime.rollcall import ANSWER_TIMEOUT_S


async def test_what_is_observed_is_what_there_is():
    async with open_scene() as scene:
        anna, ben = await scene.enter("anna"), await scene.enter("ben")
        await scene.room("tea", anna, ben)
        await anna.send("tea")
        await ben.leave()
        await anna.refused("nonsense")
        await trio.sleep(3)
        seen = await scene.engine.observe()
        (node,) = seen.nodes

        assert (seen.interval_ms, seen.silent, seen.jobs, node.rates) == (0, (), (), {})
        assert node.gauges | {"memory_bytes": 0} == {
            "connections": 1,
            "sessions": 1,
            "users": 1,
            "rooms": 1,
            "cursors": 1,
            "slow_clients": 0,
            "pending_bytes": 0,
            "memory_bytes": 0,
        }
        assert (node.counts["messages"], node.counts["opened"], node.counts["closed"]) == (1, 2, 1)
        assert (node.closes, node.refusals) == ({"1000": 1}, {"unknown_op": 1})
        assert node.append_ms.count == node.counts["batches"]
        # The loop was looked at each second, and it was never late.
        assert (node.lag_ms.count >= 3, node.lag_ms.max) == (True, 0)
        assert node.up_ms == 3000


async def test_the_last_errors_come_first():
    async with open_scene() as scene:
        scene.engine.counters.errors.extend((at, "ERROR", "x", "y") for at in range(60))
        seen = await scene.engine.observe()

        assert [row[0] for row in seen.total.errors] == list(range(59, 39, -1))


async def test_slow_clients_are_counted():
    async with open_scene() as scene:
        anna, ben = await scene.enter("anna"), await scene.enter("ben")
        await scene.room("tea", anna, ben)
        ben.stop_reading()
        for _ in range(200):
            await anna.send("tea", "x" * 1000)

        assert (await scene.engine.observe()).total.gauges["slow_clients"] == 1


async def test_several_nodes_are_observed_together():
    async with open_stage(3) as stage:
        await trio.sleep(stage[0].limits.presence_heartbeat_s + 1)
        for scene in stage:
            await scene.enter("anna", device=scene.engine.nodes.name[-4:])
        seen = await stage[0].engine.observe()

        assert [node.gauges["sessions"] for node in seen.nodes] == [1, 1, 1]
        assert seen.total.gauges["sessions"] == 3


async def test_workers_of_one_server_are_told_apart_from_all_other_nodes():
    posts = [Post("here", 1), Post("there", 1), Post("here", 2)]
    async with open_stage(4, posts=posts) as stage:
        await trio.sleep(stage[0].limits.presence_heartbeat_s + 1)
        crews = [await scene.engine.oversight.crew() for scene in stage]

    assert [[one.post for one in crew] for crew in crews] == [
        [Post("here", 1), Post("here", 2)],
        [Post("there", 1)],
        [Post("here", 2), Post("here", 1)],
        [None],
    ]


async def test_a_worker_that_does_not_answer_is_not_waited_for_long():
    async with open_stage(2, posts=[Post("here", 1), Post("here", 2)]) as stage:
        await trio.sleep(stage[0].limits.presence_heartbeat_s + 1)
        stage.bus.fate = lambda kind, to: [] if kind == "Asked" else [0]
        began = trio.current_time()
        crew = await stage[0].engine.oversight.crew()

        assert [one.post for one in crew] == [Post("here", 1)]
        assert trio.current_time() - began == ANSWER_TIMEOUT_S


def test_a_process_has_memory_and_takes_time():
    before = cpu_ms()
    sum(range(2_000_000))

    assert 10_000_000 < memory_bytes() < 10_000_000_000
    assert cpu_ms() > before
