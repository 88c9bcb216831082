"""Laws of a node among others: it knows when it is deaf, follows what it needs, and leaves."""

import logging

import pytest
import trio
from scene import CountedEntropy, settled
from stage import open_stage

from triolet._model.errors import BusUnavailable
from triolet._model.limits import Limits
from triolet._runtime.nodes import ALL_NODES, Nodes, node_channel, room_channel, user_channel
from triolet._wire.peers import Entries, Grown, RoomStates, TokensRevoked, decode_peer, encode_peer
from triolet.adapters.memory import MemoryBus
from triolet.ports.bus import FRAME_BYTES_MAX, Doorbell


@pytest.fixture
def bus():
    return MemoryBus()


@pytest.fixture
async def nodes(bus):
    """A node that runs, and has followed what it follows by itself."""
    async with trio.open_nursery() as nursery:
        found = Nodes(bus.join(), CountedEntropy(), Limits(bus_pending_bytes_max=5000))
        nursery.start_soon(found.run)
        await settled()
        yield found
        nursery.cancel_scope.cancel()


async def heard(other):
    """Return the messages that another one has heard."""
    return [decode_peer(one.frame)[1] for one in (await other.receive()).doorbells]


# --- ringing and hearing -----------------------------------------------------------------------


async def test_what_is_rung_in_one_turn_goes_together_and_in_order(bus, nodes):
    other = bus.join()
    await other.follow(["tea", "cake"])
    for number in range(3):
        nodes.ring("tea", Grown("tea", "e", number))
    nodes.ring("cake", Grown("cake", "e", 3))
    await settled()
    assert [message.head for message in await heard(other)] == [0, 1, 2, 3]


async def test_handlers_are_told_by_kind_and_know_that_it_happened_elsewhere(bus, nodes):
    told = []
    nodes.handle(Grown, lambda node, message: told.append((node, message, nodes.is_hearing)))
    frame = encode_peer("other:1", Grown("tea", "e", 5))
    await bus.join().ring([Doorbell(ALL_NODES, frame)])
    await settled()
    assert told == [("other:1", Grown("tea", "e", 5), True)]
    assert not nodes.is_hearing


async def test_a_node_does_not_tell_itself(bus, nodes):
    told = []
    nodes.handle(Grown, lambda *call: told.append(call))
    nodes.ring(ALL_NODES, Grown("tea", "e", 5))
    await settled()
    assert told == []


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\xff" * 100,
        b"\x93\x02\xa1a\x92\xa4echo\x01",  # of version 2
        b"\x93\x01\xa1a\x92\xa7unknown\x01",
        encode_peer("other:1", Entries("tea", "e", ()))[:-1],
        encode_peer("other:1", TokensRevoked("anna", "no number")),
    ],
)
async def test_what_cannot_be_read_is_logged_and_dropped(bus, nodes, caplog, frame):
    """A node of another version, or a stranger on the same bus, harms nobody."""
    told = []
    nodes.handle(Grown, lambda node, message: told.append(message))
    good = encode_peer("other:1", Grown("tea", "e", 5))
    with caplog.at_level(logging.WARNING):
        await bus.join().ring([Doorbell(ALL_NODES, frame), Doorbell(ALL_NODES, good)])
        await settled()
    assert told == [Grown("tea", "e", 5)]
    assert "is dropped" in caplog.text


async def test_what_waits_is_bounded_and_the_others_are_told_of_it(bus, nodes):
    """Beyond the bound nothing is kept, and when there is room others compare heads."""
    other = bus.join()
    await other.follow([ALL_NODES, "tea"])
    message = RoomStates("x" * 900, {}, {})
    assert [nodes.ring("tea", message) for _ in range(7)] == [True] * 5 + [False] * 2
    assert not nodes.ring_if_idle("tea", message)
    await settled()
    kinds = [type(one).__name__ for one in await heard(other)]
    assert kinds == ["RoomStates"] * 5 + ["Missed"]
    assert nodes.ring_if_idle("tea", message)


async def test_what_fits_no_frame_is_not_rung(bus):
    nodes = Nodes(bus.join(), CountedEntropy(), Limits())
    assert not nodes.ring("tea", Grown("x" * FRAME_BYTES_MAX, "e", 1))


# --- a bus that fails --------------------------------------------------------------------------


async def test_a_failure_is_told_once_and_its_end_too(nodes, caplog):
    """Whoever must compare with the store does so when the bus goes, and when it is back."""
    missed = []
    nodes.on_missed.append(lambda: missed.append(trio.current_time()))
    nodes.bus.cut()
    with caplog.at_level(logging.WARNING):
        await trio.sleep(3)
        assert (len(missed), nodes.is_down) == (1, True)
        nodes.bus.mend()
        await trio.sleep(2)
    assert not nodes.is_down
    assert len(missed) >= 2
    assert "the bus works again" in caplog.text


async def test_states_are_rung_again_when_the_bus_is_back_and_entries_are_not(bus, nodes):
    """Of entries the store knows; of states there is nobody else to ask."""
    other = bus.join()
    await other.follow(["tea", ALL_NODES])
    nodes.bus.cut()
    nodes.ring("tea", Grown("tea", "e", 5))
    nodes.ring("tea", RoomStates("tea", {"anna": True}, {}), again=True)
    await trio.sleep(2)
    nodes.bus.mend()
    await trio.sleep(2)
    kinds = [type(one).__name__ for one in await heard(other)]
    assert sorted(kinds) == ["Missed", "RoomStates"]


async def test_a_bus_that_hangs_is_given_up(bus, nodes):
    """Each call has its time, after which it has failed."""

    async def hang(doorbells):
        await trio.sleep_forever()

    nodes.bus.ring = hang
    nodes.ring("tea", Grown("tea", "e", 1))
    await trio.sleep(2.5)
    assert nodes.is_down


# --- the canary --------------------------------------------------------------------------------


async def test_a_node_that_does_not_hear_itself_is_deaf(nodes):
    """Also where nothing fails: what it rings simply does not come back."""
    await trio.sleep(10)
    assert not nodes.is_deaf
    nodes.bus._bus.carry = lambda doorbell, to: None
    await trio.sleep(4)
    assert not nodes.is_deaf
    await trio.sleep(3)
    assert nodes.is_deaf
    assert not nodes.is_down
    del nodes.bus._bus.carry
    await trio.sleep(2)
    assert not nodes.is_deaf


async def test_an_engine_with_a_deaf_bus_is_not_ready():
    """And is again when it hears; the other node never stopped."""
    async with open_stage(2) as stage:
        # The first canary may sing before its channel is followed, the second is heard.
        await trio.sleep(1.5 * stage[1].limits.canary_interval_s)
        assert [scene.engine.ready() for scene in stage] == [True, True]
        stage[1].node.cut()
        await trio.sleep(7)
        assert [scene.engine.ready() for scene in stage] == [True, False]
        stage[1].node.mend()
        await trio.sleep(2)
        assert [scene.engine.ready() for scene in stage] == [True, True]


# --- following ---------------------------------------------------------------------------------


async def test_what_is_followed_is_confirmed_when_follow_returns(bus, nodes):
    await nodes.follow("tea")
    assert nodes.bus in bus.followers["tea"]
    nodes.unfollow("tea")
    await settled()
    assert "tea" not in bus.followers


async def test_the_last_wish_stands(bus, nodes):
    """Within one turn, and while an earlier wish is being fulfilled."""
    nodes.follow_soon("tea")
    nodes.unfollow("tea")
    nodes.unfollow("cake")
    nodes.follow_soon("cake")
    await settled()
    assert ("tea" in bus.followers, "cake" in bus.followers) == (False, True)


async def test_nobody_waits_for_a_bus_that_is_known_to_be_gone(bus, nodes):
    """It is followed as soon as it is back."""
    nodes.bus.cut()
    await trio.sleep(2)
    began = trio.current_time()
    await nodes.follow("tea")
    assert trio.current_time() == began
    nodes.bus.mend()
    await settled()
    assert nodes.bus in bus.followers["tea"]


async def test_following_fails_in_time(nodes):
    """The first one to notice waits no longer than the bus may take."""

    async def hang(channels):
        await trio.sleep_forever()

    nodes.bus.follow = hang
    began = trio.current_time()
    await nodes.follow("tea")
    assert trio.current_time() - began <= 2
    assert nodes.is_down


async def test_channels_are_apart():
    names = [ALL_NODES, room_channel("a"), user_channel("a"), node_channel("a", 0)]
    assert len(dict.fromkeys(names)) == 4


# --- leaving -----------------------------------------------------------------------------------


async def test_who_leaves_rings_what_waits_and_follows_nothing(bus, nodes):
    other = bus.join()
    await other.follow(["tea"])
    await nodes.follow("tea")
    nodes.ring("tea", Grown("tea", "e", 1))
    await nodes.leave()
    assert [message.head for message in await heard(other)] == [1]
    assert list(bus.followers) == ["tea"]
    assert list(bus.followers["tea"]) == [other]


async def test_who_leaves_does_not_wait_for_a_bus_that_is_gone(nodes):
    nodes.bus.cut()
    nodes.ring("tea", Grown("tea", "e", 1))
    began = trio.current_time()
    await nodes.leave()
    assert trio.current_time() - began <= 4


async def test_an_engine_that_ends_commits_rings_and_follows_nothing():
    """What was accepted is heard by the others, though its sender is gone."""
    async with open_stage(2, inspect=False) as stage:
        anna, ben = await stage[1].enter("a"), await stage[0].enter("b")
        head = await stage.room("tea", anna, ben)
        commit = stage[1].store.script("append", before=True)
        await anna.say("send", room="tea", body={})
        await commit.entered.wait()
        stage.bus.nursery.start_soon(release_later, commit)
        await stage[1].end()
        await ben.next("entry", seq=head + 1)
        assert stage[1].node not in [n for all_ in stage.bus.followers.values() for n in all_]


async def release_later(step):
    await trio.sleep(1)
    step.release()


async def test_the_bus_says_what_went_wrong(nodes):
    """`BusUnavailable` never leaves a node's tasks."""
    nodes.bus.cut()
    with pytest.raises(BusUnavailable):
        await nodes.bus.ring([Doorbell("tea", b"")])
    nodes.ring("tea", Grown("tea", "e", 1))
    await trio.sleep(1)
    assert nodes.is_down
