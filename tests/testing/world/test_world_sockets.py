"""Laws of simulated connections: what TCP does to who uses it, and no more."""

from functools import partial
from random import Random

import pytest
import trio
from trio.testing import MockClock

from triolet._runtime.poller import WRITE
from triolet.testing.world.hosts import Hosts
from triolet.testing.world.network import Network, Quality

FAST = Quality(latency_s=0.01, jitter_s=0, bandwidth=1e6, buffer_bytes=100, splits=0)
BROKEN = Quality(latency_s=0.01, jitter_s=0.5, bandwidth=1e4, buffer_bytes=100, splits=0.9)


def world(scene, quality=FAST):
    """Run a scene: it gets the hosts, a client's stream and the server's socket."""

    async def run():
        hosts = Hosts(Network(quality, Random(1)))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(hosts.network.run)
            listener = hosts.listen("node")
            stream = await hosts.dial("anna", "node")
            server, address = listener.accept()
            assert address[0] == "anna"
            await scene(hosts, stream, server)
            nursery.cancel_scope.cancel()

    trio.run(run, clock=MockClock(autojump_threshold=0))


async def arrived(seconds=0.02):
    await trio.sleep(seconds)


def test_bytes_arrive_once_in_order_after_the_latency():
    async def scene(hosts, stream, server):
        await stream.send_all(b"hello")
        with pytest.raises(BlockingIOError):
            server.recv(10)
        await arrived()
        assert (server.recv(2), server.recv(10)) == (b"he", b"llo")

    world(scene)


def test_bytes_in_pieces_keep_their_order():
    """However they are split, and whatever the jitter."""

    async def scene(hosts, stream, server):
        sent = bytes(range(50))
        for byte in sent:
            await stream.send_all(bytes([byte]))
        await arrived(60)
        received = b""
        while len(received) < len(sent):
            received += server.recv(7)
        assert received == sent

    world(scene, BROKEN)


def test_a_full_buffer_takes_a_part_and_then_nothing():
    """Until the other side reads."""

    async def scene(hosts, stream, server):
        assert server.send(b"x" * 150) == 100
        with pytest.raises(BlockingIOError):
            server.send(b"x")
        await arrived()
        assert len(await stream.receive_some(60)) == 60
        assert server.send(b"x" * 150) == 60

    world(scene)


def test_sending_waits_for_room():
    async def scene(hosts, stream, server):
        with trio.move_on_after(1) as scope:
            await stream.send_all(b"x" * 150)
        assert scope.cancelled_caught
        await arrived()
        assert len(server.recv(1000)) == 100

    world(scene)


def test_who_waits_for_room_waits_for_a_third_of_the_buffer():
    """Else a slow reader would be sent a byte at a time, for ever."""

    async def scene(hosts, stream, server):
        assert server.send(b"x" * 100) == 100
        await arrived()
        for size, ready in ((1, 0), (32, 0), (1, WRITE)):
            assert len(await stream.receive_some(size)) == size
            assert server.readiness() & WRITE == ready
        assert server.send(b"x" * 100) == 34

    world(scene)


def test_a_close_is_an_end_and_unread_bytes_make_it_a_reset():
    async def ends(hosts, stream, server):
        server.close()
        await arrived()
        assert await stream.receive_some() == b""

    async def resets(hosts, stream, server):
        await stream.send_all(b"unread")
        await arrived()
        server.close()
        await arrived()
        with pytest.raises(trio.BrokenResourceError):
            await stream.receive_some()

    world(ends)
    world(resets)


def test_who_sends_to_a_closed_socket_is_reset():
    async def scene(hosts, stream, server):
        server.close()
        await stream.send_all(b"late")
        await arrived(0.05)
        with pytest.raises(trio.BrokenResourceError):
            await stream.send_all(b"later")

    world(scene)


def test_what_a_cut_held_arrives_after_it_in_order():
    async def scene(hosts, stream, server):
        link = hosts.network.link("node", "anna")
        link.cut()
        await stream.send_all(b"one ")
        await arrived(60)
        with pytest.raises(BlockingIOError):
            server.recv(10)
        link.heal()
        await stream.send_all(b"two")
        await arrived(3)
        assert server.recv(10) + server.recv(10) == b"one two"

    world(scene)


@pytest.mark.parametrize("is_silent", [False, True])
def test_a_machine_that_dies_is_heard_of_or_not(is_silent):
    """A process leaves its system to say goodbye; a machine without power does not."""

    async def scene(hosts, stream, server):
        hosts.kill("node", silently=is_silent)
        assert server.is_closed
        with pytest.raises(OSError, match="closed"):
            server.send(b"x")
        with trio.move_on_after(60) as scope:
            assert await stream.receive_some() == b""
        assert scope.cancelled_caught == is_silent
        with pytest.raises(TimeoutError if is_silent else ConnectionRefusedError):
            await hosts.dial("anna", "node")

    world(scene)


def test_nothing_is_open_after_both_ends_are_closed():
    async def scene(hosts, stream, server):
        await stream.aclose()
        server.close()
        await arrived()
        assert hosts.network.open == {}
        assert hosts.network.is_quiet

    world(scene)


def test_closing_wakes_who_reads():
    async def scene(hosts, stream, server):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(fails, trio.ClosedResourceError, stream.receive_some))
            await arrived()
            await stream.aclose()

    world(scene)


async def fails(error, function):
    with pytest.raises(error):
        await function()
