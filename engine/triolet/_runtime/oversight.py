"""What administrators see of all nodes and do with them: statistics, sessions, announcements."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, final

import trio

from .._domain.observing import observed
from .._model.events import Observed
from .._model.observation import JobsRow, Sample
from .._wire.questions import SampleWanted
from .announcing import Announcing
from .counters import Counters
from .dashboard import Dashboard
from .observer import Observer
from .rollcall import RollCall
from .roster import Roster

if TYPE_CHECKING:
    from .engine import Engine


@final
class Oversight:
    """See the module: the parts, put together.

    Attributes:
        dashboard: who is told again and again.
        roster: the sessions of all nodes.
        sample: how this node is.
    """

    def __init__(
        self,
        engine: "Engine",
        counters: Counters,
        spawn: Callable[[Callable[[], Awaitable[object]]], None],
    ) -> None:
        self._engine = engine
        self._observer = Observer(engine, counters)
        self.sample = self._observer.sample
        self._roll = RollCall(engine.nodes, others=engine.presence.others, spawn=spawn)
        self._roll.answer(SampleWanted, self._sample)
        self.dashboard = Dashboard(self._roll, engine.clock, self._jobs)
        self.roster = Roster(engine, self._roll)
        self.announce = Announcing(
            heartbeat=engine.heartbeat,
            presence=engine.presence,
            hub=engine.hub,
            nodes=engine.nodes,
            limits=engine.limits,
            spawn=spawn,
        ).announce

    async def observe(self) -> Observed:
        """Return what all nodes have counted since they began; others are waited for 1 s."""
        poll = await self._roll.ask(SampleWanted(), Sample)
        return observed(
            poll.answers,
            {},
            at=self._engine.clock.now_ms(),
            interval_ms=0,
            silent=poll.silent,
            jobs=await self._jobs(),
        )

    async def _sample(self, wanted: SampleWanted) -> Sample:
        del wanted
        await trio.lowlevel.checkpoint()
        return self._observer.sample()

    async def _jobs(self) -> tuple[JobsRow, ...]:
        await trio.lowlevel.checkpoint()
        return ()
