"""Jobs that come again and again: each slot is a job whose key names it, so it is done once.

The next slot always waits in the store already, added by whichever node came first. So slots that
pass while no node runs are done once, when one runs again: all but the one that waits were never
added.
"""

import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, time, timedelta
from typing import Final, Protocol, final
from zoneinfo import ZoneInfo

import trio
from msgspec import Struct

from .._model.errors import StoreError
from ..ports.clock import Clock
from ..ports.jobs import NewJob
from .complaint import Complaint

logger = logging.getLogger(__name__)

# Between two tries of a store that does not answer.
_RETRY_S: Final = 1.0
# Wall clocks may be set while a slot is waited for.
_LOOK_S: Final = 60.0


class Slots(Protocol):
    """When something is due, again and again."""

    def after(self, now: int) -> int:
        """Return the first slot after `now` (both ms)."""
        ...


@final
class Interval(Struct, frozen=True):
    """Every so many milliseconds, counted from the epoch: the same slots on all nodes.

    >>> Interval(60_000).after(1_700_000_000_000)
    1700000040000
    """

    interval_ms: int

    def after(self, now: int) -> int:
        """See `Slots`."""
        return (now // self.interval_ms + 1) * self.interval_ms


@final
class Daily(Struct, frozen=True):
    """Once a day, by the clocks on the walls of a zone.

    A time that a change to summer time leaves out is an hour later, one that comes twice counts
    the first time.

    >>> slots = Daily(time(8, 30), ZoneInfo("Europe/Berlin"))
    >>> slot_name(slots.after(1_700_000_000_000))
    '2023-11-15T07:30:00Z'
    """

    at: time
    zone: ZoneInfo

    def after(self, now: int) -> int:
        """See `Slots`."""
        today = datetime.fromtimestamp(now / 1000, self.zone).date()
        slots = (
            datetime.combine(today + timedelta(days=days), self.at, self.zone).timestamp()
            for days in (0, 1, 2)
        )
        return next(int(1000 * slot) for slot in slots if int(1000 * slot) > now)


def slot_name(slot: int) -> str:
    """Return the key of a slot's job."""
    return datetime.fromtimestamp(slot / 1000, UTC).isoformat().replace("+00:00", "Z")


@final
class Schedule:
    """Adds the next slot's job, and the next one when that has come."""

    def __init__(
        self,
        kind: str,
        slots: Slots,
        clock: Clock,
        add: Callable[[list[NewJob]], Awaitable[list[bool]]],
    ) -> None:
        self._kind = kind
        self._slots = slots
        self._clock = clock
        self._add = add
        self._complaint = Complaint(logger, now=trio.current_time)

    async def run(self) -> None:
        """Do it until cancelled."""
        while True:
            slot = self._slots.after(self._clock.now_ms())
            try:
                await self._add([NewJob(kind=self._kind, key=slot_name(slot), due_at=slot)])
            except StoreError as error:
                self._complaint.again(f"a slot of {self._kind} cannot be added: {error!r}")
                await trio.sleep(_RETRY_S)
                continue
            self._complaint.over(f"slots of {self._kind} are added again")
            await self._wait(slot)

    async def _wait(self, slot: int) -> None:
        while (wait_s := (slot - self._clock.now_ms()) / 1000) > 0:  # noqa: ASYNC110 - a wall clock
            await trio.sleep(min(wait_s, _LOOK_S))
