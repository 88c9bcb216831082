"""A node of a world: the production engine over simulated sockets, disk and clock.

A node has one life after the other. When it crashes, nothing that its tasks still do on
their way out reaches the disk, the bus or a socket: Trio cannot take a task away, but what it
touches can be cut off.
"""

import socket
from collections.abc import Callable
from typing import cast, final

import trio

from ..._model.limits import Limits
from ..._runtime.engine import Engine
from ...adapters.tokens import TokenGate
from .buses import SimulatedBus
from .chance import SeededEntropy, SkewedClock
from .disk import Disk, Doom, NodeStore
from .hosts import Hosts
from .polling import SimulatedPoller
from .tokens import SECRET


@final
class Life:
    """One run of a node's process, from its start to its end.

    Attributes:
        name: of this run, and of no other.
    """

    def __init__(self, node: "Node", number: int) -> None:
        self.node = node
        self.name = name = f"{node.name}.{number}"
        self.scope = trio.CancelScope()
        self.store = NodeStore(node.disk, node.crash)
        self.bus = node.bus.join()
        self.leaving = trio.Event()
        self.is_over = False
        self.poller = SimulatedPoller()
        gate = TokenGate(
            clock=node.clock, limits=node.limits, secret=SECRET, revoked=self.store.revoked
        )
        self.engine = Engine(
            store=self.store,
            gate=gate,
            clock=node.clock,
            entropy=SeededEntropy(node.seed, name),
            limits=node.limits,
            poller=self.poller,
            bus=self.bus,
        )

    @property
    def is_running(self) -> bool:
        """Whether it has not died, nor come to its end."""
        return self.node.life is self

    def mend(self) -> None:
        """Have the disk and the bus do what they are asked."""
        self.store.release()
        self.store.doom = None
        self.bus.mend()

    async def run(self) -> None:
        """Serve until told to leave, or dead."""
        try:
            with self.scope:
                async with self.engine:
                    listener = self.node.hosts.listen(self.node.name, self.name)
                    self.engine.listen_on([cast(socket.socket, listener)])
                    await self.leaving.wait()
                    await self.engine.drain()
        finally:
            self.is_over = True
            # Whatever still waits for the disk waits no more.
            self.store.cut()
            self.node.bus.forget(self.bus)
            if self.node.life is self:
                self.node.life = None
                self.node.hosts.stop(self.node.name)


@final
class Node:
    """One machine that runs an engine.

    Attributes:
        clock: its wall clock.
        life: the process that runs now, None if there is none.
        lives: how many there were.
    """

    def __init__(
        self,
        name: str,
        *,
        seed: int,
        disk: Disk,
        bus: SimulatedBus,
        hosts: Hosts,
        limits: Limits,
        nursery: trio.Nursery,
        began: Callable[[str], None],
    ) -> None:
        self._began = began
        self.name = name
        self.seed = seed
        self.disk = disk
        self.bus = bus
        self.hosts = hosts
        self.limits = limits
        self.clock = SkewedClock()
        self.life: Life | None = None
        self.lives = 0
        self._nursery = nursery

    def start(self) -> None:
        """Run a new process, unless one runs."""
        if self.life is None:
            self.lives += 1
            self.life = Life(self, self.lives)
            self._began(self.life.name)
            self._nursery.start_soon(self.life.run)

    def stop(self) -> None:
        """Have the process leave in peace."""
        if self.life is not None:
            self.life.leaving.set()

    def crash(self, *, silently: bool = False) -> None:
        """End the process between two instructions.

        Args:
            silently: the machine has lost its power: nobody is told, peers wait in vain.
        """
        life, self.life = self.life, None
        if life is not None:
            life.store.cut()
            self.bus.forget(life.bus)
            self.hosts.kill(self.name, silently=silently)
            life.scope.cancel()

    def is_here_or_gone(self) -> bool:
        """Whether no process is about to leave."""
        return self.life is None or not self.life.leaving.is_set()

    def doom(self, where: Doom) -> None:
        """Have the process die in its next commit."""
        if self.life is not None:
            self.life.store.doom = where
