"""Laws of pages that are kept: nobody can tell, but by what it costs."""

import pytest
import trio
from scene import settled
from stage import open_stage

from triolet._model.commands import Create, DeleteMessage, History, Invite, Kick, ReactTo, Send
from triolet._model.errors import Refusal
from triolet.ports.gate import FOREVER, Identity

ANNA = Identity(user="anna", expires_at=FOREVER, tier="service")
BEN = Identity(user="ben", expires_at=FOREVER, tier="service")
TEA = History(room="tea")


async def tea(scene, text="one"):
    """Have a room of anna and ben with one message; return its seq."""
    engine = scene.engine
    await engine.ask(ANNA, Create(kind="group", room="tea", members=["ben"]))
    return (await engine.ask(ANNA, Send(room="tea", body={"text": text}))).seq


async def read(scene, who=ANNA, command=TEA):
    """Read a page, and compare it with what the store says."""
    page = await scene.engine.ask(who, command)
    expected = await scene.store.real.history(
        command.room,
        who.user,
        before=command.before,
        after=command.after,
        limit=command.limit,
        bytes_max=scene.limits.page_bytes_max,
    )
    assert (page.messages, page.more, page.as_of) == (
        expected.messages,
        expected.more,
        (expected.epoch, expected.head),
    )
    return page


async def test_a_page_is_read_once_while_nothing_happens(scene):
    await tea(scene)
    pages = [await read(scene) for _ in range(5)]

    assert pages == pages[:1] * 5
    assert scene.store.count("history") == 1


async def test_whatever_happens_is_seen_at_once(scene):
    """A message, a reaction, somebody else's view, a deletion, which leaves no byte behind."""
    seq = await tea(scene, "secret")
    await read(scene)
    await scene.engine.ask(BEN, Send(room="tea", body={"text": "two"}))
    await read(scene)
    await scene.engine.ask(BEN, ReactTo(room="tea", target=seq, emoji="🙂"))
    assert [await read(scene, who) for who in (ANNA, BEN)]
    await scene.engine.ask(ANNA, DeleteMessage(room="tea", target=seq))

    assert scene.hub.rooms["tea"].histories == {}
    page = await read(scene)
    assert page.messages[0].erased


async def test_retention_and_a_new_generation_are_seen_at_once(scene):
    await tea(scene)
    for number in range(3):
        await scene.engine.ask(ANNA, Send(room="tea", body={"n": number}))
    await read(scene)
    for room, floor, floor_n in await scene.store.real.prune(
        older_than=0, entries_max=2, limit=1000
    ):
        scene.hub.floor_moved(room, floor, floor_n)
    page = await read(scene)

    assert len(page.messages) == 2


async def test_what_retention_removes_while_it_is_read_is_not_kept(scene):
    await tea(scene)
    for number in range(3):
        await scene.engine.ask(ANNA, Send(room="tea", body={"n": number}))
    held = scene.store.script("history", after=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.engine.ask, ANNA, TEA)
        await held.entered.wait()
        await settled()
        for moved in await scene.store.real.prune(older_than=0, entries_max=2, limit=1000):
            scene.hub.floor_moved(*moved)
        held.release()

    assert len((await read(scene)).messages) == 2


async def test_who_may_read_no_more_gets_no_page(scene):
    await tea(scene)
    await read(scene, BEN)
    await scene.engine.ask(ANNA, Kick(room="tea", user="ben"))
    with pytest.raises(Refusal):
        await scene.engine.ask(BEN, TEA)
    await scene.engine.ask(ANNA, Invite(room="tea", user="ben"))
    await read(scene, BEN)


async def test_what_is_kept_is_bounded(scene):
    """By rooms and by pages of a room; a room that is dropped keeps none."""
    engine = scene.engine
    for number in range(70):
        await engine.ask(ANNA, Create(kind="group", room=f"r{number}"))
        for limit in range(1, 8):
            await read(scene, ANNA, History(room=f"r{number}", limit=limit))
    await settled()
    counts = [len(room.histories) for room in scene.hub.rooms.values()]
    room = scene.hub.rooms["r69"]
    scene.hub._rooms.drop_idle(room)

    assert (max(counts), sum(map(bool, counts)), room.histories) == (4, 64, {})


async def test_among_other_nodes_no_page_is_kept():
    """What somebody was told there, they find here, also before it was rung."""
    async with open_stage(2) as stage:
        await tea(stage[0])
        await read(stage[1])
        stage.bus.lose()
        await stage[0].engine.ask(BEN, Send(room="tea", body={"text": "two"}))
        page = await read(stage[1])
        stage.bus.fate = None

    assert len(page.messages) == 2
