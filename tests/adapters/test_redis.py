"""The bus over Redis keeps the contract of every bus; on Valkey too, and on three servers."""

import socket
from contextlib import ExitStack

import pytest
from msgspec.structs import replace
from trio.testing import wait_all_tasks_blocked

from triolet._model.limits import Limits
from triolet.adapters.redis import open_redis_bus
from triolet.adapters.system import SystemEntropy
from triolet.testing.contracts import BusContract, Home
from triolet.testing.services.redis import NoRedis, new_password, run_redis


@pytest.fixture(scope="module")
def servers(redis_server):
    """Servers by what the tests call them, started when they are first asked for."""
    with ExitStack() as stack:
        started = {"redis": redis_server}

        def server(name, kind="redis", **options):
            if name not in started:
                try:
                    started[name] = stack.enter_context(run_redis(kind, **options))
                except NoRedis as error:
                    pytest.skip(str(error))
            return started[name]

        yield server


class RedisBusContract(BusContract):
    def servers_of(self, servers):
        return [(servers("redis"), "")]

    @pytest.fixture(autouse=True)
    def deployment(self, servers):
        self.servers = self.servers_of(servers)
        self.prefixes = {}
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))  # nobody listens, and nobody else can
            self.nowhere = nobody.getsockname()[1]
            yield

    def open_bus(self, home: Home):
        prefix = self.prefixes.setdefault(home, SystemEntropy().token())
        urls = [server.url(user, prefix=prefix) for server, user in self.servers]
        return open_redis_bus(urls, entropy=SystemEntropy(), limits=Limits())

    async def cut(self, bus):
        self.addresses = [connection.address for connection in bus.connections]
        for connection in bus.connections:
            connection.address = replace(connection.address, port=self.nowhere)
            connection.link().lose("cut")
        await wait_all_tasks_blocked()

    async def mend(self, bus):
        for connection, address in zip(bus.connections, self.addresses, strict=True):
            connection.address = address


class TestOneServer(RedisBusContract):
    pass


class TestThreeServers(RedisBusContract):
    def servers_of(self, servers):
        return [(servers(name), "") for name in ("redis", "second", "third")]


class TestPassword(RedisBusContract):
    """Who has a password and a name is let in, and nobody else."""

    def servers_of(self, servers):
        users = {"anna": new_password(), "ben": new_password()}
        server = servers("closed", users=users)
        return [(server, "anna")]


class TestTls(RedisBusContract):
    def servers_of(self, servers):
        return [(servers("tls", tls=True), "")]


class TestValkey(RedisBusContract):
    def servers_of(self, servers):
        return [(servers("valkey", "valkey"), "")]
