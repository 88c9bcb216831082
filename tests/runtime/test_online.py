"""Laws of who is online: all nodes' users, each once, and nobody who is not to be seen."""

import pytest
import trio
from scene import open_scene
from stage import open_stage

from triolet._runtime import online


async def everybody(scene, limit=200):
    """All pages of the list, once the wishes of those who have just come are read."""
    await trio.sleep(0.1)
    rows, after = [], ""
    while after is not None:
        page = await scene.engine.online(after=after, limit=limit)
        assert len(page.users) <= limit
        rows += page.users
        after = page.after
    return rows


async def counted(scene):
    await trio.sleep(1.1)
    return await scene.engine.online_count()


@pytest.fixture
async def stage():
    async with open_stage(2) as stage:
        await trio.sleep(stage[0].limits.presence_heartbeat_s + 1)
        yield stage


async def test_those_who_are_here_are_listed_by_name_with_their_status(scene):
    for user in ("zoe", "anna", "ben"):
        who = await scene.enter(user)
        if user == "ben":
            await who.ask("presence", status="dnd")

    assert await everybody(scene) == [("anna", "online"), ("ben", "dnd"), ("zoe", "online")]
    assert await counted(scene) == 3


async def test_who_hides_is_in_neither(scene):
    """`invisible`, and visible to nobody; who has left, after the grace."""
    anna, ben, _ = [await scene.enter(user) for user in ("anna", "ben", "cleo")]
    dora = await scene.enter("dora")
    await trio.sleep(0.1)
    await anna.ask("presence", status="invisible")
    await ben.ask("presence", visible_to="nobody")
    dora.pipe.hang_up()
    assert await everybody(scene) == [("cleo", "online"), ("dora", "online")]
    await trio.sleep(15)

    assert await everybody(scene) == [("cleo", "online")]
    assert await counted(scene) == 1


async def test_a_wish_that_was_kept_counts_for_who_comes_back(scene):
    await scene.store.real.show_to("anna", "nobody")
    await scene.enter("anna")
    await scene.enter("ben")
    await trio.sleep(1)

    assert await everybody(scene) == [("ben", "online")]
    assert await counted(scene) == 1


async def test_pages_follow_each_other_without_a_gap(stage):
    for number in range(11):
        await stage[number % 2].enter(f"u{number:02}")
    hidden = await stage[1].enter("u055")
    await hidden.ask("presence", status="invisible")
    names = [f"u{number:02}" for number in range(11)]

    for limit in (1, 2, 3, 200):
        for scene in stage:
            assert [user for user, _ in await everybody(scene, limit)] == names


async def test_who_is_on_several_nodes_is_one(stage):
    """The best of their sessions is seen, and the latest wish hides them everywhere."""
    first = await stage[0].enter("anna", device="phone")
    await stage[1].enter("anna", device="laptop")
    await stage[1].enter("ben")
    await first.ask("presence", status="away")
    await trio.sleep(1)

    for scene in stage:
        assert await everybody(scene) == [("anna", "online"), ("ben", "online")]
        assert await counted(scene) == 2
    await first.ask("presence", status="invisible")
    await trio.sleep(1)
    for scene in stage:
        assert await everybody(scene) == [("ben", "online")]
        assert await counted(scene) == 1


async def test_a_wish_said_on_one_node_hides_the_sessions_on_the_other(stage):
    first = await stage[0].enter("anna", device="phone")
    await stage[1].enter("anna", device="laptop")
    await first.ask("presence", visible_to="nobody")
    await trio.sleep(1)

    for scene in stage:
        assert await everybody(scene) == []
        assert await counted(scene) == 0


async def test_a_node_that_does_not_answer_is_named(stage):
    await stage[0].enter("anna")
    await stage[1].enter("ben")
    stage.bus.lose("Answered")
    page = await stage[0].engine.online()

    assert page.users == (("anna", "online"),)
    assert page.silent == (stage[1].engine.nodes.name,)


async def test_who_hides_while_it_is_read_by_whom_they_are_seen_is_not_counted(scene):
    held = scene.store.script("people", after=True)
    await scene.enter("anna")
    await held.entered.wait()
    await scene.engine.sight.show_to("anna", "nobody")
    held.release()

    assert await counted(scene) == 0


async def test_many_who_ask_at_once_are_told_one_count(stage):
    asked = 0

    def fate(kind, to):
        nonlocal asked
        asked += kind == "Asked" and to is stage[1].node
        return [0.1]

    stage.bus.fate = fate
    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(stage[0].engine.online_count)
    assert asked == 1


async def test_a_count_is_told_again_for_a_second(scene):
    await scene.enter("anna")
    # By whom she wishes to be seen is read: until then she is not counted.
    await trio.sleep(0.1)
    assert await scene.engine.online_count() == 1
    await scene.enter("ben")
    await trio.sleep(0.1)
    assert await scene.engine.online_count() == 1
    assert await counted(scene) == 2


async def test_many_users_are_looked_at_a_turn_at_a_time(monkeypatch):
    monkeypatch.setattr(online, "_USERS_PER_TURN", 2)
    async with open_scene() as scene:
        for number in range(7):
            await scene.enter(f"u{number}")
        assert len(await everybody(scene, 3)) == await counted(scene) == 7
