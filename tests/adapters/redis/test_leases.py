"""Law: what is told under leases survives all servers but one, and what is old is not believed."""

from contextlib import ExitStack, asynccontextmanager, suppress

import pytest
import redis
import trio

from triolet._model.limits import Limits
from triolet.adapters.redis import open_redis_bus
from triolet.adapters.redis.leases import _USERS_PER_STEP
from triolet.adapters.redis.link import LinkLost
from triolet.adapters.system import SystemEntropy
from triolet.testing.services.redis import NoRedis, run_redis

# A server that is paused costs the least that a busy machine allows.
LIMITS = Limits(bus_answer_timeout_s=0.4)


@pytest.fixture(scope="module")
def servers():
    with ExitStack() as stack:
        try:
            yield [stack.enter_context(run_redis()) for _ in range(3)]
        except NoRedis as error:
            pytest.skip(str(error))


@pytest.fixture(autouse=True)
def running(servers):
    for server in servers:
        if not server.pid:
            server.start()
        with client_of(server) as client:
            client.flushall()


@asynccontextmanager
async def joined(servers):
    urls = [server.url() for server in servers]
    async with open_redis_bus(urls, entropy=SystemEntropy(), limits=LIMITS) as bus:
        yield bus


def client_of(server):
    return redis.Redis("127.0.0.1", server.port, decode_responses=True)


async def all_up(bus):
    """All servers answer, on connections that are not just about to be lost."""
    with trio.fail_after(60):
        for connection in bus.connections:
            while True:
                with suppress(LinkLost):
                    await connection.call((b"PING",))
                    break
                await trio.sleep(0.01)


async def told(servers, *users):
    """What a node finds that knows these servers alone."""
    async with joined(servers) as bus:
        return await bus.states(users)


async def test_each_server_has_it_all(servers):
    async with joined(servers) as bus:
        await bus.take_lease("a:1", ttl_s=60)
        await bus.put_states("a:1", {"carl": b"online"})
        for server in servers:
            assert await told([server], "carl", "dora") == [{"a:1": b"online"}, {}]


async def test_one_server_is_enough(servers):
    """Told, renewed, read and ended while two of three are gone."""
    async with joined(servers) as bus:
        await bus.take_lease("a:1", ttl_s=60)
        await bus.put_states("a:1", {"carl": b"online", "dora": b"online"})
        for server in servers[:2]:
            server.kill()
        assert await bus.renew_lease("a:1", ttl_s=60)
        await bus.put_states("a:1", {"carl": b"away"})
        await bus.take_lease("b:1", ttl_s=60)
        await bus.put_states("b:1", {"dora": b"dnd"})
        rows = [{"a:1": b"away"}, {"a:1": b"online", "b:1": b"dnd"}]
        assert await bus.states(["carl", "dora"]) == rows
        assert await bus.leases() == ["a:1", "b:1"]


async def test_a_server_that_comes_back_empty_is_filled(servers):
    """At the next renewal; until then others are believed."""
    many = {f"user {number}": b"online" for number in range(2 * _USERS_PER_STEP + 1)}
    async with joined(servers) as bus:
        await bus.take_lease("a:1", ttl_s=60)
        await bus.put_states("a:1", many)
        servers[0].kill()
        servers[0].start()
        await all_up(bus)
        assert await bus.states(["user 0"]) == [{"a:1": b"online"}]
        assert await told(servers[:1], "user 0") == [{}]
        assert await bus.renew_lease("a:1", ttl_s=60)
        assert await told(servers[:1], *many) == [{"a:1": b"online"} for _ in many]


async def test_a_server_that_comes_back_with_old_states_is_not_believed(servers):
    """Who went away, or changed, while it was silent; also before it is brought up to date."""
    async with joined(servers) as bus:
        await bus.take_lease("a:1", ttl_s=60)
        await bus.put_states("a:1", {"carl": b"online", "dora": b"online", "emil": b"online"})
        servers[0].pause()
        try:
            await bus.put_states("a:1", {"carl": b"", "dora": b"away"})
        finally:
            servers[0].resume()
        await all_up(bus)
        rows = [{}, {"a:1": b"away"}, {"a:1": b"online"}]
        assert await told(servers, "carl", "dora", "emil") == rows
        # What is told meanwhile does not make the old copy a new one.
        await bus.put_states("a:1", {"emil": b"dnd"})
        rows[2] = {"a:1": b"dnd"}
        assert await told(servers, "carl", "dora", "emil") == rows
        assert await bus.renew_lease("a:1", ttl_s=60)
        assert await told(servers[:1], "carl", "dora", "emil") == rows


async def test_a_put_that_was_cancelled_is_made_good(servers):
    """Nobody knows which servers it reached: the next renewal tells them all."""
    async with joined(servers) as bus:
        await bus.take_lease("a:1", ttl_s=60)
        servers[0].pause()
        try:
            with trio.move_on_after(0.05) as scope:
                await bus.put_states("a:1", {"carl": b"online"})
            assert scope.cancelled_caught
        finally:
            servers[0].kill()
        servers[0].start()
        await all_up(bus)
        assert await bus.renew_lease("a:1", ttl_s=60)
        for server in servers:
            assert await told([server], "carl") == [{"a:1": b"online"}]


async def test_a_server_that_forgot_everything_is_filled(servers):
    """One of three: the lease lives. All of them, or the only one: it has lapsed."""
    async with joined(servers) as bus:
        await bus.take_lease("a:1", ttl_s=60)
        await bus.put_states("a:1", {"carl": b"online"})
        with client_of(servers[2]) as client:
            client.flushall()
        assert await bus.renew_lease("a:1", ttl_s=60)
        assert await told(servers[2:], "carl") == [{"a:1": b"online"}]
        for server in servers:
            with client_of(server) as client:
                client.flushall()
        assert not await bus.renew_lease("a:1", ttl_s=60)
        await bus.put_states("a:1", {"carl": b"ghost"})
        assert await told(servers, "carl") == [{}]


async def test_what_ended_leaves_nothing(servers):
    """Any node that renews its lease clears away what others have left."""
    async with joined(servers[:1]) as bus:
        for lease in ("a:1", "b:1"):
            await bus.take_lease(lease, ttl_s=60)
        states = {f"user {number}": b"online" for number in range(1200)}
        await bus.put_states("a:1", states)
        await bus.put_states("b:1", {"user 0": b"away"})
        await bus.end_lease("a:1")
        for _ in range(4):
            assert await bus.renew_lease("b:1", ttl_s=60)
        with client_of(servers[0]) as client:
            # SCAN may give a key twice, where a table has just shrunk.
            assert sorted(client.keys()) == [
                "triolet:lease:b:1",
                "triolet:leases",
                "triolet:states:user 0",
                "triolet:told:b:1",
            ]


async def test_ttls_are_those_of_the_server(servers):
    """What is on Redis is what the module says, as another client sees it."""
    async with joined(servers[:1]) as bus:
        await bus.take_lease("a:1", ttl_s=60)
        await bus.put_states("a:1", {"carl": b"on:line", "dora": b"away"})
        await bus.put_states("a:1", {"dora": b""})
        with client_of(servers[0]) as client:
            assert 5_000 < client.pttl("triolet:lease:a:1") <= 60_000
            assert client.get("triolet:lease:a:1") == "1:3"
            assert client.hgetall("triolet:states:carl") == {"a:1": "1:on:line"}
            assert not client.exists("triolet:states:dora")
            assert client.smembers("triolet:told:a:1") == {"triolet:states:carl"}
        assert await bus.states(["carl"]) == [{"a:1": b"on:line"}]
