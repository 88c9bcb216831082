"""Law: what a room was is noted with the commit that ends it."""

import trio
from trio.testing import MockClock

from triolet._model.entries import Member, Message
from triolet._wire.codec import pack_fact
from triolet.ports.store import Draft, RoomSpec
from triolet.testing import history
from triolet.testing.world.chance import SeededEntropy
from triolet.testing.world.disk import Disk, NodeStore, Speed


def draft(cid, *facts, **more):
    packed = tuple((fact, pack_fact(fact)) for fact in facts)
    return Draft(room="tea", sender="anna", cid=cid, op="send", facts=packed, **more)


def test_the_log_is_told_as_it_was_and_then_that_the_room_is_gone():
    """Also of what was said in the same batch; clearing it comes later, and is seen."""

    async def scene():
        disk, told = Disk(SeededEntropy(1, "disk"), Speed()), []
        disk.deletions.write = told.append
        store = NodeStore(disk, lambda: None)
        make = draft("make", Member("anna", "owner"), create=RoomSpec(kind="group"))
        await store.append([make])
        end = draft("end", deletes=True, acl_ver=disk.memory.held.rooms["tea"].acl_ver)
        assert (told, disk.deletions.is_cleared()) == ([], True)
        await store.append([draft("x", Message({"text": "x"}), acl_ver=end.acl_ver), end])
        # A retry of it ends nothing.
        await store.append([end])

        stored, deleted = told
        assert [(entry.seq, entry.cid) for entry in stored.entries] == [(1, "make"), (2, "x")]
        assert (stored.room, stored.head, stored.lineage) == ("tea", 2, ((stored.epoch, 1),))
        assert deleted == history.Deleted(deleted.t, room="tea", seq=2, user="anna", cid="end")
        assert not disk.deletions.is_cleared()
        while await store.clear_deleted(limit=100) is not None:
            pass
        assert disk.deletions.is_cleared()

    trio.run(scene, clock=MockClock(autojump_threshold=0))
