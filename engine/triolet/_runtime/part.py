"""One part of the bus, which may fail alone: what is rung and followed there, and if it works.

Each part is rung by a task of its own, so that nothing waits for one that is gone or slow but
what belongs to it.
"""

import logging
from collections.abc import Callable
from typing import Final, final

import trio

from .._model.errors import BusUnavailable
from .._model.limits import Limits
from ..ports.bus import FRAME_BYTES_MAX, Bus, Doorbell
from .complaint import Complaint
from .following import Following

logger = logging.getLogger(__name__)

# Doorbells of one call of the bus.
_RUNG_AT_ONCE: Final = 1000
# Between two tries of a bus that fails at once.
_RETRY_S: Final = 0.2


@final
class _Rung:
    """What waits to be rung."""

    __slots__ = ("again", "doorbell")

    def __init__(self, doorbell: Doorbell, *, again: bool) -> None:
        self.doorbell = doorbell
        self.again = again


@final
class Part:
    """See the module.

    Args:
        bus: the whole of it.
        limits: how long it is waited for, and how much waits for this part.
        name: for whoever operates it.
        canary: a channel of this part that this node alone follows, and rings.
        interrupted: called when it has failed, and when it works again: doorbells may have been
            missed.
        ring_missed: tells the others that they were not rung for something; False: it could not.

    Attributes:
        is_down: the last call failed.
        echo_at: when the canary was last heard (monotonic, s).
        sung_at: when the first canary was rung that was not heard when that was.
        has_dropped: something came from here that cannot be read.
    """

    def __init__(
        self,
        bus: Bus,
        limits: Limits,
        *,
        name: str,
        canary: str,
        interrupted: Callable[[], None],
        ring_missed: Callable[[], bool],
    ) -> None:
        self._bus = bus
        self._limits = limits
        self.name = name
        self.canary = canary
        self._interrupted = interrupted
        self._ring_missed = ring_missed
        self._complaint = Complaint(logger, now=trio.current_time)
        # What is to be rung, and how many bytes it has.
        self._queue: list[_Rung] = []
        self._queue_bytes = 0
        self._wakeup = trio.Event()
        # Set while nothing waits and nothing is being rung.
        self._rung = trio.Event()
        self._rung.set()
        # Set when there is a reason not to wait until the next try.
        self._hurry = trio.Event()
        # Others do not know yet that they were not rung for something.
        self._owes_missed = False
        self.is_down = False
        self.echo_at = self.sung_at = float("-inf")
        self.has_dropped = False
        self.following = Following(bus, limits, failed=self._failed)

    def push(self, doorbell: Doorbell, *, again: bool, bytes_max: int) -> bool:
        """Ring, soon and in order; False: it was dropped, there is too much already."""
        size = len(doorbell.frame)
        if size > FRAME_BYTES_MAX or self._queue_bytes + size > bytes_max:
            self._owes_missed = True
            return False
        if self._rung.is_set():
            self._rung = trio.Event()
        self._queue.append(_Rung(doorbell, again=again))
        self._queue_bytes += size
        self._wakeup.set()
        return True

    def hurry(self) -> None:
        """It may be back: do not wait until the next try."""
        self._hurry.set()

    async def wait_rung(self) -> None:
        """Wait until nothing waits to be rung."""
        await self._rung.wait()

    async def run(self) -> None:
        """Ring what is to be rung, for as long as the engine lives."""
        while True:
            if not self._queue:
                self._rung.set()
                self._wakeup = trio.Event()
                await self._wakeup.wait()
                # Others of the same scheduler turn join this batch.
                await trio.lowlevel.checkpoint()
            batch, self._queue = self._queue[:_RUNG_AT_ONCE], self._queue[_RUNG_AT_ONCE:]
            self._queue_bytes -= _bytes(batch)
            kept = await self._ring(batch)
            if kept is None:
                continue
            self._queue[:0] = kept
            self._queue_bytes += _bytes(kept)
            with trio.move_on_after(_RETRY_S):
                await self._hurry.wait()

    async def _ring(self, batch: list[_Rung]) -> list[_Rung] | None:
        """Ring a batch; return None, or, if it failed, what of it is to be rung again."""
        self._hurry = trio.Event()
        lost = None
        try:
            with trio.fail_after(self._limits.bus_timeout_s):
                await self._bus.ring([rung.doorbell for rung in batch])
        except BusUnavailable as error:
            lost = error.channels
            self._failed(error)
        except trio.TooSlowError as error:
            self._failed(error)
        else:
            self._works()
            return None
        self._owes_missed = True
        return [
            rung for rung in batch if rung.again and (lost is None or rung.doorbell.channel in lost)
        ]

    def _works(self) -> None:
        if self.is_down:
            self.is_down = False
            self._complaint.over(f"the bus works again ({self.name})")
            self._interrupted()
        if self._owes_missed:
            self._owes_missed = not self._ring_missed()

    def _failed(self, error: Exception) -> None:
        self._complaint.again(f"the bus does not work ({self.name}): {error!r}")
        if not self.is_down:
            self.is_down = True
            # What others rang meanwhile may be lost, too.
            self._interrupted()


def _bytes(batch: list[_Rung]) -> int:
    return sum(len(rung.doorbell.frame) for rung in batch)
