"""Lifetime: `async with` owns everything; when it ends, everything has ended."""

import pytest
import trio
from client_peer import Server, asking, connected, offline, take
from trio.testing import wait_all_tasks_blocked

from triolet._model.errors import ConnectionClosed
from triolet.client import Backoff, ClientLimits, State, open_client
from triolet.client.client import States


def tasks():
    return trio.lowlevel.current_statistics().tasks_living


async def test_nothing_is_left(autojump_clock):
    server = Server()
    before = tasks()
    async with connected(server) as (client, conversation):
        async with asking(client.ping):
            conversation.ok(await conversation.hear("ping"), now=1)
        assert tasks() > before

    assert tasks() == before
    assert conversation.left == (1000, "")
    assert client.state is State.CLOSED


@pytest.mark.parametrize("moment", ["waiting", "dialling", "greeting"])
async def test_nothing_is_left_whenever_it_ends(autojump_clock, moment):
    server = Server()
    before = tasks()
    if moment == "dialling":
        server.dial = trio.sleep_forever
    async with open_client(server, form="json", start_offline=True) as client:
        if moment != "dialling":
            conversation = await server.accept()
        if moment == "waiting":
            conversation.close(1006)
            await conversation.gone.wait()
            assert client.state is State.OFFLINE
        await wait_all_tasks_blocked()

    assert tasks() == before


async def test_waiting_requests_and_streams_end_with_it(autojump_clock):
    server = Server()
    heard = []

    async def consume(events):
        heard.extend([event async for event in events])
        heard.append("end")

    async with trio.open_nursery() as nursery:
        async with connected(server) as (client, conversation):
            nursery.start_soon(consume, client.events())

            async def ask():
                with pytest.raises(ConnectionClosed, match="1000"):
                    await client.send("r", "x")
                heard.append("closed")

            nursery.start_soon(ask)
            await conversation.hear("send")
        with pytest.raises(ConnectionClosed, match="1000"):
            await client.ping()
        with pytest.raises(ConnectionClosed, match="1000"):
            await client.wait_online()
        with pytest.raises(StopAsyncIteration):
            await take(client.events(), 1)

    assert sorted(heard) == ["closed", "end"]


async def test_errors_of_the_block_come_out_as_they_are(autojump_clock):
    before = tasks()
    with pytest.raises(KeyError) as caught:
        async with connected(Server()):
            raise KeyError

    assert caught.value.__context__ is None
    with pytest.raises(ExceptionGroup) as group:
        async with connected(Server()):
            raise ExceptionGroup("mine", [KeyError()])
    assert group.value.message == "mine"
    assert tasks() == before


async def test_cancelling_the_block_ends_it(autojump_clock):
    server = Server()
    with trio.move_on_after(5) as scope:
        async with connected(server) as (_, conversation):
            await trio.sleep_forever()

    assert scope.cancelled_caught
    assert conversation.left == (1000, "")


async def stay(code, reason):
    await trio.sleep_forever()


async def test_link_that_does_not_close_is_left_in_time(autojump_clock):
    server = Server()
    async with connected(server) as (_, conversation):
        conversation.link.aclose = stay
        began = trio.current_time()

    assert trio.current_time() - began == ClientLimits().close_timeout_s


async def test_writer_that_is_stuck_does_not_stop_the_rest(autojump_clock):
    """The socket takes nothing; what arrives is read, and silence is still noticed."""
    server = Server()
    async with connected(server) as (client, conversation):
        events = client.events()
        conversation.writable = trio.Event()
        async with asking(client.send, "r", "x") as answer:
            await wait_all_tasks_blocked()
            conversation.say("presence", users=[])
            await take(events, 1)
            second = await server.accept()
            await second.welcome()
            await second.resume()
            second.written(await second.hear("send"), 1)

        assert answer.value.seq == 1


async def test_states_are_told_from_the_present_one_to_the_end(autojump_clock):
    server = Server()
    seen = []

    async def watch(states):
        seen.extend([state async for state in states])

    async with trio.open_nursery() as nursery, connected(server) as (client, first):
        assert isinstance(client.states(), States)
        nursery.start_soon(watch, client.states())
        await wait_all_tasks_blocked()
        first.close(1006)
        second = await server.accept()
        await wait_all_tasks_blocked()
        await second.welcome()
        await client.wait_online()
        await wait_all_tasks_blocked()

    assert seen == [
        State.ONLINE,
        State.OFFLINE,
        State.CONNECTING,
        State.ONLINE,
        State.CLOSED,
    ]


async def test_what_is_known_of_the_connection(autojump_clock):
    server = Server()
    async with open_client(server, form="json", start_offline=True) as client:
        assert (client.welcome, client.user, client.last_close) == (None, "", None)
        conversation = await server.accept()
        await conversation.welcome()
        await client.wait_online()

        assert client.welcome is not None
        assert (client.welcome.session, client.user) == ("s", "anna")


async def test_device_is_kept_across_connections(autojump_clock):
    server = Server()
    async with open_client(server, form="json", start_offline=True):
        first = await server.accept()
        assert "device" not in await first.welcome(device="given")
        first.close(1006)

        assert (await (await server.accept()).welcome())["device"] == "given"


async def test_time_until_the_next_attempt_is_known(autojump_clock):
    server = Server()
    async with connected(server, backoff=Backoff(base_s=8)) as (client, conversation):
        await offline(client, conversation)
        lost_at = trio.current_time()
        assert client.retry_delay_s == 4
        await server.accept()

        assert trio.current_time() - lost_at == 4
