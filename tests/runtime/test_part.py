"""Laws of a bus of several parts: what one of them fails to do harms nothing of the others."""

import logging

import pytest
import trio
from parted import LEFT, RIGHT, Parted, channel_in
from scene import CountedEntropy, settled
from stage import open_stage

from triolet._model.errors import BusUnavailable
from triolet._model.limits import Limits
from triolet._runtime.nodes import ALL_NODES, Nodes
from triolet._wire.peers import Grown, RoomStates, decode_peer
from triolet.adapters.memory import MemoryBus

HERE, THERE = channel_in(LEFT), channel_in(RIGHT)
ROOM_HERE, ROOM_THERE = (channel_in(part, "r:{}").removeprefix("r:") for part in (LEFT, RIGHT))
LIMITS = Limits()


@pytest.fixture
def bus():
    return MemoryBus()


@pytest.fixture
async def nodes(bus):
    """A node that runs, and has followed what it follows by itself."""
    async with trio.open_nursery() as nursery:
        found = Nodes(Parted(bus.join()), CountedEntropy(), Limits())
        nursery.start_soon(found.run)
        # Heard, and between two canaries.
        await trio.sleep(2.2 * LIMITS.canary_interval_s)
        yield found
        nursery.cancel_scope.cancel()


async def heard(other):
    """Return what another one has heard, by channel, but canaries."""
    return [(one.channel, decode_peer(one.frame)[1]) for one in (await other.receive()).doorbells]


@pytest.mark.parametrize("how", ["dead", "hung"])
async def test_what_belongs_to_others_is_rung_at_once(bus, nodes, how):
    """However its calls fail; and the part that fails is known, and told once."""
    other, missed = bus.join(), []
    await other.follow([HERE, THERE])
    nodes.on_missed.append(lambda: missed.append(trio.current_time()))
    getattr(nodes.bus, how).add(RIGHT)
    for number in range(50):
        nodes.ring(THERE, Grown("lost", "e", number))
        nodes.ring(HERE, Grown("tea", "e", number))
        began = trio.current_time()
        assert await heard(other) == [(HERE, Grown("tea", "e", number))]
        assert trio.current_time() == began
        await trio.sleep(0.1)
        assert not nodes.is_down
    assert (nodes.reaches(HERE), nodes.reaches(THERE)) == (True, False)
    assert len(missed) == 1


async def test_only_what_may_not_have_been_rung_is_rung_again(bus, nodes):
    """States of the part that was gone; nothing twice, and nothing of entries."""
    other = bus.join()
    await other.follow([HERE, THERE])
    nodes.bus.dead.add(RIGHT)
    for channel in (THERE, HERE):
        nodes.ring(channel, Grown("tea", "e", 1))
        nodes.ring(channel, RoomStates("tea", {"anna": True}, {}), again=True)
    await settled()
    assert [channel for channel, _ in await heard(other)] == [HERE, HERE]
    nodes.bus.revive()
    await trio.sleep(1)
    assert await heard(other) == [(THERE, RoomStates("tea", {"anna": True}, {}))]
    assert nodes.reaches(THERE)


async def test_of_one_call_only_what_failed_is_rung_again(bus):
    """An adapter may know better than by parts, or not at all."""
    node, other, tries = bus.join(), bus.join(), []
    await other.follow([HERE, THERE])
    nodes = Nodes(node, CountedEntropy(), Limits())

    async def ring(doorbells):
        tries.append([one.channel for one in doorbells if one.channel in (HERE, THERE)])
        if len(tries) <= 2:
            raise BusUnavailable("not quite", [THERE] if len(tries) == 2 else None)

    node.ring = ring
    for channel in (HERE, THERE):
        nodes.ring(channel, RoomStates("tea", {}, {}), again=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(nodes.run)
        await trio.sleep(0.9)
        nursery.cancel_scope.cancel()
    assert tries[:3] == [[HERE, THERE], [HERE, THERE], [THERE]]
    assert not any(tries[3:])


async def test_others_are_told_when_it_is_back(bus, nodes, caplog):
    """What was not rung for, they look for; who operates the bus is told which part it was."""
    other, missed = bus.join(), []
    await other.follow([ALL_NODES])
    nodes.bus.dead.add(RIGHT)
    with caplog.at_level(logging.WARNING):
        await trio.sleep(3)
        nodes.on_missed.append(lambda: missed.append(trio.current_time()))
        nodes.bus.revive()
        await trio.sleep(1)
    assert [type(message).__name__ for _, message in await heard(other)] == ["Missed"]
    assert missed
    assert "the bus does not work (right)" in caplog.text
    assert "the bus works again (right)" in caplog.text
    assert "(left)" not in caplog.text


async def test_silence_tells_of_which_channels(nodes):
    """Each second, for as long as it lasts, and of nothing else."""
    told = []
    nodes.on_silence.append(lambda is_about: told.append((is_about(HERE), is_about(THERE))))
    await trio.sleep(3)
    assert told == []
    nodes.bus.dead.add(RIGHT)
    await trio.sleep(5)
    # The first canary that failed was a second after it died, less a fifth.
    assert told == [(False, True)] * 4
    nodes.bus.revive()
    await trio.sleep(5)
    assert len(told) == 4
    del nodes.on_silence[:]
    nodes.on_silence.append(told.append)
    nodes.bus.dead |= {LEFT, RIGHT}
    await trio.sleep(2)
    assert told[-1] is None


async def test_what_is_down_is_not_waited_for(bus, nodes):
    """Whoever follows channels of both parts waits for the one that works."""
    nodes.bus.hung.add(RIGHT)
    await nodes.follow(THERE)
    began = trio.current_time()
    await nodes.follow(THERE, HERE)
    assert trio.current_time() == began
    assert nodes.bus.node in bus.followers[HERE]


async def test_who_leaves_waits_no_longer_for_one_part_than_for_a_bus(nodes):
    nodes.bus.hung.add(RIGHT)
    nodes.ring(THERE, RoomStates("tea", {}, {}), again=True)
    began = trio.current_time()
    await nodes.leave()
    assert trio.current_time() - began <= 2 * LIMITS.bus_timeout_s


# --- engines -----------------------------------------------------------------------------------


async def enter(stage):
    """Let one person in on each node, who follow a room of each part; return the heads, too."""
    anna, ben = await stage[0].enter("anna"), await stage[1].enter("ben")
    heads = [await stage.room(name, anna, ben) for name in (ROOM_HERE, ROOM_THERE)]
    await trio.sleep(2 * LIMITS.canary_interval_s)
    return anna, ben, *heads


def kill(stage, part=RIGHT):
    for scene in stage:
        scene.node.dead.add(part)


def compared(scene):
    """Return how often each of the rooms was compared with the store."""
    asked = [set(args[0]) for name, args, _ in scene.store.calls if name == "heads"]
    return [sum(room in names for names in asked) for room in (ROOM_HERE, ROOM_THERE)]


async def test_rooms_of_a_dead_part_come_by_the_store_and_the_others_as_ever():
    """Within two seconds, and at once; only the first are asked for each second."""
    async with open_stage(2, buses=[Parted] * 2) as stage:
        anna, ben, here, there = await enter(stage)
        kill(stage)
        await trio.sleep(2)
        stage[1].store.calls.clear()
        for number in range(1, 21):
            await anna.send(ROOM_HERE, "here")
            await anna.send(ROOM_THERE, "there")
            await settled()
            assert ben.seqs(ROOM_HERE)[-1] == here + number
            await trio.sleep(2)
            assert ben.seqs(ROOM_THERE)[-1] == there + number
        at_rest, each_second = compared(stage[1])
        # In 40 s: the round of all each 5 s, and the canary.
        assert at_rest <= 9
        assert each_second >= 38


async def test_the_round_of_all_rooms_is_not_put_off():
    """A doorbell that a working part lost is made good as ever, while another part is silent."""
    async with open_stage(2, buses=[Parted] * 2) as stage:
        anna, ben, here, _ = await enter(stage)
        kill(stage)
        await trio.sleep(3)
        stage.bus.lose()
        await anna.send(ROOM_HERE, "lost")
        await trio.sleep(LIMITS.head_check_s + 1)
        assert ben.seqs(ROOM_HERE)[-1] == here + 1


async def test_a_node_that_hears_one_part_is_ready_and_says_what_is_silent():
    async with open_stage(2, buses=[Parted] * 2) as stage:
        await enter(stage)
        kill(stage)
        await trio.sleep(LIMITS.canary_timeout_s + 2)
        for scene in stage:
            assert scene.engine.ready()
            assert scene.engine.statistics().unheard == ("right",)
        kill(stage, LEFT)
        await trio.sleep(LIMITS.canary_timeout_s + 2)
        for scene in stage:
            assert scene.engine.why_not_ready() == "bus"
            assert scene.engine.statistics().unheard == ("left", "right")
            scene.node.revive()
        await trio.sleep(2)
        assert [scene.engine.statistics().unheard for scene in stage] == [(), ()]
        assert all(scene.engine.ready() for scene in stage)


async def test_marks_of_a_dead_part_wait_and_are_told_when_it_is_back():
    """Those of the other part are told as ever."""
    async with open_stage(2, buses=[Parted] * 2) as stage:
        anna, ben, here, there = await enter(stage)
        for room in (ROOM_HERE, ROOM_THERE):
            await anna.send(room, "read me")
        await settled()
        kill(stage)
        # What may have been missed at first is read.
        await trio.sleep(3 * LIMITS.marks_interval_s + 2)
        for room, seq in ((ROOM_HERE, here + 1), (ROOM_THERE, there + 1)):
            await ben.ask("receipt", room=room, read=seq)
        await trio.sleep(2)
        assert stage[0].loaded(ROOM_HERE).seats["ben"].read == here + 1
        assert stage[0].loaded(ROOM_THERE).seats["ben"].read == there
        for scene in stage:
            scene.node.revive()
        await trio.sleep(4)
        assert stage[0].loaded(ROOM_THERE).seats["ben"].read == there + 1
