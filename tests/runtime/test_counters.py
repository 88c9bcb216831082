"""Laws of what a node counts: all of it, exactly, and with bounded memory."""

import pytest
from scene import settled

from triolet._model.entries import Message
from triolet._model.errors import OutcomeUnknown, StoreUnavailable
from triolet._runtime.counters import Counters
from triolet._runtime.sequencer import Pending
from triolet._wire.codec import pack_fact
from triolet.ports.store import Draft


class Nobody:
    def settled(self, pending, outcome):
        """Take what came of it."""


async def tea(scene, **fields):
    anna, ben = await scene.enter("anna", **fields), await scene.enter("ben", **fields)
    await scene.room("tea", anna, ben)
    return anna, ben


async def test_messages_deliveries_and_acknowledgements_are_counted(scene):
    anna, ben = await tea(scene)
    counters = scene.engine.counters
    before = counters.entries, counters.deliveries
    for number in range(3):
        await anna.send("tea", cid=f"c{number}")
    await anna.send("tea", cid="c0")
    await ben.ask("react", room="tea", target=before[0] + 1, emoji="x")
    await settled()

    assert counters.messages == 3
    assert counters.entries - before[0] == 4
    # Each entry to both who follow the room.
    assert counters.deliveries - before[1] == 8
    assert counters.duplicates == 1
    assert counters.busiest.tally["tea"] == counters.entries


async def test_a_large_audience_is_counted_too(scene):
    """Straight from the audience's list, and through the outboxes of who is behind."""
    cast = [await scene.enter(f"u{number}") for number in range(100)]
    await scene.room("hall", *cast)
    before = scene.engine.counters.deliveries
    await cast[0].send("hall")
    await settled()

    assert scene.engine.counters.deliveries - before == 100


async def test_refusals_are_counted_by_reason(scene):
    anna = await scene.enter("anna")
    await anna.refused("send", room="nowhere", body={})
    await anna.refused("send", room="nowhere", body={})
    await anna.refused("nonsense")

    assert scene.engine.counters.refusals == {"no_such_room": 2, "unknown_op": 1}


async def test_connections_are_counted_by_how_they_ended(scene):
    anna, ben = await tea(scene)
    await anna.leave()
    await ben.cut()
    counters = scene.engine.counters

    assert (counters.opened, counters.closes) == (2, {1000: 1, 1012: 1})


async def test_a_client_cannot_make_the_table_of_codes_grow_for_ever():
    counters = Counters()
    for code in range(3000, 5000):
        counters.closed(code)

    assert len(counters.closes) <= 65
    assert sum(counters.closes.values()) == 2000


@pytest.mark.parametrize("error", [StoreUnavailable("gone"), OutcomeUnknown("lost")])
async def test_calls_of_the_store_that_fail_are_counted(scene, error):
    anna, _ = await tea(scene)
    scene.store.script("append", error=error)
    await anna.answer(await anna.say("send", room="tea", body={}))

    assert scene.engine.counters.store_failures == 1


async def test_the_time_of_each_batch_is_taken(scene):
    anna, _ = await tea(scene)
    counters = scene.engine.counters
    batches = counters.batches
    for number in range(3):
        await anna.send("tea", str(number))

    assert counters.batches - batches == 3
    assert sum(counters.append.buckets.values()) == counters.batches


async def test_of_batches_that_need_no_thread_one_in_sixteen_is_timed(scene):
    """Two looks at the clock are 2 % of such a message."""
    await tea(scene)
    scene.store.append_now = scene.store.real.append_now
    sequencer, counters = scene.engine.sequencer, scene.engine.counters
    timed, batches = sum(counters.append.buckets.values()), counters.batches
    fact = Message({"text": "hi"})
    for number in range(64):
        sequencer.hold()
        draft = Draft(
            room="tea",
            sender="anna",
            cid=f"c{number}",
            op="send",
            facts=((fact, pack_fact(fact)),),
            acl_ver=scene.engine.hub.rooms["tea"].acl_ver,
        )
        sequencer.submit(Pending(draft, Nobody(), 10))
        sequencer.release()

    assert (counters.batches - batches, counters.messages) == (64, 64)
    assert sum(counters.append.buckets.values()) - timed == 4
