"""Duplicates after reconnect: what was recovered is not counted, and comes again.

socket.io #5419 (the offset is not advanced by recovered packets), channels #798.
"""

from house import open_house, read


async def test_each_entry_leaves_the_server_once_for_a_reader_who_comes_back():
    """The position moves with what was recovered: not even the wire carries a duplicate."""
    async with open_house() as house, house.connect("anna", straight=True) as anna:
        made = await anna.create("group", members=["ben"])
        for number in range(400):
            written = await anna.send(made.room, f"{number} " + "x" * 300)
        async with house.connect("ben") as ben:
            # Each connection ends in the middle of what it recovers.
            for after_bytes in (30_000, 60_000, 90_000):
                house.proxy.cut(after_bytes=after_bytes)
            entries = await read(ben, made.room, made.epoch, written.seq)
            assert [entry.seq for entry in entries] == list(range(1, written.seq + 1))
            assert ben.statistics().duplicates == 0
            assert ben.statistics().connections > 1
