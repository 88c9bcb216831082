"""Duplicate sends on retry: no durable idempotency key.

zulip #31219 (open since 2024), synapse #1481 and #8476, element-web #10273, riot-android #645
(four times), chatwoot #15743, Rocket.Chat PR #41518; socket.io #5363 wants a resynchronisation.
"""

import trio
from house import open_house, read, until

import triolet


async def test_an_answer_that_is_lost_does_not_double_the_message():
    """The commit happened, the `ok` did not arrive: the retry is told the first one's place."""
    async with (
        open_house() as house,
        house.connect("anna") as anna,
        house.connect("ben", straight=True) as ben,
    ):
        made = await anna.create("group", members=["ben"])
        results = []

        async def send(number):
            results.append(await anna.send(made.room, f"{number}"))

        async with trio.open_nursery() as nursery:
            house.proxy.hold("down")
            for number in range(10):
                nursery.start_soon(send, number)
            head = 12  # two members and ten messages
            await until(lambda: house.engine.hub.rooms[made.room].head == head)
            house.proxy.cut()
            house.proxy.release()
        assert all(written.duplicate for written in results)
        assert sorted(written.seq for written in results) == list(range(3, 13))
        entries = await read(ben, made.room, made.epoch, head)
        texts = [e.fact.body["text"] for e in entries if isinstance(e.fact, triolet.Message)]
        assert sorted(texts) == sorted(str(number) for number in range(10))


async def test_the_key_outlives_the_server(tmp_path):
    """A retry of yesterday's, after a restart, is the same message still."""
    store = f"sqlite:{tmp_path / 'chat.db'}"
    async with open_house(store) as house, house.connect("anna") as anna:
        made = await anna.create("group")
        first = await anna.send(made.room, "once", cid="key")
    async with open_house(store) as house, house.connect("anna") as anna:
        again = await anna.send(made.room, "once", cid="key")
        assert (again.seq, again.duplicate) == (first.seq, True)
        assert (await anna.send(made.room, "another")).seq == first.seq + 1
