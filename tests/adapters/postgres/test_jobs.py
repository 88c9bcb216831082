"""Jobs in PostgreSQL keep the contract on a real server, and nobody waits for another."""

import pytest

from triolet._model.limits import Limits
from triolet.adapters.postgres import open_postgres_store
from triolet.testing.contracts import Home, JobContract


class TestPostgresJobs(JobContract):
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
