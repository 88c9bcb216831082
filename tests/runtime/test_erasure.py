"""Laws of erasing a user: nothing of them can be read, everybody learns of it, it ends anywhere."""

import pytest
import trio
from scene import open_scene, settled
from stage import open_stage

from triolet._model.errors import Refusal, StoreUnavailable
from triolet._runtime import erasure
from triolet.ports.documents import Change
from triolet.ports.people import Person


async def world(scene):
    """Ben has said something in three rooms, and has left one of them."""
    anna, ben = await scene.enter("anna"), await scene.enter("ben")
    for room in ("cake", "milk", "tea"):
        await scene.room(room, anna, ben)
        for text in ("secret one", "secret two"):
            await ben.send(room, text)
        hers = await anna.send(room, "of anna")
        await ben.ask("react", room=room, target=hers["seq"], emoji="x")
        await ben.ask("edit", room=room, target=hers["seq"] - 1, body={"text": "secret three"})
    await ben.ask("leave", room="milk")
    await ben.ask("direct", user="anna")
    await ben.send("dm:anna:ben", "secret to anna")
    await anna.send("dm:anna:ben", "of anna")
    return anna, ben


async def everything(store):
    """All that any log holds."""
    rooms = await store.room_names(after=None, limit=99)
    return [
        record
        for room in rooms
        for record in await store.page(room, after=0, upto=999, limit=999, bytes_max=10**9)
    ]


async def test_what_a_user_said_and_was_is_gone(scene):
    anna, ben = await world(scene)
    await scene.engine.erasure.carry_out("ben")
    store = scene.store.real

    assert ben.closed.is_set()
    assert not any(b"secret" in record.packed for record in await everything(store))
    for room in ("cake", "milk", "tea", "dm:anna:ben"):
        page = await anna.ask("history", room=room)
        assert [one["body"]["text"] for one in page["messages"] if "body" in one] == ["of anna"]
        assert all(one["reactions"] == {} for one in page["messages"])
        assert await store.membership(room, "ben") is None
    assert await store.inbox("ben", after=None, limit=9) == []
    assert await store.people(["ben"]) == [Person("ben")]
    assert await store.revoked("ben") > 0


async def test_others_learn_of_it_by_entries(scene):
    anna, _ = await world(scene)
    before = len(anna.all("entry"))
    await scene.engine.erasure.carry_out("ben")
    await settled()
    kinds = [
        (one["kind"], one["from"]) for one in anna.all("entry")[before:] if one["room"] == "tea"
    ]

    assert kinds == [("react", "ben"), ("delete", "ben"), ("delete", "ben"), ("member", "ben")]


async def test_again_it_finds_nothing_to_do(scene):
    await world(scene)
    await scene.engine.erasure.carry_out("ben")
    before = await everything(scene.store.real)
    await scene.engine.erasure.carry_out("ben")

    assert await everything(scene.store.real) == before


async def test_what_fails_half_way_is_done_again(scene, monkeypatch):
    """The store goes away in the middle of it: whoever asks again has it finished."""
    monkeypatch.setattr(erasure, "_DRAFTS_AT_ONCE", 1)
    await world(scene)
    for _ in range(2):
        scene.store.script("append")
    scene.store.script("append", error=StoreUnavailable("away"))
    with pytest.raises(Refusal, match="store_unavailable"):
        await scene.engine.erasure.carry_out("ben")
    assert any(b"secret" in record.packed for record in await everything(scene.store.real))
    await scene.engine.erasure.carry_out("ben")

    assert not any(b"secret" in record.packed for record in await everything(scene.store.real))


async def test_rights_that_change_meanwhile_stop_nothing(scene):
    """The draft is stale, and decided on the new version; a room that is deleted is done."""
    anna, _ = await world(scene)
    held = scene.store.script("append", before=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.engine.erasure.carry_out, "ben")
        await held.entered.wait()
        for _ in range(2):
            await scene.store.real.append([seat(scene, "dm:anna:ben", "x")])
        await scene.store.real.append([ending("milk")])
        held.release()

    assert not any(b"secret" in record.packed for record in await everything(scene.store.real))
    assert (await anna.ask("history", room="cake"))["messages"]


def seat(scene, room, user):
    from triolet._model.entries import Member
    from triolet._wire.codec import pack_fact
    from triolet.ports.store import Draft

    fact = Member(user, None)
    version = scene.store.real.held.rooms[room].acl_ver
    cid = f"seat-{version}"
    facts = ((fact, pack_fact(fact)),)
    return Draft(
        room=room, sender="anna", cid=cid, op="role", facts=facts, acl_ver=version, revokes=True
    )


def ending(room):
    from triolet.ports.store import Draft

    version = 1  # he has left it
    return Draft(
        room=room, sender="anna", cid="x", op="delete_room", facts=(), deletes=True, acl_ver=version
    )


async def test_memberships_without_entries_end_as_well(scene):
    anna, ben = await scene.enter("anna"), await scene.enter("ben")
    head = await scene.room("hall", anna, public=True)
    await ben.ask("join", room="hall")
    await scene.engine.erasure.carry_out("ben")

    assert await scene.store.real.membership("hall", "ben") is None
    assert (await scene.store.real.room("hall")).head == head


async def test_documents_go_by_key_and_by_prefix(scene):
    documents = scene.store.real.documents
    keys = ["account/anna", "account/ben", "account/benno", *(f"push/ben/{n}" for n in range(230))]
    for start in range(0, len(keys), 100):
        await documents.write([Change(key, b"x") for key in keys[start : start + 100]])
    await documents.write([Change("push/benno/1", b"x")])
    await scene.engine.erasure.carry_out("ben", ["account/ben", "push/ben/"])
    left = [one.key for one in await documents.scan("account/", limit=9)]
    left += [one.key for one in await documents.scan("push/", limit=9)]

    assert left == ["account/anna", "account/benno", "push/benno/1"]


async def test_a_user_who_never_was_is_erased_at_once(scene):
    await world(scene)
    before = await everything(scene.store.real)
    await scene.engine.erasure.carry_out("zoe")

    assert await everything(scene.store.real) == before


async def test_on_several_nodes_a_person_is_forgotten_after_all_have_written():
    """The other node notes when he was last seen as it ends his session: that goes, too."""
    async with open_stage(2) as stage:
        anna, ben = await stage[0].enter("anna"), await stage[1].enter("ben")
        await stage.room("tea", anna, ben)
        await ben.send("tea", "secret")
        await stage[0].engine.erasure.carry_out("ben")
        await trio.sleep(stage[0].limits.grace_s + 5)

        assert await stage.store.people(["ben"]) == [Person("ben")]
        assert ben.closed.is_set()
        assert anna.all("entry", kind="delete")


async def test_a_room_of_many_messages_is_erased_in_bounded_steps():
    """Never more drafts on their way at once than the bound, and others come between."""
    async with open_scene() as scene:
        anna, ben = await scene.enter("anna"), await scene.enter("ben")
        await scene.room("tea", anna, ben)
        for _ in range(200):
            await ben.send("tea", "secret")
        sizes = []
        append = scene.store.real.append_now

        def counted(batch):
            sizes.append(len(batch))
            return append(batch)

        scene.store.real.append_now = counted
        scene.store.calls.clear()
        await scene.engine.erasure.carry_out("ben")

        assert not any(b"secret" in record.packed for record in await everything(scene.store.real))
        assert max(sizes, default=0) <= erasure._DRAFTS_AT_ONCE


# --- as a job ----------------------------------------------------------------------------------


async def test_whoever_asks_is_answered_at_once_and_a_job_does_the_rest(scene):
    """Sessions end when it is asked for; a second time within the hour is done as well."""
    anna, ben = await world(scene)
    store = scene.store.real
    await store.documents.write([Change("push/ben/1", b"x")])
    for _ in range(2):
        await scene.engine.erase("ben", ["push/ben/"])
        await settled()
        assert ben.closed.is_set()
        await trio.sleep(10)
        assert not any(b"secret" in record.packed for record in await everything(store))
        assert await store.documents.scan("push/", limit=9) == []
        ben = await scene.enter("ben")
        await anna.ask("invite", room="tea", user="ben")
        await ben.send("tea", "secret again")
    del ben


async def test_what_a_node_that_ends_has_left_another_finishes(monkeypatch):
    monkeypatch.setattr(erasure, "_DRAFTS_AT_ONCE", 1)
    async with open_stage(2, inspect=False) as stage:
        anna, ben = await stage[1].enter("anna"), await stage[1].enter("ben")
        await stage.room("tea", anna, ben)
        for _ in range(5):
            await ben.send("tea", "secret")
        await stage[1].engine.erase("ben")
        await settled()
        await stage[1].end()
        await trio.sleep(stage[0].limits.jobs_timeout_s + 120)

        assert not any(b"secret" in record.packed for record in await everything(stage.store))
