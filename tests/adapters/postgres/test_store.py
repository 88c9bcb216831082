"""The store in PostgreSQL keeps the contract of every store, on a real server."""

import pytest

from triolet._model.limits import Limits
from triolet.adapters.postgres import open_postgres_store
from triolet.ports.documents import Change
from triolet.testing.contracts import Home, StoreContract
from triolet.testing.contracts import drafting as d
from triolet.testing.services.pgbouncer import NoPgBouncer, run_pgbouncer


class TestPostgresStore(StoreContract):
    durable = True

    @pytest.fixture(autouse=True)
    def _databases(self, postgres_server, postgres_template):
        self.urls = {}
        self.new_url = lambda: postgres_server.url(
            postgres_server.create_database(postgres_template)
        )
        yield
        for url in self.urls.values():
            postgres_server.drop_database(url.rsplit("/", 1)[1])

    def open_store(self, home: Home):
        if home.path not in self.urls:
            self.urls[home.path] = self.new_url()
        return open_postgres_store(
            self.urls[home.path], clock=home.clock, entropy=home.entropy, limits=Limits()
        )


async def test_it_is_the_same_behind_a_pooler(postgres_server, postgres_url, tmp_path):
    """Each call is one statement, so a pooler that keeps transactions together is enough."""
    home, database = Home(tmp_path), postgres_url.rpartition("/")[2]
    try:
        with run_pgbouncer(postgres_server, mode="transaction") as port:
            url = f"postgresql://anybody@127.0.0.1:{port}/{database}?prepare=0"
            async with open_postgres_store(
                url, clock=home.clock, entropy=home.entropy, limits=Limits()
            ) as store:
                await d.append(store, d.founding("a", "anna"), d.say("a", "anna", "1", "one"))
                await d.append(store, d.edit("a", "anna", "2", 2, "two"), d.react("a", "b", "3", 2))
                epoch = await store.new_generation()
                await d.append(store, d.say("a", "anna", "4", "three"))
                slice_ = await d.history(store, "a")
                assert (["two", "three"], epoch) == (d.texts(slice_.messages), slice_.epoch)
                assert await store.documents.write([Change("a", b"1", 0), Change("b", None)])
                assert not await store.documents.write([Change("a", b"2", 0)])
                assert [b"1"] == [one.value for one in await store.documents.scan("a", limit=9)]
    except NoPgBouncer as error:
        pytest.skip(str(error))
