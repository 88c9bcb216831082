"""The client and the real engine: links that break at random cost nothing but time."""

import random

import pytest
import trio

from triolet._model.entries import Entry, Message
from triolet.client import Backoff, ClientLimits, LinkClosed, open_client
from triolet.embedded import _PipeDialer, open_engine
from triolet.ports.gate import FOREVER, Identity

USERS = ("anna", "ben", "eva")
EACH = 60
QUICK = Backoff(base_s=0.01, ceiling_s=0.05)


class BreakingLink:
    """A link that is cut after a number of messages, before or after it carries the last."""

    def __init__(self, link, chance):
        self._link = link
        self._chance = chance
        self._left = chance.randint(5, 120)

    async def _count(self):
        self._left -= 1
        if self._left <= 0:
            await self._link.aclose(1000, "")
            raise LinkClosed(1006, "cut")

    async def send(self, payload):
        if self._chance.random() < 0.5:
            await self._count()
        await self._link.send(payload)
        await self._count()

    async def receive(self):
        payload = await self._link.receive()
        await self._count()
        return payload

    async def aclose(self, code, reason):
        await self._link.aclose(code, reason)


class BreakingDialer:
    """Dials links that break, until it is told to stop that."""

    def __init__(self, dialer, chance):
        self._dialer = dialer
        self._chance = chance
        self.is_breaking = True

    async def dial(self):
        link = await self._dialer.dial()
        return BreakingLink(link, self._chance) if self.is_breaking else link


class Scene:
    """What all say, and what each one sees."""

    def __init__(self, engine, seed):
        self.engine = engine
        self.chance = random.Random(seed)
        self.seen = {user: [] for user in USERS}
        self.all_seen = {user: trio.Event() for user in USERS}
        self.acknowledged = {}
        self.begin = trio.Event()

    async def consume(self, user, stream):
        async for event in stream:
            if isinstance(event, Entry) and isinstance(event.fact, Message):
                self.seen[user].append((event.seq, event.fact.body["text"]))
                if len(self.seen[user]) == EACH * len(USERS):
                    self.all_seen[user].set()
            if self.chance.random() < 0.05:
                await trio.sleep(0.02)

    async def send(self, client, text):
        self.acknowledged[text] = (await client.send("r", text)).seq

    async def converse(self, user, *, task_status):
        """Say everything and see everything, over links that break."""
        identity = Identity(user=user, expires_at=FOREVER, tier="service")
        dialer = BreakingDialer(_PipeDialer(self.engine, identity), self.chance)
        # A small buffer, so that holds happen as well.
        limits = ClientLimits(stream_events_max=20, patience_s=0.01)
        async with open_client(dialer, backoff=QUICK, limits=limits) as client:
            stream = client.events()
            await client.subscribe("r")
            task_status.started()
            await self.begin.wait()
            async with trio.open_nursery() as consuming:
                consuming.start_soon(self.consume, user, stream)
                async with trio.open_nursery() as sending:
                    for number in range(EACH):
                        sending.start_soon(self.send, client, f"{user} {number}")
                        if self.chance.random() < 0.2:
                            await trio.sleep(0.005)
                dialer.is_breaking = False
                await self.all_seen[user].wait()
                consuming.cancel_scope.cancel()


@pytest.mark.parametrize("seed", range(3))
async def test_everything_is_stored_once_and_seen_once_in_one_order(autojump_clock, seed):
    async with open_engine() as engine:
        scene = Scene(engine, seed)
        async with engine.connect("owner") as owner:
            await owner.create(room="r", members=USERS)
        with trio.fail_after(600):
            async with trio.open_nursery() as nursery:
                for user in USERS:
                    await nursery.start(scene.converse, user)
                scene.begin.set()

    texts = {f"{user} {number}" for user in USERS for number in range(EACH)}
    first = scene.seen[USERS[0]]
    for log in scene.seen.values():
        seqs = [seq for seq, _ in log]
        assert sorted(set(seqs)) == seqs
        assert log == first
    assert scene.acknowledged == {text: seq for seq, text in first}
    assert texts == set(scene.acknowledged)
