"""Slow consumers: rooms are held and resumed; nothing is lost, and nothing else is in the way."""

import trio
from client_peer import Server, asking, connected, row, subscribed, take
from trio.testing import wait_all_tasks_blocked

from triolet.client import ClientLimits

LIMITS = ClientLimits(stream_events_max=4)


def seqs(events):
    return [event.seq for event in events]


async def test_full_stream_stops_the_reading_first(autojump_clock):
    """A consumer that takes a little more time costs nothing but TCP's own backpressure."""
    server = Server()
    async with connected(server, limits=LIMITS) as (client, conversation):
        stream = client.room("r").entries()
        await subscribed(client, conversation, "r")
        for seq in range(1, 100):
            conversation.entry("r", seq)
        for seq in range(1, 100):
            await wait_all_tasks_blocked()
            assert len(stream._slots) <= 4
            assert seqs(await take(stream, 1)) == [seq]
            await trio.sleep(LIMITS.patience_s / 3)

        assert (client.statistics().holds, client.statistics().strays) == (0, 0)


async def test_patience_with_a_full_stream_ends(autojump_clock):
    """What lies behind its entries is read then, and only they wait."""
    server = Server()
    async with connected(server, limits=LIMITS) as (client, conversation):
        full = client.room("r").entries()
        other = client.room_events("other")
        await subscribed(client, conversation, "r")
        await subscribed(client, conversation, "other")
        for seq in range(1, 10):
            conversation.entry("r", seq)
        conversation.entry("other", 1)
        began = trio.current_time()

        assert seqs(await take(other, 1)) == [1]
        assert trio.current_time() - began == LIMITS.patience_s
        assert client.statistics().rooms_held == 1
        assert seqs(await take(full, 4)) == [1, 2, 3, 4]


async def test_a_request_ends_the_patience(autojump_clock):
    server = Server()
    async with connected(server, limits=LIMITS) as (client, conversation):
        stream = client.room("r").entries()
        await subscribed(client, conversation, "r")
        for seq in range(1, 10):
            conversation.entry("r", seq)
        await wait_all_tasks_blocked()
        began = trio.current_time()
        async with asking(client.ping):
            conversation.ok(await conversation.hear("ping"), now=1)

        assert trio.current_time() == began
        assert seqs(await take(stream, 1)) == [1]


async def test_full_room_is_held_and_asked_for_again_when_half_empty(autojump_clock):
    server = Server()
    async with connected(server, limits=LIMITS) as (client, conversation):
        stream = client.room("r").entries()
        await subscribed(client, conversation, "r")
        for seq in range(1, 8):
            conversation.entry("r", seq)
        held = await conversation.hear("unsubscribe")
        conversation.ok(held)
        assert client.position("r") == ("e1", 4)
        assert client.statistics().rooms_held == 1

        assert seqs(await take(stream, 2)) == [1, 2]
        again = await conversation.hear("subscribe")
        conversation.ok(again, rooms=[row("r", head=7)])
        for seq in (5, 6, 7):
            conversation.entry("r", seq)

        assert again["rooms"] == [["r", "e1", 4]]
        assert seqs(await take(stream, 5)) == [3, 4, 5, 6, 7]


async def test_consumer_that_answers_what_it_reads_is_not_stuck(autojump_clock):
    """With a full buffer the reply is still read: the client does not stop reading."""
    server = Server()
    async with connected(server, limits=LIMITS) as (client, conversation):
        stream = client.room("r").entries()
        await subscribed(client, conversation, "r")
        for seq in range(1, 20):
            conversation.entry("r", seq)
        conversation.ok(await conversation.hear("unsubscribe"))
        await take(stream, 1)
        async with asking(client.send, "r", "re") as answer:
            conversation.written(await conversation.hear("send"), 20)

        assert answer.value.seq == 20


async def test_other_rooms_go_on(autojump_clock):
    server = Server()
    async with connected(server, limits=LIMITS) as (client, conversation):
        slow, quick = client.room_events("slow"), client.room_events("quick")
        await subscribed(client, conversation, "slow")
        await subscribed(client, conversation, "quick")
        for seq in range(1, 8):
            conversation.entry("slow", seq)
            conversation.entry("quick", seq)
            assert [seq] == seqs(await take(quick, 1))

        assert seqs(await take(slow, 4)) == [1, 2, 3, 4]


async def test_entries_wait_for_the_first_listener(autojump_clock):
    """Subscribing first and listening later misses nothing."""
    server = Server()
    async with connected(server) as (client, conversation):
        await subscribed(client, conversation, "r", head=5)
        conversation.entry("r", 6)
        conversation.ok(await conversation.hear("unsubscribe"))
        stream = client.events()
        again = await conversation.hear("subscribe")
        conversation.ok(again, rooms=[row("r", head=6)])
        conversation.entry("r", 6)

        assert again["rooms"] == [["r", "e1", 5]]
        found = await take(stream, 2)
        assert found[1].seq == 6


async def test_consumer_that_left_its_loop_holds_nothing(autojump_clock):
    server = Server()
    async with connected(server, limits=LIMITS) as (client, conversation):
        await subscribed(client, conversation, "r")
        keep = client.events()
        conversation.entry("r", 1)
        async for _ in client.room("r"):
            break
        for seq in range(1, 9):
            if seq > 1:
                conversation.entry("r", seq)
            assert [seq] == seqs(await take(keep, 1))
        assert client.statistics().rooms_held == 0


async def test_held_room_stays_held_through_a_reconnection(autojump_clock):
    server = Server()
    async with connected(server, limits=LIMITS) as (client, first):
        stream = client.events()
        await subscribed(client, first, "r")
        for seq in range(1, 6):
            first.entry("r", seq)
        await first.hear("unsubscribe")
        first.close(1006)
        second = await server.accept()
        await second.welcome()
        await second.resume()
        await wait_all_tasks_blocked()
        second.hear_nothing()

        assert seqs(await take(stream, 2)) == [1, 2]
        assert (await second.hear("subscribe"))["rooms"] == [["r", "e1", 4]]


async def test_memory_is_bounded_however_much_arrives(autojump_clock):
    server = Server()
    async with connected(server, limits=LIMITS) as (client, conversation):
        stream = client.events()
        await subscribed(client, conversation, "r")
        for seq in range(1, 1001):
            conversation.entry("r", seq)
            conversation.say("typing", room="r", users=[f"u{seq}"], more=False)
        await trio.testing.wait_all_tasks_blocked()

        assert len(stream._slots) <= 5
