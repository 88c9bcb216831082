"""Law: no orphan, over sockets: whoever is cut off at any step leaves no task and no open file."""

import trio
from scene import CountedEntropy, TableGate, VirtualClock

from triolet._model.errors import Close, ConnectionClosed
from triolet._model.limits import Limits
from triolet._runtime.engine import Engine
from triolet.adapters.memory import MemoryStore
from triolet.client import Backoff, State, connect
from triolet.testing.laws import cuts, open_files, tasks

QUICK = Backoff(base_s=0.01, ceiling_s=0.02)
# What the kernel may take to carry the last bytes of a goodbye.
PATIENCE_S = 60
# Whatever an engine may wait for at its end: by far longer than any machine takes for it.
NEVER = Limits(close_timeout_s=600, drain_window_s=600, jobs_drain_s=600)
# Sockets take real time: one step of so many. In one process `test_cutting` takes them all.
STRIDE = 6


def make_ports():
    clock, entropy, gate = VirtualClock(), CountedEntropy(), TableGate()
    gate.knows("token", "anna")
    store = MemoryStore(clock=clock, entropy=entropy)
    return {"store": store, "gate": gate, "clock": clock, "entropy": entropy}


async def converse(url, acknowledged):
    async with connect(url, token="token", backoff=QUICK) as client:
        stream = client.events()
        await client.create(room="tea", cid="make")
        await client.subscribe("tea")
        for number in range(2):
            await client.send("tea", str(number), cid=str(number))
            acknowledged.append(str(number))
            await stream.__anext__()
        await client.history("tea")


async def until(is_so):
    """Wait for what happens by itself, soon: bytes on their way are nobody's event."""
    with trio.fail_after(PATIENCE_S):
        while not is_so():  # noqa: ASYNC110 - see above
            await trio.sleep(0.001)


async def a_client_is_cancelled(cut):
    """The client's block is left by cancellation, at a step of any task."""
    async with Engine(**make_ports(), limits=Limits(grace_s=0.01)) as engine:
        host, port = await engine.listen("127.0.0.1", 0)
        before, files = tasks(), open_files()
        with trio.CancelScope() as scope:
            cut.begin(scope.cancel)
            await converse(f"ws://{host}:{port}/ws", [])
            cut.end()
        cut.end()
        await until(lambda: not engine.heartbeat.connections)
        await until(lambda: tasks() == before)
        await until(lambda: not engine.presence.present)
        assert open_files() == files
        assert [room.cursors for room in engine.hub.rooms.values()] in ([], [{}])


def test_a_client_that_is_cancelled_at_any_step_leaves_nothing():
    for cut in cuts(a_client_is_cancelled, stride=STRIDE, real_time=True):
        assert cut.is_done == (cut.at is not None and cut.at < cut.steps)


async def a_connection_is_ended(cut):
    """The engine ends its connections, at a step of any task; the client comes back."""
    async with Engine(**make_ports(), limits=Limits(grace_s=0.01)) as engine:
        host, port = await engine.listen("127.0.0.1", 0)
        before, files = tasks(), open_files()

        def end_connections():
            for connection in list(engine.heartbeat.connections):
                connection.session.close(Close(1012, "cut"))

        cut.begin(end_connections)
        acknowledged = []
        await converse(f"ws://{host}:{port}/ws", acknowledged)
        cut.end()
        assert acknowledged == ["0", "1"]
        await until(lambda: not engine.heartbeat.connections)
        await until(lambda: tasks() == before)
        assert open_files() == files


def test_a_connection_that_is_ended_at_any_step_costs_nothing_but_time():
    for cut in cuts(a_connection_is_ended, stride=STRIDE, real_time=True):
        assert cut.is_done == (cut.at is not None and cut.at < cut.steps)


async def an_engine_is_cancelled(cut):
    """The engine's block is left by cancellation, at a step of any task."""
    ports, acknowledged = make_ports(), []
    before, files = tasks(), open_files()
    scope = trio.CancelScope()

    async def live(*, task_status):
        with scope:
            async with Engine(**ports, limits=NEVER) as engine:
                task_status.started(await engine.listen("127.0.0.1", 0))
                await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        host, port = await nursery.start(live)
        with trio.CancelScope() as talking:

            async def talk():
                await converse(f"ws://{host}:{port}/ws", acknowledged)
                scope.cancel()

            def end():
                scope.cancel()
                # Nobody listens any more: the client would try for ever.
                talking.deadline = trio.current_time() + 0.05

            cut.begin(end)
            try:
                await talk()
            except ConnectionClosed:
                assert cut.is_done
            cut.end()
        cut.end()
        began = trio.current_time()
    assert trio.current_time() - began < PATIENCE_S
    assert tasks() == before
    assert open_files() == files
    records = await ports["store"].page("tea", after=0, upto=99, limit=99, bytes_max=9999)
    stored = [record.cid for record in records if record.kind == "message"]
    assert stored in ([], ["0"], ["0", "1"])
    assert stored[: len(acknowledged)] == acknowledged


def test_an_engine_that_is_cancelled_at_any_step_leaves_nothing():
    for cut in cuts(an_engine_is_cancelled, stride=STRIDE, real_time=True):
        assert cut.is_done == (cut.at is not None and cut.at < cut.steps)


async def test_clients_are_told_to_come_back_by_an_engine_that_is_cancelled():
    """Cancelled from outside, with everything in it, it still says goodbye, and at once."""
    scope = trio.CancelScope()

    async def live(*, task_status):
        with scope:
            async with Engine(**make_ports(), limits=Limits()) as engine:
                task_status.started(await engine.listen("127.0.0.1", 0))
                await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        host, port = await nursery.start(live)
        late = Backoff(base_s=60, ceiling_s=60)
        async with connect(f"ws://{host}:{port}/ws", token="token", backoff=late) as client:
            scope.cancel()
            await until(lambda: client.state is State.OFFLINE)
            assert client.last_close.code == 1012
