from triolet._model.limits import Limits
from triolet.adapters.sqlite import open_sqlite_store
from triolet.testing.contracts import Home, StoreContract


class TestSqliteStore(StoreContract):
    durable = True

    def open_store(self, home: Home):
        return open_sqlite_store(
            home.path / "store.db", clock=home.clock, entropy=home.entropy, limits=Limits()
        )
