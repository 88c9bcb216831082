"""Law of everything at once: whatever happens together, each reader sees the log, once, in order.

Small bounds, slow readers, lost doorbells, a store that delays, fails and does not know, rights
that come and go, sessions that are cut and resume where they were.
"""

import random
from functools import partial

import pytest
import trio
from scene import open_scene, settled

from triolet._model.entries import Message
from triolet._model.errors import OutcomeUnknown, StoreUnavailable

LIMITS = {
    "outbox_bytes_high": 6000,
    "outbox_bytes_low": 1500,
    "ring_entries_max": 4,
    "page_entries_max": 3,
    "inflight_max": 3,
    "early_max": 3,
    "gap_max": 8,
    "idle_rooms_max": 1,
    "commands_burst": 100_000,
    "signals_burst": 100_000,
}
USERS = ("anna", "ben", "cleo", "dan")


class Reader:
    """Somebody who follows a room as a client does, through any number of sessions."""

    def __init__(self, scene, user, chance):
        self.scene = scene
        self.user = user
        self.chance = chance
        self.position = 0
        self.asked = {}
        self.session = None
        self.seen = 0
        self.follows = False
        self.refs = []

    async def come(self):
        self.session = await self.scene.enter(self.user, device=f"{self.user}-device")
        self.seen, self.follows, self.asked, self.refs = 0, False, {}, []

    async def say(self, op, **fields):
        if self.session.closed.is_set():
            await self.come()
        with trio.move_on_after(0.05):
            ref = await self.session.say(op, **fields)
            self.refs.append(ref)
            return ref
        return None

    async def follow(self, epoch):
        self.read()
        ref = await self.say("subscribe", room="tea", since=[epoch, self.position])
        self.asked[ref] = self.position

    async def unfollow(self):
        self.asked[await self.say("unsubscribe", room="tea")] = None

    def read(self):
        """Take what was heard since the last time, and hold it against the law."""
        for one in self.session.heard[self.seen :]:
            if one.get("ref") in self.asked:
                since = self.asked[one["ref"]]
                # One that is refused leaves what was before as it was.
                if one["op"] == "ok":
                    self.follows = since is not None
                if one["op"] == "ok" and since is not None:
                    assert one["recovered"], one
                    self.position = since
            elif one["op"] == "entry":
                assert self.follows, (self.user, one)
                assert one["seq"] == self.position + 1, (self.user, self.position, one)
                self.position = one["seq"]
            elif one["op"] == "closed":
                self.follows = False
        self.seen = len(self.session.heard)

    def answered_once(self):
        for ref in self.refs:
            if ref is not None:
                assert sum(one.get("ref") == ref for one in self.session.heard) == 1, ref


async def step(scene, readers, chance, epoch):
    who = chance.choice(readers)
    other = chance.choice(USERS[1:])
    target = chance.randint(1, 30)
    match chance.randint(0, 19):
        case 0 | 1 | 2 | 3 | 4:
            await who.say("send", room="tea", body={"text": "x" * chance.randint(0, 300)})
        case 5:
            await who.say("edit", room="tea", target=target, body={"text": "y"})
        case 6:
            await who.say("delete", room="tea", target=target)
        case 7:
            await who.say("react", room="tea", target=target, emoji="🙂", on=chance.random() < 0.7)
        case 8:
            await who.say("typing", room="tea", on=chance.random() < 0.7)
        case 9:
            await who.say("receipt", room="tea", read=target)
        case 10:
            await readers[0].say("kick", room="tea", user=other)
        case 11:
            await readers[0].say("invite", room="tea", user=other)
        case 12:
            role = chance.choice(["reader", "member", "admin"])
            await readers[0].say("role", room="tea", user=other, role=role)
        case 13 | 14:
            await who.follow(epoch)
        case 15:
            await who.say("history", room="tea")
        case 16:
            await chance.choice([who.unfollow, partial(who.say, "signal", room="tea", kind="x")])()
        case 17:
            if who.session.reading.is_set():
                who.session.stop_reading()
            else:
                who.session.reading.set()
        case 18:
            await elsewhere(scene, chance)
        case 19:
            who.session.reading.set()
            await who.session.cut()
            who.read()
            await who.come()


async def elsewhere(scene, chance):
    """Write as another node does; its doorbell comes, comes late, or is lost."""
    records = []
    for _ in range(chance.randint(1, 12)):
        records += await scene.elsewhere("tea", "anna", Message({"text": "from elsewhere"}))
    chance.shuffle(records)
    for record in records:
        if chance.random() < 0.7:
            scene.hub.offer(record)


def trouble(scene, chance):
    """Decide what becomes of the next calls of the store."""
    name = chance.choice(["append", "append", "append", "page", "membership", "room", "heads"])
    match chance.randint(0, 3):
        case 0 | 1:
            delay = chance.choice([0.001, 0.01, 0.1])
            scene.store.script(name, hook=partial(trio.sleep, delay))
        case 2:
            scene.store.script(name, error=StoreUnavailable("no"))
        case 3 if name == "append":
            scene.store.script(name, error_after=OutcomeUnknown("?"))
        case _:
            pass


@pytest.mark.parametrize("seed", range(25))
async def test_each_reader_sees_the_log_once_in_order(seed):
    chance = random.Random(seed)
    async with open_scene(**LIMITS) as scene:
        readers = [Reader(scene, user, chance) for user in USERS]
        for reader in readers:
            await reader.come()
        cast = [reader.session for reader in readers]
        await scene.room("tea", *cast, subscribe=False)
        epoch = (await scene.store.real.room("tea")).epoch
        for _ in range(150):
            if chance.random() < 0.25:
                trouble(scene, chance)
            await step(scene, readers, chance, epoch)
            if chance.random() < 0.3:
                await trio.sleep(chance.choice([0, 0.003, 0.05, 0.5]))
            for reader in readers:
                reader.read()
        await calm(scene, readers)

        head = (await scene.store.real.room("tea")).head
        for reader in readers:
            reader.read()
            reader.answered_once()
            assert not reader.follows or reader.position == head, reader.user


async def calm(scene, readers):
    """Let everything that was begun come to its end."""
    scene.store._steps.clear()
    for reader in readers:
        reader.session.reading.set()
    await trio.sleep(2 * scene.limits.head_check_s)
    await settled()
