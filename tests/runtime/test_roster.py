"""Laws of the sessions of all nodes: all are found, page by page, and end where they are."""

import msgspec
import pytest
import trio
from scene import NOW_MS, open_scene
from stage import open_stage

from triolet.ports.gate import FOREVER


def roster(scene):
    return scene.engine.oversight.roster


@pytest.fixture
async def stage():
    async with open_stage(2) as stage:
        await trio.sleep(stage[0].limits.presence_heartbeat_s + 1)
        yield stage


async def test_the_sessions_of_all_nodes_are_listed_by_user(stage):
    for scene, user in ((stage[0], "zoe"), (stage[1], "anna"), (stage[0], "ben")):
        await scene.enter(user)
    found, silent = await roster(stage[0]).page()

    assert [(row.user, row.node) for row in found.rows] == [
        ("anna", stage[1].engine.nodes.name),
        ("ben", stage[0].engine.nodes.name),
        ("zoe", stage[0].engine.nodes.name),
    ]
    assert (found.more, silent) == (False, ())


async def test_pages_follow_each_other_without_a_gap(stage):
    for number in range(7):
        await stage[number % 2].enter(f"u{number}")
    seen, place, more = [], ("", ""), True
    while more:
        found, _ = await roster(stage[1]).page(after=place, limit=2)
        seen += [row.user for row in found.rows]
        place, more = (found.rows[-1].user, found.rows[-1].session), found.more

    assert seen == [f"u{number}" for number in range(7)]


async def test_one_users_sessions_are_found_on_both(stage):
    await stage[0].enter("anna", device="phone")
    await stage[1].enter("anna", device="laptop")
    await stage[1].enter("ben")
    found, _ = await roster(stage[0]).page(user="anna")

    assert sorted(row.device for row in found.rows) == ["laptop", "phone"]


async def test_a_row_says_what_is_known_and_lets_nobody_in():
    async with open_scene() as scene:
        anna = await scene.enter("anna", device="phone", tier="premium")
        await scene.room("tea", anna)
        await scene.enter("zoe")
        found, _ = await roster(scene).page()

        assert msgspec.to_builtins(found.rows[0]) == {
            "session": anna.session.id,
            "user": "anna",
            "device": "phone",
            "node": "",
            "since": NOW_MS,
            "expires_at": FOREVER,
            "subscriptions": 1,
            "outbox_bytes": 0,
            "slow": False,
            "address": "in-process",
            "tier": "premium",
        }


async def test_what_a_client_calls_itself_is_shown():
    async with open_scene() as scene:
        stranger = scene.pipe("anna")
        await stranger.pipe.send(msgspec.msgpack.encode({"op": "hello", "agent": "mine/1.0"}))
        await stranger.next("welcome")
        found, _ = await roster(scene).page()

        assert [row.agent for row in found.rows] == ["mine/1.0"]


async def test_who_has_not_said_hello_is_no_session():
    async with open_scene() as scene:
        scene.stranger()
        await trio.sleep(0.1)
        found, _ = await roster(scene).page()

        assert found.rows == ()


async def test_a_slow_client_is_shown_as_one():
    async with open_scene() as scene:
        anna, ben = await scene.enter("anna"), await scene.enter("ben")
        await scene.room("tea", anna, ben)
        ben.stop_reading()
        for _ in range(200):
            await anna.send("tea", "x" * 1000)
        found, _ = await roster(scene).page(user="ben")

        assert found.rows[0].slow
        assert found.rows[0].outbox_bytes > 1000


async def test_one_session_ends_wherever_it_is(stage):
    phone, laptop = await stage[0].enter("anna"), await stage[1].enter("anna", device="laptop")
    ended = await roster(stage[0]).end(session=laptop.session.id)

    assert sum(one.count for one in ended.answers.values()) == 1
    assert await laptop.ended() == 4001
    assert not phone.session.is_gone


async def test_all_sessions_of_a_user_end_and_nobody_elses(stage):
    cast = [await scene.enter("anna", device=f"d{n}") for n, scene in enumerate(stage)]
    ben = await stage[1].enter("ben")
    ended = await roster(stage[1]).end(user="anna")

    assert sum(one.count for one in ended.answers.values()) == 2
    assert [await one.ended() for one in cast] == [4001, 4001]
    assert not ben.session.is_gone


async def test_ending_nobody_ends_nobody(stage):
    anna = await stage[0].enter("anna")
    scene = stage[1]
    stranger = scene.stranger()
    await roster(stage[1]).end()

    assert not anna.session.is_gone
    assert stranger.session.closing is None


async def test_a_node_that_is_cut_off_is_named(stage):
    await stage[1].enter("anna")
    stage.bus.lose()
    found, silent = await roster(stage[0]).page()

    assert (found.rows, silent) == ((), (stage[1].engine.nodes.name,))
