"""Laws of entries on several nodes: in order, once, whatever the bus does to doorbells."""

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from scene import settled, virtually
from stage import open_stage

from triolet._model.entries import Message
from triolet._model.errors import OutcomeUnknown


async def tea(stage, users="ab", **fields):
    """Return a member on each node, all following one room, and its head."""
    people = [await scene.enter(user) for scene, user in zip(stage, users, strict=True)]
    return *people, await stage.room("tea", *people, **fields)


def texts(person):
    return [entry["body"]["text"] for entry in person.all("entry", room="tea", kind="message")]


# --- in order, once ----------------------------------------------------------------------------


async def test_what_is_sent_on_one_node_is_seen_on_the_others_at_once():
    """Three nodes, a member on each; each sends, all see the same, and nobody asks the store."""
    async with open_stage(3) as stage:
        *people, head = await tea(stage, "abc")
        for scene in stage:
            scene.store.calls.clear()
        for person in people:
            await person.send("tea", person.user)
        await settled()
        for person in people:
            assert person.seqs("tea") == [head + 1, head + 2, head + 3]
        assert [scene.store.count("page") for scene in stage] == [0, 0, 0]


# What a bus may do to one doorbell: at once, lost, twice, late, late and twice.
FATES = ([0], [0], [], [0, 0.001], [0.003], [0.004, 0.4], [2])


@given(st.data())
@settings(max_examples=25, deadline=None)
@virtually
async def test_whatever_the_bus_does_everybody_sees_each_entry_once_in_order(data):
    """Doorbells are lost, doubled and late, on three nodes that all send."""
    async with open_stage(3, inspect=False) as stage:
        *people, head = await tea(stage, "abc")
        stage.bus.fate = lambda kind, _: (
            data.draw(st.sampled_from(FATES)) if kind in ("Entries", "Grown") else [0]
        )
        count = data.draw(st.integers(1, 15))
        for number in range(count):
            person = people[data.draw(st.integers(0, 2))]
            await person.say("send", room="tea", body={"text": str(number)})
            if data.draw(st.booleans()):
                await trio.sleep(data.draw(st.sampled_from([0.001, 0.006, 0.5])))
        await trio.sleep(stage[0].limits.head_check_s + 3)
        for person in people:
            assert person.seqs("tea") == list(range(head + 1, head + count + 1))
        assert texts(people[0]) == texts(people[1]) == texts(people[2])


@given(st.data())
@settings(max_examples=12, deadline=None)
@virtually
async def test_nodes_that_are_cut_off_and_come_back_miss_nothing(data):
    """Any of three nodes, any number of times, while all of them send."""
    async with open_stage(3, inspect=False) as stage:
        *people, head = await tea(stage, "abc")
        count = 0
        for _ in range(data.draw(st.integers(1, 20))):
            index = data.draw(st.integers(0, 2))
            step = data.draw(st.sampled_from(["send", "send", "send", "cut", "mend", "wait"]))
            if step == "send":
                await people[index].send("tea", str(count))
                count += 1
            elif step == "wait":
                await trio.sleep(data.draw(st.sampled_from([0.004, 0.7, 6])))
            else:
                getattr(stage[index].node, step)()
        # Who stays cut off finds it by the heads; who is back, by then.
        await trio.sleep(stage[0].limits.head_check_s + 3)
        for person in people:
            assert person.seqs("tea") == list(range(head + 1, head + count + 1))
        for scene in stage:
            scene.node.mend()
        await trio.sleep(2)
        assert [scene.engine.ready() for scene in stage] == [True] * 3
        began = trio.current_time()
        await people[0].send("tea", "rung")
        for person in people:
            await person.next("entry", seq=head + count + 1)
        assert trio.current_time() == began


async def test_a_node_that_was_rung_for_nothing_finds_it_by_the_heads():
    """A node that dies between commit and publish rings nobody; others know within 5 s."""
    async with open_stage(2) as stage:
        anna, ben, head = await tea(stage)
        stage.bus.lose()
        for number in range(3):
            await anna.send("tea", str(number))
        began = trio.current_time()
        while len(ben.seqs("tea")) < 3:
            await ben.next("entry")
        assert trio.current_time() - began <= stage[1].limits.head_check_s
        assert ben.seqs("tea") == [head + 1, head + 2, head + 3]


@pytest.mark.parametrize("how", ["gone", "deaf", "hanging"])
async def test_without_the_bus_what_others_send_is_here_within_two_seconds(how, monkeypatch):
    """Whether it fails, loses everything in silence, or hangs: the store is asked each second."""
    async with open_stage(2, inspect=False) as stage:
        anna, ben, head = await tea(stage)
        await trio.sleep(3.3)
        await _take_bus_away(stage, how, monkeypatch)
        for number in range(1, 40):
            began = trio.current_time()
            await anna.send("tea", str(number))
            await ben.next("entry", seq=head + number)
            assert trio.current_time() - began <= 2
            await trio.sleep(0.37)


async def _take_bus_away(stage, how, monkeypatch):
    async def hang(self, doorbells):
        await trio.sleep_forever()

    if how == "deaf":
        stage.bus.fate = lambda kind, to: []
    for scene in stage:
        if how == "gone":
            scene.node.cut()
        if how == "hanging":
            monkeypatch.setattr(type(scene.node), "ring", hang)


async def test_a_bus_that_works_costs_no_comparisons_beside_the_usual():
    """The canary is heard: heads are compared at their interval."""
    async with open_stage(2) as stage:
        await tea(stage)
        await trio.sleep(2)
        for scene in stage:
            scene.store.calls.clear()
        await trio.sleep(12 * stage[0].limits.head_check_s)
        assert [scene.store.count("heads") for scene in stage] == [12, 12]


async def test_one_lost_doorbell_is_made_good_in_milliseconds():
    """The next one shows the gap, which is read from the store."""
    async with open_stage(2) as stage:
        anna, ben, head = await tea(stage)
        stage.bus.lose("Entries")
        await anna.send("tea", "lost")
        await settled()
        stage.bus.fate = None
        began = trio.current_time()
        await anna.send("tea", "heard")
        await ben.next("entry", seq=head + 2)
        assert trio.current_time() - began < 0.1
        assert ben.seqs("tea") == [head + 1, head + 2]


async def test_a_large_gap_reloads_the_room():
    """Beyond `gap_max` nothing is filled: cursors are behind, and read their pages."""
    async with open_stage(2) as stage:
        anna, ben, head = await tea(stage)
        stage.bus.lose("Entries")
        await stage[0].messages_elsewhere("tea", 300, sender="a")
        await stage[0].hub.catch_up(stage[0].loaded("tea"))
        await settled()
        stage.bus.fate = None
        await anna.send("tea", "last")
        await ben.next("entry", seq=head + 301)
        assert ben.seqs("tea") == list(range(head + 1, head + 302))
        assert stage[1].loaded("tea").early == {}


async def test_too_much_that_comes_early_reloads_the_room():
    """`early` is bounded; what did not fit is not forgotten."""
    async with open_stage(2, early_max=4, gap_wait_s=1) as stage:
        anna, ben, head = await tea(stage)
        stage.bus.lose("Entries")
        await anna.send("tea", "lost")
        await settled()
        stage.bus.fate = None
        for number in range(10):
            await anna.send("tea", str(number))
        await settled()
        assert len(stage[1].loaded("tea").early) == 4
        await trio.sleep(1.5)
        assert ben.seqs("tea") == list(range(head + 1, head + 12))


async def test_a_subscriber_who_is_ahead_of_the_node_is_not_set_back():
    """Who comes from another node may have seen what this one has not heard of."""
    async with open_stage(2) as stage:
        anna, ben, head = await tea(stage)
        stage.bus.lose()
        await anna.send("tea", "lost")
        epoch = stage[0].loaded("tea").epoch
        answer = await ben.ask("subscribe", room="tea", since=[epoch, head + 1])
        assert (answer["head"], answer["recovered"]) == (head + 1, True)
        assert head + 1 not in ben.seqs("tea")[1:]


# --- loading -----------------------------------------------------------------------------------


async def test_what_is_committed_while_a_room_is_loading_is_seen():
    """Its channel is followed before it is read: each moment of the load, entries come in."""
    async with open_stage(2) as stage:
        anna, ben = await stage[0].enter("a"), await stage[1].enter("b")
        head = await anna.scene.room("tea", anna, subscribe=True)
        await anna.ask("invite", room="tea", user="b")
        head += 1
        followed = stage.bus.followers
        entered, read, answered, told = (trio.Event() for _ in range(4))

        async def held(name, call):
            if name != "rooms":
                return await call()
            entered.set()
            await read.wait()
            answer = await call()
            answered.set()
            await told.wait()
            return answer

        stage[1].store.around = held
        ref = await ben.say("subscribe", room="tea", since=None)
        await entered.wait()
        assert stage[1].node in followed["r:tea"]
        await anna.send("tea", "before it is read")
        read.set()
        await answered.wait()
        await anna.send("tea", "after it was read")
        await settled()
        told.set()
        answer = await ben.answer(ref)
        await anna.send("tea", "live")
        await ben.next("entry", seq=head + 3)
        assert answer["head"] == head + 2
        assert ben.seqs("tea") == [head + 3]


async def test_more_than_may_wait_for_a_loading_room_is_read():
    """Beyond its bound what waits is dropped, and the store asked."""
    async with open_stage(2, early_max=3) as stage:
        anna, ben = await stage[0].enter("a"), await stage[1].enter("b")
        await anna.scene.room("tea", anna, subscribe=True)
        await anna.ask("invite", room="tea", user="b")
        read = stage[1].store.script("rooms", after=True)
        ref = await ben.say("subscribe", room="tea")
        await read.entered.wait()
        for number in range(9):
            await anna.send("tea", str(number))
        read.release()
        head = (await ben.answer(ref))["head"]
        await trio.sleep(0.1)
        newest = stage[0].loaded("tea").head
        assert ben.seqs("tea") == list(range(head + 1, newest + 1))
        assert stage[1].loaded("tea").head == newest


async def test_a_room_that_is_dropped_is_followed_no_more():
    """Also one that is not there."""
    async with open_stage(2, idle_rooms_max=0) as stage:
        anna, ben, _ = await tea(stage)
        assert stage[1].node in stage.bus.followers["r:tea"]
        await ben.ask("unsubscribe", room="tea")
        await ben.refused("subscribe", room="nowhere")
        await settled()
        assert stage[1].node not in stage.bus.followers["r:tea"]
        assert "r:nowhere" not in stage.bus.followers
        await anna.send("tea")


async def test_a_room_is_loaded_while_the_bus_is_gone():
    """Local delivery goes on; what others write is found by the heads, and rung again later."""
    async with open_stage(2, inspect=False) as stage:
        anna, ben = await stage[0].enter("a"), await stage[1].enter("b")
        stage[1].node.cut()
        await anna.scene.room("tea", anna, subscribe=True)
        await anna.ask("invite", room="tea", user="b")
        head = (await ben.ask("subscribe", room="tea"))["head"]
        await ben.send("tea", "mine")
        await ben.next("entry", seq=head + 1)
        await anna.next("entry", seq=head + 1)
        await anna.send("tea", "yours")
        await ben.next("entry", seq=head + 2)
        stage[1].node.mend()
        await trio.sleep(1)
        began = trio.current_time()
        await anna.send("tea", "rung")
        await ben.next("entry", seq=head + 3)
        assert trio.current_time() == began
        assert ben.seqs("tea") == [head + 1, head + 2, head + 3]


# --- what a deletion erases --------------------------------------------------------------------


async def test_a_deletion_erases_on_every_node():
    """The bytes of what is deleted leave the rings and pages of other nodes, too."""
    async with open_stage(2) as stage:
        anna, ben, head = await tea(stage)
        await anna.send("tea", "secret")
        await anna.ask("edit", room="tea", target=head + 1, body={"text": "secret, too"})
        await settled()
        assert b"secret" in ring_of(stage[1])
        await anna.ask("delete", room="tea", target=head + 1)
        await settled()
        assert b"secret" not in ring_of(stage[1])
        assert ben.seqs("tea") == [head + 1, head + 2, head + 3]
        again = await stage[1].enter("b", device="tablet")
        epoch = stage[1].loaded("tea").epoch
        await again.ask("subscribe", room="tea", since=[epoch, head])
        await again.next("entry", seq=head + 3)
        assert [one.get("erased", False) for one in again.all("entry")] == [True, True, False]


def ring_of(scene):
    return b"".join(item.frame(text=False) for item in scene.loaded("tea").ring.items)


async def test_a_page_read_before_a_deletion_that_was_missed_is_not_shown():
    """A reload may jump over a deletion: what was read before it is read again."""
    async with open_stage(2, ring_entries_max=1) as stage:
        anna, ben, head = await tea(stage)
        await anna.send("tea", "secret")
        await anna.send("tea", "more")
        await settled()
        page = stage[1].store.script("page", after=True)
        late = await stage[1].enter("b", device="tablet")
        epoch = stage[1].loaded("tea").epoch
        await late.ask("subscribe", room="tea", since=[epoch, head])
        await page.entered.wait()
        stage.bus.lose()
        await anna.ask("delete", room="tea", target=head + 1)
        await stage[1].hub.resync(stage[1].loaded("tea"))
        page.release()
        await late.next("entry", seq=head + 3)
        assert late.all("entry", seq=head + 1)[0].get("erased") is True
        assert ben.seqs("tea") == [head + 1, head + 2, head + 3]


# --- frames ------------------------------------------------------------------------------------


async def test_a_batch_that_is_too_much_for_a_frame_is_cut_up():
    """Bodies of many hundred KiB in one commit: every frame fits, nothing is read."""
    async with open_stage(2) as stage:
        anna, ben, head = await tea(stage)
        commit = stage[0].store.script("append", before=True)
        await anna.say("send", room="tea", body={"text": "first"})
        await commit.entered.wait()
        for _ in range(20):
            await anna.say("send", room="tea", body={"text": "x" * 30_000})
        stage[1].store.calls.clear()
        commit.release()
        await ben.next("entry", seq=head + 21)
        assert stage.bus.rung.count("Entries") > 3
        assert ben.seqs("tea") == list(range(head + 1, head + 22))


async def test_an_entry_that_fits_no_frame_is_only_hinted_at():
    """Others read it from the store."""
    async with open_stage(
        2, body_bytes_max=2**21, message_bytes_max=2**22, outbox_bytes_high=2**23
    ) as stage:
        anna, ben, head = await tea(stage)
        began = trio.current_time()
        await anna.send("tea", "x" * 1_200_000)
        await ben.next("entry", seq=head + 1)
        assert trio.current_time() - began < 1
        assert "Grown" in stage.bus.rung


# --- commits whose answer is lost --------------------------------------------------------------


async def test_a_batch_whose_answer_was_lost_is_seen_everywhere():
    """It was stored and nobody was rung; the second try finds duplicates, and rings for them."""
    async with open_stage(2) as stage:
        anna, ben, head = await tea(stage)
        stage[0].store.script("append", error_after=OutcomeUnknown("lost"))
        await anna.send("tea", cid="once")
        began = trio.current_time()
        await ben.next("entry", seq=head + 1)
        assert trio.current_time() - began < 1
        assert ben.seqs("tea") == [head + 1]


# --- epochs and the floor ----------------------------------------------------------------------


async def test_a_new_generation_reaches_every_node():
    """A doorbell of another epoch is a reason to ask; cursors are moved, and told."""
    async with open_stage(2) as stage:
        anna, ben, head = await tea(stage)
        await stage.store.new_generation()
        await stage[0].hub.compare_heads()
        began = trio.current_time()
        await anna.send("tea", "new")
        entry = await ben.next("entry", seq=head + 1)
        assert trio.current_time() - began < 1
        assert (await ben.next("reset"))["epoch"] == stage[0].loaded("tea").epoch
        assert entry["body"] == {"text": "new"}


async def test_the_floor_reaches_every_node():
    """Retention is done by one node; what others answer says so."""
    async with open_stage(2, retention_entries=2) as stage:
        anna, ben, head = await tea(stage)
        for number in range(5):
            await anna.send("tea", str(number))
        await stage[0].engine._keeping.round()
        await settled()
        assert stage[1].loaded("tea").floor == stage[0].loaded("tea").floor > head
        epoch = stage[1].loaded("tea").epoch
        answer = await ben.ask("subscribe", room="tea", since=[epoch, head])
        assert (answer["recovered"], answer["floor"]) == (False, stage[0].loaded("tea").floor)


# --- what nobody here follows ------------------------------------------------------------------


async def test_an_idle_room_that_missed_something_is_let_go():
    """Nobody follows it, so nobody reads its gap; whoever comes loads it anew."""
    async with open_stage(2) as stage:
        anna, ben, head = await tea(stage)
        await ben.ask("unsubscribe", room="tea")
        stage.bus.lose()
        await stage[0].elsewhere("tea", "a", Message({"text": "1"}), offer=True)
        assert stage[1].loaded("tea").head == head
        await trio.sleep(stage[1].limits.head_check_s + 1)
        assert "tea" not in stage[1].hub.rooms
        assert (await ben.ask("subscribe", room="tea"))["head"] == head + 1
        del anna
