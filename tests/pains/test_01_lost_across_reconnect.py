"""Messages lost across reconnect: the first pain of everybody who builds a chat.

socket.io #4968, #4733, #4888, #5538 (no recovery before the first event), #4880 (only once),
socket.io-redis-streams-adapter #27 (none after the server's death); ejabberd #417, #1151,
#1160; Rocket.Chat #8899, Rocket.Chat.ReactNative #7506 (a client's clock as the cursor).
"""

import trio
from house import open_house, read, until

import triolet


async def test_a_reader_who_is_cut_off_again_and_again_misses_nothing():
    """Also in the middle of a frame, before its first event, and more than once."""
    async with (
        open_house() as house,
        house.connect("anna", straight=True) as anna,
        house.connect("ben") as ben,
    ):
        made = await anna.create("group", members=["ben"])
        events = ben.room(made.room).entries()
        await ben.subscribe(made.room)
        house.proxy.cut()
        seqs = []

        async def listen():
            async for entry in events:
                seqs.append(entry.seq)  # noqa: PERF401 - one at a time

        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            for number in range(300):
                written = await anna.send(made.room, f"{number} " + "x" * 200)
                if number % 30 == 10:
                    house.proxy.cut(after_bytes=number)
            await until(lambda: seqs and seqs[-1] == written.seq)
            nursery.cancel_scope.cancel()
        assert seqs == list(range(seqs[0], written.seq + 1))
        assert len(seqs) >= 300
        assert ben.statistics().connections > 3


async def test_the_servers_death_loses_nothing(tmp_path):
    """The log outlives the process; a position of the one is a position in the other."""
    store = f"sqlite:{tmp_path / 'chat.db'}"
    async with open_house(store) as house, house.connect("anna") as anna:
        made = await anna.create("group", members=["ben"])
        for number in range(20):
            await anna.send(made.room, str(number))
    async with open_house(store) as house, house.connect("ben") as ben:
        entries = await read(ben, made.room, made.epoch, 22)
        texts = [e.fact.body["text"] for e in entries if isinstance(e.fact, triolet.Message)]
        assert texts == [str(number) for number in range(20)]
