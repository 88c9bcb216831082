"""Leaks per connection: each one that ends leaves something behind.

socket.io #407, #2427, #4028, #3553; python-socketio #447; Flask-SocketIO #574; python-engineio
PR #51; engine.io #225.
"""

import gc
from pathlib import Path

import trio
from house import open_house, until

from triolet._runtime.session import Session

CYCLES = 60


def alive(kind):
    gc.collect()
    return sum(isinstance(one, kind) for one in gc.get_objects())


def open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


def tasks(engine):
    return len(engine._nursery.child_tasks) + len(engine.connection_nursery.child_tasks)


async def come_and_go(house, number):
    """One connection with all that a session can hold, ended in one of four ways."""
    async with house.connect(f"user-{number % 7}", device=f"d{number}") as client:
        await client.subscribe("lobby")
        await client.watch([f"user-{number % 7}", "anna"])
        await client.typing("lobby")
        await client.presence("away")
        match number % 4:
            case 0:
                house.proxy.cut(after_bytes=number)
            case 1:
                house.proxy.sever()
            case 2:
                await client.send("lobby", "bye")
            case _:
                pass
    house.proxy.heal()


def held(engine):
    return alive(Session), open_files(), tasks(engine), engine.statistics()


async def settle(anna, sessions):
    """Let graces end, and be the last one whom the server heard: it may remember that one."""
    await trio.sleep(0.5)
    await anna.rooms()
    # How soon a busy machine lets go of the others is of no interest here; that it does, is.
    await until(lambda: alive(Session) == sessions)


async def test_what_has_ended_is_gone(idle_clock):
    """Sessions, cursors, tasks, file descriptors and watchers are what they were before."""
    # Hers, and what other tests of this process may have left.
    sessions = alive(Session) + 1
    async with (
        open_house(heartbeat_s=0.5, grace_s=0.1, typing_s=0.3, close_timeout_s=0.1) as house,
        house.connect("anna", straight=True) as anna,
    ):
        await anna.create("group", room="lobby", members=[f"user-{number}" for number in range(7)])
        engine = house.engine
        await come_and_go(house, 2)
        await until(lambda: engine.statistics().sessions == 1 and not house.proxy.connections)
        await settle(anna, sessions)
        before = held(engine)
        for number in range(CYCLES):
            await come_and_go(house, number)
        await until(lambda: engine.statistics().users == 1 and not house.proxy.connections)
        await settle(anna, sessions)
        after = held(engine)
        assert after == before
        assert engine.presence.watchers.by_user == {}
