"""Laws of what a notifier asks: who is here on any node, and how far they have read."""

import pytest
import trio
from scene import open_scene
from stage import open_stage

from triolet._runtime.standing import present_among, read_by


@pytest.fixture
async def stage():
    async with open_stage(2) as stage:
        yield stage


async def test_who_has_a_session_on_any_node_is_present(stage):
    anna, ben = await stage[0].enter("anna"), await stage[1].enter("ben")
    await trio.sleep(1)
    for scene in (stage[0], stage[1]):
        found = await present_among(scene.engine.presence, ["carl", "ben", "anna"])
        assert found == ["ben", "anna"]

    await ben.leave()
    await trio.sleep(1)

    # In its grace: seen, and not there to be told.
    assert await present_among(stage[0].engine.presence, ["anna", "ben"]) == ["anna"]
    assert await present_among(stage[1].engine.presence, ["anna", "ben"]) == ["anna"]
    del anna


async def test_alone_who_is_present_is_here():
    async with open_scene() as scene:
        anna = await scene.enter("anna")
        ben = await scene.enter("ben")
        await ben.leave()

        assert await present_among(scene.engine.presence, ["anna", "ben", "carl"]) == ["anna"]
        del anna


async def row(scene, user, room="tea"):
    engine = scene.engine
    with engine.marks.reading():
        (item,) = await engine.store.inbox_of(user, [room])
        return read_by(engine.hub, engine.marks, item), item.membership.read


async def test_what_was_read_is_known_before_it_is_written():
    """Marks are written each second: the first one at once, the next one after that second."""
    async with open_scene() as scene:
        anna, ben = await scene.enter("anna"), await scene.enter("ben")
        await scene.room("tea", anna, ben)
        first, second = [(await anna.ask("send", room="tea", body={}))["seq"] for _ in range(2)]
        await trio.sleep(2)
        await ben.ask("receipt", room="tea", read=first)
        await ben.ask("receipt", room="tea", read=second)

        assert await row(scene, "ben") == (second, first)
        await trio.sleep(2)
        assert await row(scene, "ben") == (second, second)
