"""Laws of announcements: to all or to those meant, on all nodes, once, and in nobody's way."""

import pytest
import trio
from scene import open_scene, settled
from stage import open_stage

from triolet._model.errors import Refusal

BODY = {"text": "back at ten"}


@pytest.fixture
async def stage():
    async with open_stage(2) as stage:
        yield stage


async def heard(*cast):
    await settled()
    return [len(one.all("notice", kind="announcement", body=BODY)) for one in cast]


async def test_everybody_on_all_nodes_hears_it_once(stage):
    cast = [await stage[number % 2].enter(f"u{number}") for number in range(4)]
    told = await stage[0].engine.announce(BODY)

    assert (told, await heard(*cast)) == (2, [1, 1, 1, 1])


async def test_some_users_hear_it_with_all_their_sessions(stage):
    anna, again = await stage[0].enter("anna"), await stage[1].enter("anna", device="laptop")
    ben = await stage[1].enter("ben")
    await stage[0].engine.announce(BODY, users=["anna", "anna", "nobody"])

    assert await heard(anna, again, ben) == [1, 1, 0]


async def test_who_follows_a_room_hears_it(stage):
    anna, ben, cleo = [await stage[n % 2].enter(u) for n, u in enumerate(("a", "b", "c"))]
    await stage.room("tea", anna, ben)
    await stage[1].engine.announce(BODY, room="tea")

    assert await heard(anna, ben, cleo) == [1, 1, 0]


async def test_to_nobody_is_to_nobody(stage):
    anna = await stage[0].enter("anna")
    await stage[0].engine.announce(BODY, users=[])
    await stage[1].engine.announce(BODY, room="nowhere")

    assert await heard(anna) == [0]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"body": {"text": "x" * 40_000}}, "too_large"),
        ({"body": {"text": "\0"}}, "invalid_field"),
        ({"body": BODY, "users": ["a"], "room": "tea"}, "invalid_field"),
    ],
)
async def test_what_cannot_be_told_is_refused(fields, reason):
    async with open_scene() as scene:
        with pytest.raises(Refusal) as refused:
            await scene.engine.announce(**fields)

        assert refused.value.code.reason == reason


async def test_who_has_much_waiting_is_passed_over():
    async with open_scene(outbox_bytes_high=1000, outbox_bytes_low=500) as scene:
        anna, ben = await scene.enter("anna"), await scene.enter("ben")
        ben.session.outbox.size += 600
        told = await scene.engine.announce(BODY)
        ben.session.outbox.size -= 600

        assert (told, await heard(anna, ben)) == (1, [1, 0])


async def test_others_go_on_while_many_are_told():
    """Between two parts of the audience there is a checkpoint."""
    async with open_scene() as scene:
        cast = [await scene.enter("crowd", device=f"d{n}") for n in range(90)]
        cast += [await scene.enter("other", device=f"d{n}") for n in range(90)]
        turns = 0

        async def count():
            nonlocal turns
            while True:
                turns += 1
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(count)
            from triolet._runtime import announcing

            before, announcing._TOLD_PER_TURN = announcing._TOLD_PER_TURN, 10
            await scene.engine.announce(BODY)
            announcing._TOLD_PER_TURN = before
            nursery.cancel_scope.cancel()

        assert turns >= 9
        assert await heard(*cast) == [1] * 180
