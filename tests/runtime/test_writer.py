"""Laws of a single write: it is waited for, never cancelled; new rooms are told to members."""

import trio
from scene import settled

from triolet._model.entries import Member, Message
from triolet._model.errors import ErrorCode, StoreUnavailable
from triolet._wire.codec import pack_fact
from triolet.ports.store import Appended, Draft, Rejected, RoomSpec


def draft(*facts, room="tea", cid="c1", **fields):
    packed = tuple((fact, pack_fact(fact)) for fact in facts)
    return Draft(room=room, sender="anna", cid=cid, op="send", facts=packed, **fields)


async def test_the_outcome_is_returned_whatever_it_is(scene):
    anna = await scene.enter("anna")
    head = await scene.room("tea", anna)
    write = scene.engine.writer.write
    stored = await write(draft(Message({})))
    rejected = await write(draft(Message({}), room="nowhere"))
    scene.store.script("append", error=StoreUnavailable("no"))
    refused = await write(draft(Message({}), cid="c2"))

    assert isinstance(stored, Appended)
    assert stored.records[0].seq == head + 1
    assert (rejected.code, refused.code) == (
        ErrorCode.NO_SUCH_ROOM,
        ErrorCode.STORE_UNAVAILABLE,
    )
    assert isinstance(rejected, Rejected)
    assert anna.seqs("tea") == [head + 1]


async def test_who_gives_up_waiting_does_not_take_the_draft_back(scene):
    anna = await scene.enter("anna")
    head = await scene.room("tea", anna)
    step = scene.store.script("append", before=True)
    with trio.move_on_after(1):
        await scene.engine.writer.write(draft(Message({})))
    step.release()
    await settled()

    assert anna.seqs("tea") == [head + 1]


async def test_a_new_room_is_told_to_members_who_are_here(scene):
    ben = await scene.enter("ben")
    members = [Member(user, "member") for user in ("anna", "ben")]
    await scene.engine.writer.create(draft(*members, create=RoomSpec(kind="group")))
    again = await scene.engine.writer.create(draft(*members, create=RoomSpec(kind="group")))
    await trio.sleep(2)

    assert not isinstance(again, Appended)
    assert [one["added"] for one in ben.all("feed") if "added" in one] == [["tea"]]


async def test_a_new_room_that_cannot_be_read_is_left_to_sync(scene):
    ben = await scene.enter("ben")
    scene.store.script("rooms", error=StoreUnavailable("no"))
    await scene.engine.writer.create(draft(Member("ben", "owner"), create=RoomSpec(kind="group")))
    await trio.sleep(2)

    assert ben.all("feed") == []
    answer = await ben.ask("sync", have=[])
    assert [row["room"] for row in answer["rooms"]] == ["tea"]
