"""Time as this process has had it: what the machine gave to others does not count.

    async with open_own_time() as time:
        began = time.now()
        ...
        assert time.now() - began <= 1

A law in seconds is about what is done in them. On a machine that is quiet this is time as it is;
where a process waits for the processor, or stands still, it is not blamed for that.

It looks a hundred times a second: all tasks are never blocked for longer while it runs.
"""

import time
from contextlib import asynccontextmanager

import trio

TICK_S = 0.01


class OwnTime:
    """A clock that stands still while this process is not let run, by how late it wakes."""

    def __init__(self):
        self._lost_s = 0.0
        self._due = trio.current_time()
        self._worked_s = time.thread_time()

    def now(self):
        """Return the time (s); only differences mean something."""
        return trio.current_time() - self._lost_s - self._late_s()

    async def sleep(self, seconds):
        """Wait so long."""
        until = self.now() + seconds
        while (left_s := until - self.now()) > 0:  # noqa: ASYNC110 - time is no event
            await trio.sleep(left_s)

    def _late_s(self):
        # A loop that is late by its own work is late.
        worked_s = time.thread_time() - self._worked_s
        return max(0.0, trio.current_time() - self._due - worked_s)

    async def run(self):
        """Look how late it is, again and again."""
        while True:
            self._due, self._worked_s = trio.current_time() + TICK_S, time.thread_time()
            await trio.sleep_until(self._due)
            self._lost_s += self._late_s()


@asynccontextmanager
async def open_own_time():
    """Have such a clock for as long as the block lasts."""
    own = OwnTime()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(own.run)
        yield own
        nursery.cancel_scope.cancel()
