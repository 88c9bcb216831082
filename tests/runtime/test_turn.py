"""Laws of a turn: what is read is stored, answered and written at once, where it can be."""

import socket

import pytest
import trio
from edge_peer import open_port
from outbox_sinks import Pipe, socket_outbox
from scene import settled, virtually

from triolet._runtime.flusher import SENDS_PER_PART, Flusher
from triolet._runtime.poller import READ, Poller
from triolet._runtime.turn import Turn
from triolet.adapters.memory import MemoryStore


class Stage:
    def __init__(self, log, name):
        self.log = log
        self.name = name

    def hold(self):
        self.log.append(f"hold {self.name}")

    def release(self):
        self.log.append(f"release {self.name}")


class Steps(trio.abc.Instrument):
    """Names the engine's tasks that take a step, in order."""

    def __init__(self):
        self.names = []

    def before_task_step(self, task):
        if task.name.startswith("triolet._runtime."):
            self.names.append(task.name)


def test_the_stages_work_after_the_work_in_their_order():
    log = []
    turn = Turn(Stage(log, "a"), Stage(log, "b"))

    assert turn.take(lambda: log.append("work") or 7) == 7
    assert log == ["hold a", "hold b", "work", "release a", "release b"]


def test_a_stage_is_released_whatever_the_work_does():
    log = []

    with pytest.raises(ZeroDivisionError):
        Turn(Stage(log, "a")).take(lambda: 1 // 0)

    assert log == ["hold a", "release a"]


@virtually
async def test_all_that_is_done_in_a_turn_is_done_at_one_time():
    """And what is done outside of one is done when it is."""
    turn = Turn()
    times = []
    clock = trio.lowlevel.current_clock()

    def work():
        times.append(turn.now())
        clock.jump(3)
        times.append(turn.now())
        return 0

    turn.take(work)
    times.append(turn.now())
    await trio.sleep(2)
    times.append(turn.now())
    turn.take(work)

    assert [now - times[0] for now in times] == [0, 0, 3, 5, 5, 5]


async def test_what_is_marked_in_a_turn_is_written_in_it(nursery):
    """And the flusher's task has no step."""
    flusher = Flusher()
    nursery.start_soon(flusher.run)
    await settled()
    sink = Pipe()
    outbox = socket_outbox(flusher, sink)

    def work():
        outbox.post(b"entry")
        outbox.reply(b"ok")
        assert sink.writes == []
        return 0

    steps = Steps()
    trio.lowlevel.add_instrument(steps)
    Turn(flusher).take(work)
    written = list(sink.writes)
    await settled()
    trio.lowlevel.remove_instrument(steps)

    assert written == sink.writes == [b"okentry"]
    assert steps.names == []


async def test_what_is_too_much_for_a_turn_is_written_by_the_task(nursery):
    flusher = Flusher()
    nursery.start_soon(flusher.run)
    await settled()
    sinks = [Pipe() for _ in range(3 * SENDS_PER_PART)]

    def work():
        for sink in sinks:
            socket_outbox(flusher, sink).post(b"entry")
        return 0

    Turn(flusher).take(work)
    assert sum(len(sink.writes) for sink in sinks) == SENDS_PER_PART
    await settled()

    assert [sink.writes for sink in sinks] == [[b"entry"]] * len(sinks)


async def test_a_flusher_that_is_awake_is_left_to_its_turns(nursery):
    """A turn of somebody else's would take what is left of one from whoever waits for it."""
    flusher = Flusher()
    nursery.start_soon(flusher.run)
    await settled()
    sink = Pipe()
    outbox = socket_outbox(flusher, sink)
    outbox.post(b"1")

    Turn(flusher).take(lambda: outbox.post(b"2") or 0)
    assert sink.writes == []
    await settled()

    assert sink.written == b"12"
    Turn(flusher).take(lambda: outbox.post(b"3") or 0)
    assert sink.written == b"123"


@pytest.mark.usefixtures("standing_time")
async def test_the_poller_takes_a_turn_for_what_is_ready(nursery):
    log = []
    poller = Poller()
    poller.turn = Turn(Stage(log, "a"))
    if not poller.is_shared:
        pytest.skip("without a selector to share each socket has a task")
    nursery.start_soon(poller.run)
    await settled()

    class Told:
        events = 0

        def __init__(self):
            self.sock, self.peer = socket.socketpair()

        def on_readable(self):
            log.append(self.sock.recv(9))

    told = Told()
    poller.watch(told, READ)
    told.peer.send(b"x")
    await settled()
    poller.watch(told, 0)
    told.sock.close()
    told.peer.close()

    assert log == ["hold a", b"x", "release a"]


@pytest.mark.usefixtures("standing_time")
async def test_a_lone_message_takes_one_step_where_nothing_is_waited_for():
    """From the readable socket to the partner's bytes: no task but the poller's has a step."""
    if not Poller().is_shared:
        pytest.skip("without a selector to share each socket has a task")
    async with open_port() as port:
        # The stage's store can be held at any call; this one never waits.
        port.engine.sequencer._store = port.store.real
        assert isinstance(port.store.real, MemoryStore)
        anna, _ = await port.enter("anna")
        ben, _ = await port.enter("ben")
        await port.room("tea", anna, "ben")
        for one in (anna, ben):
            await one.ask("subscribe", room="tea")
        # Feeds and marks follow the first one at once, and time does not pass after it.
        await anna.say("send", room="tea", body={"text": "first"})
        await ben.hear("entry")
        await settled()
        steps = Steps()
        trio.lowlevel.add_instrument(steps)
        await anna.say("send", room="tea", body={"text": "hi"})
        entry = await ben.hear("entry")
        trio.lowlevel.remove_instrument(steps)

    assert entry["body"] == {"text": "hi"}
    assert steps.names == ["triolet._runtime.poller.Poller.run"]
