"""Laws of signs of life: connections are looked at in time, and forgotten when they go."""

import gc
import math
import weakref

import pytest
import trio
from scene import NOW_MS, VirtualClock, settled

from triolet._model.limits import Limits
from triolet._runtime.heartbeat import Heartbeat


class Connection:
    """A connection and its session in one."""

    def __init__(self, expires_at=0, deadline=math.inf):
        self.beats = []
        self.session = self
        self.expires_at = expires_at
        self.noticed = False
        self.deadline = deadline
        self.closing = None
        self.is_gone = False
        # When its deadline was found to have come, and whether it was told to leave.
        self.expired = []
        self.is_leaving = False

    def beat(self, now):
        self.beats.append(now)

    def notice_expiry(self):
        self.noticed = True

    def expire(self):
        self.expired.append(trio.current_time())
        self.closing = "expired"

    def leave(self):
        self.is_leaving = True


@pytest.fixture
async def heartbeat(nursery):
    """A running heartbeat."""
    heartbeat = Heartbeat(VirtualClock(), Limits())
    nursery.start_soon(heartbeat.run)
    return heartbeat


async def test_each_connection_is_looked_at_every_second(nursery):
    heartbeat = Heartbeat(VirtualClock(), Limits())
    nursery.start_soon(heartbeat.run)
    connections = [Connection() for _ in range(1200)]
    for connection in connections:
        heartbeat.join(connection)
    await trio.sleep(3.5)
    heartbeat.leave(connections[0], code=1000)
    heartbeat.leave(connections[0], code=1000)
    await trio.sleep(1)

    assert connections[0].beats == [1, 2, 3]
    assert {tuple(one.beats) for one in connections[1:]} == {(1, 2, 3, 4)}


@pytest.mark.parametrize(
    ("limits", "interval_s"),
    [
        (Limits(heartbeat_s=0.5), 1),
        (Limits(heartbeat_s=600), 30 / 25),
        (Limits(heartbeat_s=600, stall_s=250), 60 / 25),
        (Limits(heartbeat_s=600, stall_s=250, token_notice_s=300), 10),
        (Limits(heartbeat_s=100, stall_s=250, token_notice_s=300), 4),
    ],
)
async def test_where_nothing_is_urgent_looks_are_rare(nursery, limits, interval_s):
    """What they look for is found late by a 25th of what is waited for, or by a second."""
    heartbeat = Heartbeat(VirtualClock(), limits)
    nursery.start_soon(heartbeat.run)
    connection = Connection()
    heartbeat.join(connection)
    await trio.sleep(3.5 * interval_s)

    assert connection.beats == pytest.approx([interval_s, 2 * interval_s, 3 * interval_s])


async def test_deadlines_come_to_the_moment_where_looks_are_rare(nursery):
    heartbeat = Heartbeat(VirtualClock(), Limits(heartbeat_s=600, stall_s=500, token_notice_s=500))
    nursery.start_soon(heartbeat.run)
    times = [0.5, 19.5, 20.5, 39, 41, 3600.25]
    connections = [joined(heartbeat, deadline) for deadline in times]

    await trio.sleep(4000)

    assert [one.expired for one in connections] == [[deadline] for deadline in times]


async def test_the_end_of_a_token_is_noticed_in_time(nursery):
    heartbeat = Heartbeat(VirtualClock(), Limits(token_notice_s=60))
    nursery.start_soon(heartbeat.run)
    soon, later, never = Connection(NOW_MS + 62_500), Connection(NOW_MS + 90_000), Connection()
    for connection in (soon, later, never):
        heartbeat.join(connection)
    await trio.sleep(3.1)

    assert [one.noticed for one in (soon, later, never)] == [True, False, False]


async def test_nobody_is_told_at_the_end_where_nobody_is_told_before_it(nursery):
    """Also where the round that looks comes late, and the token has ended."""
    heartbeat = Heartbeat(VirtualClock(), Limits(token_notice_s=0))
    nursery.start_soon(heartbeat.run)
    ended = Connection(NOW_MS + 500)
    heartbeat.join(ended)
    await trio.sleep(3.1)

    assert not ended.noticed


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
        heartbeat.leave(connection, code=1000)
    await settled()

    assert done == [True, True]


# --- deadlines -------------------------------------------------------------------------------


def joined(heartbeat, deadline):
    """Return a connection as it begins: minded, then looked after."""
    connection = Connection(deadline=deadline)
    heartbeat.mind(connection)
    heartbeat.join(connection)
    return connection


@pytest.mark.parametrize("deadline", [0, 0.25, 1, 1.75, 2.1, 3.0, 17.3, 3600.5])
async def test_a_deadline_comes_to_the_moment_however_far_it_was(heartbeat, deadline):
    """And once."""
    connection = joined(heartbeat, deadline)

    await trio.sleep(deadline + 5)

    assert connection.expired == [deadline]


async def test_deadlines_come_in_their_order(heartbeat):
    times = [2.5, 0.5, 7.25, 0.25, 3.5, 0.75, 7.0]
    connections = [joined(heartbeat, deadline) for deadline in times]

    await trio.sleep(10)

    assert [one.expired for one in connections] == [[deadline] for deadline in times]


@pytest.mark.parametrize(("before", "after"), [(0.5, 9.5), (9.5, 1.25), (1.5, 0.5), (0.5, 1.5)])
async def test_a_deadline_that_moves_counts_where_it_stands(heartbeat, before, after):
    """Further away or nearer, before or after it was known to be near."""
    connection = joined(heartbeat, before)
    await settled()
    connection.deadline = after
    heartbeat.mind(connection)

    await trio.sleep(12)

    assert connection.expired == [after]


@pytest.mark.parametrize("what", ["closing", "is_gone"])
async def test_who_has_ended_does_not_expire(heartbeat, what):
    connection = joined(heartbeat, 1.5)
    await trio.sleep(1.2)
    setattr(connection, what, True)
    heartbeat.leave(connection, code=1000)

    await trio.sleep(5)

    assert connection.expired == []


async def test_many_deadlines_of_one_moment_let_others_in_between(heartbeat, nursery):
    """A crowd that came with tokens of one minute."""
    connections = [joined(heartbeat, 1.5) for _ in range(2000)]
    looks = []

    async def look():
        await trio.sleep(1.5)
        while not looks or looks[-1] < len(connections):
            looks.append(sum(len(one.expired) for one in connections))
            await trio.lowlevel.checkpoint()

    nursery.start_soon(look)
    await trio.sleep(2)

    assert len(looks) >= 3
    assert {tuple(one.expired) for one in connections} == {(1.5,)}


# --- the end ---------------------------------------------------------------------------------


async def test_who_has_gone_is_not_held_until_the_next_beat(heartbeat):
    """Neither by the round in which it was looked at, nor by the one that ended it."""
    connection = Connection(deadline=trio.current_time() + 1.5)
    heartbeat.join(connection)
    await trio.sleep(1.6)
    assert len(connection.beats) == len(connection.expired) == 1
    heartbeat.leave(connection, code=1000)
    gone = weakref.ref(connection)
    del connection
    gc.collect()
    assert gone() is None


async def test_at_the_end_all_are_told_to_leave_and_waited_for(heartbeat):
    """Also those that come while others are leaving."""
    connections = [joined(heartbeat, math.inf) for _ in range(3)]
    ended = []

    async def live():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(heartbeat.keep)
            await settled()
            nursery.cancel_scope.cancel()
        ended.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(live)
        await trio.sleep(0.5)
        assert [one.is_leaving for one in connections] == [True] * 3
        late = joined(heartbeat, math.inf)
        assert late.is_leaving
        for connection in (*connections, late):
            await trio.sleep(1)
            assert ended == []
            heartbeat.leave(connection, code=1000)

    assert ended == [4.5]


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
