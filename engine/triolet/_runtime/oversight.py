"""What administrators see of all nodes and do with them: statistics, sessions, announcements."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, final

import trio

from .._domain.observing import observed
from .._model.errors import ErrorCode, Refusal, StoreError
from .._model.events import Observed
from .._model.observation import JobsRow, Post, Sample
from .._wire.questions import SampleWanted
from ..ports.store import Draft, Stale
from .announcing import Announcing
from .counters import Counters
from .dashboard import Dashboard
from .observer import Observer
from .pipeline import written
from .rollcall import RollCall
from .roster import Roster

if TYPE_CHECKING:
    from .engine import Engine


# Rights can change under a decision; more often than this in a row is no accident.
_DECISIONS_MAX: Final = 5


@final
class Oversight:
    """See the module: the parts, put together.

    Attributes:
        dashboard: who is told again and again.
        roster: the sessions of all nodes.
        roll: how all nodes are asked.
        sample: how this node is.
    """

    def __init__(
        self,
        engine: "Engine",
        counters: Counters,
        spawn: Callable[[Callable[[], Awaitable[object]]], None],
        post: Post | None,
    ) -> None:
        self._engine = engine
        self._post = post
        self._observer = Observer(engine, counters, post)
        self.sample = self._observer.sample
        self.roll = RollCall(engine.nodes, others=engine.presence.others, spawn=spawn)
        self.roll.answer(SampleWanted, self._sample)
        self.dashboard = Dashboard(self.roll, engine.clock, self._jobs)
        self.roster = Roster(engine, self.roll)
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
        poll = await self.roll.ask(SampleWanted(), Sample)
        return observed(
            poll.answers,
            {},
            at=self._engine.clock.now_ms(),
            interval_ms=0,
            silent=poll.silent,
            jobs=await self._jobs(),
        )

    async def crew(self) -> list[Sample]:
        """Return how those are that share this node's port, this one first.

        Others are waited for 1 s; who has not answered is not among them.
        """
        if self._post is None:
            await trio.lowlevel.checkpoint()
            return [self.sample()]
        poll = await self.roll.ask(SampleWanted(), Sample)
        here = self._post.crew
        return [one for one in poll.answers.values() if one.post and one.post.crew == here]

    async def delete_room(self, room: str, *, by: str) -> None:
        """End a room for everybody, whoever its owners are; direct ones, too.

        Args:
            room: which.
            by: the user who does it.

        Raises:
            Refusal: `NO_SUCH_ROOM`, or what a store that fails is answered as.
            StoreError: it could not be looked at.
        """
        engine = self._engine
        engine.require_running()
        cid = engine.entropy.token()
        for _ in range(_DECISIONS_MAX):
            state = await engine.store.room(room)
            if state is None:
                raise Refusal(ErrorCode.NO_SUCH_ROOM)
            draft = Draft(
                room=room,
                sender=by,
                cid=cid,
                op="delete_room",
                facts=(),
                acl_ver=state.acl_ver,
                deletes=True,
            )
            outcome = await engine.writer.write(draft)
            if not isinstance(outcome, Stale):
                written(None, draft, outcome)
                return
        raise Refusal(ErrorCode.STORE_UNAVAILABLE, "its rights keep changing", retry_after_ms=1000)

    async def _sample(self, wanted: SampleWanted) -> Sample:
        del wanted
        await trio.lowlevel.checkpoint()
        return self._observer.sample()

    async def _jobs(self) -> tuple[JobsRow, ...]:
        try:
            found = await self._engine.jobs.statistics()
        except StoreError:
            return ()  # whoever looks sees by the rest that the store does not answer
        return tuple(
            (one.kind, one.waiting, one.running, one.dead, one.oldest_due_at) for one in found.kinds
        )
