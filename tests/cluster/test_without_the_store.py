"""PostgreSQL is gone: nothing is acknowledged, what is not kept goes on, and it recovers."""

import pytest
import trio
from fleet import LATER, PATIENCE_S, open_fleet, tea

from triolet._model.errors import ErrorCode, Refusal
from triolet._model.events import Signal, Typing


async def test_without_the_store_sends_are_refused_with_a_time_and_the_rest_goes_on(
    postgres, redis
):
    """Law: `store_unavailable` with `retry_after_ms`; typing, presence, signals; no restart."""
    async with open_fleet(postgres, redis, append_deadline_s=2) as (left, right):
        anna, ben = await left.enter("anna"), await right.enter("ben")
        room = await tea(anna, ben)
        await ben.client.watch(["anna"])
        head = await anna.send(room, "kept")
        await ben.until(lambda event: getattr(event, "seq", 0) == head)
        await trio.to_thread.run_sync(postgres.crash)
        try:
            # The first one may be on its way when the connection breaks; then it is not known.
            with pytest.raises(Refusal) as refused:
                await anna.client.send(room, "not kept", cid="cid-0")
            assert refused.value.code in LATER
            # The others are refused at once.
            for number in range(1, 5):
                began = anna.time.now()
                with pytest.raises(Refusal) as refused:
                    await anna.client.send(room, "not kept", cid=f"cid-{number}")
                assert refused.value.code == ErrorCode.STORE_UNAVAILABLE
                assert refused.value.retry_after_ms > 0
                assert anna.time.now() - began <= 2
            await _goes_on(anna, ben, room)
        finally:
            await trio.to_thread.run_sync(postgres.start)
        # By the very same engines and connections, under the same cids, each once.
        seqs = [await anna.send(room, "kept now", cid=f"cid-{number}") for number in range(5)]
        assert seqs == list(range(head + 1, head + 6))
        await ben.until(lambda event: getattr(event, "seq", 0) == seqs[-1])
        assert ben.seqs(room) == list(range(1, seqs[-1] + 1))
        page = await ben.insist(lambda: ben.client.history(room, limit=10))
        assert [message.body["text"] for message in page.messages[-6:]] == [
            "kept",
            *["kept now"] * 5,
        ]


async def _goes_on(anna, ben, room):
    for number in range(3):
        await anna.client.typing(room, on=True)
        await ben.told(Typing, within_s=2, room=room, users=("anna",))
        await anna.client.signal(room, "call", {"n": number})
        await ben.told(Signal, within_s=2, room=room, kind="call", data={"n": number})
        await anna.client.presence("away")
        await ben.told_that("anna", "away", within_s=2)
        await anna.client.typing(room, on=False)
        await ben.told(Typing, within_s=2, room=room, users=())
        await anna.client.presence("online")
        await ben.told_that("anna", "online", within_s=2)
        ben.look_ahead()
        await trio.sleep(0.2)


async def test_a_commit_that_the_end_of_the_store_cut_off_is_kept_once(postgres, redis):
    """Law: under load, each request is acknowledged at last, and each stands in the log once."""
    async with open_fleet(postgres, redis) as (left, right):
        anna, ben = await left.enter("anna"), await right.enter("ben")
        room = await tea(anna, ben)
        acked = {}

        async def talk(person, hand):
            for number in range(20):
                text = f"{hand}-{number}"
                acked[person.device, text] = await person.send(room, text)
                await trio.sleep(0.05)

        with trio.fail_after(PATIENCE_S):
            async with trio.open_nursery() as nursery:
                for person in (anna, ben):
                    for hand in range(4):
                        nursery.start_soon(talk, person, hand)
                await trio.sleep(0.5)
                await trio.to_thread.run_sync(postgres.crash)
                await trio.to_thread.run_sync(postgres.start)
        seqs = sorted(acked.values())
        assert len(dict.fromkeys(seqs)) == 160
        last = seqs[-1]
        for person in (anna, ben):
            await person.until(lambda event: getattr(event, "seq", 0) == last)
            assert person.seqs(room) == list(range(1, last + 1))
        # Creation, two members… and what was said, once: nothing else is in the log.
        assert last == seqs[0] + 159
