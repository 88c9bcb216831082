"""Presence ghosts: who has gone stays online, or who is here is shown as gone.

phoenix #2306 (zombies on deploy), phoenix_pubsub #74, PR #80, PR #111 (ghosts of netsplits),
cometd #456, centrifugo #924 and #926; career-pilot #2155 (a stale timer fires after the return).
"""

import trio
from house import open_house, until

from triolet._model.events import Presence

QUICK_LIMITS = {"heartbeat_s": 0.2, "grace_s": 0.3, "state_interval_s": 0.02}


async def watch(client, statuses):
    async for event in client.events():
        if isinstance(event, Presence):
            statuses.extend(status for user, status, _ in event.users if user == "ben")


async def test_a_half_open_connection_ends_as_offline(idle_clock):
    """Nobody said goodbye, and no packet comes: two heartbeats and the grace bound the ghost."""
    async with open_house(**QUICK_LIMITS) as house, house.connect("anna", straight=True) as anna:
        await anna.create("group", members=["ben"])
        statuses = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch, anna, statuses)
            async with house.connect("ben", start_offline=True) as ben:
                await ben.wait_online()
                rows = await anna.watch(["ben"])
                assert rows.users[0][1] == "online"
                house.proxy.sever()
                began = trio.current_time()
                await until(lambda: "offline" in statuses)
                # 2 x 0.2 + 0.3 s, and a second for a farewell that nobody answers.
                assert trio.current_time() - began < 2.5
            nursery.cancel_scope.cancel()
        assert house.engine.presence.present.keys() == {"anna"}


async def test_the_grace_of_a_connection_does_not_end_its_successor(idle_clock):
    """Back within the grace: not for a moment offline, and the old timer hurts nobody."""
    async with open_house(**QUICK_LIMITS) as house, house.connect("anna", straight=True) as anna:
        await anna.create("group", members=["ben"])
        statuses = []
        async with trio.open_nursery() as nursery, house.connect("ben") as ben:
            nursery.start_soon(watch, anna, statuses)
            await anna.watch(["ben"])
            for _ in range(3):
                before = ben.statistics().connections
                house.proxy.cut()
                await until(lambda before=before: ben.statistics().connections > before)
            await trio.sleep(3 * QUICK_LIMITS["grace_s"])
            assert "offline" not in statuses
            assert (await anna.watch(["ben"])).users[0][1] == "online"
            nursery.cancel_scope.cancel()
