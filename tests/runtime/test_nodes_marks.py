"""Laws of marks that another node has rung and not written yet: what was told does not go back."""

import pytest
import trio
from scene import settled
from stage import open_stage

from triolet._model.entries import Member, Message
from triolet._model.errors import StoreUnavailable

LARGE = {"feed_members_max": 1, "receipts_members_max": 1}


@pytest.fixture
async def stage():
    async with open_stage(2) as stage:
        yield stage


async def tea(stage, *, messages=5):
    """Anna reads with her phone at node 0, which does not write; her laptop is at node 1."""
    ben, phone = await stage[0].enter("ben"), await stage[0].enter("anna")
    laptop = await stage[1].enter("anna", device="laptop")
    head = await stage.room("tea", ben, phone)
    for _ in range(messages):
        await ben.send("tea")
    await laptop.ask("subscribe", room="tea")
    await trio.sleep(3)
    stage[0].store.always("put_marks", StoreUnavailable("no"))
    return ben, phone, laptop, head


async def reads(phone, seq):
    await phone.ask("receipt", room="tea", read=seq)
    await trio.sleep(0.6)


async def stands(laptop):
    answer = await laptop.ask("subscribe", room="tea")
    return answer["read"], answer["unread"]


# --- ways of forgetting ------------------------------------------------------------------------


async def again(stage, laptop):
    pass


async def leaves(stage, laptop):
    await laptop.ask("unsubscribe", room="tea")


async def is_dropped(stage, laptop):
    await laptop.ask("unsubscribe", room="tea")
    assert stage[1].hub._rooms.drop_idle(stage[1].loaded("tea"))


async def is_behind(stage, laptop):
    await laptop.ask("unsubscribe", room="tea")
    await stage[1].elsewhere("tea", "ben", Message({}))
    assert await stage[1].hub.compare_heads()
    assert "tea" not in stage[1].hub.rooms


async def reloads(stage, laptop):
    await stage[1].hub.resync(stage[1].loaded("tea"))


async def reloads_alone(stage, laptop):
    await laptop.ask("unsubscribe", room="tea")
    await stage[1].hub.resync(stage[1].loaded("tea"))


async def asks_for_rights(stage, laptop):
    await laptop.ask("unsubscribe", room="tea")
    room = stage[1].loaded("tea")
    await stage[1].hub.refresh_rights(room, "anna")
    room.retire_seat("anna")


WAYS = [again, leaves, is_dropped, is_behind, reloads, reloads_alone, asks_for_rights]


@pytest.mark.parametrize("limits", [{}, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("forgets", WAYS)
async def test_what_a_connection_was_told_of_its_mark_does_not_go_back(limits, forgets):
    """Whatever was let go of meanwhile: the other node has not written it yet."""
    async with open_stage(2, **limits) as stage:
        _, phone, laptop, head = await tea(stage)
        read, unread = head + 4, 1
        await reads(phone, read)
        assert await stands(laptop) == (read, unread)
        stored = await stage.store.membership("tea", "anna")
        assert stored.read == head

        await forgets(stage, laptop)

        unread += forgets is is_behind
        assert await stands(laptop) == (read, unread)
        (row,) = (await laptop.ask("rooms"))["rooms"]
        assert (row["read"], row["unread"]) == (read, unread)
        (row,) = (await laptop.ask("sync", have=[]))["rooms"]
        assert (row["read"], row["unread"]) == (read, unread)
        stage[0].store.always("put_marks")


@pytest.mark.parametrize("limits", [{}, LARGE], ids=["small", "large"])
async def test_a_node_remembers_when_all_sessions_have_gone(limits):
    async with open_stage(2, **limits) as stage:
        _, phone, laptop, head = await tea(stage)
        await reads(phone, head + 4)
        await laptop.leave()
        if room := stage[1].hub.rooms.get("tea"):
            stage[1].hub._rooms.drop_idle(room)
        tablet = await stage[1].enter("anna", device="tablet")
        assert await stands(tablet) == (head + 4, 1)
        stage[0].store.always("put_marks")


# --- what others are told ----------------------------------------------------------------------


def told(participant, user):
    """Return how far somebody got, by each event of receipts, in order."""
    events = participant.all("receipts", room="tea")
    return [mark[1:] for event in events for mark in event["marks"] if mark[0] == user]


@pytest.mark.parametrize("forgets", [again, leaves, is_dropped, is_behind, reloads])
async def test_an_author_who_is_nowhere_near_stays_where_the_entry_says(forgets):
    """The node that has the entry knows the mark by it; nobody rings, and nobody has written."""
    async with open_stage(2) as stage:
        ben, anna = await stage[1].enter("ben"), await stage[0].enter("anna")
        head = await stage.room("tea", ben, anna)
        stage[0].store.always("put_marks", StoreUnavailable("no"))
        await anna.send("tea")
        await trio.sleep(0.6)
        stored = await stage.store.membership("tea", "anna")
        assert stored.read == head

        await forgets(stage, ben)

        answer = await ben.ask("subscribe", room="tea")
        assert ["anna", head + 1, head + 1] in answer["receipts"]
        stage[0].store.always("put_marks")


async def test_late_marks_of_a_stranger_are_not_told():
    """In a large room authors are told of people who have no seat at their node."""
    async with open_stage(2, **LARGE) as stage:
        ben, anna = await stage[1].enter("ben"), await stage[0].enter("anna")
        head = await stage.room("tea", ben, anna)
        for _ in range(5):
            await ben.send("tea")
        await trio.sleep(2)
        stage.bus.fate = lambda kind, _: [0, 2] if kind == "RoomStates" else [0]
        await reads(anna, head + 2)
        await reads(anna, head + 4)
        await trio.sleep(3)
        assert told(ben, "anna") == sorted(told(ben, "anna"))
        assert told(ben, "anna")[-1] == [head + 4, head + 4]


async def test_a_stranger_who_comes_here_is_as_far_as_was_told_of_them():
    """Reading on from an older mark, they would seem to go back."""
    async with open_stage(2, **LARGE) as stage:
        ben, anna = await stage[1].enter("ben"), await stage[0].enter("anna")
        head = await stage.room("tea", ben, anna)
        for _ in range(5):
            await ben.send("tea")
        await trio.sleep(2)
        stage[0].store.always("put_marks", StoreUnavailable("no"))
        await reads(anna, head + 4)
        laptop = await stage[1].enter("anna", device="laptop")
        await laptop.ask("subscribe", room="tea")
        await reads(laptop, head + 3)
        await trio.sleep(2)
        assert told(ben, "anna") == [[head + 4, head + 4]]
        stage[0].store.always("put_marks")


# --- the node that should have written them ----------------------------------------------------


async def test_marks_of_a_node_that_died_are_written_by_one_that_has_told_them():
    async with open_stage(2, inspect=False) as stage:
        _, phone, laptop, head = await tea(stage)
        await reads(phone, head + 4)
        assert await stands(laptop) == (head + 4, 1)
        await trio.sleep(2 * 3 * stage[1].limits.marks_interval_s)
        assert (await stage.store.membership("tea", "anna")).read == head + 4
        await is_dropped(stage, laptop)
        assert await stands(laptop) == (head + 4, 1)
        assert len(stage[1].engine.marks.rung) == 0


async def test_they_wait_for_the_store():
    async with open_stage(2, inspect=False) as stage:
        _, phone, laptop, head = await tea(stage)
        await reads(phone, head + 4)
        stage[1].store.always("put_marks", StoreUnavailable("no"))
        await trio.sleep(20)
        await is_dropped(stage, laptop)
        assert await stands(laptop) == (head + 4, 1)
        stage[1].store.always("put_marks")
        await trio.sleep(4)
        assert (await stage.store.membership("tea", "anna")).read == head + 4


async def test_what_was_written_in_time_is_not_written_here(stage):
    _, phone, _, head = await tea(stage)
    stage[0].store.always("put_marks")
    stage[1].store.calls.clear()
    await reads(phone, head + 4)
    await trio.sleep(10)
    assert stage[1].store.count("put_marks") == 0
    assert len(stage[1].engine.marks.rung) == 0


async def test_a_mark_that_is_written_elsewhere_while_a_seat_is_read_is_not_lost():
    """What the read brings is older than what its doorbell has said."""
    async with open_stage(2, **LARGE) as stage:
        _, phone, laptop, head = await tea(stage)
        await leaves(stage, laptop)
        read = stage[1].store.script("membership", after=True)
        ref = await laptop.say("subscribe", room="tea")
        await read.entered.wait()
        await settled()
        stage[0].store.always("put_marks")
        await reads(phone, head + 4)
        await trio.sleep(10)
        assert len(stage[1].engine.marks.rung) == 0
        read.release()
        answer = await laptop.answer(ref)
        assert (answer["read"], answer["unread"]) == (head + 4, 1)


# --- seats -------------------------------------------------------------------------------------


@pytest.mark.parametrize("places", [{"room": "tea"}, {"rooms": [["tea", "", 0]] * 2}])
async def test_who_subscribes_twice_keeps_the_seat(places):
    """In a large room a seat is given up with the last cursor; a new one comes in its place."""
    async with open_stage(2, **LARGE) as stage:
        ben, _, laptop, _ = await tea(stage)
        stage[0].store.always("put_marks")
        await laptop.ask("subscribe", **places)
        seat = stage[1].loaded("tea").seats["anna"]
        assert [cursor.session for cursor in seat.cursors] == [laptop.session]
        await ben.ask("kick", room="tea", user="anna")
        await settled()
        assert [one["reason"] for one in laptop.all("closed")] == ["removed"]


async def test_who_is_made_a_member_unheard_of_is_as_far_as_was_told(stage):
    """The entry is lost, the marks are not: rights that are read again do not bring them back."""
    ben = await stage[1].enter("ben")
    cleo = await stage[0].enter("cleo")
    head = await stage.room("tea", ben)
    await trio.sleep(2)
    stage.bus.lose("Entries", "Seated")
    await stage[0].elsewhere("tea", "ben", Member("cleo", "member"))
    await stage[0].messages_elsewhere("tea", 2, "ben")
    stage[0].store.always("put_marks", StoreUnavailable("no"))
    await cleo.ask("subscribe", room="tea")
    await reads(cleo, head + 3)
    await stage[1].hub.resync(stage[1].loaded("tea"))
    answer = await ben.ask("subscribe", room="tea")
    assert ["cleo", head + 3, head + 3] in answer["receipts"]
    stage[0].store.always("put_marks")
