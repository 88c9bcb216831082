"""Law: no orphan. Whoever is cut off at any step, whatever they await, leaves nothing behind."""

import trio
from scene import CountedEntropy, TableGate, VirtualClock, open_scene, settled

from triolet._model.errors import Close, ConnectionClosed
from triolet._model.limits import Limits
from triolet._runtime.engine import Engine
from triolet.adapters.memory import MemoryStore
from triolet.client import Backoff, open_client
from triolet.embedded import _PipeDialer
from triolet.ports.gate import FOREVER, Identity
from triolet.testing.laws import Door, cuts, tasks

QUICK = Backoff(base_s=0.05, ceiling_s=0.1)


# Nothing here is about how long people are remembered.
BRIEF = {"grace_s": 1, "typing_s": 1}
CIDS = ["one", "two", "three", "four", "five", "six", "seven"]


def door_to(engine):
    return Door(_PipeDialer(engine, Identity(user="anna", expires_at=FOREVER, tier="service")))


async def converse(client, door, acknowledged):
    """Ask everything that a client can ask, be told of it, and lose the connection once."""
    stream = client.events()
    room = client.room("tea")
    cids = iter(CIDS)

    async def write(deed, *arguments, **fields):
        cid = next(cids)
        written = await deed(*arguments, cid=cid, **fields)
        acknowledged.append(cid)
        return written

    await room.subscribe()
    one = await write(room.send, "one")
    await write(room.edit, one.seq, "two")
    await write(room.react, one.seq, "+1")
    await room.typing()
    await client.watch(["ben"])
    await client.presence("away")
    await room.receipt(read=one.seq)
    await room.signal("wave")
    await stream.__anext__()
    await door.cut()
    await client.wait_online()
    await write(room.send, "four")
    await room.history()
    await client.rooms()
    await room.receipts(one.seq)
    await write(room.invite, "dan")
    await write(room.set_meta, title="Tea")
    await write(room.kick, "dan")
    await client.direct("ben")
    await client.unwatch(["ben"])
    await room.unsubscribe()
    stream.close()


async def goes_on(ben):
    """Ben, who was there all the time, is told of all that was stored, and of what comes."""
    sent = await ben.send("tea", "still here")
    await settled()
    seqs = ben.seqs("tea")
    assert seqs == list(range(seqs[0], sent["seq"] + 1))


async def set_up(scene):
    """Make a room in which Ben stays, and which Anna has left for long."""
    ben, anna = await scene.enter("ben"), await scene.enter("anna")
    await scene.room("tea", anna, ben)
    await anna.leave()
    await trio.sleep(scene.limits.grace_s + 1)
    return ben, tasks()


async def cids_of(store):
    """Return the cids of the room's entries but its first, which must be contiguous."""
    state = await store.room("tea")
    records = await store.page("tea", after=2, upto=state.head, limit=99, bytes_max=2**20)
    assert [record.seq for record in records] == list(range(3, state.head + 1))
    return [record.cid for record in records]


def is_beginning(cids):
    """Whether these are the first of what `converse` writes, each once, in its order."""
    return cids == CIDS[: len(cids)]


def was_cut(cut):
    """Whether it was done, unless chance had the scene end a few steps earlier this time."""
    return cut.is_done == (cut.at is not None and cut.at < cut.steps)


async def a_client_is_cancelled(cut):
    """The client's block is left by cancellation, at any step of any task."""
    async with open_scene(**BRIEF) as scene:
        ben, before = await set_up(scene)
        door, acknowledged = door_to(scene.engine), []
        with trio.CancelScope() as scope:
            cut.begin(scope.cancel)
            async with open_client(door, backoff=QUICK) as client:
                await converse(client, door, acknowledged)
            cut.end()
        cut.end()
        await trio.sleep(scene.limits.grace_s + 1)
        cids = await cids_of(scene.store.real)
        assert is_beginning(cids)
        assert cids[: len(acknowledged)] == acknowledged
        await goes_on(ben)
        assert tasks() == before
        assert door.links == 0


def test_a_client_that_is_cancelled_at_any_step_leaves_nothing():
    """Neither of its own nor in the engine (`open_scene` inspects that); the others go on."""
    for cut in cuts(a_client_is_cancelled):
        assert was_cut(cut)


async def a_session_is_ended(cut):
    """The engine ends all of Anna's sessions, at any step of any task."""
    async with open_scene(**BRIEF) as scene:
        ben, _ = await set_up(scene)

        def end_sessions():
            for connection in list(scene.engine.heartbeat.connections):
                if connection.session is not ben.session:
                    connection.session.close(Close(1012, "cut"))

        door, acknowledged = door_to(scene.engine), []
        cut.begin(end_sessions)
        async with open_client(door, backoff=QUICK) as client:
            await converse(client, door, acknowledged)
        cut.end()
        assert await cids_of(scene.store.real) == CIDS
        await goes_on(ben)


def test_a_session_that_is_ended_at_any_step_costs_nothing_but_time():
    """The client comes back, and everything it was asked has happened once, in order."""
    for cut in cuts(a_session_is_ended):
        assert was_cut(cut)


async def an_engine_is_cancelled(cut):
    """The engine's block is left by cancellation, at any step of any task."""
    clock, entropy = VirtualClock(), CountedEntropy()
    store = MemoryStore(clock=clock, entropy=entropy)
    ports = {"store": store, "gate": TableGate(), "clock": clock, "entropy": entropy}
    before = tasks()
    async with trio.open_nursery() as nursery:
        scope = trio.CancelScope()

        async def live(*, task_status):
            with scope:
                async with Engine(**ports, limits=Limits()) as engine:
                    async with open_client(door_to(engine)) as client:
                        await client.create(room="tea", members=["ben"])
                    task_status.started(engine)
                    await trio.sleep_forever()

        engine = await nursery.start(live)
        door, acknowledged = door_to(engine), []
        cut.begin(scope.cancel)
        try:
            async with open_client(door, backoff=QUICK) as client:
                await converse(client, door, acknowledged)
        except ConnectionClosed:
            assert cut.is_done
        cut.end()
        scope.cancel()
    assert tasks() == before
    assert door.links == 0
    cids = await cids_of(store)
    assert is_beginning(cids)
    assert cids[: len(acknowledged)] == acknowledged
    async with Engine(**ports, limits=Limits()) as again:
        door = door_to(again)
        async with open_client(door) as client:
            await converse(client, door, [])
    assert await cids_of(store) == CIDS


def test_an_engine_that_is_cancelled_at_any_step_keeps_what_it_acknowledged():
    """No task is left, nor a link; and the same script, run again, writes each thing once."""
    for cut in cuts(an_engine_is_cancelled):
        assert was_cut(cut)
