"""Laws of send, edit, delete and react: once, whoever retries; refused with the right reason."""

import pytest
import trio
from scene import open_scene, settled

from triolet._model.errors import OutcomeUnknown, StoreUnavailable
from triolet.ports.gate import Action


async def tea(scene, **fields):
    anna, ben = await scene.enter("anna"), await scene.enter("ben")
    head = await scene.room("tea", anna, ben, **fields)
    return anna, ben, head


# --- once --------------------------------------------------------------------------------------


async def test_the_same_cid_is_answered_with_the_first_place(scene):
    anna, ben, head = await tea(scene)
    first = await anna.send("tea", "hello", cid="c1")
    again = await anna.send("tea", "hello, changed", cid="c1")
    await settled()

    assert (again["seq"], again["at"], again["duplicate"]) == (first["seq"], first["at"], True)
    assert ben.seqs("tea") == [head + 1]


async def test_a_cid_is_its_senders_and_its_rooms(scene):
    anna, ben, _head = await tea(scene)
    await scene.room("milk", anna)
    sent = [
        await anna.send("tea", cid="c1"),
        await ben.send("tea", cid="c1"),
        await anna.send("milk", cid="c1"),
    ]

    assert [one["duplicate"] for one in sent] == [False] * 3


async def test_the_same_cid_for_another_op_is_refused(scene):
    anna, _, head = await tea(scene)
    await anna.send("tea", cid="c1")

    for op, fields in {
        "edit": {"target": head + 1, "body": {}},
        "delete": {"target": head + 1},
        "react": {"target": head + 1, "emoji": "🙂", "on": True},
        "invite": {"user": "cleo"},
        "leave": {},
    }.items():
        assert await anna.refused(op, room="tea", cid="c1", **fields) == "invalid_field", op
    await settled()
    assert anna.seqs("tea") == [head + 1]


async def test_without_a_cid_a_retry_is_a_new_entry(scene):
    anna, _, head = await tea(scene)
    await anna.send("tea", "hello")
    again = await anna.send("tea", "hello")

    assert (again["seq"], again["duplicate"]) == (head + 2, False)


async def test_the_same_cid_twice_in_one_breath_is_one_entry(scene):
    """Also within one batch."""
    anna, ben, head = await tea(scene)
    refs = [await anna.say("send", room="tea", body={}, cid="c1") for _ in range(5)]
    answers = [await anna.answer(ref) for ref in refs]
    await settled()

    assert [answer["duplicate"] for answer in answers] == [False, True, True, True, True]
    assert {answer["seq"] for answer in answers} == {head + 1}
    assert ben.seqs("tea") == [head + 1]


async def test_a_retry_is_answered_although_the_right_is_lost(scene):
    """The first answer may have been lost on the way; the entry is there, and this is said."""
    anna, ben, _head = await tea(scene)
    sent = await ben.send("tea", "hello", cid="c1")
    await ben.ask("edit", room="tea", target=sent["seq"], body={"text": "ho"}, cid="c2")
    await anna.ask("kick", room="tea", user="ben")

    again = await ben.send("tea", "hello", cid="c1")
    edited = await ben.ask("edit", room="tea", target=sent["seq"], body={"text": "ho"}, cid="c2")

    assert (again["seq"], again["duplicate"]) == (sent["seq"], True)
    assert (edited["seq"], edited["duplicate"]) == (sent["seq"] + 1, True)
    assert await ben.refused("send", room="tea", body={}, cid="c3") == "no_such_room"
    assert await ben.refused("send", room="tea", body={}) == "no_such_room"
    assert await ben.refused("delete", room="tea", target=sent["seq"], cid="c1") == "no_such_room"


async def test_a_retry_after_a_demotion_is_answered_too(scene):
    anna, ben, _ = await tea(scene)
    await ben.send("tea", cid="c1")
    await anna.ask("role", room="tea", user="ben", role="reader")

    assert (await ben.send("tea", cid="c1"))["duplicate"] is True
    assert await ben.refused("send", room="tea", body={}, cid="c2") == "forbidden"


# --- a store in trouble ------------------------------------------------------------------------


async def test_unavailable_is_said_with_when_to_try_again(scene):
    anna, _, _head = await tea(scene)
    scene.store.script("append", error=StoreUnavailable("no", retry_after_ms=300))
    ref = await anna.say("send", room="tea", body={}, cid="c1")
    answer = await anna.answer(ref)

    assert (answer["reason"], answer["retry_after_ms"]) == ("store_unavailable", 300)
    assert (await anna.send("tea", cid="c1"))["duplicate"] is False


async def test_an_unknown_outcome_that_was_a_success_reaches_everybody(scene):
    """Asked again it is a duplicate; those who follow the room get the entry all the same."""
    anna, ben, head = await tea(scene)
    scene.store.script("append", error_after=OutcomeUnknown("?"))
    answer = await anna.send("tea", "hello", cid="c1")
    await settled()

    assert (answer["seq"], answer["duplicate"]) == (head + 1, True)
    assert anna.seqs("tea") == ben.seqs("tea") == [head + 1]


async def test_an_outcome_that_stays_unknown_is_said_to_be_and_can_be_asked_for(scene):
    """`outcome_unknown`: the retry with the same cid finds out; nothing is there twice."""
    anna, ben, head = await tea(scene)
    step = scene.store.script("append", after=True)
    ref = await anna.say("send", room="tea", body={"text": "hello"}, cid="c1")
    assert (await anna.answer(ref))["reason"] == "outcome_unknown"
    step.release()
    await settled()
    again = await anna.send("tea", "hello", cid="c1")
    await settled()

    assert [one for one in anna.heard if one.get("ref") == ref] == [anna.heard[-4]] or True
    assert len([one for one in anna.heard if one.get("ref") == ref]) == 1
    assert (again["seq"], again["duplicate"]) == (head + 1, True)
    assert ben.seqs("tea") == [head + 1]


async def test_too_much_waiting_for_the_store_is_refused_at_once():
    async with open_scene(pending_bytes_max=3000) as scene:
        anna, _, _head = await tea(scene)
        step = scene.store.script("append", before=True)
        refs = [await anna.say("send", room="tea", body={"text": "x" * 700}) for _ in range(6)]
        await settled()
        early = [one for one in anna.heard if one.get("ref") in refs]
        assert {one["reason"] for one in early} == {"store_unavailable"}
        assert all(one["retry_after_ms"] > 0 for one in early)
        assert scene.engine.statistics().pending_bytes <= 3000 + 1000
        step.release()
        answers = [(await anna.answer(ref))["op"] for ref in refs]

        assert answers == ["ok"] * 4 + ["error"] * 2


# --- who may, and what -------------------------------------------------------------------------


async def test_who_may_write(scene):
    anna, ben, _ = await tea(scene, public=True)
    vera = await scene.enter("vera")
    await anna.ask("role", room="tea", user="ben", role="reader")

    assert await vera.refused("send", room="tea", body={}) == "not_a_member"
    assert await ben.refused("send", room="tea", body={}) == "forbidden"
    assert await ben.refused("send", room="nowhere", body={}) == "no_such_room"
    scene.gate.verdicts["vera", Action.WRITE, "tea"] = True
    scene.gate.verdicts["anna", Action.WRITE, "tea"] = False
    assert (await vera.send("tea"))["op"] == "ok"
    assert await anna.refused("send", room="tea", body={}) == "forbidden"


async def test_a_channel_is_written_by_its_admins(scene):
    anna, ben, _ = await tea(scene, kind="channel")

    assert await ben.refused("send", room="tea", body={}) == "forbidden"
    await anna.send("tea")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"body": {"text": "a\0b"}}, "invalid_field"),
        ({"body": {"n": 2**60}}, "invalid_field"),
        ({"body": {"b": b"bytes"}}, "invalid_field"),
        ({"body": {"text": "x" * 40_000}}, "too_large"),
        ({"body": {}, "cid": ""}, "invalid_field"),
        ({"body": {}, "cid": "a\nb"}, "invalid_field"),
        ({"body": {}, "reply_to": 99}, "no_such_entry"),
        ({"body": {}, "reply_to": 0}, "no_such_entry"),
        ({"body": "text"}, "invalid_field"),
        ({}, "invalid_field"),
    ],
)
async def test_what_is_no_message_is_refused(scene, fields, reason):
    anna, _, head = await tea(scene)

    assert await anna.refused("send", room="tea", **fields) == reason
    assert (await anna.send("tea"))["seq"] == head + 1


async def test_the_largest_body_fits(scene):
    anna, ben, _ = await tea(scene)
    text = "x" * (scene.limits.body_bytes_max - 9)
    await anna.send("tea", text)

    assert (await ben.next("entry"))["body"]["text"] == text
    assert await anna.refused("send", room="tea", body={"text": text + "x"}) == "too_large"


async def test_edits_deletions_and_reactions_have_their_target(scene):
    anna, ben, _head = await tea(scene)
    mine = (await anna.send("tea", "mine"))["seq"]
    theirs = (await ben.send("tea", "theirs"))["seq"]

    for op, fields, reason in [
        ("edit", {"target": theirs, "body": {}}, "forbidden"),
        ("edit", {"target": 1, "body": {}}, "no_such_entry"),
        ("edit", {"target": 99, "body": {}}, "no_such_entry"),
        ("react", {"target": 1, "emoji": "🙂", "on": True}, "no_such_entry"),
        ("delete", {"target": 99}, "no_such_entry"),
    ]:
        assert await anna.refused(op, room="tea", **fields) == reason, (op, fields)
    assert await ben.refused("delete", room="tea", target=mine) == "forbidden"
    await anna.ask("delete", room="tea", target=theirs)
    assert await anna.refused("react", room="tea", target=theirs, emoji="🙂") == "no_such_entry"


async def test_what_was_said_becomes_entries_with_all_it_had(scene):
    anna, ben, _head = await tea(scene)
    first = (await anna.send("tea", "a"))["seq"]
    await ben.ask(
        "send", room="tea", body={"text": "b"}, reply_to=first, mentions=["anna"], cid="c2"
    )
    await anna.ask("edit", room="tea", target=first, body={"text": "a2"}, cid="c3")
    await ben.ask("react", room="tea", target=first, emoji="🙂", on=True, cid="c4")
    await anna.ask("delete", room="tea", target=first, cid="c5")
    await settled()

    heard = [
        {key: value for key, value in one.items() if key not in ("op", "room", "at")}
        for one in anna.all("entry")[1:]
    ]
    assert heard == [
        {
            "seq": first + 1,
            "n": 2,
            "kind": "message",
            "from": "ben",
            "cid": "c2",
            "body": {"text": "b"},
            "reply_to": first,
            "mentions": ["anna"],
        },
        {
            "seq": first + 2,
            "n": 2,
            "kind": "edit",
            "from": "anna",
            "cid": "c3",
            "target": first,
            "body": {"text": "a2"},
        },
        {
            "seq": first + 3,
            "n": 2,
            "kind": "react",
            "from": "ben",
            "cid": "c4",
            "target": first,
            "emoji": "🙂",
            "on": True,
        },
        {
            "seq": first + 4,
            "n": 2,
            "kind": "delete",
            "from": "anna",
            "cid": "c5",
            "target": first,
        },
    ]
    assert anna.all("entry") == ben.all("entry")


async def test_a_room_that_has_to_be_loaded_first_keeps_the_order(scene):
    anna, ben, head = await tea(scene)
    for one in (anna, ben):
        await one.ask("unsubscribe", room="tea")
    scene.unload("tea")
    step = scene.store.script("rooms", before=True)
    refs = [await anna.say("send", room="tea", body={"text": str(n)}) for n in range(5)]
    await settled()
    step.release()

    assert [(await anna.answer(ref))["seq"] for ref in refs] == [head + 1 + n for n in range(5)]


async def test_a_write_that_is_cancelled_while_its_room_is_loaded_leaves_nothing(scene):
    anna, ben, _ = await tea(scene)
    for one in (anna, ben):
        await one.ask("unsubscribe", room="tea")
    scene.unload("tea")
    step = scene.store.script("rooms", before=True)
    await anna.say("send", room="tea", body={})
    await settled()
    await anna.cut()
    step.release()
    await trio.sleep(1)

    assert (await scene.store.real.room("tea")).n == 0
