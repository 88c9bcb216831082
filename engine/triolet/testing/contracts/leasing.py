"""The contract of leases: what is told under one is seen while it lives, and ends with it."""

import pytest
import trio

from ..._model.errors import BusUnavailable
from ...ports.bus import STATE_BYTES_MAX, Bus
from .buses import BusHome
from .home import Home

# Long enough for every call of a test that is not about lapsing.
_LONG_S = 60.0
# Short enough to wait for.
_SHORT_S = 1.0
# On a machine that is too busy to renew so short a lease in time, it is doubled so often.
_DOUBLINGS = 5


class LeaseContract(BusHome):
    """A node's users are seen under its lease, and vanish together."""

    async def test_states_are_seen_by_all_nodes(self, home: Home) -> None:
        """Each user asked for has a row, in their order: a state for each lease, by name."""
        async with self.open_bus(home) as anna, self.open_bus(home) as ben:
            await anna.take_lease("b:1", ttl_s=_LONG_S)
            await ben.take_lease("a:1", ttl_s=_LONG_S)
            await anna.put_states("b:1", {"carl": b"away", "dora": b"online"})
            await ben.put_states("a:1", {"carl": b"dnd"})
            for bus in (anna, ben):
                rows = await bus.states(["dora", "emil", "carl"])
                assert [{"b:1": b"online"}, {}, {"a:1": b"dnd", "b:1": b"away"}] == rows
                assert ["a:1", "b:1"] == list(rows[2])
                assert ["a:1", "b:1"] == await bus.leases()

    async def test_the_latest_state_wins_and_an_empty_one_removes(self, home: Home) -> None:
        """A user has one state under a lease, or none."""
        async with self.open_bus(home) as bus:
            await bus.take_lease("a:1", ttl_s=_LONG_S)
            await bus.put_states("a:1", {"carl": b"away", "dora": b"away"})
            await bus.put_states("a:1", {"carl": bytes(STATE_BYTES_MAX), "dora": b"", "emil": b""})
            rows = await bus.states(["carl", "dora", "emil"])
            assert [{"a:1": bytes(STATE_BYTES_MAX)}, {}, {}] == rows

    async def test_too_long_a_state_is_an_error(self, home: Home) -> None:
        """A state above the bound is refused, and the others of its call with it."""
        async with self.open_bus(home) as bus:
            await bus.take_lease("a:1", ttl_s=_LONG_S)
            with pytest.raises(ValueError, match="at most"):
                await bus.put_states("a:1", {"carl": b"1", "dora": bytes(STATE_BYTES_MAX + 1)})
            assert [{}, {}] == await bus.states(["carl", "dora"])

    async def test_nobody_is_asked_for(self, home: Home) -> None:
        """No users, no rows; nothing to tell is told."""
        async with self.open_bus(home) as bus:
            await bus.take_lease("a:1", ttl_s=_LONG_S)
            await bus.put_states("a:1", {})
            assert [] == await bus.states([])

    async def test_the_end_of_a_lease_ends_its_states(self, home: Home) -> None:
        """They vanish together, and others' stay; what is told later is seen by nobody."""
        async with self.open_bus(home) as bus:
            await self._begin(bus, "a:1", _LONG_S)
            await self._begin(bus, "b:1", _LONG_S)
            await bus.end_lease("a:1")
            await self._is_over(bus, "a:1")
            assert ["b:1"] == await bus.leases()
            assert [{"b:1": b"online"}] == await bus.states(["carl"])
            await bus.end_lease("a:1")

    async def test_a_lease_that_is_not_renewed_lapses(self, home: Home) -> None:
        """After its TTL it is gone with its states, for all nodes, and does not come back."""
        async with self.open_bus(home) as anna, self.open_bus(home) as ben:
            await self._begin(anna, "a:1", _SHORT_S)
            await trio.sleep(_SHORT_S * 1.5)
            assert [] == await ben.leases()
            assert [{}] == await ben.states(["carl"])
            await self._is_over(anna, "a:1")

    async def test_a_lease_that_is_renewed_lives_on(self, home: Home) -> None:
        """It lasts its TTL from each renewal on, and so do its states."""
        async with self.open_bus(home) as bus:
            for number in range(_DOUBLINGS + 1):
                if await self._lives_on(bus, f"{number}:1", _SHORT_S * 2**number):
                    return
        pytest.fail("no lease was renewed in time")

    async def _lives_on(self, bus: Bus, lease: str, ttl_s: float) -> bool:
        """Renew a lease some times; return whether that was in time each time."""
        since = trio.current_time()
        await self._begin(bus, lease, ttl_s)
        for _ in range(4):
            await trio.sleep(ttl_s / 2)
            asked_at = trio.current_time()
            is_alive = await bus.renew_lease(lease, ttl_s=ttl_s)
            if trio.current_time() - since >= ttl_s:
                return False
            assert is_alive
            since = asked_at
        rows = await bus.states(["carl"])
        if trio.current_time() - since >= ttl_s:
            return False
        assert rows[0][lease] == b"online"
        return True

    async def test_generations_of_a_node_are_apart(self, home: Home) -> None:
        """Nothing that was told under an old generation is seen under the next."""
        async with self.open_bus(home) as bus:
            await self._begin(bus, "a:1", _LONG_S)
            await bus.end_lease("a:1")
            await bus.take_lease("a:2", ttl_s=_LONG_S)
            await bus.put_states("a:1", {"carl": b"ghost"})
            assert [{}] == await bus.states(["carl"])
            assert ["a:2"] == await bus.leases()

    async def test_a_lease_outlives_the_connection(self, home: Home) -> None:
        """It ends by its TTL or by `end_lease`, not because a node was cut off for a moment."""
        async with self.open_bus(home) as anna, self.open_bus(home) as ben:
            await self._begin(anna, "a:1", _LONG_S)
            await self.cut(anna)
            with pytest.raises(BusUnavailable):
                await anna.renew_lease("a:1", ttl_s=_LONG_S)
            with pytest.raises(BusUnavailable):
                await anna.states(["carl"])
            assert [{"a:1": b"online"}] == await ben.states(["carl"])
            await self.mend(anna)

    async def _begin(self, bus: Bus, lease: str, ttl_s: float) -> None:
        """Begin a lease under which one user is online."""
        await bus.take_lease(lease, ttl_s=ttl_s)
        await bus.put_states(lease, {"carl": b"online"})

    async def _is_over(self, bus: Bus, lease: str) -> None:
        """Whatever is tried under a lease that has ended is in vain."""
        assert not await bus.renew_lease(lease, ttl_s=_LONG_S)
        await bus.put_states(lease, {"carl": b"ghost"})
        assert lease not in await bus.leases()
        assert all(lease not in row for row in await bus.states(["carl"]))
