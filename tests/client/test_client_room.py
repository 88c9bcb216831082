"""Room: iterating follows it, and ends with it."""

import pytest
import trio
from client_peer import Server, asking, connected, row, subscribed, take
from trio.testing import wait_all_tasks_blocked

from triolet._model.errors import Refusal
from triolet._model.events import Closed, Presence, Typing


async def read(room, found):
    async for entry in room:
        found.append(entry.seq)
    found.append("end")


async def test_iterating_follows_the_room_from_now_on(autojump_clock):
    server = Server()
    async with connected(server) as (client, conversation), trio.open_nursery() as nursery:
        found = []
        room = client.room("r")
        assert room.position is None
        nursery.start_soon(read, room, found)
        request = await conversation.grant("r", head=7)
        conversation.say("typing", room="r", users=["ben"], more=False)
        conversation.entry("r", 8)
        conversation.entry("r", 9)
        conversation.say("closed", room="r", reason="kicked")
        await wait_all_tasks_blocked()

        assert "since" not in request
        assert found == [8, 9, "end"]
        assert room.position is None


async def test_position_of_ones_own_is_asked_for(autojump_clock):
    server = Server()
    async with connected(server) as (client, conversation), trio.open_nursery() as nursery:
        found = []
        nursery.start_soon(read, client.room("r").entries(since=("e1", 5)), found)
        assert (await conversation.grant("r", head=7))["since"] == ["e1", 5]
        for seq in (6, 7):
            conversation.entry("r", seq)
        await wait_all_tasks_blocked()
        async with asking(client.unsubscribe, "r"):
            conversation.ok(await conversation.hear("unsubscribe"))

    assert found == [6, 7, "end"]


async def test_followed_room_is_not_asked_for_again(autojump_clock):
    server = Server()
    async with connected(server) as (client, conversation):
        await subscribed(client, conversation, "r", head=7)
        room = client.room("r")
        stream = room.events()
        conversation.entry("r", 8)

        assert (await take(stream, 1))[0].seq == 8
        assert room.position == ("e1", 8)
        conversation.hear_nothing()


async def test_every_event_of_the_room_and_none_of_another(autojump_clock):
    server = Server()
    async with connected(server) as (client, conversation):
        await subscribed(client, conversation, "r")
        stream = client.room_events("r")
        conversation.say("typing", room="other", users=["ben"], more=False)
        conversation.say("typing", room="r", users=["ben"], more=False)
        conversation.say("closed", room="r", reason="deleted", seq=4)

        assert [
            Typing(room="r", users=("ben",), more=False),
            Closed(room="r", reason="deleted", seq=4),
        ] == [event async for event in stream]


async def test_refusal_to_follow_is_raised_where_it_is_read(autojump_clock):
    server = Server()
    async with connected(server) as (client, conversation):
        async with asking(take, client.room("r").entries(), 1) as answer:
            conversation.error(await conversation.hear("subscribe"), 3002, "no_such_room")

        assert isinstance(answer.error, Refusal)


async def test_several_consumers_see_the_same(autojump_clock):
    server = Server()
    async with connected(server) as (client, conversation):
        await subscribed(client, conversation, "r")
        streams = [client.room("r").entries() for _ in range(3)]
        for seq in (1, 2, 3):
            conversation.entry("r", seq)

        for stream in streams:
            assert [entry.seq for entry in await take(stream, 3)] == [1, 2, 3]


async def test_closed_rooms_are_not_resumed(autojump_clock):
    server = Server()
    async with connected(server) as (client, first):
        await subscribed(client, first, "a")
        await subscribed(client, first, "b")
        first.say("closed", room="a", reason="kicked")
        first.close(1006)
        second = await server.accept()
        await second.welcome()

        assert await second.resume(row("b")) == [["b", "e1", 0]]


@pytest.mark.parametrize("is_sent", [True, False])
async def test_unfollowed_while_its_resumption_is_repeated(autojump_clock, is_sent):
    """The late grant is taken back: nobody wants the room any more."""
    server = Server()
    async with connected(server) as (client, first):
        await subscribed(client, first, "r")
        first.close(1006)
        second = await server.accept()
        await second.welcome()
        await second.hear("sync")
        request = await second.hear("subscribe")
        if not is_sent:
            second.error(request, 5001, "store_unavailable")
            await wait_all_tasks_blocked()
        async with asking(client.unsubscribe, "r"):
            second.ok(await second.hear("unsubscribe"))
        if not is_sent:
            request = await second.hear("subscribe")
        second.ok(request, rooms=[row("r")])

        assert (await second.hear("unsubscribe"))["room"] == "r"
        assert client.position("r") is None


async def test_unfollowed_while_its_resumption_is_refused(autojump_clock):
    """Nobody is told of the end of what nobody follows."""
    server = Server()
    async with connected(server) as (client, first):
        await subscribed(client, first, "r")
        first.close(1006)
        second = await server.accept()
        await second.welcome()
        await second.hear("sync")
        request = await second.hear("subscribe")
        async with asking(client.unsubscribe, "r"):
            second.ok(await second.hear("unsubscribe"))
        events = client.events()
        second.error(request, 3002, "no_such_room")
        second.say("presence", users=[])

        assert await take(events, 1) == [Presence(users=())]


async def test_position_follows_the_entries(autojump_clock):
    server = Server()
    async with connected(server) as (client, conversation):
        events = client.events()
        assert client.position("r") is None
        await subscribed(client, conversation, "r", head=3)
        assert client.position("r") == ("e1", 3)
        conversation.entry("r", 4)
        await take(events, 1)
        assert client.position("r") == ("e1", 4)
