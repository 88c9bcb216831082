"""The bus in memory keeps the contract of every bus."""

import pytest

from triolet.adapters.memory import MemoryBus, open_memory_bus
from triolet.testing.contracts import BusContract, Home


@pytest.mark.usefixtures("autojump_clock")
class TestMemoryBus(BusContract):
    @pytest.fixture(autouse=True)
    def buses(self):
        """A bus for each deployment."""
        self.by_home = {}

    def open_bus(self, home: Home):
        return open_memory_bus(self.by_home.setdefault(home, MemoryBus()))

    async def cut(self, bus):
        bus.cut()

    async def mend(self, bus):
        bus.mend()


async def test_a_node_that_has_left_leaves_nothing():
    """No follower is left of who has joined, followed and gone."""
    bus = MemoryBus()
    async with open_memory_bus(bus) as node:
        await node.follow(["tea"])
        assert list(bus.followers) == ["tea"]
    assert bus.followers == {}
