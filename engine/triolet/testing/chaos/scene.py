"""What a fault can reach, and how it notes itself in the history."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Final, Literal, TypeAlias, final

import trio
from msgspec import Struct

from ..._model.errors import TrioletError
from .. import history
from .crowd import Crowd
from .process import Process, ProcessFailed
from .proxy import Proxy
from .system import System

Place: TypeAlias = Literal["process", "network", "clients", "bus", "store", "between"]

# Between two starts of what did not start.
_RESTART_S: Final = 0.5


class Violated(TrioletError):
    """Something that had to hold did not; the message says what."""


@final
class Scene(Struct, frozen=True):
    """What a fault can reach.

    Attributes:
        system: the system under test.
        proxies: ways to its nodes.
        crowd: its clients.
        random: the seed's.
        note: writes the history's `fault` lines.
        downs_s: how long a process was away, each time.
        now: the history's clock, in seconds.
        tempo: faults last so many times as long.
    """

    system: System
    proxies: tuple[Proxy, ...]
    crowd: Crowd
    random: Random
    note: Callable[[history.Event], None]
    downs_s: list[float]
    now: Callable[[], float]
    tempo: float = 1

    def process(self) -> tuple[str, Process]:
        """Choose one to strike."""
        name = self.random.choice(list(self.system.processes))
        return name, self.system.processes[name]

    def proxy(self) -> Proxy:
        """Choose one to make bad."""
        return self.random.choice(self.proxies)

    async def restart(self, process: Process) -> None:
        """Start a process again; what is backed by others may have to wait for them.

        Raises:
            ProcessFailed: it is backed by nothing, and did not start.
        """
        while True:
            try:
                await process.start()
            except ProcessFailed:
                await process.kill()
                if not self.system.backings:
                    raise
                await trio.sleep(_RESTART_S)
            else:
                return

    @contextmanager
    def during(self, verb: str, what: str) -> Iterator[None]:
        """Note a fault that goes on for the length of a block."""
        self.note(history.Fault(t=self.now(), verb=verb, what=what, phase="begins"))
        yield
        self.note(history.Fault(t=self.now(), verb=verb, what=what, phase="ends"))

    async def last(self, least_s: float, most_s: float) -> None:
        """Let it last a random time."""
        await trio.sleep(self.tempo * self.random.uniform(least_s, most_s))


Strike: TypeAlias = Callable[[Scene], Awaitable[None]]
