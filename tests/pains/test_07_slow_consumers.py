"""Slow consumers: unbounded buffers, silent drops, or a disconnect.

python-engineio #133 (open since 2019), Flask-SocketIO #663 and #311; channels_redis #96, #131,
#181, #62; channels #1683 (drops under churn); zulip PR #39769; micronaut #8984.
"""

import trio
from house import PATIENCE_S, open_house, read, until

# Nobody is given up for being slow, or silent, while a busy machine sends all that.
PATIENT = {"stall_s": 600, "heartbeat_s": 300}
BODY = "x" * 4000
COUNT = 2000


async def test_a_reader_who_stops_reading_costs_its_budget_and_loses_nothing():
    """8 MB pass a socket that takes none of it; the server holds 256 KiB, and a frame or two."""
    async with (
        open_house(**PATIENT) as house,
        house.connect("anna", straight=True) as anna,
        house.connect("carl", straight=True) as carl,
        house.connect("ben") as ben,
    ):
        made = await anna.create("group", members=["ben", "carl"])
        stream = ben.room(made.room).entries(since=(made.epoch, 0))
        seqs = []

        async def listen():
            async for entry in stream:
                seqs.append(entry.seq)  # noqa: PERF401 - one at a time

        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            await until(lambda: len(seqs) == 3)
            house.proxy.hold("down")
            held = 0
            for _ in range(COUNT // 50):
                async with trio.open_nursery() as batch:
                    for _ in range(50):
                        batch.start_soon(anna.send, made.room, BODY)
                held = max(held, *(s.outbox.size for s in sessions_of(house, "ben")))
            high = house.engine.limits.outbox_bytes_high
            assert high / 2 < held <= high + house.engine.limits.page_bytes_max
            # Whoever reads has it all, meanwhile.
            assert len(await read(carl, made.room, made.epoch, COUNT + 3)) == COUNT + 3
            house.proxy.release()
            with trio.fail_after(PATIENCE_S):
                await until(lambda: len(seqs) == COUNT + 3)
            nursery.cancel_scope.cancel()
        assert seqs == list(range(1, COUNT + 4))
        assert ben.statistics().connections == 1


def sessions_of(house, user):
    return house.engine.presence.present[user].sessions.values()
