"""The store in memory keeps the contract of every store."""

from triolet.adapters.memory import open_memory_store
from triolet.testing.contracts import Home, StoreContract


class TestMemoryStore(StoreContract):
    def open_store(self, home: Home):
        return open_memory_store(clock=home.clock, entropy=home.entropy)
