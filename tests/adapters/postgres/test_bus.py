"""The bus over LISTEN and NOTIFY keeps the contract of every bus, whatever the server does."""

from contextlib import asynccontextmanager

import pytest
import trio

from triolet._model.errors import BusUnavailable
from triolet._model.limits import Limits
from triolet.adapters.postgres import open_postgres_bus
from triolet.ports.bus import Doorbell
from triolet.testing.chaos.proxy import open_proxy
from triolet.testing.contracts import BusContract, Home
from triolet.testing.contracts.buses import hear, hear_again
from triolet.testing.entropy import CountingEntropy


class TestPostgresBus(BusContract):
    @pytest.fixture(autouse=True)
    def schemas(self, postgres_server, postgres_url):
        """A schema of one database for each deployment, a way to it for each node."""
        self.server, self.database = postgres_server, postgres_url.rpartition("/")[2]
        self.by_home, self.ways = {}, {}

    @asynccontextmanager
    async def open_bus(self, home: Home):
        if home not in self.by_home:
            self.by_home[home] = schema = f"deployment_{len(self.by_home)}"
            self.server.execute(f"CREATE SCHEMA {schema}", self.database)
        async with open_proxy("127.0.0.1", self.server.port) as proxy:
            options = f"?options=-csearch_path%3D{self.by_home[home]}"
            url = f"postgresql://postgres@127.0.0.1:{proxy.port}/{self.database}{options}"
            async with open_postgres_bus(url, entropy=CountingEntropy(), limits=Limits()) as bus:
                self.ways[bus] = proxy
                yield bus

    async def cut(self, bus):
        self.ways[bus].refuse()
        self.ways[bus].cut()
        # The reset is on its way.
        await trio.sleep(0.1)

    async def mend(self, bus):
        self.ways[bus].heal()


@pytest.fixture
def restored(postgres_server):
    """The server, which the test may stop: it runs again afterwards."""
    yield postgres_server
    if not postgres_server.pid:
        postgres_server.start()


def a_bus(url, **bounds):
    return open_postgres_bus(url, entropy=CountingEntropy(), limits=Limits(**bounds))


async def until_it_works(call, *arguments):
    """Call until it succeeds."""
    while True:
        try:
            return await call(*arguments)
        except BusUnavailable:
            await trio.sleep(0.05)


@pytest.mark.parametrize("how", ["stop", "crash"])
async def test_a_server_that_restarts_is_heard_again(postgres_url, restored, how):
    """Calls fail meanwhile; then each node is told that it may have missed something, once."""
    async with a_bus(postgres_url) as anna, a_bus(postgres_url) as ben:
        await ben.follow(["tea"])
        await until_it_works(anna.ring, [Doorbell("tea", b"1")])
        assert [Doorbell("tea", b"1")] == await hear(ben, until=b"1")

        await trio.to_thread.run_sync(getattr(restored, how))
        with trio.fail_after(60), pytest.raises(BusUnavailable):
            await anna.ring([Doorbell("tea", b"lost")])
        await trio.to_thread.run_sync(restored.start)

        with trio.fail_after(60):
            assert [] == await hear_again(ben)
            await until_it_works(ben.follow, ["cake"])
            await until_it_works(anna.ring, [Doorbell("cake", b"2"), Doorbell("tea", b"3")])
        assert [b"2", b"3"] == [one.frame for one in await hear(ben, until=b"3")]


async def test_a_crash_of_the_server_ends_all_leases(postgres_url, restored):
    """What was told is gone: whoever renews is told so, and begins another."""
    async with a_bus(postgres_url) as bus:
        await bus.take_lease("a:1", ttl_s=60)
        await bus.put_states("a:1", {"carl": b"online"})
        await trio.to_thread.run_sync(restored.crash)
        await trio.to_thread.run_sync(restored.start)

        with trio.fail_after(60):
            assert not await until_it_works(lambda: bus.renew_lease("a:1", ttl_s=60))
            assert [{}] == await until_it_works(bus.states, ["carl"])
            await until_it_works(lambda: bus.take_lease("a:2", ttl_s=60))


async def test_a_bus_opens_before_its_database_does(postgres_url, restored):
    """A node that starts first is no failure: it hears as soon as there is something to hear."""
    restored.stop()
    async with a_bus(postgres_url) as bus:
        with pytest.raises(BusUnavailable):
            await bus.follow(["tea"])
        await trio.to_thread.run_sync(restored.start)
        with trio.fail_after(60):
            await until_it_works(bus.follow, ["tea"])
            await until_it_works(bus.ring, [Doorbell("tea", b"1")])
            assert [Doorbell("tea", b"1")] == list((await bus.receive()).doorbells)


async def test_a_long_frame_that_is_cleared_away_is_told(postgres_url, postgres_server):
    """Who was too slow to fetch it has missed something."""
    async with a_bus(postgres_url) as bus:
        await bus.follow(["tea"])
        postgres_server.execute(
            "CREATE FUNCTION gone() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
            "CREATE TRIGGER gone BEFORE INSERT ON triolet_frames"
            " FOR EACH ROW EXECUTE FUNCTION gone()",
            postgres_url.rpartition("/")[2],
        )
        await bus.ring([Doorbell("tea", bytes(200_000)), Doorbell("tea", b"2")])
        assert [] == [one for one in await hear_again(bus) if len(one.frame) > 1]
