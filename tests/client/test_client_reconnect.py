"""Reconnection: nothing lost, nothing twice, everything said again, in order."""

import pytest
import trio
from client_peer import Server, asking, connected, row, subscribed, take
from trio.testing import wait_all_tasks_blocked

from triolet._model.entries import Entry
from triolet._model.events import Closed, Done, Feed, Presence, Receipts, Reset, Synced, Typing
from triolet.client import ClientLimits, State


async def reconnected(server, conversation, code=1006, reason=""):
    """Lose the connection and greet the next one."""
    conversation.close(code, reason)
    following = await server.accept()
    await following.welcome()
    return following


async def entries(stream, count):
    """Return the seqs of the next entries of a stream of all events."""
    found = []
    while len(found) < count:
        event = await stream.__anext__()
        if isinstance(event, Entry):
            found.append(event.seq)
    return found


async def presence(stream):
    """Return the rows of the next news of people of a stream of all events."""
    while True:
        event = await stream.__anext__()
        if isinstance(event, Presence):
            return event.users


async def test_rooms_resume_from_their_positions(autojump_clock):
    server = Server()
    async with connected(server) as (client, first):
        events = client.events()
        await subscribed(client, first, "a", head=3)
        await subscribed(client, first, "b", head=7)
        first.entry("a", 4)
        assert await entries(events, 1) == [4]

        second = await reconnected(server, first)
        places = await second.resume(row("a", head=6), row("b", head=7))
        second.entry("a", 5)
        second.entry("a", 6)

        assert places == [["a", "e1", 4], ["b", "e1", 7]]
        assert await entries(events, 2) == [5, 6]
        assert client.position("a") == ("e1", 6)


async def test_duplicates_are_dropped(autojump_clock):
    server = Server()
    async with connected(server) as (client, conversation):
        events = client.events()
        await subscribed(client, conversation, "a", head=3)
        for seq in (4, 4, 3, 1, 5, 4, 6):
            conversation.entry("a", seq)

        assert await entries(events, 3) == [4, 5, 6]
        assert client.statistics().duplicates == 4


async def test_gap_is_asked_for_again_on_the_same_connection(autojump_clock):
    server = Server()
    async with connected(server) as (client, conversation):
        events = client.events()
        await subscribed(client, conversation, "a", head=3)
        conversation.entry("a", 4)
        conversation.entry("a", 6)
        request = await conversation.hear("subscribe")
        conversation.entry("a", 7)
        conversation.ok(request, rooms=[row("a", head=7)])
        for seq in (5, 6, 7):
            conversation.entry("a", seq)

        assert request["rooms"] == [["a", "e1", 4]]
        assert await entries(events, 4) == [4, 5, 6, 7]
        assert (client.statistics().gaps, client.statistics().strays) == (1, 1)


async def test_gap_that_stays_ends_the_connection(autojump_clock):
    server = Server()
    async with connected(server) as (client, conversation):
        events = client.events()
        await subscribed(client, conversation, "a", head=3)
        conversation.entry("a", 6)
        request = await conversation.hear("subscribe")
        conversation.ok(request, rooms=[row("a", head=7)])
        conversation.entry("a", 6)
        second = await server.accept()
        await second.welcome()

        assert conversation.left[0] == 1002
        assert await second.resume(row("a", head=7)) == [["a", "e1", 3]]
        for seq in (4, 5, 6, 7):
            second.entry("a", seq)
        assert await entries(events, 4) == [4, 5, 6, 7]


async def test_what_is_no_message_ends_the_connection(autojump_clock):
    server = Server()
    async with connected(server) as (client, conversation):
        conversation.say_bytes(b"\x00")
        await server.accept()

        assert conversation.left[0] == 1002
        assert client.state is State.CONNECTING


async def test_unknown_ops_and_answers_to_nothing_are_ignored(autojump_clock, caplog):
    server = Server()
    async with connected(server) as (client, conversation):
        conversation.say("novelty", what=1)
        conversation.say("ok", ref=999)
        conversation.say("error", code=2001, reason="malformed", message="no map")
        async with asking(client.ping):
            conversation.ok(await conversation.hear("ping"), now=5)

    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        "an ok to nothing that was asked: 999",
        "the server said malformed: no map",
    ]


async def test_fork_at_resumption_is_told_and_followed(autojump_clock):
    server = Server()
    async with connected(server) as (client, first):
        events = client.events()
        await subscribed(client, first, "a", head=9)
        second = await reconnected(server, first)
        await second.resume(row("a", epoch="e2", head=12, since=["e1", 7]))
        second.entry("a", 8)

        assert Synced(rooms=(), gone=(), ref=2) == await events.__anext__()
        expected = Reset(room="a", epoch="e2", head=12, since=("e1", 7))
        assert [expected, Typing(room="a", users=(), more=False)] == await take(events, 2)
        assert await entries(events, 1) == [8]
        assert client.position("a") == ("e2", 8)


async def test_unrecovered_is_told_and_followed_from_the_head(autojump_clock):
    server = Server()
    async with connected(server) as (client, first):
        room = client.room_events("a", since=("e0", 3))
        async with asking(take, room, 1) as answer:
            request = await first.grant("a", epoch="e1", head=50, floor=40, recovered=False)
            first.entry("a", 51)

        assert request["since"] == ["e0", 3]
        assert [Reset(room="a", epoch="e1", head=50, floor=40)] == answer.value
        assert await entries(room, 1) == [51]


async def test_reset_is_passed_on_in_its_place(autojump_clock):
    server = Server()
    async with connected(server) as (client, conversation):
        room = client.room_events("a")
        await subscribed(client, conversation, "a", head=9)
        conversation.entry("a", 10)
        conversation.say("reset", room="a", epoch="e2", head=30, since=["e1", 8])
        conversation.entry("a", 9)
        conversation.say("reset", room="a", epoch="e3", head=90, floor=80)
        conversation.entry("a", 91)

        found = await take(room, 5)
        assert [event.seq if isinstance(event, Entry) else event.epoch for event in found] == [
            10,
            "e2",
            9,
            "e3",
            91,
        ]


async def test_rooms_are_asked_for_in_batches(autojump_clock):
    server = Server()
    limits = ClientLimits(batch_rooms_max=2)
    async with connected(server, limits=limits) as (client, first):
        for name in "abc":
            await subscribed(client, first, name)
        second = await reconnected(server, first)
        await second.hear("sync")
        asked = [(await second.hear("subscribe"))["rooms"] for _ in range(2)]

        assert [[place[0] for place in places] for places in asked] == [["a", "b"], ["c"]]


async def test_batches_fit_the_servers_bound_on_a_message(autojump_clock):
    server = Server()
    names = [f"room-{number:02}" for number in range(8)]
    async with connected(server, welcome={"limits": {"message_bytes_max": 150}}) as (client, first):
        for name in names:
            await subscribed(client, first, name)
        first.close(1006)
        second = await server.accept()
        await second.welcome(limits={"message_bytes_max": 150})
        sync = await second.hear("sync")
        asked = []
        while len(asked) < len(names):
            asked += [place[0] for place in (await second.hear("subscribe"))["rooms"]]

        assert names == asked
        assert names[-1] == sync["have"][-1][0]


async def test_rooms_refused_at_resumption(autojump_clock):
    """What passes is asked again, later; the rest is closed, and its streams end."""
    server = Server()
    async with connected(server) as (client, first):
        await subscribed(client, first, "gone")
        await subscribed(client, first, "late", head=4)
        events = client.room_events("gone")
        second = await reconnected(server, first)
        await second.resume(
            {"room": "gone", "code": 3002, "reason": "no_such_room"},
            {"room": "late", "code": 5001, "reason": "store_unavailable"},
        )
        before = trio.current_time()
        request = await second.hear("subscribe")
        second.ok(request, rooms=[row("late", head=4)])

        assert request["rooms"] == [["late", "e1", 4]]
        assert trio.current_time() > before
        assert [Closed(room="gone", reason="no_such_room")] == [event async for event in events]
        assert client.position("gone") is None


async def test_resumption_refused_whole_is_asked_again_or_closes_all(autojump_clock):
    server = Server()
    async with connected(server) as (client, first):
        events = client.events()
        await subscribed(client, first, "a")
        second = await reconnected(server, first)
        second.ok(await second.hear("sync"), rooms=[], gone=[])
        before = trio.current_time()
        second.error(await second.hear("subscribe"), 4001, "rate_limited", retry_after_ms=3000)
        again = await second.hear("subscribe")
        assert trio.current_time() - before >= 3
        second.error(again, 3001, "forbidden")

        assert Closed(room="a", reason="forbidden") == (await take(events, 2))[1]


async def test_sync_tells_positions_and_heads_and_its_answer_reaches_the_streams(autojump_clock):
    server = Server()
    async with connected(server) as (client, first):
        events = client.events()
        await subscribed(client, first, "mine", head=3)
        await subscribed(client, first, "guest", role=None)
        first.say(
            "feed",
            rooms=[["fed", "e", 9, 1, 8], ["left", "e", 1, 0, 0]],
            added=["fed"],
            removed=["left"],
        )
        first.entry("mine", 4)
        assert await entries(events, 1) == [4]
        second = await reconnected(server, first)
        sync = await second.hear("sync")
        moved = {
            "room": "fed",
            "kind": "group",
            "epoch": "e",
            "head": 12,
            "unread": 3,
            "read": 9,
            "role": "member",
            "title": "",
            "last": None,
        }
        second.ok(sync, rooms=[moved], gone=["mine"])

        assert sync["have"] == [["fed", "e", 9], ["mine", "e1", 4]]
        synced = await events.__anext__()
        assert isinstance(synced, Synced)
        assert (synced.rooms[0].room, synced.gone) == ("fed", ("mine",))
        third = await reconnected(server, second)
        assert ["fed", "e", 12] in (await third.hear("sync"))["have"]


async def test_first_connection_does_not_sync(autojump_clock):
    server = Server()
    async with connected(server) as (client, conversation), asking(client.ping):
        conversation.ok(await conversation.hear("ping"), now=5)


async def test_watches_presence_and_typing_are_said_again(autojump_clock):
    server = Server()
    async with connected(server) as (client, first):
        events = client.events()
        async with asking(client.watch, ["ben", "eva"]):
            first.ok(await first.hear("watch"), users=[["ben", "online", 5]])
        async with asking(client.unwatch, ["eva"]):
            first.ok(await first.hear("unwatch"))
        async with asking(client.presence, "away"):
            first.ok(await first.hear("presence"))
        async with asking(client.typing, "r"):
            first.ok(await first.hear("typing"))
        second = await reconnected(server, first)
        await second.resume()

        assert (await second.hear("presence"))["status"] == "away"
        assert (await second.hear("typing"))["room"] == "r"
        watch = await second.hear("watch")
        second.ok(watch, users=[["ben", "offline", 9]])
        assert watch["users"] == ["ben"]
        assert Presence(users=(("ben", "offline", 9),)) == (await take(events, 2))[1]


async def test_who_may_not_be_watched_any_more_is_shown_offline(autojump_clock):
    """The last status they were shown with would stay for ever: nothing more is told of them."""
    here = [["ben", "online", 0], ["eva", "online", 0]]
    server = Server()
    async with connected(server) as (client, first):
        events = client.events()
        async with asking(client.watch, ["ben", "eva"]):
            first.ok(await first.hear("watch"), users=here)
        second = await reconnected(server, first)
        await second.resume()
        second.ok(await second.hear("watch"), users=here[:1])
        assert await presence(events) == (("ben", "online", 0), ("eva", "offline", 0))

        # They are watched still, and may come back into sight.
        third = await reconnected(server, second)
        await third.resume()
        third.ok(await third.hear("watch"), users=here)
        assert await presence(events) == (("ben", "online", 0), ("eva", "online", 0))

        fourth = await reconnected(server, third)
        await fourth.resume()
        fourth.error(await fourth.hear("watch"), 2003, "invalid_field")
        assert await presence(events) == (("ben", "offline", 0), ("eva", "offline", 0))


async def test_state_shown_is_renewed_by_the_resumption(autojump_clock):
    server = Server()
    async with connected(server) as (client, first):
        room = client.room_events("r")
        await subscribed(client, first, "r", typing=["ben"])
        second = await reconnected(server, first)
        await second.resume(row("r", receipts=[["ben", 3, 2]]))

        assert [
            Receipts(room="r", marks=(("ben", 3, 2),)),
            Typing(room="r", users=(), more=False),
        ] == await take(room, 2)


async def test_marks_are_repeated_when_the_server_has_lost_them(autojump_clock):
    server = Server()
    async with connected(server) as (client, first):
        await subscribed(client, first, "r", head=9)
        async with asking(client.receipt, "r", delivered=9, read=9):
            first.ok(await first.hear("receipt"))
        second = await reconnected(server, first)
        await second.resume(row("r", head=9, read=4))

        again = await second.hear("receipt")
        assert (again["room"], again["delivered"], again["read"]) == ("r", 9, 9)
        second.ok(again)
        third = await reconnected(server, second)
        await third.resume(row("r", head=9, read=9))
        await wait_all_tasks_blocked()
        third.hear_nothing()


async def test_marks_set_offline_are_kept_and_told(autojump_clock):
    server = Server()
    async with connected(server) as (client, first):
        first.close(1006)
        await first.gone.wait()
        assert client.state is State.OFFLINE
        assert Done() == await client.receipt("quiet", read=7)
        second = await server.accept()
        await second.welcome()
        await second.resume()

        told = await second.hear("receipt")
        assert (told["room"], told["read"]) == ("quiet", 7)


@pytest.mark.parametrize("code", [1000, 1002, 1006, 1008, 1009, 1011, 1012, 4008, 4009, 4029, 4999])
async def test_all_other_closes_are_come_back_from(autojump_clock, code):
    server = Server()
    async with connected(server) as (client, first):
        await reconnected(server, first, code)
        await client.wait_online()

        assert client.statistics().connections == 2


async def test_feed_and_events_without_a_room_reach_the_streams(autojump_clock):
    server = Server()
    async with connected(server) as (client, conversation):
        events = client.events()
        conversation.say("feed", rooms=[["r", "e", 9, 1, 8]])
        conversation.say("presence", users=[["ben", "online", 1]])

        assert [
            Feed(rooms=(("r", "e", 9, 1, 8),)),
            Presence(users=(("ben", "online", 1),)),
        ] == await take(events, 2)
