"""Laws of a node: nothing outlives its block, and it leaves in order."""

from functools import partial

import pytest
import trio
from scene import NOW_MS, open_scene, settled, tasks_of

from triolet._runtime.statistics import Statistics
from triolet._wire.codec import unpack_fact


async def tea(scene):
    anna, ben = await scene.enter("anna"), await scene.enter("ben")
    head = await scene.room("tea", anna, ben)
    return anna, ben, head


# --- the end -----------------------------------------------------------------------------------


async def test_when_the_block_ends_every_session_has_ended():
    async with open_scene(inspect=False) as scene:
        cast = [await scene.enter("anna", device=f"d{number}") for number in range(5)]
        stranger = scene.stranger()

    assert all(one.session.is_gone for one in [*cast, stranger])
    assert not scene.engine.ready()


async def test_what_was_accepted_is_committed_before_the_end():
    async with open_scene(inspect=False) as scene:
        anna, _, _ = await tea(scene)
        scene.store.script("append", hook=partial(trio.sleep, 3))
        for number in range(5):
            await anna.say("send", room="tea", body={"text": str(number)})
        await settled()
        store = scene.store.real

    said = [r for r in store.held.rooms["tea"].records if r.kind == "message"]
    assert [unpack_fact(record.packed).body["text"] for record in said] == list("01234")


async def test_a_store_that_hangs_holds_the_end_up_for_the_deadline_and_no_longer():
    async with open_scene(inspect=False) as scene:
        anna, _, _ = await tea(scene)
        scene.store.script("append", before=True)
        await anna.say("send", room="tea", body={})
        await settled()
        began = trio.current_time()

    assert trio.current_time() - began <= 2 * scene.limits.append_deadline_s


async def test_what_the_block_raises_leaves_it_as_it_was():
    with pytest.raises(KeyError):
        await crash(KeyError("mine"))


async def crash(error):
    cast = []
    try:
        async with open_scene(inspect=False) as scene:
            await scene.enter("anna")
            cast += scene.cast
            raise error
    except BaseExceptionGroup as group:
        # The scene has a nursery of its own; the engine adds none to what it passes on.
        raise group.exceptions[0] from None
    finally:
        assert cast[0].session.is_gone


async def test_cancelling_the_block_ends_it_all():
    with trio.move_on_after(5) as scope:
        async with open_scene(inspect=False) as scene:
            anna, _, _ = await tea(scene)
            await trio.sleep_forever()

    assert scope.cancelled_caught
    assert anna.session.is_gone


async def test_waiting_writers_of_the_host_are_answered_at_the_end():
    """The store hangs, the engine ends: whoever waited for a commit is not left waiting."""
    outcomes = []
    async with trio.open_nursery() as host, open_scene(inspect=False) as scene:
        await tea(scene)
        scene.store.script("append", before=True)

        async def write():
            from triolet._model.entries import Message
            from triolet._wire.codec import pack_fact
            from triolet.ports.store import Draft

            fact = Message({"text": "hi"})
            draft = Draft(
                room="tea", sender="anna", cid="c", op="send", facts=((fact, pack_fact(fact)),)
            )
            outcomes.append(await scene.engine.writer.write(draft))

        host.start_soon(write)
        await settled()

    assert [outcome.code.reason for outcome in outcomes] == ["outcome_unknown"]


# --- statistics --------------------------------------------------------------------------------


async def test_statistics_count_what_is(scene):
    _anna, _, _ = await tea(scene)
    await scene.enter("anna", device="laptop")
    scene.stranger()
    await settled()

    assert scene.engine.statistics() == Statistics(
        connections=4,
        sessions=3,
        users=2,
        rooms=1,
        cursors=2,
        pending_bytes=0,
        draining=False,
        node="",
        not_ready="",
        unheard=(),
    )


# --- revoking ----------------------------------------------------------------------------------


async def test_revoking_ends_all_sessions_of_a_user_and_nobody_elses(scene):
    anna, ben, _ = await tea(scene)
    laptop = await scene.enter("anna", device="laptop")
    await scene.engine.revoke("anna")

    assert [await one.ended() for one in (anna, laptop)] == [4001, 4001]
    await ben.ask("ping")
    assert await scene.store.real.revoked("anna") == NOW_MS


async def test_a_token_that_was_revoked_while_it_was_looked_at_admits_nobody(scene):
    """The gate saw no revocation, the revocation saw no session: between them stands a check."""
    scene.gate.knows("old", "anna", issued_at=NOW_MS - 5)
    admit, asked, go_on = scene.gate.admit, trio.Event(), trio.Event()

    async def slow(token, opening):
        identity = await admit(token, opening)
        asked.set()
        await go_on.wait()
        return identity

    scene.gate.admit = slow
    anna = scene.stranger()
    await hello(anna, "old")
    await asked.wait()
    await scene.engine.revoke("anna")
    go_on.set()

    assert await anna.ended() == 4001
    scene.gate.knows("new", "anna", issued_at=NOW_MS + 1)
    again = scene.stranger()
    await hello(again, "new")
    await again.next("welcome")


async def hello(who, token):
    import msgspec

    await who.pipe.send(msgspec.msgpack.encode({"op": "hello", "token": token}))


# --- tasks -------------------------------------------------------------------------------------


async def test_an_idle_session_costs_its_one_task(scene):
    before = tasks_of(scene.engine)
    for number in range(10):
        await scene.enter("anna", device=f"d{number}")
    await scene.room("tea", scene.cast[0], *scene.cast[1:2])
    await trio.sleep(20)

    after = tasks_of(scene.engine)
    assert after == {**before, "connections": before["connections"] + 10}
