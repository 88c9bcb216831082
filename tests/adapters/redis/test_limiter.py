"""The limiter on Redis keeps the contract of every limiter; without Redis a node bounds alone."""

import logging
import socket
from contextlib import ExitStack, contextmanager

import pytest
import redis
import trio
from msgspec.structs import replace
from own_time import open_own_time
from trio.testing import wait_all_tasks_blocked

from triolet._model.limits import Limits
from triolet.adapters.redis import open_redis_limiter
from triolet.adapters.system import SystemEntropy
from triolet.ports.limiter import Quota
from triolet.testing.contracts import Home, LimiterContract
from triolet.testing.services.redis import NoRedis, run_redis

LIMITS = Limits()
PATIENCE_S = 60


class RedisLimiterContract(LimiterContract):
    @pytest.fixture(autouse=True)
    def deployment(self, server):
        self.server = server
        self.prefixes = {}
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))  # nobody listens, and nobody else can
            self.nowhere = nobody.getsockname()[1]
            yield

    def open_limiter(self, home: Home):
        prefix = self.prefixes.setdefault(home, SystemEntropy().token())
        urls = [self.server.url(prefix=prefix)]
        return open_redis_limiter(urls, entropy=SystemEntropy(), limits=LIMITS)

    async def cut(self, limiter):
        (connection,) = limiter.connections
        self.address = connection.address
        connection.address = replace(connection.address, port=self.nowhere)
        connection.link().lose("cut")
        await wait_all_tasks_blocked()

    async def mend(self, limiter):
        limiter.connections[0].address = self.address
        await until_up(limiter)


async def until_up(limiter):
    with trio.fail_after(PATIENCE_S):
        while not limiter.connections[0].is_up:  # noqa: ASYNC110 - a connection tells nobody
            await trio.sleep(0.01)


@contextmanager
def running(*kinds):
    with ExitStack() as stack:
        try:
            yield [stack.enter_context(run_redis(kind)) for kind in kinds]
        except NoRedis as error:
            pytest.skip(str(error))


@pytest.fixture(scope="module")
def valkey_server():
    with running("valkey") as (server,):
        yield server


class TestRedis(RedisLimiterContract):
    @pytest.fixture
    def server(self, redis_server):
        return redis_server


class TestValkey(RedisLimiterContract):
    @pytest.fixture
    def server(self, valkey_server):
        return valkey_server


async def test_a_server_that_forgot_the_script_is_told_it_again(redis_server):
    """And what is full again is no more there than the script was."""
    quota = Quota("login:anna", rate=20, burst=1)
    urls = [redis_server.url(prefix="forgetful")]
    async with open_redis_limiter(urls, entropy=SystemEntropy(), limits=LIMITS) as limiter:
        with redis.Redis("127.0.0.1", redis_server.port) as client:
            for _ in range(2):
                client.script_flush()
                began = trio.current_time()
                assert not (await limiter.take([quota])).wait_s
                left_ms = client.pttl("forgetful:quota:login:anna")
                # On a busy machine it may be full again, and gone, before it is looked at.
                is_late = trio.current_time() - began >= 0.05
                assert 0 < left_ms <= 50 or (is_late and left_ms == -2)
                await trio.sleep(0.06)
                assert not client.exists("forgetful:quota:login:anna")
    assert not limiter.is_alone


async def test_a_server_that_hangs_makes_nobody_wait_for_long(caplog):
    """Half a second once, then nothing; a warning, and one more when it is over."""
    quota = Quota("login:anna", rate=0.001, burst=2)
    caplog.set_level(logging.WARNING, "triolet.adapters.redis.limiter")
    with running("redis") as (server,):
        async with (
            open_redis_limiter([server.url()], entropy=SystemEntropy(), limits=LIMITS) as limiter,
            open_own_time() as time,
        ):
            server.pause()
            try:
                began = time.now()
                waits = [(await limiter.take([quota])).wait_s for _ in range(3)]
                assert [bool(wait_s) for wait_s in waits] == [False, False, True]
                assert time.now() - began < 4 * LIMITS.limiter_timeout_s
                with trio.fail_after(PATIENCE_S):
                    while limiter.connections[0].is_up:  # noqa: ASYNC110 - it tells nobody
                        await trio.sleep(0.05)
                began = time.now()
                assert (await limiter.take([quota])).wait_s
                assert time.now() - began < LIMITS.limiter_timeout_s / 2
                assert told(caplog) == ["rates are not shared, and each node bounds alone"]
            finally:
                server.resume()
            await until_up(limiter)
            # Half a second without the processor is silence, too.
            with trio.fail_after(PATIENCE_S):
                while limiter.is_alone:
                    await limiter.take([Quota("login:ben", rate=1, burst=1)])
    assert told(caplog)[:2] == [
        "rates are not shared, and each node bounds alone",
        "rates are shared with other nodes again",
    ]


def told(caplog):
    records = [record for record in caplog.records if record.name.endswith(".limiter")]
    return [record.getMessage().split(":")[0] for record in records]
