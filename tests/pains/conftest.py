"""A clock for tests whose laws are times, with real sockets within this one process."""

import pytest
from trio.testing import MockClock

# What is on its way over a socket has arrived when nobody had anything to do for so long.
LULL_S = 0.01


@pytest.fixture
def idle_clock():
    """Time that passes only while nobody has anything to do: a busy machine takes none of it."""
    return MockClock(autojump_threshold=LULL_S)
