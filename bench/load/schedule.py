"""When what is to be sent: an open loop, whose pace does not depend on the server's.

What is late is counted from when it was due, so a server that stalls is not excused for what
nobody could send meanwhile ("coordinated omission").
"""

import random
import select
import time
from collections.abc import Iterator
from typing import Final

# `select` wakes to the microsecond, `epoll` to the millisecond; but it takes no descriptor
# above this.
_DESCRIPTOR_MAX: Final = 1023
# The edges of what is measured are looked at between any two waits.
_WAIT_S_MAX: Final = 0.1


def poisson(rate: float, seed: int) -> Iterator[float]:
    """Yield due times from 0 on, s: people who know nothing of each other.

    The same for the same seed; `rate` events a second in the mean.
    """
    chance = random.Random(seed)
    due = 0.0
    while True:
        due += chance.expovariate(rate)
        yield due


def evenly(rate: float, seed: int) -> Iterator[float]:
    """Yield due times from 0 on, s: one in each span of 1/rate, anywhere in it."""
    chance = random.Random(seed)
    number = 0
    while True:
        yield (number + chance.random()) / rate
        number += 1


def poll_until(epoll: select.epoll, due: float, events_max: int) -> list[tuple[int, int]]:
    """Wait for events, or until the clock (`time.perf_counter`) says `due`; return events.

    What is due much later is waited for in several calls.
    """
    left = min(due - time.perf_counter(), _WAIT_S_MAX)
    if left <= 0:
        return epoll.poll(0, events_max)
    if epoll.fileno() <= _DESCRIPTOR_MAX:
        select.select((epoll,), (), (), left)
        return epoll.poll(0, events_max)
    # It rounds up: one too few, so that the last one is waited for by looking again.
    return epoll.poll(max(0, int(left * 1000) - 0.5) / 1000, events_max)
