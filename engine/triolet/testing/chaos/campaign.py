"""One run: clients talk, faults strike and are healed, everybody reads everything, and leaves.

What they saw is in the history, for the checker.
"""

import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from random import Random
from typing import Final, final
from urllib.parse import urlsplit, urlunsplit

import trio
from msgspec import Struct

from ..._model.commands import Place
from .. import history
from ..checker import Bounds
from . import rooms
from .crowd import Crowd, open_crowd
from .faults import FAULTS
from .person import HANDS
from .plan import Order, Plan, plan, seats
from .process import ProcessFailed, Usage
from .proxy import Proxy, open_proxy
from .scene import Place as Where
from .scene import Scene, Violated
from .system import System

# What a process opens at its first use and keeps: readers of its store, pipes between threads.
_SPARE_FILES: Final = 16
# Every so many cycles, several faults at once, one in each place.
_STORM_EVERY: Final = 5


@final
class Wishes(Struct, frozen=True, kw_only=True):
    """What is to be done.

    Attributes:
        faults: names of `FAULTS` to draw from.
        cycles: how many faults, or storms of them.
        seconds: no new fault begins later than this.
        clients: how many, in `workers` processes.
        rate: requests a second that all clients together aim at.
        seed: of all choices.
        tempo: faults last so many times as long as usual.
        patience_s: how long it may take after a fault until all is well, and in the end until
            all is answered, until all is read, until all have left, and until that shows.
        folder: where the parts of the history go.
    """

    faults: tuple[str, ...]
    cycles: int
    seconds: float
    clients: int
    workers: int
    rate: float
    seed: int
    folder: Path
    tempo: float = 1
    patience_s: float = 120


@final
class Outcome(Struct, kw_only=True):
    """What happened, besides the history.

    Attributes:
        struck: how often each fault was.
        cycles: how many were done.
        acked: acknowledgements.
        downs_s: how long a process was away, each time.
        before: what each process held before the first client.
        after: … and after the last one had left.
        violations: what does not hold, and no history shows.
        histories: the parts.
        bounds: how long what is told of people may lag behind them.
        seconds: how long the faults took.
    """

    struck: dict[str, int]
    cycles: int = 0
    acked: int = 0
    downs_s: list[float]
    before: dict[str, Usage | None]
    after: dict[str, Usage | None]
    violations: list[str]
    histories: list[Path]
    bounds: Bounds
    seconds: float = 0


async def campaign(
    system: System,
    wishes: Wishes,
    on_cycle: Callable[[], None] = lambda: None,
    is_enough: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Do all of it, and return what happened.

    Args:
        system: what is struck.
        wishes: what is to be done.
        on_cycle: called after each cycle.
        is_enough: asked before each; true: begin no more, and come to the end.

    Raises:
        OSError: the history cannot be written.
    """
    outcome = Outcome(
        struck={},
        downs_s=[],
        before={},
        after={},
        violations=[],
        histories=[],
        bounds=system.bounds,
    )
    run = f"chaos{wishes.seed}-{int(time.time()):x}"
    made = plan(run, wishes.clients)
    outcome.before = _usage(system)
    own = wishes.folder / "history-faults.jsonl"
    parts = [wishes.folder / f"history-{n}.jsonl" for n in range(1, wishes.workers + 1)]
    outcome.histories = [own, *parts]
    with history.Writer(own) as writer:
        try:
            places = await _found(system, wishes, made, writer)
            async with _ways(system.urls) as (ways, proxies):
                people = seats(made, places, ways=ways, token=system.token, seed=wishes.seed)
                pace_s = wishes.clients * HANDS / wishes.rate
                async with open_crowd(people, parts, pace_s) as crowd:
                    scene = Scene(
                        system=system,
                        proxies=proxies,
                        crowd=crowd,
                        random=Random(wishes.seed),  # noqa: S311 - to be repeatable
                        note=writer.write,
                        downs_s=outcome.downs_s,
                        now=time.monotonic,
                        tempo=wishes.tempo,
                    )
                    await _strike(scene, wishes, outcome, on_cycle, is_enough)
                    await _finish(scene, wishes.patience_s, places, writer)
                    outcome.acked = crowd.acked
            await _wait_let_go(system, wishes.patience_s, outcome)
        except* (Violated, ProcessFailed) as group:
            outcome.violations += [str(error) for error in leaves(group)]
    return outcome


def leaves(group: BaseExceptionGroup) -> Iterator[BaseException]:
    """Yield the exceptions of a group, and of groups in it."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from leaves(error)
        else:
            yield error


async def _found(
    system: System, wishes: Wishes, made: Plan, writer: history.Writer
) -> dict[Place, tuple[str, ...]]:
    with _patience(wishes.patience_s, f"{system.urls[0]}: no rooms could be made"):
        return await rooms.found(system, made, writer.write)


# --- faults ------------------------------------------------------------------------------


async def _strike(
    scene: Scene,
    wishes: Wishes,
    outcome: Outcome,
    on_cycle: Callable[[], None],
    is_enough: Callable[[], bool],
) -> None:
    await _be_back(scene, wishes, "at first")
    began, deck = trio.current_time(), Deck(wishes.faults, scene.random)
    for cycle in range(wishes.cycles):
        if is_enough() or trio.current_time() - began > wishes.seconds:
            break
        await scene.last(0.05, 0.6)
        names = deck.draw(is_storm=cycle % _STORM_EVERY == 1)
        async with trio.open_nursery() as nursery:
            for name in names:
                nursery.start_soon(FAULTS[name][1], scene)
                outcome.struck[name] = outcome.struck.get(name, 0) + 1
        await _be_back(scene, wishes, f"after {' + '.join(names)}")
        outcome.cycles += 1
        on_cycle()
    outcome.seconds = trio.current_time() - began


@final
class Deck:
    """Faults in random order, each as often as any other."""

    def __init__(self, faults: Sequence[str], random: Random) -> None:
        self._faults = faults
        self._random = random
        self._left: list[str] = []

    def draw(self, *, is_storm: bool) -> list[str]:
        """Return the next fault; in a storm, together with one of each other place."""
        if not self._left:
            self._left = self._random.sample(self._faults, len(self._faults))
        drawn = [self._left.pop()]
        if is_storm:
            others: dict[Where, list[str]] = {}
            for name in self._faults:
                if FAULTS[name][0] != FAULTS[drawn[0]][0]:
                    others.setdefault(FAULTS[name][0], []).append(name)
            drawn += map(self._random.choice, others.values())
        return drawn


async def _be_back(scene: Scene, wishes: Wishes, when: str) -> None:
    """Wait until everybody is connected, and as much again was acknowledged."""
    clients = wishes.clients
    enough = scene.crowd.acked + clients
    await _wait(
        scene.crowd,
        lambda: scene.crowd.online == clients and scene.crowd.acked >= enough,
        wishes.patience_s,
        lambda: (
            f"{when}, {scene.crowd.online} of {clients} clients are connected and"
            f" {enough - scene.crowd.acked} acknowledgements are missing"
        ),
    )


async def _wait(
    crowd: Crowd, is_so: Callable[[], bool], seconds: float, otherwise: Callable[[], str]
) -> None:
    with trio.move_on_after(seconds):
        while not is_so():
            await crowd.reported.park()
        return
    raise Violated(f"{otherwise()}, {seconds} s later")


# --- the end -----------------------------------------------------------------------------


async def _finish(
    scene: Scene,
    patience_s: float,
    places: dict[Place, tuple[str, ...]],
    writer: history.Writer,
) -> None:
    crowd = scene.crowd
    await crowd.tell(Order(verb="stop"))
    await _wait(
        crowd,
        lambda: crowd.are_all("quiet"),
        patience_s,
        lambda: f"{crowd.waiting} requests are unanswered",
    )
    heads = {}
    with _patience(patience_s, "the rooms cannot be read"):
        # Half of it for what was acknowledged to be there, the other half for reading.
        until = trio.current_time() + patience_s / 2
        for (room, _, _), members in places.items():
            least, user = crowd.heads.get(room, 0), members[0]
            heads[room] = await rooms.read(
                scene.system, room, user, writer.write, least=least, until=until
            )
    await crowd.tell(Order(verb="finish", heads=tuple(heads.items())))
    await _wait(
        crowd,
        lambda: crowd.are_all("read"),
        patience_s,
        lambda: "some clients have not seen everything",
    )
    writer.write(history.Settled(t=scene.now()))
    await crowd.tell(Order(verb="leave"))
    await _wait(crowd, lambda: crowd.are_all("done"), patience_s, lambda: "clients do not end")


@contextmanager
def _patience(seconds: float, otherwise: str) -> Iterator[None]:
    with trio.move_on_after(seconds) as scope:
        yield
    if scope.cancelled_caught:
        raise Violated(f"{otherwise}, {seconds} s later")


async def _wait_let_go(system: System, patience_s: float, outcome: Outcome) -> None:
    """Wait until the processes hold no more sockets than before the first client."""
    with trio.move_on_after(patience_s):
        while True:
            outcome.after = _usage(system)
            if not _leaks(outcome):
                return
            await trio.sleep(0.1)
    outcome.violations += _leaks(outcome)


def _leaks(outcome: Outcome) -> list[str]:
    found = []
    for name, after in outcome.after.items():
        before = outcome.before[name]
        if before is None or after is None:
            continue
        if after.files > before.files + _SPARE_FILES:
            found.append(f"{name} holds {after.files} files, {before.files} at first")
        if after.sockets > before.sockets:
            found.append(
                f"{name} holds {after.sockets} sockets after all clients have left,"
                f" {before.sockets} before they came"
            )
    return found


def _usage(system: System) -> dict[str, Usage | None]:
    return {name: process.usage() for name, process in system.processes.items()}


# --- ways --------------------------------------------------------------------------------


@asynccontextmanager
async def _ways(
    urls: Sequence[str],
) -> AsyncIterator[tuple[list[list[str]], tuple[Proxy, ...]]]:
    """Open a proxy before each node; half of the clients go by them, half directly."""
    async with AsyncExitStack() as stack:
        ways, proxies = [list(urls)], []
        for url in urls:
            parts = urlsplit(url)
            # The certificate behind `wss:` names its host, not ours.
            if parts.scheme == "ws" and parts.hostname is not None:
                proxies.append(
                    await stack.enter_async_context(open_proxy(parts.hostname, parts.port or 80))
                )
        if proxies:
            ways.append([_by(proxy, url) for proxy, url in zip(proxies, urls, strict=True)])
        yield ways, tuple(proxies)


def _by(proxy: Proxy, url: str) -> str:
    return urlunsplit(urlsplit(url)._replace(netloc=f"127.0.0.1:{proxy.port}"))
