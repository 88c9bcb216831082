"""The contract of `ports.limiter.Limiter`: what is shared is bounded together."""

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, ClassVar

import pytest
import trio

from ...ports.limiter import Limiter, Quota
from .home import Home

# So slow that what a busy machine takes for a test admits none more.
_SLOW = 0.001
# So fast that a wait is short, and so slow that a test's own calls are in between.
_QUICK = 4.0


class LimiterContract:
    """Every sentence of the port. Subclass it, say how a node gets its limiter, and run pytest::

    class TestMyLimiter(LimiterContract):
        def open_limiter(self, home: Home):
            return open_my_limiter(url, prefix=str(home.path))
    """

    pytestmark: ClassVar[list[Any]] = [pytest.mark.trio]

    @pytest.fixture
    def home(self, tmp_path: Path) -> Home:
        """A deployment of its own for each test."""
        return Home(tmp_path)

    def open_limiter(self, home: Home) -> AbstractAsyncContextManager[Limiter]:
        """Open the limiter of this deployment for one more node."""
        raise NotImplementedError

    async def cut(self, limiter: Limiter) -> None:
        """Take away what a node shares, until `mend`; for adapters that can be cut off."""
        del limiter
        pytest.skip("this suite cannot cut off a node of this limiter")

    async def mend(self, limiter: Limiter) -> None:
        """Give a node back what it shares."""
        raise NotImplementedError

    async def test_a_burst_and_no_more(self, home: Home) -> None:
        """As many as the burst at once, from whichever node; then the rate says how long."""
        quota = Quota("login:anna", rate=_SLOW, burst=3)
        async with self.open_limiter(home) as here, self.open_limiter(home) as there:
            assert [0.0] * 3 == [await one.take([quota]) for one in (here, there, here)]
            for limiter in (here, there):
                wait_s = await limiter.take([quota])
                assert 0.9 / _SLOW < wait_s <= 1 / _SLOW
                assert not limiter.is_alone

    async def test_after_the_wait_it_is_admitted(self, home: Home) -> None:
        """And not much sooner: a refusal takes nothing."""
        quota = Quota("login:anna", rate=_QUICK, burst=1)
        async with self.open_limiter(home) as limiter:
            assert not await limiter.take([quota])
            waits = [await limiter.take([quota]) for _ in range(3)]
            assert all(0 < wait_s <= 1 / _QUICK for wait_s in waits)
            await trio.sleep(waits[-1])
            assert not await limiter.take([quota])

    async def test_a_cost_is_taken_at_once(self, home: Home) -> None:
        """Several, or none of them."""
        quota = Quota("bytes:anna", rate=_SLOW, burst=10)
        async with self.open_limiter(home) as limiter:
            assert not await limiter.take([quota], 7)
            assert await limiter.take([quota], 4) > 0.9 / _SLOW
            assert not await limiter.take([quota], 3)
            assert await limiter.take([quota])

    async def test_of_several_quotas_all_or_none(self, home: Home) -> None:
        """What one refuses is not taken from the others."""
        user = Quota("user:anna", rate=_SLOW, burst=2)
        address = Quota("address:127.0.0.1", rate=2 * _SLOW, burst=5)
        async with self.open_limiter(home) as limiter:
            assert not await limiter.take([user, address], 2)
            for _ in range(3):
                assert await limiter.take([address, user]) > 0.9 / _SLOW
            assert not await limiter.take([address], 3)
            assert await limiter.take([address])

    async def test_keys_and_deployments_are_apart(self, home: Home) -> None:
        """Nobody pays for another one; nothing to take from admits."""
        anna, ben = (Quota(f"login:{name}", rate=_SLOW, burst=1) for name in ("anna", "ben"))
        async with self.open_limiter(home) as ours, self.open_limiter(home.another()) as theirs:
            assert not await ours.take([anna])
            assert not await ours.take([ben])
            assert not await theirs.take([anna])
            assert await ours.take([anna])
            assert not await ours.take([])

    async def test_what_is_never_admitted_is_an_error(self, home: Home) -> None:
        """More at once than the burst."""
        async with self.open_limiter(home) as limiter:
            with pytest.raises(ValueError, match="never admits 3"):
                await limiter.take([Quota("login:anna", rate=1, burst=2)], 3)

    async def test_nodes_that_take_at_once_are_bounded_together(self, home: Home) -> None:
        """Sixty calls of two nodes, and a burst of twenty."""
        quota = Quota("login:anna", rate=_SLOW, burst=20)
        admitted: list[bool] = []

        async def take(limiter: Limiter) -> None:
            admitted.append(not await limiter.take([quota]))

        async with (
            self.open_limiter(home) as here,
            self.open_limiter(home) as there,
            trio.open_nursery() as nursery,
        ):
            for _ in range(30):
                nursery.start_soon(take, here)
                nursery.start_soon(take, there)
        assert 20 == sum(admitted)

    async def test_a_node_that_is_cut_off_bounds_alone(self, home: Home) -> None:
        """By the same quotas; it tells, and shares again as soon as it can."""
        quota = Quota("login:anna", rate=_SLOW, burst=2)
        async with self.open_limiter(home) as here, self.open_limiter(home) as there:
            assert not await here.take([quota], 2)
            await self.cut(here)
            assert not await here.take([quota], 2)
            assert await here.take([quota]) > 0.9 / _SLOW
            assert here.is_alone
            assert await there.take([quota])
            assert not there.is_alone
            await self.mend(here)
            assert await here.take([quota]) > 0.9 / _SLOW
            assert not here.is_alone
