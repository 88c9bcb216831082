"""A store in PostgreSQL moves, and is moved into, as every store is."""

import pytest

from triolet._model.limits import Limits
from triolet.adapters.postgres import (
    open_postgres_source,
    open_postgres_store,
    open_postgres_target,
)
from triolet.testing.contracts import Home, TransferContract


class TestPostgresTransfer(TransferContract):
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

    def url(self, home: Home):
        if home.path not in self.urls:
            self.urls[home.path] = self.new_url()
        return self.urls[home.path]

    def open_store(self, home: Home):
        return open_postgres_store(
            self.url(home), clock=home.clock, entropy=home.entropy, limits=Limits()
        )

    def open_source(self, home: Home, *, may_be_unfinished: bool = False):
        return open_postgres_source(
            self.url(home),
            entropy=home.entropy,
            limits=Limits(),
            may_be_unfinished=may_be_unfinished,
        )

    def open_target(self, home: Home):
        return open_postgres_target(self.url(home), entropy=home.entropy, limits=Limits())
