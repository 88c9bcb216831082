"""An engine that notifies, and a push service that takes what it is sent, in virtual time.

async with open_house() as house:
await house.subscribe("ben")
await house.say("anna", "dm:anna:ben", "hello")
await house.passed(6)
assert house.texts("ben") == ["hello"]
"""

from contextlib import asynccontextmanager

import trio
from notices import Browser, FakeOutgoing
from scene import CountedEntropy, VirtualClock

from triolet._model.limits import Limits
from triolet.adapters.memory import MemoryStore
from triolet.embedded import ClosedGate, Engine
from triolet_api.address import Address
from triolet_api.notifications.notifying import open_notifying
from triolet_api.settings import Settings

DELAY_S = 5
UNREAD_DELAY_S = 30


class House:
    """What is running. `services` go on when the house is opened again: the store, the outside."""

    def __init__(self, engine, notifying, outgoing, browsers):
        self.engine = engine
        self.notifying = notifying
        self.outgoing = outgoing
        self.browsers = browsers

    async def subscribe(self, user, name="phone"):
        endpoint = f"https://push.example.net/{user}/{name}"
        browser = self.browsers[endpoint] = Browser(endpoint)
        return await self.notifying.devices.add(
            user,
            endpoint=endpoint,
            p256dh=browser.p256dh,
            auth=browser.auth,
            agent=name,
            now=self.engine.clock.now_ms(),
        )

    def connect(self, user):
        return self.engine.connect(user)

    async def direct(self, user, other):
        async with self.connect(user) as one:
            return await one.direct(other)

    async def say(self, user, room, *texts, **fields):
        async with self.connect(user) as one:
            for text in texts:
                await one.send(room, {"text": text}, **fields)

    async def wish(self, user, wishes):
        await self.notifying.people.change_wishes(user, lambda _: wishes)

    async def passed(self, seconds):
        await trio.sleep(seconds)

    def notices(self, user, name="phone"):
        """Return what a device was sent, as it reads it."""
        endpoint = f"https://push.example.net/{user}/{name}"
        sent = [body for url, body, _ in self.outgoing.sent if url == endpoint]
        return [self.browsers[endpoint].read(body) for body in sent]

    def texts(self, user, name="phone"):
        return [one.get("text", "") for one in self.notices(user, name)]


@asynccontextmanager
async def open_house(
    *, store=None, clock=None, outgoing=None, browsers=None, bus=None, entropy=None, **settings
):
    """Open a house; settings by their sections, `push=PushSettings(…)`.

    What is given outlives it, and may be given to another.
    """
    clock = clock or VirtualClock()
    entropy = entropy or CountedEntropy()
    store = store or MemoryStore(clock=clock, entropy=entropy)
    outgoing = outgoing or FakeOutgoing()

    @asynccontextmanager
    async def fake(**_):
        yield outgoing

    whole = Settings(store=Address("memory:"), **settings)
    async with (
        Engine(
            store=store, gate=ClosedGate(), clock=clock, entropy=entropy, limits=Limits(), bus=bus
        ) as engine,
        open_notifying(engine, whole, way_out=fake) as notifying,
    ):
        yield House(engine, notifying, outgoing, {} if browsers is None else browsers)
