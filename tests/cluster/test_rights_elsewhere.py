"""Kicks and revocations on every node: within a second, within five where nothing is rung."""

import pytest
import trio
from fleet import PATIENCE_S, open_fleet, tea

from triolet._model.errors import ConnectionClosed, Refusal
from triolet._model.events import Closed

RUNG_S = 1
# It is looked for every five seconds, and what is found is told as if it were rung.
SWEPT_S = 5 + RUNG_S


@pytest.mark.parametrize("is_rung", [True, False])
async def test_a_kick_is_felt_on_every_node(postgres, redis, is_rung):
    """Law: within a second; within five if the doorbell is lost, and no entry after it is seen."""
    async with open_fleet(postgres, redis, count=3) as (left, right, far):
        anna = await left.enter("anna")
        bens = [await right.enter("ben"), await far.enter("ben", device="phone")]
        room = await tea(anna, *bens[:1])
        await bens[1].client.subscribe(room)
        head = await anna.send(room, "for ben, too")
        for ben in bens:
            await ben.until(lambda event: getattr(event, "seq", 0) == head)
        if not is_rung:
            left.bus.refuse()
            left.bus.cut()
        kicked = await anna.client.kick(room, "ben")
        for ben in bens:
            await ben.told(Closed, within_s=RUNG_S if is_rung else SWEPT_S, room=room)
        await anna.send(room, "without ben")
        await trio.sleep(0.5)
        for ben in bens:
            assert max(ben.seqs(room)) <= kicked.seq
            with pytest.raises(Refusal):
                await ben.client.send(room, "let me in")


@pytest.mark.parametrize("is_rung", [True, False])
async def test_a_revocation_is_felt_on_every_node(postgres, redis, is_rung):
    """Law: sessions end within a second everywhere; within five if the doorbell is lost."""
    async with open_fleet(postgres, redis, count=3) as (left, right, far):
        bens = [await right.enter("ben"), await far.enter("ben", device="phone")]
        if not is_rung:
            left.bus.refuse()
            left.bus.cut()
        await left.engine.revoke("ben")
        began = left.time.now()
        with trio.fail_after(PATIENCE_S):
            for ben in bens:
                with pytest.raises(ConnectionClosed):
                    await _ask_on(ben)
        assert left.time.now() - began <= (RUNG_S if is_rung else SWEPT_S)


async def _ask_on(person):
    while True:
        await person.client.ping()
        await trio.sleep(0.05)
