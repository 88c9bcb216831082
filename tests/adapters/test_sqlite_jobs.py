"""Jobs in SQLite keep the contract, and cost their own rows alone."""

from triolet._model.limits import Limits
from triolet.adapters.sqlite import open_sqlite_store
from triolet.testing.contracts import Home, JobContract


class TestSqliteJobs(JobContract):
    durable = True

    def open_store(self, home: Home):
        return open_sqlite_store(
            home.path / "store.db", clock=home.clock, entropy=home.entropy, limits=Limits()
        )
