"""A network without wires: hosts, the links between them, and when which byte arrives.

Nothing here knows what the bytes mean. A link has latency, jitter, bandwidth, and can be cut:
what is on its way then arrives after the link is healed, as TCP's repetitions would.
"""

from collections.abc import Callable
from heapq import heappop, heappush
from math import ceil
from random import Random
from typing import TYPE_CHECKING, Final, final

import trio
from msgspec import Struct

if TYPE_CHECKING:
    from .sockets import Endpoint

# Moments of a second in which something may arrive; what is due in between arrives at the next.
_TICKS: Final = 1000
# After a cut, TCP tries again within about its retransmission timeout.
_REPEAT_S: Final = (0.2, 1.5)


@final
class Quality(Struct, frozen=True, kw_only=True):
    """How good links are.

    Attributes:
        latency_s: one way.
        jitter_s: at most so much more, by chance.
        bandwidth: bytes a second.
        buffer_bytes: what a connection holds in one direction, sent and not yet read.
        splits: how often (0 to 1) what was sent at once arrives in pieces.
    """

    latency_s: float = 0.02
    jitter_s: float = 0.01
    bandwidth: float = 1_000_000
    buffer_bytes: int = 64 * 1024
    splits: float = 0.05


@final
class Link:
    """What connects two hosts.

    Attributes:
        is_cut: whether nothing gets through.
        slow_s: latency above the usual.
    """

    def __init__(self) -> None:
        self.is_cut = False
        self.slow_s = 0.0
        self._on_heal: list[Callable[[], None]] = []

    def when_healed(self, go_on: Callable[[], None]) -> None:
        """Call `go_on` once, when the link is whole again."""
        self._on_heal.append(go_on)

    def cut(self) -> None:
        """Let nothing through."""
        self.is_cut = True

    def heal(self) -> None:
        """Let everything through again."""
        self.is_cut = False
        waiting, self._on_heal = self._on_heal, []
        for go_on in waiting:
            go_on()


@final
class Network:
    """Hosts by name, and one timetable for all that is on its way.

    Attributes:
        quality: of all links.
        random: the network's own chance.
        open: endpoints that are not closed; a dict, for its order.
        witness: sees who receives what, if somebody wants to know.
    """

    def __init__(self, quality: Quality, random: Random) -> None:
        self.quality = quality
        self.random = random
        self.open: dict[Endpoint, None] = {}
        self.witness: Callable[[str, bytes], None] | None = None
        self._links: dict[tuple[str, str], Link] = {}
        self._timetable: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._until_due = trio.CancelScope()

    async def run(self) -> None:
        """Let time pass: carry out what is due, as long as the world lives."""
        while True:
            due = self._timetable[0][0] if self._timetable else float("inf")
            with trio.CancelScope(deadline=due) as self._until_due:
                await trio.sleep_forever()
            now = trio.current_time()
            while self._timetable and self._timetable[0][0] <= now:
                heappop(self._timetable)[2]()

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is on its way."""
        return not self._timetable

    def is_whole(self) -> bool:
        """Whether no open connection is half open."""
        return not any(end.is_mute for end in self.open)

    def at(self, time: float, happens: Callable[[], None]) -> None:
        """Have something happen at a time, after all that was due then already."""
        self._count += 1
        heappush(self._timetable, (time, self._count, happens))
        self._until_due.deadline = min(self._until_due.deadline, time)

    def link(self, one: str, other: str) -> Link:
        """Return the link between two hosts, whichever is named first."""
        key = (one, other) if one <= other else (other, one)
        link = self._links.get(key)
        if link is None:
            link = self._links[key] = Link()
        return link

    def links(self, host: str) -> list[Link]:
        """Return all links of a host that were ever used."""
        return [link for key, link in self._links.items() if host in key]

    def heal(self) -> None:
        """Make every link whole, and as fast as ever."""
        for link in self._links.values():
            link.slow_s = 0.0
            link.heal()

    def travel_s(self, link: Link) -> float:
        """Return how long the next bytes are under way."""
        quality = self.quality
        return quality.latency_s + link.slow_s + quality.jitter_s * self.random.random()

    def repeat_s(self) -> float:
        """Return when TCP tries again after a cut."""
        return self.random.uniform(*_REPEAT_S)


def tick(time: float) -> float:
    """Return `time`, rounded up.

    >>> tick(1.0001)
    1.001
    """
    return ceil(time * _TICKS) / _TICKS
