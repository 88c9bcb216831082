"""Silence: half-open connections are noticed, quiet ones are kept."""

import trio
from client_peer import Server, connected


async def test_half_open_connection_is_noticed(autojump_clock):
    """A heartbeat of silence: ping. Two and a margin: back to dialling."""
    server = Server()
    async with connected(server) as (client, first):
        began = trio.current_time()
        await first.hear("ping")
        assert trio.current_time() - began == 25
        await first.gone.wait()
        assert trio.current_time() - began == 55
        second = await server.accept()
        await second.welcome()
        await client.wait_online()


async def test_answered_pings_keep_a_quiet_connection(autojump_clock):
    server = Server()
    async with connected(server) as (client, conversation):
        for _ in range(5):
            conversation.ok(await conversation.hear("ping"), now=5)

        assert client.statistics().connections == 1
        assert trio.current_time() >= 125


async def test_silence_instead_of_a_welcome(autojump_clock):
    server = Server()
    async with connected(server) as (_, first):
        first.close(1006)
        second = await server.accept()
        began = trio.current_time()
        await second.gone.wait()

        assert trio.current_time() - began == 10
        await (await server.accept()).welcome()


async def test_a_heartbeat_shorter_than_the_time_for_a_welcome_counts_from_it(autojump_clock):
    server = Server()
    async with connected(server, welcome={"heartbeat_s": 1}) as (client, first):
        began = trio.current_time()
        for seconds in range(1, 21):
            ping = await first.hear("ping")
            assert trio.current_time() - began == seconds
            first.ok(ping, now=5)
        await first.hear("ping")
        await first.gone.wait()
        assert trio.current_time() - began == 27
        assert client.statistics().connections == 1
