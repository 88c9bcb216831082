"""The store in memory keeps the contract of every store."""

from contextlib import asynccontextmanager

from triolet.adapters.memory import MemorySource, MemoryStore, MemoryTarget, open_memory_store
from triolet.testing.contracts import Home, StoreContract, TransferContract


class TestMemoryStore(StoreContract):
    def open_store(self, home: Home):
        return open_memory_store(clock=home.clock, entropy=home.entropy)


class TestMemoryTransfer(TransferContract):
    """Homes keep their stores here, or there would be nothing to copy."""

    @asynccontextmanager
    async def open_store(self, home: Home):
        if not hasattr(home, "kept"):
            home.kept = MemoryStore(clock=home.clock, entropy=home.entropy)
        yield home.kept

    @asynccontextmanager
    async def open_source(self, home: Home, *, may_be_unfinished: bool = False):
        async with self.open_store(home) as store:
            yield MemorySource(store)

    @asynccontextmanager
    async def open_target(self, home: Home):
        async with self.open_store(home) as store:
            yield MemoryTarget(store)
