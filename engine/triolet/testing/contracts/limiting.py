"""The contract of `ports.limiter.Limiter`: what is shared is bounded together."""

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, ClassVar

import pytest
import trio

from ...ports.limiter import Limiter, Quota, left_of
from .home import Home

# So slow that what a busy machine takes for a test admits none more.
_SLOW = 0.001
# So fast that a wait is short; a busy machine's calls may take longer than that.
_QUICK = 4.0
_TRIES = 20


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
        pytest.skip("this suite cannot cut anybody off from this limiter")

    async def mend(self, limiter: Limiter) -> None:
        """Give a node back what it shares."""
        raise NotImplementedError

    async def test_a_burst_and_no_more(self, home: Home) -> None:
        """As many as the burst at once, from whichever node; then the rate says how long."""
        quota = Quota("login:anna", rate=_SLOW, burst=3)
        async with self.open_limiter(home) as here, self.open_limiter(home) as there:
            assert [0.0] * 3 == [(await one.take([quota])).wait_s for one in (here, there, here)]
            for limiter in (here, there):
                wait_s = (await limiter.take([quota])).wait_s
                assert 0.9 / _SLOW < wait_s <= 1 / _SLOW
                assert not limiter.is_alone

    async def test_after_the_wait_it_is_admitted(self, home: Home) -> None:
        """And not much sooner: a refusal takes nothing."""
        async with self.open_limiter(home) as limiter:
            for number in range(_TRIES):
                quota = Quota(f"login:{number}", rate=_QUICK, burst=1)
                began = trio.current_time()
                assert not (await limiter.take([quota])).wait_s
                waits = [(await limiter.take([quota])).wait_s for _ in range(3)]
                if trio.current_time() - began < 1 / _QUICK:
                    break
            assert all(0 < wait_s <= 1 / _QUICK for wait_s in waits)
            await trio.sleep(waits[-1])
            assert not (await limiter.take([quota])).wait_s

    async def test_a_cost_is_taken_at_once(self, home: Home) -> None:
        """Several, or none of them."""
        quota = Quota("bytes:anna", rate=_SLOW, burst=10)
        async with self.open_limiter(home) as limiter:
            assert not (await limiter.take([quota], 7)).wait_s
            assert (await limiter.take([quota], 4)).wait_s > 0.9 / _SLOW
            assert not (await limiter.take([quota], 3)).wait_s
            assert (await limiter.take([quota])).wait_s

    async def test_of_several_quotas_all_or_none(self, home: Home) -> None:
        """What one refuses is not taken from the others."""
        user = Quota("user:anna", rate=_SLOW, burst=2)
        address = Quota("address:127.0.0.1", rate=2 * _SLOW, burst=5)
        async with self.open_limiter(home) as limiter:
            assert not (await limiter.take([user, address], 2)).wait_s
            for _ in range(3):
                assert (await limiter.take([address, user])).wait_s > 0.9 / _SLOW
            assert not (await limiter.take([address], 3)).wait_s
            assert (await limiter.take([address])).wait_s

    async def test_it_is_told_how_much_is_left(self, home: Home) -> None:
        """By when each quota is full again, whether something was taken or not."""
        few, many = (
            Quota("few:anna", rate=_SLOW, burst=2),
            Quota("many:anna", rate=2 * _SLOW, burst=9),
        )
        async with self.open_limiter(home) as limiter:
            for expected in ([1, 8], [0, 7], [0, 7]):
                taken = await limiter.take([few, many])
                left = zip([few, many], taken.full_in_s, strict=True)
                assert expected == [left_of(quota, full_in_s) for quota, full_in_s in left]
            assert 0 < taken.wait_s <= taken.full_in_s[0] <= 2 / _SLOW

    async def test_to_look_takes_nothing(self, home: Home) -> None:
        """It tells whether one more would be admitted."""
        quota = Quota("login:anna", rate=_SLOW, burst=2)
        async with self.open_limiter(home) as limiter:
            for expected in ([2, 2, 2], [1, 1, 1]):
                looks = [await limiter.take([quota], 0) for _ in range(3)]
                assert expected == [left_of(quota, one.full_in_s[0]) for one in looks]
                assert not any(one.wait_s for one in looks)
                await limiter.take([quota])
            assert (await limiter.take([quota], 0)).wait_s > 0.9 / _SLOW

    async def test_what_is_refilled_is_as_after_a_silence(self, home: Home) -> None:
        """For all nodes, and nothing else is."""
        anna, ben = (Quota(f"login:{name}", rate=_SLOW, burst=1) for name in ("anna", "ben"))
        async with self.open_limiter(home) as here, self.open_limiter(home) as there:
            await here.take([anna])
            await here.take([ben])
            await there.refill([anna.key, "login:nobody"])
            assert not (await here.take([anna])).wait_s
            assert (await here.take([ben])).wait_s

    async def test_what_need_not_wait_is_the_same(self, home: Home) -> None:
        """Or it is said that it has to wait, and nothing is taken."""
        quota = Quota("login:anna", rate=_SLOW, burst=3)
        async with self.open_limiter(home) as limiter:
            now = limiter.take_now([quota], 2)
            left = 3 if now is None else left_of(quota, now.full_in_s[0])
            assert left == (3 if now is None else 1)
            looked = await limiter.take([quota], 0)
            assert left == left_of(quota, looked.full_in_s[0])

    async def test_keys_and_deployments_are_apart(self, home: Home) -> None:
        """Nobody pays for another one; nothing to take from admits."""
        anna, ben = (Quota(f"login:{name}", rate=_SLOW, burst=1) for name in ("anna", "ben"))
        async with self.open_limiter(home) as ours, self.open_limiter(home.another()) as theirs:
            assert not (await ours.take([anna])).wait_s
            assert not (await ours.take([ben])).wait_s
            assert not (await theirs.take([anna])).wait_s
            assert (await ours.take([anna])).wait_s
            assert not (await ours.take([])).wait_s

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
            admitted.append(not (await limiter.take([quota])).wait_s)

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
            assert not (await here.take([quota], 2)).wait_s
            await self.cut(here)
            assert not (await here.take([quota], 2)).wait_s
            assert (await here.take([quota])).wait_s > 0.9 / _SLOW
            assert here.is_alone
            assert (await there.take([quota])).wait_s
            assert not there.is_alone
            await self.mend(here)
            assert (await here.take([quota])).wait_s > 0.9 / _SLOW
            assert not here.is_alone
