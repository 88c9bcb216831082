"""The bus of a world: the memory bus, whose doorbells are late, lost, doubled, or not heard."""

from random import Random
from typing import Final, final

import trio

from ...adapters.memory.bus import MemoryBus, MemoryNode
from ...ports.bus import Doorbell
from .network import Network, tick

# What a doorbell takes when all is well, at most; and when the bus is slow.
_USUAL_S: Final = 0.002
_LATE_S: Final = 0.5


@final
class SimulatedBus(MemoryBus):
    """A bus that may fail.

    Attributes:
        lost, doubled, late: how often (0 to 1) a doorbell is.
    """

    def __init__(self, network: Network, random: Random) -> None:
        super().__init__()
        self._network = network
        self._random = random
        self._deaf: dict[MemoryNode, None] = {}
        self.lost = self.doubled = self.late = 0.0

    def deafen(self, node: MemoryNode) -> None:
        """Have a node hear nothing more, though it is told that all is well."""
        self._deaf[node] = None

    def forget(self, node: MemoryNode) -> None:
        """Take away a node that has died."""
        self._deaf.pop(node, None)
        node.cut()

    def mend(self) -> None:
        """Have every doorbell heard once, and soon."""
        self.lost = self.doubled = self.late = 0.0
        self._deaf.clear()

    def carry(self, doorbell: Doorbell, to: MemoryNode) -> None:
        """Bring a doorbell to one follower, as well as the bus does."""
        chance = self._random.random
        if to in self._deaf or chance() < self.lost:
            return
        for _ in range(2 if chance() < self.doubled else 1):
            takes_s = _LATE_S if chance() < self.late else _USUAL_S
            at = tick(trio.current_time() + takes_s * chance())
            self._network.at(at, lambda: self._arrive(doorbell, to))

    def _arrive(self, doorbell: Doorbell, to: MemoryNode) -> None:
        if to not in self._deaf:
            to.hear(doorbell)
