"""Laws of the simulated bus: what is rung is late, lost, doubled or not heard, as it is told."""

from random import Random

import pytest
import trio
from trio.testing import MockClock

from triolet._model.errors import BusUnavailable
from triolet.ports.bus import Doorbell
from triolet.testing.world.buses import SimulatedBus
from triolet.testing.world.network import Network, Quality

RUNG = [Doorbell("tea", bytes([number])) for number in range(20)]


def on_bus(scene):
    """Run a scene with a bus and two nodes, of which the second follows a channel."""

    async def run():
        network = Network(Quality(), Random(1))
        bus = SimulatedBus(network, Random(2))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(network.run)
            one, other = bus.join(), bus.join()
            await other.follow(["tea"])
            await scene(bus, one, other)
            nursery.cancel_scope.cancel()

    trio.run(run, clock=MockClock(autojump_threshold=0))


async def heard(node):
    """Return what a node hears within a minute."""
    await trio.sleep(60)
    with trio.move_on_after(1):
        return list((await node.receive()).doorbells)
    return []


def test_all_is_heard_once_when_all_is_well():
    async def scene(bus, one, other):
        await one.ring(RUNG)
        assert sorted(bell.frame for bell in await heard(other)) == [bell.frame for bell in RUNG]

    on_bus(scene)


@pytest.mark.parametrize(("fault", "least", "most"), [("lost", 0, 0), ("doubled", 40, 40)])
def test_doorbells_are_lost_or_doubled(fault, least, most):
    async def scene(bus, one, other):
        setattr(bus, fault, 1.0)
        await one.ring(RUNG)
        assert least <= len(await heard(other)) <= most
        bus.mend()
        await one.ring(RUNG)
        assert len(await heard(other)) == len(RUNG)

    on_bus(scene)


def test_a_deaf_node_hears_nothing_until_it_is_mended():
    async def scene(bus, one, other):
        bus.deafen(other)
        await one.ring(RUNG)
        assert await heard(other) == []
        bus.mend()
        await one.ring(RUNG)
        assert len(await heard(other)) == len(RUNG)

    on_bus(scene)


def test_a_node_that_died_hears_and_rings_nothing():
    async def scene(bus, one, other):
        bus.forget(other)
        await one.ring(RUNG)
        assert await heard(other) == []
        with pytest.raises(BusUnavailable):
            await other.ring(RUNG)

    on_bus(scene)
