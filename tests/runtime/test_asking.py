"""Laws of asking without a connection: the answers of a session, and nothing that stays."""

import pytest
import trio
from scene import leaves_nothing, open_scene, settled

from triolet._model.commands import (
    Create,
    DeleteMessage,
    Direct,
    EditMessage,
    Hello,
    History,
    Invite,
    Kick,
    ListReceipts,
    ListRooms,
    Ping,
    ReactTo,
    Refresh,
    Send,
    SendSignal,
    SetMeta,
    SetPresence,
    SetReceipt,
    SetTyping,
    Subscribe,
    Sync,
    Unsubscribe,
    Unwatch,
    Watch,
)
from triolet._model.entries import Member
from triolet._model.errors import ErrorCode, Refusal, StoreUnavailable
from triolet._model.events import Done, HistoryPage, Pong, Written
from triolet.ports.gate import FOREVER, Action, Identity, Opening


def person(user, **fields):
    return Identity(user=user, expires_at=FOREVER, **fields)


ANNA, BEN, CLEO = person("anna"), person("ben"), person("cleo")


async def refused(engine, identity, command):
    with pytest.raises(Refusal) as caught:
        await engine.ask(identity, command)
    return caught.value


async def tea(scene):
    """Have a room of anna and ben, of whom nobody is here."""
    await scene.engine.ask(ANNA, Create(kind="group", room="tea", cid="make", members=["ben"]))
    return (await scene.store.real.room("tea")).head


# --- the same answers --------------------------------------------------------------------------


async def test_what_is_said_without_a_session_reaches_those_who_have_one(scene):
    ben = await scene.enter("ben")
    head = await tea(scene)
    await ben.ask("subscribe", room="tea")

    sent = await scene.engine.ask(ANNA, Send(ref=7, room="tea", cid="c1", body={"text": "hello"}))
    entry = await ben.next("entry")

    expected = Written(ref=7, room="tea", seq=head + 1, at=sent.at, duplicate=False)
    assert (sent, entry["seq"], entry["from"]) == (expected, head + 1, "anna")
    page = await scene.engine.ask(BEN, History(room="tea"))
    assert isinstance(page, HistoryPage)
    assert [message.body for message in page.messages] == [{"text": "hello"}]


async def test_the_same_cid_is_answered_with_the_first_place(scene):
    """Also when the right to say it has been lost since."""
    await tea(scene)
    send = Send(room="tea", cid="c1", body={})
    first = await scene.engine.ask(BEN, send)
    again = await scene.engine.ask(BEN, send)
    await scene.engine.ask(ANNA, Kick(room="tea", user="ben"))
    lost = await scene.engine.ask(BEN, send)

    assert [one.seq for one in (again, lost)] == [first.seq] * 2
    assert [one.duplicate for one in (first, again, lost)] == [False, True, True]
    assert (await refused(scene.engine, BEN, Send(room="tea", body={}))).code in (
        ErrorCode.NO_SUCH_ROOM,
        ErrorCode.NOT_A_MEMBER,
    )


async def test_rights_that_changed_elsewhere_are_read_again(scene):
    """A draft that comes back stale is decided anew, as a session's is."""
    head = await tea(scene)
    await scene.engine.ask(ANNA, Send(room="tea", body={}))
    state = await scene.store.real.room("tea")
    await scene.elsewhere("tea", "anna", Member("cleo", "member"), op="invite")
    await scene.elsewhere("tea", "anna", Member("cleo", None), op="kick", revokes=True)
    sent = await scene.engine.ask(BEN, Send(room="tea", body={"text": "still here"}))
    await settled()

    assert sent.seq == head + 4
    assert (await scene.store.real.room("tea")).acl_ver == state.acl_ver + 1


async def test_the_store_s_failures_are_refusals(scene):
    await tea(scene)
    scene.store.always("history", StoreUnavailable("gone", retry_after_ms=500))

    refusal = await refused(scene.engine, ANNA, History(room="tea"))

    assert (refusal.code, refusal.retry_after_ms) == (ErrorCode.STORE_UNAVAILABLE, 500)


async def test_the_gate_s_word_counts(scene):
    """An admin's service may be let into a room that it is no member of; and nobody else."""
    await tea(scene)
    scene.gate.verdicts["cleo", Action.READ, "tea"] = True
    scene.gate.verdicts["ben", Action.READ, "tea"] = False

    assert isinstance(await scene.engine.ask(CLEO, History(room="tea")), HistoryPage)
    assert (await refused(scene.engine, BEN, History(room="tea"))).code is ErrorCode.FORBIDDEN


async def test_every_other_op_answers_as_well(scene):
    engine, head = scene.engine, await tea(scene)
    await engine.ask(ANNA, Send(room="tea", body={"text": "one"}))

    answers = [
        await engine.ask(who, command)
        for who, command in (
            (ANNA, Direct(user="ben")),
            (ANNA, Invite(room="tea", user="cleo")),
            (ANNA, EditMessage(room="tea", target=head + 1, body={"text": "two"})),
            (BEN, ReactTo(room="tea", target=head + 1, emoji="🙂")),
            (BEN, SetReceipt(room="tea", read=head + 1)),
            (ANNA, ListReceipts(room="tea", seq=head + 1)),
            (ANNA, DeleteMessage(room="tea", target=head + 1)),
            (ANNA, ListRooms()),
            (ANNA, Sync(have=[])),
            (BEN, SetTyping(room="tea", on=True)),
            (BEN, SendSignal(room="tea", kind="wave")),
            (BEN, SetPresence(status="dnd")),
            (BEN, Ping()),
        )
    ]

    assert [type(answer).__name__ for answer in answers] == [
        *("RoomOpened", "Written", "Written", "Written", "Done", "ReceiptPage", "Written"),
        *("Inbox", "Synced", "Done", "Done", "Done", "Pong"),
    ]
    marks = {row[0]: row[2] for row in answers[5].marks}
    assert marks["ben"] == head + 1


@pytest.mark.parametrize(
    "command",
    [
        Subscribe(room="tea"),
        Unsubscribe(room="tea"),
        Watch(users=["ben"]),
        Unwatch(users=["ben"]),
        Refresh(token="t"),
        Hello(),
        SetPresence(status="away"),
    ],
    ids=lambda command: type(command).__name__,
)
async def test_what_needs_a_session_says_where_there_is_one(scene, command):
    refusal = await refused(scene.engine, ANNA, command)

    assert refusal.code is ErrorCode.INVALID_FIELD
    assert "/v1/stream" in refusal.message


# --- several ------------------------------------------------------------------------------------


async def test_several_are_answered_in_their_order_and_stored_together(scene):
    head = await tea(scene)
    batches = scene.store.count("append")
    commands = [Send(ref=9, room="tea", body={"n": n}) for n in range(10)]

    answers = await scene.engine.ask_each(
        ANNA, [*commands, Subscribe(room="tea"), Hello(), History(ref=5, room="nowhere"), Ping()]
    )

    assert [one.seq for one in answers[:10]] == [head + 1 + n for n in range(10)]
    assert {one.ref for one in answers[:10]} == {9}
    assert [getattr(one, "code", None) for one in answers[10:13]] == [
        ErrorCode.INVALID_FIELD,
        ErrorCode.INVALID_FIELD,
        ErrorCode.NO_SUCH_ROOM,
    ]
    assert answers[13] == Pong(now=answers[13].now)
    assert scene.store.count("append") - batches <= 2


async def test_a_structural_one_waits_for_those_before_it(scene):
    """Ben is removed after he has been spoken to, and cannot be removed before."""
    head = await tea(scene)
    sent, kicked, late = await scene.engine.ask_each(
        ANNA,
        [
            Send(room="tea", body={}),
            Kick(room="tea", user="ben"),
            Send(room="tea", body={}),
        ],
    )

    assert [sent.seq, kicked.seq, late.seq] == [head + 1, head + 2, head + 3]


# --- searching ----------------------------------------------------------------------------------


async def test_who_may_read_may_search(scene):
    head = await tea(scene)
    await scene.engine.ask(ANNA, Send(room="tea", body={"text": "the kettle is on"}))
    search = scene.engine.search

    found = await search(BEN, "tea", "kettle", before=None, limit=10)
    with pytest.raises(Refusal) as stranger:
        await search(CLEO, "tea", "kettle", before=None, limit=10)
    with pytest.raises(Refusal) as wordless:
        await search(BEN, "tea", " ", before=None, limit=10)
    scene.store.always("search", StoreUnavailable("gone", retry_after_ms=500))
    with pytest.raises(Refusal) as storeless:
        await search(BEN, "tea", "kettle", before=None, limit=10)

    assert ([one.seq for one in found.messages], found.next_before) == ([head + 1], None)
    assert stranger.value.code is ErrorCode.NO_SUCH_ROOM
    assert wordless.value.code is ErrorCode.INVALID_FIELD
    assert storeless.value.code is ErrorCode.STORE_UNAVAILABLE


# --- looking ------------------------------------------------------------------------------------


async def test_a_room_is_seen_by_who_may_read_there(scene):
    """By visitors of a public one, too; to others it is none."""
    head = await tea(scene)
    await scene.engine.ask(ANNA, Send(room="tea", body={}))
    ours = await scene.engine.view(BEN, "tea")
    with pytest.raises(Refusal) as hidden:
        await scene.engine.view(CLEO, "tea")
    with pytest.raises(Refusal) as missing:
        await scene.engine.view(CLEO, "milk")
    await scene.engine.ask(ANNA, SetMeta(room="tea", title="Tea", public=True))
    visited = await scene.engine.view(CLEO, "tea")

    assert (ours.head, ours.members, ours.role, ours.unread) == (head + 1, 2, "member", 1)
    assert (visited.title, visited.role, visited.unread, visited.public) == ("Tea", None, 0, True)
    assert [one.value.code for one in (hidden, missing)] == [ErrorCode.NO_SUCH_ROOM] * 2


async def test_members_are_told_to_members_page_by_page(scene):
    await tea(scene)
    await scene.engine.ask(ANNA, SetMeta(room="tea", public=True))
    pages = [
        await scene.engine.members(BEN, "tea", after=after, limit=1) for after in (None, "anna")
    ]
    refusals = []
    for room in ("tea", "milk"):
        with pytest.raises(Refusal) as caught:
            await scene.engine.members(CLEO, room, after=None, limit=1)
        refusals.append(caught.value.code)
    scene.store.always("members", StoreUnavailable("gone", retry_after_ms=500))
    with pytest.raises(Refusal) as storeless:
        await scene.engine.members(BEN, "tea", after=None, limit=1)

    assert [(page.members[0].user, page.members[0].role, page.more) for page in pages] == [
        ("anna", "owner", True),
        ("ben", "member", False),
    ]
    assert refusals == [ErrorCode.NOT_A_MEMBER, ErrorCode.NO_SUCH_ROOM]
    assert storeless.value.code is ErrorCode.STORE_UNAVAILABLE


# --- what is not durable ------------------------------------------------------------------------


async def test_typing_ends_as_usual(scene):
    anna = await scene.enter("anna")
    await tea(scene)
    await anna.ask("subscribe", room="tea")

    await scene.engine.ask(BEN, SetTyping(room="tea", on=True))
    began = await anna.next("typing")
    await trio.sleep(scene.limits.typing_s + 1)
    ended = await anna.next("typing")

    assert (began["users"], ended["users"]) == (["ben"], [])


async def test_a_wish_not_to_be_seen_is_kept_without_a_session(scene):
    """It holds when its user comes, and at once where they are here already."""
    await tea(scene)
    anna = await scene.enter("anna")
    assert await scene.engine.ask(BEN, SetPresence(status="invisible")) == Done()
    await scene.enter("ben")
    await settled()
    hidden = await anna.ask("watch", users=["ben"])

    await scene.engine.ask(BEN, SetPresence(status="online"))
    shown = await anna.next("presence")

    assert (hidden["users"][0][1], shown["users"][0][1]) == ("offline", "online")


async def test_signals_of_one_user_have_one_rate(scene):
    await tea(scene)
    signal = SendSignal(room="tea", kind="wave")
    for _ in range(scene.limits.signals_burst):
        await scene.engine.ask(BEN, signal)

    assert (await refused(scene.engine, BEN, signal)).code is ErrorCode.RATE_LIMITED


# --- rates --------------------------------------------------------------------------------------


async def test_commands_of_one_user_have_one_rate_with_and_without_sessions():
    async with open_scene(commands_rate=1, commands_burst=3) as scene:
        ben = await scene.enter("ben")
        await ben.ask("ping")
        for _ in range(2):
            await scene.engine.ask(BEN, Ping())

        refusal = await refused(scene.engine, BEN, Ping())

        assert (refusal.code, refusal.retry_after_ms) == (ErrorCode.RATE_LIMITED, 1001)
        assert await ben.refused("ping") == "rate_limited"
        service = person("ben", tier="service")
        assert await scene.engine.ask(service, Ping())


async def test_rates_of_who_has_no_session_are_forgotten_once_they_are_whole():
    async with open_scene(commands_rate=1, commands_burst=2) as scene:
        allowances = scene.engine._asking.allowances
        for number in range(50):
            await scene.engine.ask(person(f"u{number}"), Ping())
        await scene.engine.ask(BEN, Ping())
        await scene.engine.ask(BEN, Ping())
        refusal = await refused(scene.engine, BEN, Ping())
        assert (refusal.code, len(allowances.by_user)) == (ErrorCode.RATE_LIMITED, 51)

        await trio.sleep(5)
        for _ in range(30):
            await scene.engine.ask(ANNA, Ping())
            await trio.sleep(2)

        assert list(allowances.by_user) == ["anna"]


# --- who comes ----------------------------------------------------------------------------------


async def test_a_token_is_looked_at_and_nobody_is_present_for_it(scene):
    scene.gate.knows("good", "anna", issued_at=5)
    identity = await scene.engine.admit("good", Opening(address="192.0.2.1"))
    with pytest.raises(Refusal) as caught:
        await scene.engine.admit("bad", Opening())

    assert (identity.user, caught.value.code) == ("anna", ErrorCode.TOKEN_INVALID)
    assert scene.engine.presence.present == {}
    await scene.engine.revoke("anna")
    with pytest.raises(Refusal):
        await scene.engine.admit("good", Opening())


async def test_a_gate_that_cannot_look_is_a_refusal(scene):
    async def admit(token, opening):
        raise StoreUnavailable("gone", retry_after_ms=500)

    scene.gate.admit = admit
    with pytest.raises(Refusal) as caught:
        await scene.engine.admit("good", Opening())

    assert caught.value.code is ErrorCode.STORE_UNAVAILABLE


# --- ends ---------------------------------------------------------------------------------------


async def test_who_is_cancelled_leaves_nothing_and_what_was_accepted_is_stored(scene):
    head = await tea(scene)
    step = scene.store.script("append", before=True)
    with trio.move_on_after(1) as scope:
        await scene.engine.ask(ANNA, Send(room="tea", cid="c1", body={}))
    assert scope.cancelled_caught
    step.release()
    await settled()

    again = await scene.engine.ask(ANNA, Send(room="tea", cid="c1", body={}))
    assert (again.seq, again.duplicate) == (head + 1, True)
    await leaves_nothing(scene)


async def test_nobody_waits_for_an_engine_that_has_ended():
    """Neither for a room that was on its way, nor for one that has not been asked for yet."""
    told = []
    async with trio.open_nursery() as nursery:

        async def ask(engine, *rooms):
            told.extend(await engine.ask_each(ANNA, [History(room=room) for room in rooms]))

        async with open_scene(inspect=False) as scene:
            for _ in range(2):
                scene.store.script("rooms", before=True)
                nursery.start_soon(ask, scene.engine, "tea", "milk")
                await settled()
            nursery.start_soon(ask, scene.engine, "sugar")
            await settled()
            assert told == []
    told.append(await refused(scene.engine, ANNA, Ping()))
    with pytest.raises(Refusal) as caught:
        await scene.engine.search(ANNA, "tea", "kettle", before=None, limit=1)

    assert {one.code for one in told} == {ErrorCode.STORE_UNAVAILABLE, ErrorCode.SHUTTING_DOWN}
    assert len(told) == 6
    assert caught.value.code is ErrorCode.SHUTTING_DOWN
    assert scene.hub._rooms.loads == {}


async def test_who_drains_takes_nothing_durable(scene):
    await tea(scene)
    await scene.engine.drain()

    assert (await refused(scene.engine, ANNA, Send(room="tea", body={}))).code is (
        ErrorCode.SHUTTING_DOWN
    )
    assert isinstance(await scene.engine.ask(ANNA, History(room="tea")), HistoryPage)
