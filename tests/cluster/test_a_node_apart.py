"""A node that is cut from what it stands on says so, and is itself again when it is not."""

import pytest
import trio
from fleet import LEASE_S, PATIENCE_S, open_fleet, tea

from triolet._model.errors import ErrorCode, Refusal

CANARY_S = 5


@pytest.mark.parametrize("how", ["refused", "silent"])
async def test_a_node_that_is_cut_from_both_is_not_ready_and_keeps_nothing(postgres, redis, how):
    """Law: no acknowledgement, not ready within the canary's time; healed, nothing is missing."""
    async with open_fleet(postgres, redis) as (left, right):
        anna, ben = await left.enter("anna"), await right.enter("ben")
        room = await tea(anna, ben)
        head = await anna.send(room, "together")
        await ben.client.watch(["anna"])
        for proxy in (left.store, left.bus):
            if how == "refused":
                proxy.refuse()
                proxy.cut()
            else:
                proxy.sever()
        began = left.time.now()
        with pytest.raises(Refusal) as refused:
            with trio.fail_after(PATIENCE_S):
                await anna.client.send(room, "apart", cid="apart")
        # What was on its way when the way was lost may be stored.
        assert refused.value.code in (ErrorCode.STORE_UNAVAILABLE, ErrorCode.OUTCOME_UNKNOWN)
        await left.until_ready(False)
        assert left.time.now() - began <= 15
        # Its users are gone for the others; the others are as ever.
        assert right.engine.ready()
        await ben.told_that("anna", "offline", within_s=2 * LEASE_S + CANARY_S)
        apart = [await ben.send(room, f"while apart {number}") for number in range(5)]
        assert not [seq for seq in anna.seqs(room) if seq in apart]
        for proxy in (left.store, left.bus):
            proxy.heal()
        await left.until_ready(True)
        await anna.until(lambda event: getattr(event, "seq", 0) == apart[-1])
        await anna.send(room, "apart", cid="apart")
        last = await anna.send(room, "together again")
        await ben.told_that("anna", "online")
        for person in (anna, ben):
            await person.until(lambda event: getattr(event, "seq", 0) == last)
            assert person.seqs(room) == list(range(1, last + 1))
        assert last == head + 7


async def test_a_node_that_is_cut_from_the_store_alone_still_passes_on_what_others_keep(
    postgres, redis
):
    """Law: it hears; what it hears needs no store."""
    async with open_fleet(postgres, redis) as (left, right):
        anna, ben = await left.enter("anna"), await right.enter("ben")
        room = await tea(anna, ben)
        head = await ben.send(room, "together")
        # What was kept before a subscription is read from the store, and may be on its way still.
        await anna.until(lambda event: getattr(event, "seq", 0) == head)
        left.store.refuse()
        left.store.cut()
        for number in range(5):
            seq = await ben.send(room, f"heard {number}")
            await anna.until(lambda event, seq=seq: getattr(event, "seq", 0) == seq)
        with pytest.raises(Refusal):
            await anna.client.send(room, "not kept")
        # It may know by now that it cannot ask who is banned; of the bus it knows nothing bad.
        assert left.engine.why_not_ready() in ("", "store")
        left.store.heal()
        await anna.send(room, "kept")
        await left.until_ready(True)
