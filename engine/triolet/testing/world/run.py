"""One run of a world: one Trio loop under a virtual clock, and not a grain of foreign chance."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from hashlib import blake2b
from types import SimpleNamespace
from typing import final
from unittest import mock

import trio
import wsproto.frame_protocol
import wsproto.utilities
from msgspec import Struct
from trio.testing import MockClock

from .. import history
from ..checker import Rule, check
from .chance import SeededEntropy
from .script import Script
from .world import World


@final
class Outcome(Struct, kw_only=True):
    """What came of a run.

    Attributes:
        complaints: what must not be; empty: every promise was kept.
        judged: how often the checker applied each of its rules.
        digest: of all that happened: equal runs have equal ones.
        virtual_s: how long it took in the world.
        entries: how many entries the rooms have in the end.
        connections: how often a client was welcomed.
        starts: how often a node was started.
        history: what clients did and saw.
    """

    complaints: list[str]
    judged: dict[Rule, int]
    digest: str
    virtual_s: float
    entries: int
    connections: int
    starts: int
    history: list[history.Event]


@final
class _Log(logging.Handler):
    """Hears what the engine calls an error: in a world, each is a bug."""

    def __init__(self, complaints: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._complaints = complaints

    def emit(self, record: logging.LogRecord) -> None:
        text = logging.Formatter().format(record)
        self._complaints.append(f"the engine logged: {text}")


@contextmanager
def determinism(seed: int) -> Iterator[None]:
    """Take chance out of Trio's scheduler and of wsproto's masks for as long as the block lasts.

    Trio shuffles the tasks of a turn with a private source of chance, which exists for tests
    such as these; with the flag set it puts them in order first.
    """
    chance = SeededEntropy(seed, "scheduler").random
    masks = SimpleNamespace(urandom=SeededEntropy(seed, "masks").random.randbytes)
    with ExitStack() as stack:
        # Trio's own, which its tests set.
        core = trio._core._run  # noqa: SLF001
        stack.enter_context(mock.patch.object(core, "_ALLOW_DETERMINISTIC_SCHEDULING", new=True))
        stack.enter_context(mock.patch.object(core, "_r", chance))
        for module in (wsproto.frame_protocol, wsproto.utilities):
            stack.enter_context(mock.patch.object(module, "os", masks))
        yield


def play(script: Script) -> Outcome:
    """Run a script from beginning to end."""
    with determinism(script.seed):
        return trio.run(_play, script, clock=MockClock(autojump_threshold=0))


async def _play(script: Script) -> Outcome:
    digest = blake2b(digest_size=16)
    engine_logger = logging.getLogger("triolet")
    async with trio.open_nursery() as nursery:
        world = World(script, nursery)
        handler = _Log(world.complaints)

        def witness(host: str, data: bytes) -> None:
            digest.update(b"%.6f %s " % (trio.current_time(), host.encode()))
            digest.update(data)

        world.network.witness = witness
        engine_logger.addHandler(handler)
        try:
            nursery.start_soon(world.network.run)
            await world.begin()
            await world.play()
            await world.settle()
            await world.look_back()
            await world.leave()
        finally:
            engine_logger.removeHandler(handler)
        nursery.cancel_scope.cancel()
    verdict = check(world.history, script.patience())
    return Outcome(
        complaints=world.complaints + [str(violation) for violation in verdict.violations],
        judged=verdict.judged,
        digest=digest.hexdigest(),
        virtual_s=trio.current_time(),
        entries=sum(len(e.entries) for e in world.history if isinstance(e, history.Stored)),
        connections=sum(isinstance(e, history.Connected) for e in world.history),
        starts=sum(node.lives for node in world.nodes),
        history=world.history,
    )
