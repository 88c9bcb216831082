"""Laws of the export: all that is a user's, as it is now, and nothing of anybody else."""

from msgspec import UNSET, json

from triolet._model.exported import (
    Exported,
    ExportedDocument,
    ExportedMessage,
    ExportedPerson,
    ExportedReaction,
    ExportedRoom,
)
from triolet._runtime import export, traces
from triolet.ports.documents import Change
from triolet.ports.people import Person


async def exported(scene, user, documents=()):
    return [one async for one in scene.engine.export(user, documents)]


async def test_what_a_user_is_said_and_did_is_handed_over(scene):
    anna, ben = await scene.enter("anna"), await scene.enter("ben")
    await scene.room("tea", anna, ben, title="Tea")
    hers = (await anna.send("tea", "of anna"))["seq"]
    answer = await ben.ask(
        "send", room="tea", body={"text": "mine"}, reply_to=hers, mentions=["anna"]
    )
    edited = (await ben.send("tea", "first"))["seq"]
    change = await ben.ask("edit", room="tea", target=edited, body={"text": "second"})
    gone = (await ben.send("tea", "gone"))["seq"]
    await ben.ask("delete", room="tea", target=gone)
    put = await ben.ask("react", room="tea", target=hers, emoji="x")
    await scene.store.real.show_to("ben", "nobody")
    await scene.store.real.put_people([Person("ben", "dnd", 7)])
    membership = await scene.store.real.membership("tea", "ben")

    assert await exported(scene, "ben") == [
        ExportedPerson(user="ben", status="dnd", visible_to="nobody", last_seen=7),
        ExportedRoom(
            room="tea",
            room_kind="group",
            title="Tea",
            role="member",
            delivered=membership.delivered,
            read=membership.read,
        ),
        ExportedMessage(
            room="tea",
            seq=answer["seq"],
            at=answer["at"],
            body={"text": "mine"},
            reply_to=hers,
            mentions=("anna",),
        ),
        ExportedMessage(
            room="tea",
            seq=edited,
            at=change["at"],
            body={"text": "second"},
            edited_at=change["at"],
        ),
        ExportedReaction(room="tea", target=hers, emoji="x", at=put["at"]),
    ]


async def test_a_room_that_was_left_is_told_for_what_was_said_there(scene):
    anna, ben = await scene.enter("anna"), await scene.enter("ben")
    for room in ("milk", "tea"):
        await scene.room(room, anna, ben)
    await ben.send("tea", "mine")
    for room in ("milk", "tea"):
        await ben.ask("leave", room=room)
    rooms = [one for one in await exported(scene, "ben") if isinstance(one, ExportedRoom)]

    assert rooms == [ExportedRoom(room="tea", room_kind="group", title="", role=None)]


async def test_of_many_messages_each_comes_once_in_order(scene, monkeypatch):
    monkeypatch.setattr(export, "_MESSAGES_PER_READ", 3)
    monkeypatch.setattr(traces, "_ENTRIES_PER_READ", 4)
    monkeypatch.setattr(traces, "TRACES_MAX", 5)
    anna, ben = await scene.enter("anna"), await scene.enter("ben")
    await scene.room("tea", anna, ben)
    seqs = []
    for number in range(40):
        who = ben if number % 3 else anna
        sent = await who.send("tea", str(number))
        if who is ben:
            seqs.append(sent["seq"])
    messages = [one for one in await exported(scene, "ben") if isinstance(one, ExportedMessage)]

    assert [one.seq for one in messages] == seqs
    assert all(one.edited_at is UNSET for one in messages)


async def test_documents_come_by_key_and_by_prefix(scene):
    documents = scene.store.real.documents
    keys = ["account/ben", "account/benno", "push/ben/1", "push/ben/2", "push/benno/1"]
    await documents.write([Change(key, key.encode()) for key in keys])
    found = await exported(scene, "ben", ["account/ben", "account/none", "push/ben/"])

    assert found[1:] == [
        ExportedDocument(key=key, value=key.encode())
        for key in ("account/ben", "push/ben/1", "push/ben/2")
    ]


async def test_a_stranger_is_a_person_of_whom_nothing_is_kept(scene):
    anna = await scene.enter("anna")
    await scene.room("tea", anna)
    await anna.send("tea")

    assert await exported(scene, "zoe") == [ExportedPerson(user="zoe")]


async def test_what_is_exported_is_told_apart_as_json(scene):
    anna = await scene.enter("anna")
    await scene.room("tea", anna)
    await anna.send("tea")
    found = await exported(scene, "anna")

    assert [json.decode(json.encode(one), type=Exported) for one in found] == found
