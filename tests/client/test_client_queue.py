"""The queue: bounded, refusing offline, waiting online; inflight requests no more than allowed."""

import pytest
import trio
from client_peer import Server, asking, connected, offline
from trio.testing import wait_all_tasks_blocked

from triolet._model.errors import QueueFull
from triolet.client import ClientLimits


async def test_requests_made_offline_leave_later(autojump_clock):
    server = Server()
    async with connected(server) as (client, first):
        await offline(client, first)
        async with asking(client.send, "r", "later") as answer:
            second = await server.accept()
            await second.welcome()
            await second.resume()
            second.written(await second.hear("send"), 1)

        assert answer.value.seq == 1


async def test_offline_queue_is_bounded(autojump_clock):
    server = Server()
    async with connected(server, limits=ClientLimits(queue_max=2)) as (client, first):
        await offline(client, first)
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(client.send, "r", "x")
            await wait_all_tasks_blocked()
            with pytest.raises(QueueFull):
                await client.send("r", "x")
            nursery.cancel_scope.cancel()

        assert client.statistics().unanswered == 0


async def test_online_a_full_queue_waits_for_a_place(autojump_clock):
    server = Server()
    async with (
        connected(server, limits=ClientLimits(queue_max=2)) as (client, conversation),
        trio.open_nursery() as nursery,
    ):
        for _ in range(5):
            nursery.start_soon(client.send, "r", "x")
        await wait_all_tasks_blocked()
        for seq in range(1, 6):
            conversation.written(await conversation.hear("send"), seq)


async def test_waiting_for_a_place_ends_with_the_connection(autojump_clock):
    server = Server()
    async with (
        connected(server, limits=ClientLimits(queue_max=1)) as (client, conversation),
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(client.send, "r", "x")
        await conversation.hear("send")
        async with asking(client.send, "r", "y") as answer:
            await wait_all_tasks_blocked()
            conversation.close(1006)

        assert isinstance(answer.error, QueueFull)
        nursery.cancel_scope.cancel()


async def test_request_greater_than_the_whole_queue_is_refused(autojump_clock):
    server = Server()
    async with connected(server, limits=ClientLimits(queue_bytes_max=10)) as (client, _):
        with pytest.raises(QueueFull):
            await client.send("r", "x")


async def test_inflight_max_is_respected(autojump_clock):
    server = Server()
    async with (
        connected(server, welcome={"limits": {"inflight_max": 2}}) as (client, first),
        trio.open_nursery() as nursery,
    ):
        for _ in range(4):
            nursery.start_soon(client.send, "r", "x")
        asked = [await first.hear("send"), await first.hear("send")]
        await wait_all_tasks_blocked()
        first.hear_nothing()
        first.written(asked[0], 1)
        asked.append(await first.hear("send"))
        await wait_all_tasks_blocked()
        first.hear_nothing()
        first.written(asked[1], 2)
        asked.append(await first.hear("send"))
        first.written(asked[2], 3)
        first.written(asked[3], 4)
