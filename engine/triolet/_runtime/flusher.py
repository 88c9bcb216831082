"""The one task that writes: a part after the other, and the urgent always first.

Small audiences are gathered in the outboxes of their connections, so that what several rooms
and replies have for one connection leaves in one write. A large audience is served straight
from its own list, part by part: per delivery that is a look at one number and one system
call. In between, everybody else's frames leave as if there were no large audience.
"""

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, final

import trio

from .counters import Counters

if TYPE_CHECKING:
    from .audience import Audience
    from .outbox import Outbox

# Writes of each kind between two looks at the urgent queue; yielding alone does not help
# (measured). Also from how many live cursors an audience is a large one.
SENDS_PER_PART: Final = 64
# Parts in one scheduler turn: between two of them the poller looks what is to be read, and other
# tasks wait, 2 ms. A turn costs 60 µs with the caches full of the kernel's sends, a look 5.
PARTS_PER_TURN: Final = 4
# Frames appended to outboxes in one part: a quarter of a millisecond.
_APPENDS_PER_PART: Final = 2048


@final
class Flusher:
    """See the module.

    Attributes:
        dirty: outboxes whose ordinary queue has become non-empty, the first one first.
        look: called between two parts of a turn: what is urgent may have come.
        counters: what is written adds to.
    """

    def __init__(self, counters: Counters | None = None) -> None:
        self.counters = counters or Counters()
        self.dirty: deque[Outbox] = deque()
        self.look: Callable[[], object] = _nothing
        self._urgent: list[Outbox] = []
        # Audiences that are to be told something; a dict, for its order.
        self._waiting: dict[Audience, None] = {}
        # The large one that is being served.
        self._served: Audience | None = None
        self._sleeper: trio.lowlevel.Task | None = None
        # The same, between `hold` and `release`: nothing wakes it.
        self._held: trio.lowlevel.Task | None = None

    def mark(self, outbox: "Outbox") -> None:
        """Have the ordinary queue written."""
        self.dirty.append(outbox)
        if self._sleeper is not None:
            self.wake()

    def mark_urgent(self, outbox: "Outbox") -> None:
        """Have the outbox written before all ordinary ones."""
        self._urgent.append(outbox)
        if self._sleeper is not None:
            self.wake()

    def mark_audience(self, audience: "Audience") -> None:
        """Have an audience told what it has."""
        self._waiting[audience] = None
        if self._sleeper is not None:
            self.wake()

    def wake(self) -> None:
        """Make sure the flusher runs in this scheduler turn: `dirty` was appended to."""
        if self._sleeper is not None:
            sleeper, self._sleeper = self._sleeper, None
            trio.lowlevel.reschedule(sleeper)

    def hold(self) -> None:
        """See `turn.Held`."""
        self._held, self._sleeper = self._sleeper, None

    def release(self) -> None:
        """See `turn.Held`; while the task is awake, its turn comes by itself."""
        held, self._held = self._held, None
        if held is not None:
            if not self.is_idle:
                self._write()
            self._sleeper = held
            if not self.is_idle:
                self.wake()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is to be written."""
        return not (self.dirty or self._urgent or self._waiting or self._served is not None)

    async def run(self) -> None:
        """Write for as long as the engine lives."""
        while True:
            if self.is_idle:
                await self._sleep()
            else:
                # Whoever runs in this turn adds to the same writes.
                await trio.lowlevel.checkpoint()
            self._write()
            for _ in range(PARTS_PER_TURN - 1):
                if self.is_idle:
                    break
                self.look()
                self._write()

    def _write(self) -> None:
        """Write one part of a turn."""
        if self._waiting:
            self._gather()
        if self._urgent:
            self._flush_urgent()
        for _ in range(min(len(self.dirty), SENDS_PER_PART)):
            self.dirty.popleft().flush()
        if self._served is not None and self._served.serve(SENDS_PER_PART):
            self._served = None

    def _gather(self) -> None:
        """Begin to serve one audience; put into the outboxes what the others are told."""
        waiting = [audience for audience in self._waiting if audience is not self._served]
        # While many outboxes are full already, more of them would only mean more writes.
        may_serve = self._served is None and len(self.dirty) < SENDS_PER_PART
        appends = 0
        for audience in waiting:
            del self._waiting[audience]
            is_large = len(audience.live) > SENDS_PER_PART
            if may_serve and (is_large or len(waiting) == 1) and audience.begin():
                may_serve = False
                # A small one at once: so its sender's answer leaves together with the entry.
                if is_large:
                    self._served = audience
                else:
                    audience.serve(SENDS_PER_PART)
                continue
            audience.settle()
            appends += len(audience.live)
            if appends > _APPENDS_PER_PART:
                break

    def _flush_urgent(self) -> None:
        urgent, self._urgent = self._urgent, []
        for outbox in urgent:
            outbox.flush()

    async def _sleep(self) -> None:
        self._sleeper = trio.lowlevel.current_task()

        def abort(_: object) -> trio.lowlevel.Abort:
            self._sleeper = None
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)


def _nothing() -> None:
    """Look at nothing."""
