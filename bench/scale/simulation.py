"""So many nodes in one process under a virtual clock: the production engine, each call counted.

The people of a node share rooms with those of all nodes, at random from a seed; each follows
their rooms and watches some of the others. A quiet minute is counted, and then what one
message each costs more than quiet.
"""

import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final, TypeAlias, cast, final

import trio
import trio.testing
from msgspec import Struct

from triolet._model.entries import Entry
from triolet._model.limits import Limits
from triolet.adapters.memory import MemoryBus, open_memory_store
from triolet.client import Client
from triolet.embedded import ClosedGate, Engine
from triolet.ports.bus import Bus
from triolet.ports.store import Store
from triolet.testing.world.chance import SeededEntropy, SkewedClock

from .counted import Counted, Counts

_SETTLING_S: Final = 30.0
_QUIET_S: Final = 60.0
# Messages are spread over so long, that the quiet of it can be taken off.
_BUSY_S: Final = 10.0
_WATCHED: Final = 5

Act: TypeAlias = Callable[[float], Awaitable[None]]

Act: TypeAlias = Callable[[float], Awaitable[None]]


@final
class Plan(Struct, frozen=True, kw_only=True):
    """What is simulated.

    Attributes:
        nodes: engines over one store and one bus.
        people: on each of them, with one device each.
        room: members of a room.
        rooms: rooms of a person, about.
    """

    nodes: int
    people: int = 20
    room: int = 8
    rooms: int = 3
    seed: int = 1


@final
class Counting(Struct, frozen=True, kw_only=True):
    """What was counted.

    Attributes:
        quiet: a second and a node, while nobody says anything.
        message: a message, beyond what quiet costs.
        spread: nodes that follow a room, mean.
        messages: sent, and acknowledged.
        delivered: entries that people saw.
    """

    plan: Plan
    quiet: dict[str, float]
    message: dict[str, float]
    spread: float
    messages: int
    delivered: int


def simulate(plan: Plan) -> Counting:
    """Run a plan from beginning to end."""
    return trio.run(_simulate, plan, clock=trio.testing.MockClock(autojump_threshold=0))


async def _simulate(plan: Plan) -> Counting:
    counts: Counts = Counter()
    async with _open(plan, counts) as stage:
        await stage.settle()
        quiet = await _counted(counts, _QUIET_S)
        before = stage.delivered
        spread = sum(map(stage.spread, stage.rooms)) / len(stage.rooms)
        busy = await _counted(counts, _BUSY_S, stage.speak)
        messages = len(stage.people)
        delivered = stage.delivered - before
    expected = sum(len(stage.rooms[stage.rooms_of[name][0]]) for name in stage.people)
    assert delivered == expected, f"{delivered} entries were seen, and {expected} sent"
    return Counting(
        plan=plan,
        quiet={key: count / _QUIET_S / plan.nodes for key, count in sorted(quiet.items())},
        message={
            key: (count - quiet[key] * _BUSY_S / _QUIET_S) / messages
            for key, count in sorted(busy.items())
        },
        spread=spread,
        messages=messages,
        delivered=delivered,
    )


async def _counted(counts: Counts, seconds: float, act: Act | None = None) -> Counts:
    counts.clear()
    began = trio.current_time()
    if act is not None:
        await act(seconds)
    await trio.sleep_until(began + seconds)
    return Counter(counts)


@asynccontextmanager
async def _open(plan: Plan, counts: Counts) -> AsyncIterator["_Stage"]:
    memory, clock = MemoryBus(), SkewedClock()
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(
            open_memory_store(clock=clock, entropy=SeededEntropy(plan.seed, "store"))
        )
        engines: list[Engine] = []
        for number in range(plan.nodes):
            engine = Engine(
                store=cast(Store, Counted(store, "store", counts)),
                gate=ClosedGate(),
                clock=clock,
                entropy=SeededEntropy(plan.seed, f"node {number}"),
                limits=Limits(),
                bus=cast(Bus, Counted(memory.join(), "bus", counts)),
            )
            engines.append(await stack.enter_async_context(engine))
        people = {
            f"n{number:04d}p{which:02d}": await stack.enter_async_context(
                engine.connect(f"n{number:04d}p{which:02d}")
            )
            for number, engine in enumerate(engines)
            for which in range(plan.people)
        }
        nursery = await stack.enter_async_context(trio.open_nursery())
        yield _Stage(plan, memory, people, nursery)
        nursery.cancel_scope.cancel()


@final
class _Stage:
    """The people, who is in which room with whom, and what they have seen."""

    def __init__(
        self, plan: Plan, bus: MemoryBus, people: dict[str, Client], nursery: trio.Nursery
    ) -> None:
        self.people = people
        self.rooms: dict[str, list[str]] = {}
        self.rooms_of: dict[str, list[str]] = {name: [] for name in people}
        self.delivered = 0
        self._bus = bus
        self._nursery = nursery
        self._random = random.Random(plan.seed)
        for _ in range(plan.rooms):
            names = self._random.sample(list(people), len(people))
            for start in range(0, len(names), plan.room):
                self._found(names[start : start + plan.room])

    def _found(self, members: list[str]) -> None:
        room = f"r{len(self.rooms):06d}"
        self.rooms[room] = members
        for name in members:
            self.rooms_of[name].append(room)

    def spread(self, room: str) -> int:
        """Return how many nodes follow a room."""
        return len(self._bus.followers.get(f"r:{room}", ()))

    async def settle(self) -> None:
        """Make the rooms, have everybody follow theirs and watch some others, and wait."""
        for room, (owner, *others) in self.rooms.items():
            await self.people[owner].create("group", room=room, members=others)
        names = list(self.people)
        for name, client in self.people.items():
            others = self._random.sample(names, min(_WATCHED, len(names)))
            await client.watch([other for other in others if other != name])
            for room in self.rooms_of[name]:
                await self._nursery.start(self._follow, client, room)
        await trio.sleep(_SETTLING_S)

    async def _follow(
        self, client: Client, room: str, *, task_status: trio.TaskStatus[None]
    ) -> None:
        await client.subscribe(room)
        with client.room_events(room) as events:
            task_status.started()
            async for event in events:
                self.delivered += isinstance(event, Entry)

    async def speak(self, seconds: float) -> None:
        """Have everybody say something in one of their rooms, in turn."""
        pause_s = seconds / 2 / len(self.people)
        for name, client in self.people.items():
            await client.send(self.rooms_of[name][0], "hello")
            await trio.sleep(pause_s)
