"""Laws of pages: folded as the pure fold says, complete, and healed by what comes after."""

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from scene import open_scene, settled, virtually

from triolet._domain.fold import fold
from triolet._model.entries import Delete, Edit, Entry, FoldedMessage, Message, React, Reaction
from triolet.ports.gate import Action


async def tea(scene, messages=0, **fields):
    anna, ben = await scene.enter("anna"), await scene.enter("ben")
    head = await scene.room("tea", anna, ben, **fields)
    for number in range(messages):
        await anna.send("tea", str(number))
    await settled()
    return anna, ben, head


# --- history -----------------------------------------------------------------------------------


async def test_pages_join_without_gap_or_overlap(scene):
    _anna, ben, head = await tea(scene, messages=10)
    newest = await ben.ask("history", room="tea", limit=4)
    middle = await ben.ask("history", room="tea", limit=4, before=newest["messages"][0]["seq"])
    oldest = await ben.ask("history", room="tea", limit=4, before=middle["messages"][0]["seq"])
    pages = [*oldest["messages"], *middle["messages"], *newest["messages"]]

    assert [one["seq"] for one in pages] == list(range(head + 1, head + 11))
    assert [page["more"] for page in (newest, middle, oldest)] == [True, True, False]
    after = await ben.ask("history", room="tea", limit=3, after=head + 2)
    assert [one["seq"] for one in after["messages"]] == [head + 3, head + 4, head + 5]
    assert (after["more"], newest["as_of"][1]) == (True, head + 10)


async def test_history_is_for_who_may_read(scene):
    anna, ben, _ = await tea(scene, messages=1, public=True)
    vera = await scene.enter("vera")
    assert len((await vera.ask("history", room="tea"))["messages"]) == 1
    await anna.ask("meta", room="tea", public=False)

    assert await vera.refused("history", room="tea") == "no_such_room"
    assert await vera.refused("receipts", room="tea", seq=1) == "no_such_room"
    assert await vera.refused("history", room="nowhere") == "no_such_room"
    scene.gate.verdicts["ben", Action.READ, "tea"] = False
    assert await ben.refused("history", room="tea") == "forbidden"
    assert await ben.refused("history", room="tea", limit=201) == "invalid_field"


changes = st.lists(
    st.tuples(
        st.sampled_from(["anna", "ben"]),
        st.sampled_from(["send", "send", "edit", "delete", "react", "unreact"]),
        st.integers(0, 5),
    ),
    max_size=25,
)


@given(changes, st.integers(0, 25))
@settings(max_examples=50, deadline=None)
@virtually
async def test_history_and_entries_after_it_equal_a_fresh_history(script, moment):
    """Snapshot law: what a client has after `as_of`, applied to its page, is what is now."""
    async with open_scene() as scene:
        anna, ben, _head = await tea(scene)
        seen, snapshot, as_of = [], None, 0
        for index, (who, what, pick) in enumerate([*script, ("anna", "send", 0)]):
            if index == min(moment, len(script)):
                page = await ben.ask("history", room="tea", limit=200)
                snapshot, as_of = page["messages"], page["as_of"][1]
            await change({"anna": anna, "ben": ben}[who], what, pick, seen)
        await settled()

        entries = [entry_of(one) for one in ben.all("entry") if one["kind"] != "member"]
        fresh = (await ben.ask("history", room="tea", limit=200))["messages"]
        folded = {one.seq: one for one in fold(entries, "ben")}
        assert [folded[one["seq"]] for one in fresh] == [message_of(one) for one in fresh]
        # The page itself is the fold of what came before it.
        past = fold([one for one in entries if one.seq <= as_of], "ben")
        assert [message_of(one) for one in snapshot] == list(past)


async def change(who, what, pick, seen):
    target = seen[pick % len(seen)] if seen else 0
    match what:
        case "send":
            seen.append((await who.send("tea", f"text {pick}"))["seq"])
        case "edit":
            await who.answer(
                await who.say("edit", room="tea", target=target, body={"text": f"edit {pick}"})
            )
        case "delete":
            await who.answer(await who.say("delete", room="tea", target=target))
        case _:
            emoji = "🙂🎉🍵"[pick % 3]
            on = what == "react"
            await who.answer(await who.say("react", room="tea", target=target, emoji=emoji, on=on))


FACTS = {
    "message": lambda one: Message(
        *([one["body"]] if "body" in one else []), erased=one.get("erased", False)
    ),
    "edit": lambda one: Edit(
        one["target"], *([one["body"]] if "body" in one else []), erased=one.get("erased", False)
    ),
    "delete": lambda one: Delete(one["target"]),
    "react": lambda one: React(one["target"], one["emoji"], one["on"]),
}


def entry_of(one):
    fact = FACTS[one["kind"]](one)
    return Entry(one["room"], one["seq"], one["n"], one["from"], one["at"], one["cid"], fact)


def message_of(one):
    fields = {"sender" if key == "from" else key: value for key, value in one.items()}
    fields["reactions"] = {
        emoji: Reaction(each["count"], each["mine"], tuple(each["users"]))
        for emoji, each in one["reactions"].items()
    }
    return FoldedMessage(**fields)


# --- receipts ----------------------------------------------------------------------------------


async def test_receipts_are_listed_page_by_page(scene):
    users = [f"user-{number}" for number in range(5)]
    anna = await scene.enter("anna")
    cast = [await scene.enter(user) for user in users]
    await scene.room("tea", anna, *cast)
    seq = (await anna.send("tea"))["seq"]
    for one in cast[:3]:
        await one.ask("receipt", room="tea", delivered=seq)
    await cast[3].ask("receipt", room="tea", read=seq)

    first = await anna.ask("receipts", room="tea", seq=seq, limit=3)
    rest = await anna.ask("receipts", room="tea", seq=seq, limit=3, after=first["marks"][-1][0])

    assert [row[0] for row in first["marks"] + rest["marks"]] == ["anna", *users[:4]]
    assert (first["more"], rest["more"]) == (True, False)
    assert rest["marks"][-1] == ["user-3", seq, seq]


# --- the inbox ---------------------------------------------------------------------------------


async def test_the_inbox_is_by_name_with_the_last_message(scene):
    anna, ben, _head = await tea(scene, messages=2, title="Tea")
    await scene.room("milk", ben, anna)
    await scene.room("alone", ben)
    first = await anna.ask("rooms", limit=1)
    rest = await anna.ask("rooms", after=first["rooms"][0]["room"])

    assert [row["room"] for row in first["rooms"] + rest["rooms"]] == ["milk", "tea"]
    assert (first["more"], rest["more"]) == (True, False)
    row = rest["rooms"][0]
    assert (row["title"], row["kind"], row["role"], row["unread"]) == ("Tea", "group", "owner", 0)
    assert row["last"]["body"] == {"text": "1"}
    assert first["rooms"][0]["last"] is None


async def test_the_inbox_knows_marks_that_are_not_written_yet(scene):
    _anna, ben, head = await tea(scene, messages=4)
    await trio.sleep(2)
    step = scene.store.script("put_marks", before=True)
    await ben.ask("receipt", room="tea", read=head + 3)
    row = (await ben.ask("rooms"))["rooms"][0]

    assert (row["read"], row["unread"]) == (head + 3, 1)
    step.release()


async def test_sync_tells_what_moved_came_and_went(scene):
    anna, ben, head = await tea(scene, messages=1)
    await scene.room("milk", anna, ben)
    await scene.room("cake", anna, ben)
    epoch = (await scene.store.real.room("tea")).epoch
    have = [["tea", epoch, head + 1], ["milk", epoch, 2], ["gone", epoch, 4]]
    await anna.send("milk")

    answer = await ben.ask("sync", have=have)

    assert [row["room"] for row in answer["rooms"]] == ["cake", "milk"]
    assert answer["gone"] == ["gone"]


async def test_sync_tells_what_was_read_elsewhere_written_or_not(scene):
    """A phone that slept learns that its badge is gone, though no room has moved."""
    _anna, ben, head = await tea(scene, messages=3)
    epoch = (await scene.store.real.room("tea")).epoch
    have = [["tea", epoch, head + 3], ["none", epoch, 1]]

    assert (await ben.ask("sync", have=have, read=[head, 0]))["rooms"] == []
    step = scene.store.script("put_marks", before=True)
    await ben.ask("receipt", room="tea", read=head + 2)
    for _ in "pending", "written":
        (row,) = (await ben.ask("sync", have=have, read=[head, 0]))["rooms"]
        assert (row["read"], row["unread"]) == (head + 2, 1)
        assert (await ben.ask("sync", have=have, read=[head + 2, 0]))["rooms"] == []
        assert (await ben.ask("sync", have=have))["rooms"] == []
        step.release()
        await trio.sleep(2)


async def test_sync_has_one_mark_for_each_room(scene):
    anna = await scene.enter("anna")

    assert await anna.refused("sync", have=[], read=[1]) == "invalid_field"


async def test_a_public_room_that_was_left_is_mine_no_more(scene):
    """It may still be seen; but it is not in the inbox."""
    anna = await scene.enter("anna")
    ben = await scene.enter("ben")
    await scene.room("open", anna, subscribe=False, public=True)
    epoch = (await scene.store.real.room("open")).epoch

    assert (await ben.ask("sync", have=[["open", epoch, 1]]))["gone"] == ["open"]


async def test_sync_notices_another_epoch(scene):
    _anna, ben, head = await tea(scene)
    answer = await ben.ask("sync", have=[["tea", "another", head]])

    assert [row["room"] for row in answer["rooms"]] == ["tea"]


async def test_a_room_beyond_what_sync_compares_is_not_gone(scene, monkeypatch):
    """Somebody has more rooms than one comparison takes: the others are still theirs."""
    from triolet._runtime.ops import reading

    monkeypatch.setattr(reading, "_SYNC_ROOMS_MAX", 2)
    anna = await scene.enter("anna")
    for name in "abcd":
        await scene.room(name, anna, subscribe=False)
    epoch = (await scene.store.real.room("a")).epoch

    answer = await anna.ask("sync", have=[["d", epoch, 1], ["x", epoch, 1]])

    assert answer["gone"] == ["x"]


@pytest.mark.parametrize("op", ["rooms", "sync"])
async def test_last_messages_are_left_out_beyond_a_page_of_bytes(op):
    async with open_scene(page_bytes_max=3000) as scene:
        anna = await scene.enter("anna")
        for name in "abcd":
            await scene.room(name, anna, subscribe=False)
            await anna.send(name, "x" * 1000)
        fields = {"have": []} if op == "sync" else {}
        rows = (await anna.ask(op, **fields))["rooms"]

        assert [row["room"] for row in rows] == list("abcd")
        assert [row["last"] is None for row in rows] == [False, False, True, True]


async def test_ping_tells_the_time(scene):
    anna = await scene.enter("anna")

    assert (await anna.ask("ping"))["now"] == scene.engine.clock.now_ms()
