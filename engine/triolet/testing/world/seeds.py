"""Many seeds, in several processes: each is drawn, played and judged, and one line is returned."""

import gc
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from types import FrameType
from typing import Final, final

from msgspec import Struct

from .run import play
from .scenario import Plan, draw
from .verbs import VERBS

# Processor time that no seed takes, nor a day of a long one: it goes round without waiting.
_HANGS_S: Final = 300
_DAY_H: Final = 24


@final
class Verdict(Struct, frozen=True, kw_only=True):
    """What came of one seed: see `run.Outcome`.

    Attributes:
        client_s: simulated time, summed over the devices.
        connections: how often a client was welcomed.
        starts: how often a node was started.
        faults: how often each verb was done.
    """

    seed: int
    complaints: tuple[str, ...]
    client_s: float = 0
    entries: int = 0
    connections: int = 0
    starts: int = 0
    faults: dict[str, int] = {}


@final
class WorldHangs(Exception):
    """A world has taken very much processor time: something goes round without waiting."""


def judge(seed: int, plan: Plan) -> Verdict:
    """Play one seed."""
    script = draw(seed, plan)
    try:
        with _alarm(_HANGS_S * max(1, plan.hours / _DAY_H)), _interruptible():
            outcome = play(script)
    except Exception as error:  # noqa: BLE001 - whatever ends a world is what is looked for
        return Verdict(seed=seed, complaints=(f"the world ended: {error!r}",))
    verbs = Counter(step.verb for step in script.steps if step.verb in VERBS)
    return Verdict(
        seed=seed,
        complaints=tuple(outcome.complaints),
        client_s=outcome.virtual_s * script.people * script.devices,
        entries=outcome.entries,
        connections=outcome.connections,
        starts=outcome.starts,
        faults=dict(verbs),
    )


@contextmanager
def _alarm(after_s: float) -> Iterator[None]:
    def ring(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise WorldHangs(f"not over within {after_s:.0f} s of processor time")

    before = signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, after_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl+C out of the nurseries of a world."""
    try:
        yield
    except BaseExceptionGroup as group:
        if group.subgroup(KeyboardInterrupt) is None:
            raise
        raise KeyboardInterrupt from None


def _begin() -> None:
    # Ctrl+C is the parent's, which ends the others by SIGTERM, whatever they are doing.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # What was imported is never garbage, and a world is a few thousand objects.
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def judge_all(seeds: range, plan: Plan, *, jobs: int) -> Iterator[Verdict]:
    """Play seeds in so many processes; yield what came of them, in their order."""
    if jobs == 1:
        yield from (judge(seed, plan) for seed in seeds)
        return
    # Forked before any thread or loop is there; nothing is imported again.
    with get_context("fork").Pool(jobs, _begin) as pool:
        yield from pool.imap(partial(judge, plan=plan), seeds, chunksize=1)
