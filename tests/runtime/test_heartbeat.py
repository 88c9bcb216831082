"""Laws of signs of life: connections are looked at every second, and forgotten when they go."""

import trio
from scene import NOW_MS, VirtualClock, settled

from triolet._model.limits import Limits
from triolet._runtime.heartbeat import Heartbeat


class Connection:
    def __init__(self, expires_at=0):
        self.beats = []
        self.session = self
        self.expires_at = expires_at
        self.noticed = False

    def beat(self, now):
        self.beats.append(now)

    def notice_expiry(self):
        self.noticed = True


async def test_each_connection_is_looked_at_every_second(nursery):
    heartbeat = Heartbeat(VirtualClock(), Limits())
    nursery.start_soon(heartbeat.run)
    connections = [Connection() for _ in range(1200)]
    for connection in connections:
        heartbeat.join(connection)
    await trio.sleep(3.5)
    heartbeat.leave(connections[0])
    heartbeat.leave(connections[0])
    await trio.sleep(1)

    assert connections[0].beats == [1, 2, 3]
    assert {tuple(one.beats) for one in connections[1:]} == {(1, 2, 3, 4)}


async def test_the_end_of_a_token_is_noticed_in_time(nursery):
    heartbeat = Heartbeat(VirtualClock(), Limits(token_notice_s=60))
    nursery.start_soon(heartbeat.run)
    soon, later, never = Connection(NOW_MS + 62_500), Connection(NOW_MS + 90_000), Connection()
    for connection in (soon, later, never):
        heartbeat.join(connection)
    await trio.sleep(3.1)

    assert [one.noticed for one in (soon, later, never)] == [True, False, False]


async def test_empty_means_that_all_have_gone(nursery):
    heartbeat = Heartbeat(VirtualClock(), Limits())
    await heartbeat.wait_empty()
    connections = [Connection(), Connection()]
    for connection in connections:
        heartbeat.join(connection)
    done = []

    async def wait():
        await heartbeat.wait_empty()
        done.append(True)

    nursery.start_soon(wait)
    nursery.start_soon(wait)
    for connection in connections:
        await settled()
        assert done == []
        heartbeat.leave(connection)
    await settled()

    assert done == [True, True]


async def test_a_pipe_whose_client_never_reads_is_closed_as_too_slow(scene):
    """Not one message taken for `stall_s`; one taken now and then keeps it."""
    anna, ben = await scene.enter("anna"), await scene.enter("ben", tier="service")
    await scene.room("tea", anna, ben)
    anna.stop_reading()
    for _ in range(100):
        await ben.send("tea")
    for _ in range(5):
        await trio.sleep(scene.limits.stall_s - 2)
        await anna.pipe.receive()
    assert not anna.session.is_gone
    await trio.sleep(scene.limits.stall_s + 2)
    anna.reading.set()

    assert await anna.ended() == 4008
