"""What is measured.

A scenario has cases; a case makes one sample a run: figures, and what was verified.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from ..load.window import Load, Spent
from ..peers import Peer
from ..server import Server

# Before it is measured, caches fill and the queues find their length.
WARM_UP_PART: Final = 0.2


class Figure(NamedTuple):
    """One number of a run."""

    name: str
    unit: str
    value: float


class Sample(NamedTuple):
    """One run.

    Attributes:
        case: what tells it from other runs of the scenario, the same for every peer.
        figures: the first one is what peers are compared by: a cost, so that less is better.
        verified: counts that were checked, message by message.
        busy: parts of the time that the generator was busy, and that others took of a core:
            both tell how far the figures are the server's own.
    """

    scenario: str
    case: str
    who: str
    figures: tuple[Figure, ...]
    verified: dict[str, int]
    busy: dict[str, float]


class Options(NamedTuple):
    """How to run.

    Attributes:
        n: connections; 0: the scenario's own number or numbers.
        window: messages of one sender on their way; 0: the scenario's own number or numbers.
        rate: messages a second, where a schedule sends them; 0: the scenario's own.
        seconds: measured load of one run.
        text_bytes: length of a message's text.
        echo: whether senders of `direct` follow their rooms too.
        full: whether `growth` goes as far as it can, which takes minutes.
        store: the server's store, one of the peer's.
        parent: where servers keep their data; None: the system's place for temporary files.
        told: called with the part of a run that is over, and what is being done.
    """

    peer: Peer
    n: int
    window: int
    rate: int
    seconds: float
    text_bytes: int
    echo: bool
    full: bool
    store: str
    parent: Path | None
    told: Callable[[float, str], None]

    @property
    def text(self) -> str:
        """The text of every message."""
        return text_of(self.text_bytes)

    @property
    def who(self) -> str:
        """What the measured server is called in tables."""
        return self.peer.name if len(self.peer.stores) == 1 else f"{self.peer.name} ({self.store})"

    def load(self, server: Server, window: int) -> Load:
        """Return the load of one run: warm up, then measure."""
        return Load(
            server,
            window,
            WARM_UP_PART * self.seconds,
            self.seconds,
            lambda part: self.told(part, "measuring"),
        )

    def connecting(self, count: int) -> Callable[[int], None]:
        """Return what is told while `count` connections are opened."""
        return lambda done: self.told(done / count, "connecting")


Run: TypeAlias = Callable[[Options], Sample]


class Case(NamedTuple):
    """One question of a scenario, and what answers it. Each run starts a server of its own.

    Attributes:
        stores: the stores it is asked of; empty: the peer's default alone.
        peers: whom it is asked; empty: everybody. Triolet always is.
    """

    name: str
    run: Run
    stores: tuple[str, ...] = ()
    peers: tuple[str, ...] = ()

    def is_asked_of(self, peer: str) -> bool:
        """Tell whether a peer takes part."""
        return not self.peers or peer in ("triolet", *self.peers)


class Scenario(NamedTuple):
    """A scenario: its name, what it asks in one line, and its cases for given options."""

    name: str
    asks: str
    cases: Callable[[Options], list[Case]]


def text_of(size: int) -> str:
    """Return a message's text of so many bytes."""
    return ("hello there, this is a chat message " * (size // 36 + 1))[:size]


def busy_of(spent: Spent) -> dict[str, float]:
    """Return a sample's `busy`."""
    return {
        "generator": spent.generator_cpu_s / spent.wall_s,
        "others": spent.others_s / spent.wall_s,
    }


def services_of(spent: Spent, units: int, unit: str) -> list[Figure]:
    """Return what the server's services spent, by the same unit as the server."""
    return [
        Figure(f"{name} CPU {unit}", "µs", 1e6 * cpu_s / max(1, units))
        for name, cpu_s in spent.services_s.items()
    ]


def every() -> dict[str, Scenario]:
    """Return all scenarios by name."""
    from . import (  # noqa: PLC0415 - they import this module's nouns
        connect,
        day,
        direct,
        fanout,
        growth,
        http,
        idle,
        jobs,
        latency,
        ping,
        resume,
        slow,
    )

    modules = (fanout, ping, slow, direct, latency, idle, connect, resume, growth, day, http, jobs)
    return {one.SCENARIO.name: one.SCENARIO for one in modules}
