"""A day of a chat in a few seconds: who does what when is drawn before it begins."""

import random
import time
from array import array
from collections.abc import Sequence
from itertools import accumulate
from typing import Final, NamedTuple, Protocol, final

from ..peers import Peer
from ..peers.crowd import Client, Plan
from ..server import Server
from .links import Link
from .loop import Loop
from .window import Edge, Spent, edge_now, spent_between

# How often people do what, in a hundred.
DEEDS: Final = {"message": 45, "typing": 20, "read": 20, "react": 10, "edit": 4, "leave": 1}
# Sizes of rooms are as often between 2 and 20 as between 20 and 200.
_SIZE_MIN: Final = 2
_SIZE_MAX: Final = 200
# What was done must be acknowledged and delivered so soon after the last deed.
_TIMEOUT_S: Final = 30


class Deed(NamedTuple):
    """Something that somebody does, at a time from the beginning, s."""

    at: float
    guest: int
    room: int
    what: str


class DayClient(Client, Protocol):
    """A client that does things."""

    def do(self, deed: Deed) -> bytes:
        """Return the frame that does it."""
        ...


class Day(Protocol):
    """One run's clients, and what is known of their rooms.

    Attributes:
        deliveries: verified entries so far.
        latencies: of entries from the deed to each delivery, s, while it is an array.
    """

    guests: Sequence[DayClient]
    deliveries: int
    latencies: "array[float] | None"

    def is_settled(self) -> bool:
        """Whether everything is acknowledged, and everybody has it."""
        ...

    def verify(self) -> dict[str, int]:
        """Return counts of what was verified; raises `Unexpected`."""
        ...


class Lived(NamedTuple):
    """What became of a day; `counts` of `spent` are deliveries and deeds."""

    spent: Spent
    latencies: "array[float]"
    done: dict[str, int]


def plan_day(guests: int, rooms: int, seed: int) -> Plan:
    """Return who is in which room: rooms of 2 to 200, their members drawn."""
    chance = random.Random(seed)
    rooms_of: list[list[int]] = [[] for _ in range(guests)]
    for room in range(rooms):
        size = round(_SIZE_MIN * (_SIZE_MAX / _SIZE_MIN) ** chance.random())
        for guest in chance.sample(range(guests), min(guests, size)):
            rooms_of[guest].append(room)
    return Plan(guests, rooms, tuple(map(tuple, rooms_of)))


def draw_deeds(plan: Plan, *, rate: float, seconds: float, seed: int) -> list[Deed]:
    """Return deeds at random times; the k-th busiest room has 1/k of the busiest one's."""
    chance = random.Random(seed)
    members = plan.members()
    busiest = list(range(plan.rooms))
    chance.shuffle(busiest)
    rooms_upto = list(accumulate(1 / rank for rank in range(1, plan.rooms + 1)))
    deeds_upto = list(accumulate(DEEDS.values()))
    deeds: list[Deed] = []
    at = chance.expovariate(rate)
    while at < seconds:
        (room,) = chance.choices(busiest, cum_weights=rooms_upto)
        (what,) = chance.choices(list(DEEDS), cum_weights=deeds_upto)
        deeds.append(Deed(at, chance.choice(members[room]), room, what))
        at += chance.expovariate(rate)
    return deeds


@final
class DayLoad:
    """The load. See the module."""

    def __init__(self, loop: Loop, server: Server, peer: Peer, day: Day) -> None:
        self._loop = loop
        self._server = server
        self._day = day
        self._links = [
            Link(loop, server.port, peer, guest, seed) for seed, guest in enumerate(day.guests)
        ]
        # What was done; `away`: somebody was to do something and was not there.
        self._done = dict.fromkeys((*DEEDS, "away"), 0)

    def run(self, deeds: Sequence[Deed], *, warm_up_s: float, seconds: float) -> Lived:
        """Have everybody come, live the day, and wait until everybody has everything.

        Raises:
            Unexpected: something is lost, repeated, or not in its place.
        """
        for link in self._links:
            link.come()
        self._loop.run(self._all_back, _TIMEOUT_S, "coming")
        began = time.perf_counter()
        edges: list[Edge] = []
        latencies = array("d")

        def begin() -> None:
            edges.append(self._edge())
            self._day.latencies = latencies

        def end() -> None:
            edges.append(self._edge())
            self._day.latencies = None

        self._loop.call_at(began + warm_up_s, begin)
        for deed in deeds:
            self._loop.call_at(began + deed.at, lambda deed=deed: self._do(deed))
        self._loop.call_at(began + warm_up_s + seconds, end)
        total_s = warm_up_s + seconds + _TIMEOUT_S
        self._loop.run(lambda: len(edges) == 2 and self._settled(), total_s, "the day")
        return Lived(spent_between(*edges), latencies, self._done)

    def _edge(self) -> Edge:
        deeds = sum(count for what, count in self._done.items() if what != "away")
        return edge_now(self._server, (self._day.deliveries, deeds))

    def _do(self, deed: Deed) -> None:
        link = self._links[deed.guest]
        if not link.is_back:
            self._done["away"] += 1
            return
        self._done[deed.what] += 1
        if deed.what == "leave":
            link.cut()
            link.come()
        else:
            link.send(self._day.guests[deed.guest].do(deed))

    def _all_back(self) -> bool:
        return all(link.is_back for link in self._links)

    def _settled(self) -> bool:
        return self._day.is_settled() and self._all_back()
