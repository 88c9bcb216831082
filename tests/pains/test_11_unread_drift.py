"""Read state drifts across devices: a counter counted twice, or never down.

Rocket.Chat feature-requests #709, chatmail/core #7965 and #8577, Signal-Desktop #5900, Expensify
#16459; receipts of groups: nextcloud/spreed #12934, kontalk #865, mattermost #17331, vartalap #17
(told to everybody instead of the sender).
"""

import trio
import trio.testing
from house import open_house, until

from triolet._model.events import Receipts


async def unread_of(client, room):
    row = next(row for row in (await client.rooms()).rooms if row.room == room)
    return row.unread


async def test_unread_is_the_same_on_every_device_whatever_happens():
    """Derived from two positions: reading twice, reconnecting and deleting move no counter."""
    async with (
        open_house() as house,
        house.connect("anna", straight=True) as anna,
        house.connect("ben", device="phone", straight=True) as phone,
        house.connect("ben", device="laptop") as laptop,
    ):
        made = await anna.create("group", members=["ben"])
        seqs = [(await anna.send(made.room, str(number))).seq for number in range(10)]
        assert [await unread_of(d, made.room) for d in (phone, laptop)] == [10, 10]
        for _ in range(3):
            await phone.receipt(made.room, read=seqs[6])
            await laptop.receipt(made.room, read=seqs[3])
        assert [await unread_of(d, made.room) for d in (phone, laptop)] == [3, 3]
        connections = laptop.statistics().connections
        house.proxy.cut()
        await until(lambda: laptop.statistics().connections > connections)
        await anna.react(made.room, seqs[0], "👍")
        assert [await unread_of(d, made.room) for d in (phone, laptop)] == [3, 3]
        await laptop.receipt(made.room, read=seqs[-1])
        assert [await unread_of(d, made.room) for d in (phone, laptop)] == [0, 0]


async def test_in_a_large_room_receipts_reach_whom_they_concern():
    """The author of what was read and the reader's own devices: not everybody."""
    async with (
        open_house(receipts_members_max=2, state_interval_s=0.05) as house,
        house.connect("anna") as anna,
        house.connect("ben") as ben,
        house.connect("carl") as carl,
    ):
        made = await anna.create("group", members=["ben", "carl"])
        heard = {"anna": [], "carl": []}
        for client in (anna, ben, carl):
            await client.subscribe(made.room)

        async def listen(client):
            async for event in client.events():
                if isinstance(event, Receipts):
                    heard[client.user] += event.marks

        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen, anna)
            nursery.start_soon(listen, carl)
            await trio.testing.wait_all_tasks_blocked(0.01)
            sent = await anna.send(made.room, "for ben to read")
            await ben.receipt(made.room, read=sent.seq)
            mark = ("ben", sent.seq, sent.seq)
            await until(lambda: mark in [tuple(one) for one in heard["anna"]])
            await trio.sleep(0.2)
            nursery.cancel_scope.cancel()
        assert not [mark for mark in heard["carl"] if mark[0] == "ben"]
