"""Redis is gone, or answers nothing: who is here talks on, who is elsewhere hears by the store."""

from functools import partial

import pytest
import trio
from fleet import open_fleet, tea

from triolet._model.events import Signal, Typing
from triolet.testing.chaos.backings import BUS, Backing

# What is promised of what is sent elsewhere while there is no bus.
ELSEWHERE_S = 2
# Of what is sent here nothing is slower than before, on a machine with other things to do.
HERE_S = 0.5


@pytest.mark.parametrize("how", ["killed", "paused"])
async def test_without_the_bus_local_traffic_is_unharmed_and_remote_comes_by_the_store(
    postgres, redis, how
):
    """Law: here as ever, elsewhere within 2 s, and all that was missed is known when it is back."""
    async with open_fleet(postgres, redis) as (left, right):
        anna, cara = await left.enter("anna"), await left.enter("cara")
        ben = await right.enter("ben")
        room = await tea(anna, ben, cara, absent=["dora"])
        await ben.client.watch(["dora"])
        head = await anna.send(room, "the bus rings")
        await ben.until(lambda event: getattr(event, "seq", 0) == head)
        take, give = _verbs(redis, how)
        await trio.to_thread.run_sync(take)
        try:
            sent = await _talk(left, anna, room, count=10)
            for person in (cara, ben):
                await person.until(lambda event: getattr(event, "seq", 0) == max(sent))
            # Somebody comes, marks and types meanwhile.
            dora = await left.enter("dora")
            await cara.client.receipt(room, read=max(sent))
            assert ben.seqs(room)[-len(sent) :] == list(sent)
            for person, within_s in ((cara, HERE_S), (ben, ELSEWHERE_S)):
                late_s = [person.times(room)[seq] - at for seq, at in sent.items()]
                assert max(late_s) <= within_s, late_s
            await left.until_ready(False)
        finally:
            await trio.to_thread.run_sync(give)
        await _is_mended(left, right, anna, ben, room)
        # Presence, marks: what was not rung is read.
        await ben.told_that("dora", "online")
        marked = ("cara", max(sent), max(sent))
        await ben.until(lambda event: marked in getattr(event, "marks", ()))
        assert dora.client.user == "dora"
        for person in (anna, ben, cara):
            assert person.seqs(room) == list(range(1, len(person.seqs(room)) + 1))


def _verbs(redis, how):
    if how == "killed":
        return redis.kill, redis.start
    return redis.pause, redis.resume


class Kept:
    """For how long a node's store has been at what it was given to keep: no matter of the bus."""

    def __init__(self, node):
        self.spent_s = 0.0
        self._now = node.time.now
        self._append = node.engine.store.append
        node.engine.store.append = self._timed

    async def _timed(self, batch):
        began = self._now()
        try:
            return await self._append(batch)
        finally:
            self.spent_s += self._now() - began


async def _talk(node, person, room, count):
    """Say something now and then; return when each entry was acknowledged, by seq."""
    sent, kept = {}, Kept(node)
    for number in range(count):
        began, spent_s = person.time.now(), kept.spent_s
        seq = (await person.client.send(room, f"without {number}")).seq
        sent[seq] = person.time.now()
        assert kept.spent_s > spent_s
        assert sent[seq] - began - (kept.spent_s - spent_s) <= HERE_S
        await trio.sleep(0.3)
    return sent


async def _is_mended(left, right, anna, ben, room):
    """Both hear again, and what is sent, typed and signalled crosses at once."""
    for node in (left, right):
        await node.until_ready(True)
    began = anna.time.now()
    seq = await anna.send(room, "it rings again")
    await ben.until(lambda event: getattr(event, "seq", 0) == seq)
    assert ben.times(room)[seq] - began <= HERE_S
    say = partial(anna.client.typing, room, on=True)
    await ben.told_at_last(say, Typing, room=room, users=("anna",))
    say = partial(anna.client.signal, room, "ring", {"n": 1})
    await ben.told_at_last(say, Signal, room=room, kind="ring")


async def test_what_the_bus_forgets_is_told_again(postgres, redis):
    """Law: after FLUSHALL, leases and presence are there again within a beat or two."""
    # No lease lapses by itself here, however long this process is not let run.
    async with open_fleet(postgres, redis, presence_lease_s=60) as (left, right):
        anna, ben = await left.enter("anna"), await right.enter("ben")
        await tea(anna, ben, absent=["cara"])
        # Who has just come is told to the other node a tenth of a second later.
        if (await ben.client.watch(["anna"])).users[0][:2] != ("anna", "online"):
            await ben.told_that("anna", "online")
        await Backing("redis", BUS, redis, redis.kill).flush()
        ben.look_ahead()
        await ben.time.sleep(2)
        (row,) = (await ben.client.watch(["anna"])).users
        assert row[:2] == ("anna", "online")
        # Who comes later sees it, too: it is on the bus, not only remembered.
        cara = await right.enter("cara")
        await ben.client.unwatch(["anna"])
        (row,) = (await cara.client.watch(["anna"])).users
        assert row[:2] == ("anna", "online")
