"""The limiter in memory keeps the contract of every limiter, and forgets."""

from contextlib import asynccontextmanager

import pytest
import trio

from triolet.adapters.memory import MemoryLimiter
from triolet.adapters.memory.limiter import _KEYS_MAX
from triolet.ports.limiter import Quota
from triolet.testing.contracts import Home, LimiterContract


@pytest.mark.usefixtures("autojump_clock")
class TestMemoryLimiter(LimiterContract):
    @pytest.fixture(autouse=True)
    def limiters(self):
        """A limiter for each deployment."""
        self.by_home = {}

    @asynccontextmanager
    async def open_limiter(self, home: Home):
        yield self.by_home.setdefault(home, MemoryLimiter())


async def test_it_forgets_what_is_full_again_and_then_the_oldest(autojump_clock):
    """However many names are tried, memory is bounded, and those in use stay."""
    limiter = MemoryLimiter()
    for number in range(_KEYS_MAX):
        await limiter.take([Quota(f"early {number}", rate=10, burst=1)])
    await trio.sleep(1)
    used = [Quota(f"late {number}", rate=0.001, burst=1) for number in range(_KEYS_MAX + 5)]
    for quota in used:
        await limiter.take([quota])
    assert len(limiter._full_at) <= _KEYS_MAX
    kept = used[-_KEYS_MAX // 2 :: 100]
    assert all([(await limiter.take([quota])).wait_s for quota in kept])
    assert not (await limiter.take([used[0]])).wait_s
