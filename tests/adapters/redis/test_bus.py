"""Law: whatever becomes of the servers, what may have been missed is told, and calls are prompt."""

import logging
from contextlib import ExitStack, asynccontextmanager

import pytest
import redis
import trio
from own_time import open_own_time

from triolet._model.errors import BusUnavailable, ConfigurationError
from triolet._model.limits import Limits
from triolet.adapters.redis import open_redis_bus
from triolet.adapters.redis.bus import RedisBus
from triolet.adapters.system import SystemEntropy
from triolet.ports.bus import Doorbell
from triolet.testing.contracts.buses import hear, hear_again
from triolet.testing.services.redis import NoRedis, run_redis

END = b"the end"
PATIENCE_S = 60
LIMITS = Limits()


@pytest.fixture(scope="module")
def servers():
    """Three servers, which tests stop and start again."""
    with ExitStack() as stack:
        try:
            yield [stack.enter_context(run_redis()) for _ in range(3)]
        except NoRedis as error:
            pytest.skip(str(error))


@pytest.fixture(autouse=True)
def running(servers):
    """All of them run when a test begins, and know nothing of an earlier one."""
    for server in servers:
        if not server.pid:
            server.start()
        with redis.Redis("127.0.0.1", server.port) as client:
            client.flushall()


@asynccontextmanager
async def joined(servers, limits=LIMITS):
    urls = [server.url() for server in servers]
    async with open_redis_bus(urls, entropy=SystemEntropy(), limits=limits) as bus:
        yield bus


def client_of(server):
    return redis.Redis("127.0.0.1", server.port)


def channel_of(index):
    """A channel that belongs to one of three servers."""
    from zlib import crc32

    return next(name for name in map(str, range(100)) if crc32(name.encode()) % 3 == index)


async def until_it_works(call):
    """What fails while a server comes back works at last."""
    with trio.fail_after(PATIENCE_S):
        while True:
            try:
                return await call()
            except BusUnavailable:
                await trio.sleep(0.02)


async def hear_at_last(bus, frame):
    """Receive until a frame comes; what may have been missed before it does not matter."""
    with trio.fail_after(PATIENCE_S):
        while frame not in [one.frame for one in (await bus.receive()).doorbells]:
            pass


# --- one server ------------------------------------------------------------------------------


async def test_a_server_that_is_killed_and_comes_back(servers):
    """Calls fail at once; what was followed, and unfollowed, meanwhile holds afterwards."""
    async with joined(servers[:1]) as anna, joined(servers[:1]) as ben:
        await ben.follow(["kept", "left"])
        servers[0].kill()
        await trio.testing.wait_all_tasks_blocked(0.05)
        async with open_own_time() as time:
            began = time.now()
            with pytest.raises(BusUnavailable):
                await anna.ring([Doorbell("kept", b"lost")])
            with pytest.raises(BusUnavailable):
                await ben.follow(["late"])
            with pytest.raises(BusUnavailable):
                await ben.leases()
            await ben.unfollow(["left"])
            assert time.now() - began <= 1
        servers[0].start()
        assert await hear_again(ben) == []
        bells = [Doorbell(channel, channel.encode()) for channel in ("left", "late", "kept")]
        await until_it_works(lambda: anna.ring(bells))
        assert [Doorbell("late", b"late"), bells[2]] == await hear(ben, until=b"kept")


async def test_a_server_that_is_paused(servers):
    """It costs one slow call, shorter than what the runtime waits; others fail at once."""
    async with joined(servers[:1]) as bus, open_own_time() as time:
        await bus.follow(["tea"])
        servers[0].pause()
        try:
            for within_s in (LIMITS.bus_timeout_s, 0.5):
                began = time.now()
                with pytest.raises(BusUnavailable):
                    await bus.ring([Doorbell("tea", b"lost")])
                assert time.now() - began <= within_s
            await both_are_down_and_nothing_is_heard(bus)
        finally:
            servers[0].resume()
        await hear_again(bus)
        await until_it_works(lambda: bus.ring([Doorbell("tea", END)]))
        await hear_at_last(bus, END)


async def both_are_down_and_nothing_is_heard(bus):
    heard = []

    async def hear_any():
        heard.append(await bus.receive())

    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(hear_any)
            while any(one.is_up for one in bus.connections):  # noqa: ASYNC110 - they tell nobody
                await trio.sleep(0.02)
            await trio.sleep(LIMITS.bus_answer_timeout_s)
            nursery.cancel_scope.cancel()
    assert heard == []


async def test_a_listener_that_is_killed_is_told(servers):
    """Only the subscriptions were lost: ringing goes on, and leases live."""
    async with joined(servers[:1]) as bus:
        await bus.follow(["tea"])
        await bus.take_lease("a:1", ttl_s=60)
        with client_of(servers[0]) as client:
            assert client.client_kill_filter(_type="pubsub") == 1
        await bus.ring([Doorbell("tea", b"perhaps missed")])
        assert await bus.renew_lease("a:1", ttl_s=60)
        await hear_again(bus)
        await bus.ring([Doorbell("tea", END)])
        assert [Doorbell("tea", END)] == await hear(bus, until=END)


async def test_a_listener_that_redis_finds_too_slow_is_told(servers):
    """`client-output-buffer-limit`: while this process did not read, Redis gave it up."""
    async with joined(servers[:1]) as bus:
        await bus.follow(["tea"])
        with client_of(servers[0]) as client:
            before = client.config_get("client-output-buffer-limit")["client-output-buffer-limit"]
            client.config_set("client-output-buffer-limit", "pubsub 1mb 1mb 1")
            channel = bus._listeners[0].name_of("tea")
            for _ in range(40):
                client.publish(channel, bytes(1024 * 1024))  # it blocks this thread, and Trio
            assert client.client_list(_type="pubsub") == []
            client.config_set("client-output-buffer-limit", before)
        await hear_again(bus)
        await bus.ring([Doorbell("tea", END)])
        assert [Doorbell("tea", END)] == await hear(bus, until=END)


async def test_nothing_is_told_where_nothing_was_missed(servers):
    """A bus that begins before its server, and follows later, has missed nothing."""
    servers[0].stop()
    async with joined(servers[:1]) as bus:
        servers[0].start()
        with trio.fail_after(PATIENCE_S):
            while not all(one.is_up for one in bus.connections):  # noqa: ASYNC110 - they tell nobody
                await trio.sleep(0.02)
        await bus.follow(["tea"])
        await until_it_works(lambda: bus.ring([Doorbell("tea", END)]))
        assert [Doorbell("tea", END)] == await hear(bus, until=END)


async def test_who_may_not_hear_a_channel_is_told_and_nobody_else(servers):
    """A refusal shifts no answer: what else is asked on that connection is answered."""
    with client_of(servers[0]) as client:
        client.acl_setuser(
            "guest",
            enabled=True,
            passwords=["+secret"],
            keys=["*"],
            channels=["triolet:0:open"],
            commands=["+@all"],
            reset=True,
        )
    url = f"redis://guest:secret@127.0.0.1:{servers[0].port}"
    async with open_redis_bus([url], entropy=SystemEntropy(), limits=LIMITS) as bus:
        with pytest.raises(BusUnavailable, match="NOPERM"):
            await bus.follow(["closed"])
        await bus.unfollow(["closed"])
        await bus.follow(["open"])
        with pytest.raises(BusUnavailable, match="NOPERM"):
            await bus.ring([Doorbell("closed", b"1"), Doorbell("open", END)])
        assert [Doorbell("open", END)] == await hear(bus, until=END)


async def test_databases_and_prefixes_are_apart(servers):
    """Redis shares channels among databases; deployments do not."""
    urls = [servers[0].url(), servers[0].url(db=1), servers[0].url(prefix="other")]
    async with (
        open_redis_bus(urls[:1], entropy=SystemEntropy(), limits=LIMITS) as bus,
        open_redis_bus(urls[1:2], entropy=SystemEntropy(), limits=LIMITS) as database,
        open_redis_bus(urls[2:], entropy=SystemEntropy(), limits=LIMITS) as prefix,
    ):
        await bus.follow(["tea"])
        for other in (database, prefix):
            await other.take_lease("a:1", ttl_s=60)
            await other.ring([Doorbell("tea", b"theirs")])
        assert await bus.leases() == []
        await bus.ring([Doorbell("tea", END)])
        assert [Doorbell("tea", END)] == await hear(bus, until=END)


# --- several servers -------------------------------------------------------------------------


async def test_one_of_three_is_gone(servers):
    """What belongs to it fails, and the rest of the same call is done all the same."""
    channels = [channel_of(index) for index in range(3)]
    async with joined(servers) as anna, joined(servers) as ben:
        await ben.follow(channels)
        servers[1].kill()
        await trio.testing.wait_all_tasks_blocked(0.05)
        with pytest.raises(BusUnavailable) as caught:
            await anna.ring([Doorbell(channel, b"1") for channel in channels])
        assert caught.value.channels == [channels[1]]
        with pytest.raises(BusUnavailable) as caught:
            await anna.follow(channels)
        assert caught.value.channels == [channels[1]]
        heard = await ben.receive()
        while len(heard.doorbells) < 2:
            more = await ben.receive()
            heard = type(heard)((*heard.doorbells, *more.doorbells), more.reconnected)
        assert sorted(one.channel for one in heard.doorbells) == sorted(channels[::2])
        await anna.ring([Doorbell(channels[0], END)])
        assert [Doorbell(channels[0], END)] == await hear(ben, until=END)
        servers[1].start()
        await hear_again(ben)
        await until_it_works(lambda: anna.ring([Doorbell(channels[1], END)]))
        assert [Doorbell(channels[1], END)] == await hear(ben, until=END)


async def test_a_server_is_the_same_for_all_processes():
    """Not by `hash`, which each process salts."""
    from triolet.adapters.redis.address import Address

    bus = RedisBus([Address(host="nowhere")] * 3, SystemEntropy(), LIMITS)
    assert [bus.part_of(f"r:room-{number}") for number in range(8)] == [0, 1, 2, 0, 1, 0, 0, 1]


# --- opening ---------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["anna:wrong@{}/0", "{}/999"])
async def test_what_no_waiting_will_change_is_told_at_once(servers, where):
    """And without the password."""
    url = "redis://" + where.format(f"127.0.0.1:{servers[0].port}")
    with pytest.raises(ConfigurationError, match=r"refuses: (WRONGPASS|ERR DB index)") as caught:
        async with open_redis_bus([url], entropy=SystemEntropy(), limits=LIMITS):
            pytest.fail("it opened")
    assert "wrong@" not in str(caught.value)


async def test_what_the_block_raises_leaves_it_as_it_was(servers):
    with pytest.raises(ZeroDivisionError):
        async with joined(servers[:1]):
            raise ZeroDivisionError


async def test_without_urls_and_without_the_package(monkeypatch):
    with pytest.raises(ConfigurationError, match="not one URL"):
        async with open_redis_bus([], entropy=SystemEntropy(), limits=LIMITS):
            pytest.fail("it opened")
    monkeypatch.setattr("triolet.adapters.redis.opening.find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"triolet\[redis\]"):
        async with open_redis_bus(["redis://cache"], entropy=SystemEntropy(), limits=LIMITS):
            pytest.fail("it opened")


async def test_a_name_that_is_none_is_a_server_that_is_gone():
    """As one that the name service does not know: it opens, and each call fails."""
    async with open_redis_bus(["redis://a..b"], entropy=SystemEntropy(), limits=LIMITS) as bus:
        with pytest.raises(BusUnavailable):
            await bus.leases()


async def test_attempts_to_connect_are_spread_and_told_once(servers, caplog):
    """Each wait is longer, up to a second; one warning for the loss, one for the return."""
    servers[0].stop()
    caplog.set_level(logging.WARNING)

    def told(words):
        return sum(words in record.getMessage() for record in caplog.records)

    async with joined(servers[:1]), open_own_time() as time:
        await trio.sleep(0.5)
        servers[0].start()
        began = time.now()
        with trio.fail_after(PATIENCE_S):
            while told("): connected") < 2:  # noqa: ASYNC110 - a log is no event
                await trio.sleep(0.02)
        assert time.now() - began <= 1.2
    assert (2, 2) == (told("): all attempts to connect"), told("): connected"))
