"""Laws of what is not durable on several nodes: typing, marks, signals, feeds."""

import pytest
import trio
from scene import settled
from stage import open_stage

from triolet._model.errors import StoreUnavailable
from triolet._model.limits import Limits
from triolet.ports.store import Mark

LIMITS = Limits()


@pytest.fixture
async def stage():
    async with open_stage(2) as stage:
        yield stage


async def tea(stage, **fields):
    anna, ben = await stage[0].enter("a"), await stage[1].enter("b")
    head = await stage.room("tea", anna, ben, **fields)
    return anna, ben, head


# --- typing ------------------------------------------------------------------------------------


async def test_typing_is_seen_elsewhere_renewed_and_ended(stage):
    anna, ben, _ = await tea(stage)
    await anna.ask("typing", room="tea", on=True)
    assert (await ben.next("typing"))["users"] == ["a"]
    # A client renews it every 2 s, which moves nothing here and must be known there.
    for _ in range(5):
        await trio.sleep(2)
        await anna.ask("typing", room="tea", on=True)
    assert ben.all("typing")[1:] == []
    await anna.ask("typing", room="tea", on=False)
    assert (await ben.next("typing"))["users"] == []


async def test_typing_ends_elsewhere_by_itself_and_by_a_message(stage):
    anna, ben, _ = await tea(stage)
    await anna.ask("typing", room="tea", on=True)
    began = trio.current_time()
    await ben.next("typing")
    await ben.next("typing", users=[])
    assert trio.current_time() - began <= LIMITS.typing_s + 3 * LIMITS.state_interval_s
    await anna.ask("typing", room="tea", on=True)
    await ben.next("typing", users=["a"])
    await anna.send("tea")
    began = trio.current_time()
    await ben.next("typing", users=[])
    assert trio.current_time() - began <= 2 * LIMITS.state_interval_s


async def test_a_flood_of_typing_is_a_few_doorbells(stage):
    """States are gathered: as many doorbells as intervals, however many commands."""
    anna, *_ = await tea(stage)
    stage.bus.rung.clear()
    for number in range(100):
        await anna.say("typing", room="tea", on=not number % 2)
    await trio.sleep(1)
    assert 1 <= stage.bus.rung.count("RoomStates") <= 2 * 3


async def test_typing_that_nobody_could_hear_is_not_told_when_it_is_over(stage):
    """It has no news for anybody when the bus is back, be it a minute later."""
    anna, ben, head = await tea(stage)
    await ben.send("tea")
    await settled()
    stage[0].node.cut()
    await trio.sleep(2)
    await anna.ask("typing", room="tea", on=True)
    await anna.ask("receipt", room="tea", read=head + 1)
    await trio.sleep(60)
    stage[0].node.mend()
    await trio.sleep(20)
    assert ben.all("typing") == []
    # Marks are news whenever they come.
    assert ben.all("receipts")[-1]["marks"] == [["a", head + 1, head + 1]]
    await anna.ask("typing", room="tea", on=True)
    await ben.next("typing", users=["a"])


# --- marks -------------------------------------------------------------------------------------


async def test_marks_are_seen_elsewhere(stage):
    anna, ben, head = await tea(stage)
    await anna.send("tea")
    await settled()
    await ben.ask("receipt", room="tea", delivered=head + 1)
    assert (await anna.next("receipts"))["marks"] == [["b", head + 1, head]]
    await ben.ask("receipt", room="tea", read=head + 1)
    assert (await anna.next("receipts"))["marks"] == [["b", head + 1, head + 1]]


async def test_old_marks_change_nothing(stage):
    """They come late and twice; marks only move forward."""
    anna, ben, head = await tea(stage)
    await anna.send("tea", "1")
    await anna.send("tea", "2")
    await settled()
    late = ("RoomStates", "MarksWritten")
    stage.bus.fate = lambda kind, _: [3, 4] if kind in late else [0]
    await ben.ask("receipt", room="tea", read=head + 1)
    await trio.sleep(1)
    stage.bus.fate = None
    await ben.ask("receipt", room="tea", read=head + 2)
    await trio.sleep(10)
    assert [one["marks"] for one in anna.all("receipts")] == [[["b", head + 2, head + 2]]]
    seat = stage[0].loaded("tea").seats["b"]
    assert (seat.delivered, seat.read, seat.read_n) == (head + 2, head + 2, 2)


async def test_one_node_writes_a_mark(stage):
    """The one that has it from its user; and the author's, the one that committed."""
    anna, ben, head = await tea(stage)
    await trio.sleep(2)
    for scene in stage:
        scene.store.calls.clear()
    await anna.send("tea")
    await settled()
    await ben.ask("receipt", room="tea", read=head + 1)
    await trio.sleep(3)
    assert [marks_of(scene) for scene in stage] == [["a"], ["b"]]


def marks_of(scene):
    return [
        mark.user for name, args, _ in scene.store.calls if name == "put_marks" for mark in args[0]
    ]


async def test_in_a_large_room_the_author_elsewhere_is_told(stage):
    """Also where the reader has no seat, for the author's node keeps only its own."""
    async with open_stage(2, feed_members_max=1, receipts_members_max=1) as large:
        anna, ben, head = await tea(large)
        await anna.send("tea")
        await settled()
        await ben.ask("receipt", room="tea", read=head + 1)
        assert (await anna.next("receipts"))["marks"] == [["b", head + 1, head + 1]]
        assert large[0].engine.states._strangers == {}


async def test_marks_that_move_while_a_room_is_loading_are_known(stage):
    """What is rung before the room is there is told when it is."""
    anna = await stage[0].enter("a")
    anna_away = await stage[1].enter("a", device="laptop")
    head = await stage.room("tea", anna)
    read = stage[1].store.script("rooms", after=True)
    ref = await anna_away.say("subscribe", room="tea")
    await read.entered.wait()
    await anna.send("tea")
    await anna.ask("receipt", room="tea", read=head + 1)
    await trio.sleep(0.9)
    read.release()
    await anna_away.answer(ref)
    assert stage[1].loaded("tea").seats["a"].read == head + 1


async def test_a_room_that_is_read_before_a_mark_is_written_hears_of_it(stage):
    """Its author's node rings nothing when it moves, for whoever has the entry knows it."""
    anna = await stage[0].enter("a")
    anna_away = await stage[1].enter("a", device="laptop")
    head = await stage.room("tea", anna)
    await anna.send("tea")
    # The first mark of a quiet while is written at once, the next one after the interval.
    await settled()
    await anna.send("tea")
    await settled()
    if "tea" in stage[1].hub.rooms:
        stage[1].unload("tea")
    await anna_away.ask("subscribe", room="tea")
    assert stage[1].loaded("tea").seats["a"].read == head + 1
    await trio.sleep(stage[0].limits.marks_interval_s + 0.1)
    assert stage[1].loaded("tea").seats["a"].read == head + 2


async def test_a_mark_that_is_written_while_a_room_is_read_is_not_lost(stage):
    """What the read brings is older, and nothing waits to be written any more."""
    anna = await stage[0].enter("a")
    head = await stage.room("tea", anna, subscribe=False)
    await anna.send("tea")
    # The first mark of a quiet while is written at once, the next one after the interval.
    await settled()
    await anna.send("tea")
    await settled()
    stage[0].unload("tea")
    read = stage[0].store.script("rooms", after=True)
    ref = await anna.say("subscribe", room="tea")
    await read.entered.wait()
    await trio.sleep(stage[0].limits.marks_interval_s + 0.1)
    assert stage[0].engine.marks._seats == {}
    read.release()
    await anna.answer(ref)
    assert stage[0].loaded("tea").seats["a"].read == head + 2
    assert stage[0].engine.marks._written == {}


async def test_a_mark_of_a_node_that_died_does_not_go_back_while_its_room_is_read(stage):
    """What `sync` has told is known to a room whose read is older: nobody rings for it."""
    ben = await stage[0].enter("b")
    anna_away = await stage[1].enter("a", device="laptop")
    phone = await stage[1].enter("a", device="phone")
    head = await stage.room("tea", ben, anna_away, subscribe=False)
    for _ in range(2):
        await ben.send("tea")
    await trio.sleep(3)
    if "tea" in stage[1].hub.rooms:
        stage[1].unload("tea")
    read = stage[1].store.script("rooms", after=True)
    ref = await anna_away.say("subscribe", room="tea")
    await read.entered.wait()
    await settled()
    # Written by the other node, which rang nobody.
    mark = Mark(room="tea", user="a", delivered=head + 2, read=head + 2, read_n=2)
    await stage.store.put_marks([mark])
    (row,) = (await phone.ask("sync", have=[]))["rooms"]
    assert (row["read"], row["unread"]) == (head + 2, 0)
    read.release()
    answer = await anna_away.answer(ref)
    assert (answer["read"], answer["unread"]) == (head + 2, 0)


async def test_a_mark_that_died_with_its_node_is_known_from_those_who_told_of_it():
    """What a feed has told does not go back when its room is read, and is written at last."""
    async with open_stage(3, inspect=False) as stage:
        ben, anna = await stage[0].enter("b"), await stage[1].enter("a")
        head = await stage.room("tea", ben, anna)
        await trio.sleep(3)
        stage[1].store.always("put_marks", error=StoreUnavailable("it dies before it can"))
        await anna.send("tea")
        await settled()
        stage[1].node.cut()
        anna_elsewhere = await stage[2].enter("a", device="phone")
        await trio.sleep(2)
        await ben.send("tea")
        await trio.sleep(2)
        feed = anna_elsewhere.all("feed")[-1]
        assert [row[2:] for row in feed["rooms"]] == [[head + 2, 1, head + 1]]
        (row,) = (await anna_elsewhere.ask("sync", have=[]))["rooms"]
        assert (row["read"], row["unread"]) == (head + 1, 1)
        answer = await anna_elsewhere.ask("subscribe", room="tea")
        assert (answer["read"], answer["unread"]) == (head + 1, 1)
        await trio.sleep(3)
        assert (await stage.store.membership("tea", "a")).read == head + 1
        await anna_elsewhere.leave()
        await settled()
        assert stage[2].engine.marks._heard == {}


async def test_marks_wait_for_a_bus_that_is_gone(stage):
    """By key: the latest of each is rung once it is back."""
    anna, ben, head = await tea(stage)
    await anna.send("tea")
    await settled()
    stage[1].node.cut()
    await trio.sleep(3)
    await ben.ask("receipt", room="tea", read=head + 1)
    await trio.sleep(5)
    assert anna.all("receipts") == []
    stage[1].node.mend()
    assert (await anna.next("receipts"))["marks"] == [["b", head + 1, head + 1]]


async def test_marks_that_were_missed_are_read_again(stage):
    """A node that was cut off asks the store for the marks of the rooms that are followed."""
    anna, ben, head = await tea(stage)
    await anna.send("tea")
    await settled()
    stage[0].node.cut()
    await trio.sleep(1)
    await ben.ask("receipt", room="tea", read=head + 1)
    await trio.sleep(3)
    stage[0].node.mend()
    assert (await anna.next("receipts"))["marks"] == [["b", head + 1, head + 1]]


# --- signals -----------------------------------------------------------------------------------


async def test_signals_come_in_the_order_of_their_sender(stage):
    anna, ben, _ = await tea(stage)
    for number in range(30):
        await anna.say("signal", room="tea", kind="ice", data={"number": number})
    await settled()
    heard = ben.all("signal")
    assert [one["data"]["number"] for one in heard] == list(range(30))
    assert (heard[0]["from"], heard[0]["from_device"]) == ("a", "a-phone")


async def test_a_signal_goes_to_whom_it_is_for(stage):
    """To one user, or one device, wherever they are."""
    anna, ben, _ = await tea(stage)
    here = await stage[0].enter("b", device="laptop")
    await here.ask("subscribe", room="tea")
    await anna.ask("signal", room="tea", kind="1", data={}, to="b")
    await anna.ask("signal", room="tea", kind="2", data={}, to="b", to_device="laptop")
    await anna.ask("signal", room="tea", kind="3", data={}, to="b", to_device="b-phone")
    await ben.ask("signal", room="tea", kind="4", data={}, to="a")
    await settled()
    assert [one["kind"] for one in ben.all("signal")] == ["1", "3"]
    assert [one["kind"] for one in here.all("signal")] == ["1", "2"]
    assert [one["kind"] for one in anna.all("signal")] == ["4"]


async def test_signals_are_dropped_before_entries_are():
    """Half of what may wait for the bus is left to what matters more."""
    async with open_stage(2, bus_pending_bytes_max=20_000) as stage:
        anna, ben, head = await tea(stage)
        hold = trio.Event()
        ring = stage[0].node.ring

        async def slow(doorbells):
            await hold.wait()
            await ring(doorbells)

        (part,) = stage[0].engine.nodes._parts
        part._bus = Slow(stage[0].node, slow)
        await anna.say("signal", room="tea", kind="first", data={})
        await settled()
        for number in range(10):
            await anna.say("signal", room="tea", kind=str(number), data={"x": "x" * 3000})
        await anna.say("send", room="tea", body={"text": "x" * 3000})
        await settled()
        hold.set()
        await settled()
        assert [one["kind"] for one in ben.all("signal")] == ["first", "0", "1", "2"]
        assert ben.seqs("tea") == [head + 1]


class Slow:
    """A node's connection that rings otherwise."""

    def __init__(self, node, ring):
        self._node = node
        self.ring = ring

    def __getattr__(self, name):
        return getattr(self._node, name)


# --- feeds -------------------------------------------------------------------------------------


async def test_the_feed_tells_of_rooms_that_are_loaded_nowhere_near(stage):
    """Ben follows nothing, and his node has not loaded the room."""
    anna, ben = await stage[0].enter("a"), await stage[1].enter("b")
    head = await stage.room("tea", anna, ben, subscribe=False)
    await trio.sleep(2)
    ben.forget()
    assert "tea" not in stage[1].hub.rooms
    await anna.send("tea", "1")
    await anna.send("tea", "2")
    await trio.sleep(3)
    epoch = stage[0].loaded("tea").epoch
    assert [row for one in ben.all("feed") for row in one["rooms"]][-1] == [
        "tea",
        epoch,
        head + 2,
        2,
        head,
    ]


async def test_the_feed_tells_of_rooms_gained_and_lost(stage):
    """By creation, invitation and kick; a promotion is neither."""
    anna, ben = await stage[0].enter("a"), await stage[1].enter("b")
    await anna.ask("create", room="new", kind="group", members=["b"])
    await anna.ask("direct", user="b")
    await anna.ask("create", room="tea", kind="group", members=[])
    await trio.sleep(2)
    assert gathered(ben, "added") == ["new", "dm:a:b"]
    ben.forget()
    await anna.ask("invite", room="tea", user="b")
    await trio.sleep(2)
    assert gathered(ben, "added") == ["tea"]
    ben.forget()
    await anna.ask("role", room="tea", user="b", role="admin")
    await trio.sleep(2)
    assert (gathered(ben, "added"), gathered(ben, "removed")) == ([], [])
    await anna.ask("kick", room="tea", user="b")
    await trio.sleep(2)
    assert gathered(ben, "removed") == ["tea"]


@pytest.mark.parametrize("op", ["kick", "leave"])
async def test_who_has_just_read_in_a_room_that_they_lose_is_told_no_more_of_it_elsewhere(
    stage, op
):
    """It is public, so they follow it still; what they read is told a second after they did."""
    anna, phone = await stage[0].enter("a"), await stage[0].enter("b", device="phone")
    laptop = await stage[1].enter("b", device="laptop")
    await stage.room("tea", anna, phone, public=True)
    await anna.send("tea")
    await trio.sleep(1.5)
    head = (await anna.send("tea"))["seq"]
    await phone.ask("receipt", room="tea", read=head)
    await (phone.ask("leave", room="tea") if op == "leave" else kick(anna, "b"))
    await trio.sleep(3)

    assert gathered(laptop, "removed") == ["tea"]
    assert told_after_it_was_lost(laptop) == []


async def test_a_node_that_has_not_heard_of_it_brings_no_lost_room_back(stage):
    """What it tells of the room crosses the news that it is lost, which waits for its second."""
    anna, phone = await stage[0].enter("a"), await stage[0].enter("b", device="phone")
    laptop = await stage[1].enter("b", device="laptop")
    await stage.room("tea", anna, phone)
    await stage.room("cup", anna, phone)
    await trio.sleep(3)
    await anna.send("cup")
    await trio.sleep(0.1)
    feeder = stage[1].engine.feeder
    feeder.told("b", (), (), ("tea",))
    feeder.told("b", (("tea", "e", 9, 0, 9),), (), ())
    await trio.sleep(3)

    assert gathered(laptop, "removed") == ["tea"]
    assert told_after_it_was_lost(laptop) == []
    # Who is let in again is told of it again.
    feeder.told("b", (), (), ("tea",))
    feeder.told("b", (), ("tea",), ())
    feeder.told("b", (("tea", "e", 10, 0, 10),), (), ())
    await trio.sleep(3)
    assert laptop.all("feed")[-1]["rooms"] == [["tea", "e", 10, 0, 10]]


async def kick(owner, user):
    return await owner.ask("kick", room="tea", user=user)


def told_after_it_was_lost(person):
    feeds = person.all("feed")
    lost = next(i for i, feed in enumerate(feeds) if "tea" in feed.get("removed", ()))
    return [row for feed in feeds[lost:] for row in feed["rooms"] if row[0] == "tea"]


def gathered(person, name):
    return [room for one in person.all("feed") for room in one.get(name, [])]


async def test_what_is_read_on_one_node_is_read_on_the_other(stage):
    """The same user's other device, on a node that has not loaded the room."""
    anna, ben = await stage[0].enter("a"), await stage[0].enter("b")
    laptop = await stage[1].enter("b", device="laptop")
    head = await stage.room("tea", anna, ben)
    await anna.send("tea")
    await trio.sleep(2)
    laptop.forget()
    await ben.ask("receipt", room="tea", read=head + 1)
    await trio.sleep(2)
    epoch = stage[0].loaded("tea").epoch
    rows = [row for one in laptop.all("feed") for row in one["rooms"]]
    assert rows == [["tea", epoch, head + 1, 0, head + 1]]


async def test_unread_is_the_same_whichever_node_tells_it(stage):
    """Marks that moved on one node count in what the other one tells."""
    anna, ben, head = await tea(stage)
    away = await stage[0].enter("b", device="tablet")
    await anna.send("tea", "1")
    await settled()
    await ben.ask("receipt", room="tea", read=head + 1)
    await trio.sleep(2)
    away.forget()
    await anna.send("tea", "2")
    await trio.sleep(2)
    rows = [row for one in away.all("feed") for row in one["rooms"]]
    assert rows[-1][2:] == [head + 2, 1, head + 1]


async def test_what_a_loaded_room_knows_better_is_not_believed(stage):
    """News of a room come by another way than its entries, and may be old."""
    _, ben, _ = await tea(stage)
    stage.bus.fate = lambda kind, _: [5] if kind == "UserNews" else [0]
    anna = stage[0].cast[0]
    await anna.ask("kick", room="tea", user="b")
    await anna.ask("invite", room="tea", user="b")
    await anna.ask("kick", room="tea", user="b")
    await trio.sleep(2)
    stage.bus.fate = None
    ben.forget()
    await trio.sleep(10)
    assert gathered(ben, "added") == []


# --- users -------------------------------------------------------------------------------------


async def test_a_user_is_followed_while_they_have_a_session(stage):
    """From before the welcome until the last one has ended."""
    one = await stage[1].enter("b")
    two = await stage[1].enter("b", device="tablet")
    assert stage[1].node in stage.bus.followers["u:b"]
    await one.leave()
    assert stage[1].node in stage.bus.followers["u:b"]
    await two.leave()
    assert "u:b" not in stage.bus.followers


async def test_who_is_refused_is_followed_no_more(stage):
    """A hello that fails after its user was known leaves nothing."""
    async with open_stage(1, sessions_per_user_max=1) as small:
        first = await small[0].enter("b")
        second = small[0].pipe("b")
        await second.pipe.send(b"\x82\xa2op\xa5hello\xa6device\xa1x")
        assert await second.ended() == 4029
        assert small[0].node in small.bus.followers["u:b"]
        await first.leave()
        assert "u:b" not in small.bus.followers


async def test_a_welcome_does_not_wait_for_a_bus_that_is_gone(stage):
    stage[1].node.cut()
    await trio.sleep(2)
    began = trio.current_time()
    await stage[1].enter("b")
    assert trio.current_time() == began
    stage[1].node.mend()
    await settled()
    assert stage[1].node in stage.bus.followers["u:b"]
