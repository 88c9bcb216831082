"""Doorbells that were rung for what has been read meanwhile are taken back before they are due.

Without it each would wake up, find that there is nothing to tell, and end. Which they are is known
where they were rung, in memory: what is forgotten, or was rung by another node, ends like that.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Final, final

from msgspec import Struct

from triolet._model.errors import StoreError
from triolet._runtime.coalescer import Coalescer
from triolet._runtime.engine import Engine
from triolet.ports.jobs import JOBS_MAX, NewJob
from triolet.ports.store import Mark

from .rings import ROOM, Queue, RoomRing

_log = logging.getLogger(__name__)

# Doorbells that are remembered; about 300 B each.
_RINGS_MAX: Final = 50_000
# Those read within it are taken back together.
_INTERVAL_S: Final = 0.5


class _Rung(Struct, frozen=True):
    """A doorbell that waits: what is read with `seq` makes it void."""

    key: str
    seq: int
    due_at: int


@final
class Withdrawing:
    """See the module.

    Args:
        engine: whose rooms these are.
        queue: where the doorbells wait.
        look_again: called with a room and its head, in which more has come than was read.
    """

    def __init__(
        self, engine: Engine, queue: Queue, look_again: Callable[[str, int], None]
    ) -> None:
        self._engine = engine
        self._queue = queue
        self._look_again = look_again
        # By user and room, those rung first first.
        self._rung: dict[tuple[str, str], _Rung] = {}
        # The keys of what is void, with the mark that makes it so.
        self._void: dict[str, Mark] = {}
        self._coalescer: Coalescer[str] = Coalescer(self._withdraw, interval_s=_INTERVAL_S)
        self.run = self._coalescer.run

    def rang(self, ring: RoomRing, job: NewJob) -> None:
        """Remember a doorbell until it is due; one that waits already may be about more now."""
        now = self._engine.clock.now_ms()
        place = (ring.user, ring.room)
        self._rung.pop(place, None)
        self._rung[place] = _Rung(job.key, ring.seq, job.due_at)
        while self._rung:
            oldest = next(iter(self._rung))
            if len(self._rung) <= _RINGS_MAX and self._rung[oldest].due_at > now:
                return
            del self._rung[oldest]

    def read(self, marks: Iterable[Mark]) -> None:
        """The store has these marks now."""
        if not self._rung:
            return
        for mark in marks:
            place = (mark.user, mark.room)
            rung = self._rung.get(place)
            if rung is not None and rung.seq <= mark.read:
                del self._rung[place]
                self._void[rung.key] = mark
                self._coalescer.mark(rung.key)

    async def _withdraw(self, keys: Sequence[str]) -> None:
        try:
            for start in range(0, len(keys), JOBS_MAX):
                chunk = keys[start : start + JOBS_MAX]
                if await self._queue.withdraw(ROOM, chunk):
                    await self._heal([self._void[key] for key in chunk])
        except StoreError as error:
            _log.info("what was read is found so when it is due: %s", error)
        for key in keys:
            self._void.pop(key, None)

    async def _heal(self, marks: Sequence[Mark]) -> None:
        """Ring again for what came after a mark: its doorbell may have been the one taken back.

        Another node, to which the mark is news yet, has found that one waiting. What it was for
        was stored before, so it is seen here.
        """
        # Of each room, what is the least that somebody has read.
        read = {mark.room: mark.read for mark in sorted(marks, key=lambda one: -one.read)}
        heads = await self._engine.store.heads(list(read))
        for name, (_, head) in heads.items():
            if head > read[name]:
                self._look_again(name, head)
