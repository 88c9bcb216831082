"""Presence and typing storms dominate the CPU: n people tell n people, each time.

synapse #3971, #15169, #16039, #16843, #15878; Rocket.Chat #11288 (stops at 1,000 users),
#21182, #17473, #20147; zulip's page on performance (quadratic); typing: bigbluebutton #11161
(half of the API's traffic), #8419, zulip #11152.
"""

from contextlib import AsyncExitStack

import trio
from house import open_house

from triolet._model.events import Presence, Typing

PEOPLE, ROUNDS, INTERVAL_S = 30, 20, 0.2


async def test_a_storm_reaches_nobody_as_more_than_the_latest_state():
    """30 people who type and change their status 20 times make 1,200 changes.

    Told one by one they would be 36,000 events; each person is told the latest, once an interval.
    """
    async with open_house(state_interval_s=INTERVAL_S) as house, AsyncExitStack() as stack:
        users = [f"user-{number}" for number in range(PEOPLE)]
        people = [await stack.enter_async_context(house.connect(user)) for user in users]
        made = await people[0].create("group", members=users[1:])
        for person in people:
            await person.subscribe(made.room)
            await person.watch(users)
        heard = dict.fromkeys(users, 0)

        async def count(person):
            async for event in person.events():
                if isinstance(event, Typing | Presence):
                    heard[person.user] += 1

        async with trio.open_nursery() as nursery:
            for person in people:
                nursery.start_soon(count, person)
            began = trio.current_time()
            for turn in range(ROUNDS):
                for person in people:
                    await person.typing(made.room, on=turn % 2 == 0)
                    await person.presence("away" if turn % 2 else "online")
            await trio.sleep(3 * INTERVAL_S)
            took_s = trio.current_time() - began
            nursery.cancel_scope.cancel()
        # Two kinds of state, each once an interval, and one that was due when it began.
        assert max(heard.values()) <= 2 * (took_s / INTERVAL_S + 1)
        assert min(heard.values()) >= 1
