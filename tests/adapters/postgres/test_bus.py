"""The bus over LISTEN and NOTIFY keeps the contract of every bus, whatever the server does."""

from contextlib import asynccontextmanager

import pytest
import trio

from triolet._model.limits import Limits
from triolet.adapters.postgres import open_postgres_bus
from triolet.testing.chaos.proxy import open_proxy
from triolet.testing.contracts import BusContract, Home
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
