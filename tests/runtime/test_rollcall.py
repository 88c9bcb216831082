"""Laws of asking all nodes: each answers once, who does not is named, and nobody waits long."""

import trio
from scene import open_scene, settled
from stage import open_stage

from triolet._model.observation import Sample
from triolet._runtime.rollcall import ANSWER_TIMEOUT_S
from triolet._wire.peers import Answered
from triolet._wire.questions import SampleWanted, SessionsEnded


def roll(scene):
    return scene.engine.oversight.roll


def name(scene):
    return scene.engine.nodes.name


async def known(stage):
    """Wait until each node knows of the others by the beats of their leases."""
    await trio.sleep(stage[0].limits.presence_heartbeat_s + 1)


async def test_alone_one_answers_for_oneself():
    async with open_scene() as scene:
        poll = await roll(scene).ask(SampleWanted(), Sample)

        assert (list(poll.answers), poll.silent) == ([""], ())


async def test_all_nodes_answer_and_nobody_waits_for_more():
    async with open_stage(3) as stage:
        await known(stage)
        began = trio.current_time()
        poll = await roll(stage[1]).ask(SampleWanted(), Sample)

        assert next(iter(poll.answers)) == name(stage[1])
        assert sorted(poll.answers) == sorted(map(name, stage))
        assert (poll.silent, trio.current_time()) == ((), began)


async def test_a_node_that_does_not_answer_is_named_after_the_time():
    async with open_stage(3) as stage:
        await known(stage)
        stage.bus.fate = lambda kind, to: [] if kind == "Asked" and to is stage[2].node else [0]
        began = trio.current_time()
        poll = await roll(stage[0]).ask(SampleWanted(), Sample)

        assert sorted(poll.answers) == sorted(map(name, stage[:2]))
        assert poll.silent == (name(stage[2]),)
        assert trio.current_time() - began == ANSWER_TIMEOUT_S


async def test_answers_that_come_twice_late_or_unasked_change_nothing():
    async with open_stage(2) as stage:
        await known(stage)
        stage.bus.fate = lambda kind, to: [0.2, 0.3, 5] if kind == "Answered" else [0]
        poll = await roll(stage[0]).ask(SampleWanted(), Sample)
        assert len(poll.answers) == 2
        stage[1].engine.nodes.ring(
            stage[0].engine.nodes.own_channel, Answered(999, SessionsEnded(1))
        )
        await trio.sleep(10)

        assert roll(stage[0])._polls == {}
        assert roll(stage[1])._answering == 0


async def test_an_answer_to_something_else_is_none():
    async with open_stage(2) as stage:
        await known(stage)
        stage.bus.lose("Answered")
        async with trio.open_nursery() as nursery:
            found = []

            @nursery.start_soon
            async def ask():
                found.append(await roll(stage[0]).ask(SampleWanted(), Sample))

            await settled()
            stage.bus.fate = None
            channel = stage[0].engine.nodes.own_channel
            stage[1].engine.nodes.ring(channel, Answered(1, SessionsEnded(1)))
            await settled()

        assert list(found[0].answers) == [name(stage[0])]


async def test_a_flood_of_questions_is_answered_by_so_many_tasks_at_most():
    async with open_stage(2) as stage:
        held = trio.Event()

        async def slow(wanted):
            del wanted
            await held.wait()
            return SessionsEnded(0)

        roll(stage[1]).answer(SampleWanted, slow)
        async with trio.open_nursery() as nursery:
            for _ in range(100):
                nursery.start_soon(roll(stage[0]).ask, SampleWanted(), Sample)
            await settled()
            assert roll(stage[1])._answering == 32
            held.set()
