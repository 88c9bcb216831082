"""What is measured. A scenario makes one sample a run: figures, and what was verified."""

from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeAlias

from ..load.window import Spent
from ..peers import Peer

# Before it is measured, caches fill and the queues find their length.
WARM_UP_PART: Final = 0.2


class Goal(NamedTuple):
    """What a figure is to reach."""

    sign: Literal["≥", "≤"]
    value: float

    def is_met(self, value: float) -> bool:
        """Tell whether `value` reaches it.

        >>> Goal("≤", 3).is_met(2.5)
        True
        """
        return value >= self.value if self.sign == "≥" else value <= self.value


class Figure(NamedTuple):
    """One number of a run."""

    name: str
    unit: str
    value: float
    goal: Goal | None = None


class Sample(NamedTuple):
    """One run.

    Attributes:
        variant: what tells it from other runs of the scenario.
        verified: counts that were checked, message by message.
        busy: parts of the time that the generator was busy, and that others took of a core:
            both tell how far the figures are the server's own.
    """

    scenario: str
    variant: str
    figures: tuple[Figure, ...]
    verified: dict[str, int]
    busy: dict[str, float]


class Options(NamedTuple):
    """How to run.

    Attributes:
        n: connections; 0: the scenario's own number.
        window: messages of one sender on their way; 0: the scenario's own number or numbers.
        seconds: measured load of one run.
        text_bytes: length of a message's text.
        echo: whether senders of `direct` follow their rooms too.
        store: the server's store; empty: its default.
        parent: where servers keep their data; None: the system's place for temporary files.
        told: called with the part of a run that is over, and what is being done.
    """

    peer: Peer
    n: int
    window: int
    seconds: float
    text_bytes: int
    echo: bool
    store: str
    parent: Path | None
    told: Callable[[float, str], None]

    @property
    def text(self) -> str:
        """The text of every message."""
        return ("hello there, this is a chat message " * 30_000)[: self.text_bytes]

    @property
    def store_name(self) -> str:
        """The store that is used."""
        return self.store or self.peer.stores[0]


Run: TypeAlias = Callable[[Options], Sample]


class Scenario(NamedTuple):
    """A scenario: its name, what it asks in one line, and its runs for given options.

    Each run starts a server of its own.
    """

    name: str
    asks: str
    runs: Callable[[Options], list[Run]]


def busy_of(spent: Spent) -> dict[str, float]:
    """Return a sample's `busy`."""
    return {
        "generator": spent.generator_cpu_s / spent.wall_s,
        "others": spent.others_s / spent.wall_s,
    }


def every() -> dict[str, Scenario]:
    """Return all scenarios by name."""
    from . import direct, fanout, idle  # noqa: PLC0415 - they import this module's nouns

    return {one.name: one for one in (direct.SCENARIO, fanout.SCENARIO, idle.SCENARIO)}
