"""Who watches what the servers count, and how they are told: nothing runs while nobody does.

Each interval all nodes are asked what they have counted; rates are differences of two such
answers. A watcher that has not taken the last telling is passed over: the latest wins.
"""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, final

import trio

from .._domain.observing import observed
from .._model.observation import JobsRow, Sample
from .._wire.questions import SampleWanted
from ..ports.clock import Clock
from .rollcall import RollCall
from .room import event_frame

if TYPE_CHECKING:
    from .session import Session

# Other nodes are waited for so long each time; one that pauses is shown as silent meanwhile.
_PATIENCE_S: Final = 0.5


@final
class Watch:
    """One session's wish to be told."""

    __slots__ = ("due", "interval_s")

    def __init__(self, interval_s: float, *, due: float) -> None:
        self.interval_s = interval_s
        self.due = due


@final
class Dashboard:
    """See the module.

    Args:
        roll: asks all nodes.
        clock: what is told is dated by.
        jobs: how many jobs wait, by kind.
    """

    def __init__(
        self, roll: RollCall, clock: Clock, jobs: Callable[[], Awaitable[tuple[JobsRow, ...]]]
    ) -> None:
        self._roll = roll
        self._clock = clock
        self._jobs = jobs
        self._watches: dict[Session, Watch] = {}
        self._came = trio.Event()
        self._before: dict[str, Sample] = {}
        self._told_at = 0

    def watch(self, session: "Session", interval_s: float) -> None:
        """Tell a session so often from now on."""
        self._watches[session] = Watch(interval_s, due=trio.current_time())
        self._came.set()

    def unwatch(self, session: "Session") -> None:
        """Tell a session no more."""
        self._watches.pop(session, None)
        if not self._watches:
            self._before, self._told_at = {}, 0

    async def run(self) -> None:
        """Tell for as long as the engine lives."""
        while True:
            self._came = trio.Event()
            due = min((watch.due for watch in self._watches.values()), default=float("inf"))
            with trio.move_on_at(due):
                await self._came.wait()
            if self._is_due():
                await self._tell()

    def _is_due(self) -> bool:
        now = trio.current_time()
        return any(watch.due <= now for watch in self._watches.values())

    async def _tell(self) -> None:
        """Ask all nodes, and tell those whose time has come."""
        poll = await self._roll.ask(SampleWanted(), Sample, timeout_s=_PATIENCE_S)
        now_ms = self._clock.now_ms()
        event = observed(
            poll.answers,
            self._before,
            at=now_ms,
            interval_ms=now_ms - self._told_at if self._told_at else 0,
            silent=poll.silent,
            jobs=await self._jobs(),
        )
        if not self._watches:
            return  # everybody has gone meanwhile
        self._before, self._told_at = poll.answers, now_ms
        frames: dict[bool, bytes] = {}
        now = trio.current_time()
        for session, watch in list(self._watches.items()):
            if watch.due > now:
                continue
            # Not behind the last telling: a watcher that was late is not told twice for it.
            watch.due = now + watch.interval_s
            identity = session.identity
            if identity is None or "admin" not in identity.roles:
                self.unwatch(session)  # a newer token has taken the role away
            elif session.outbox.size <= session.outbox.bytes_low:
                text = session.text
                if text not in frames:
                    frames[text] = event_frame(event, text=text)
                session.outbox.post(frames[text])
