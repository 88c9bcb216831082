"""Laws of the one task that writes: turns, the urgent first, and nobody behind a large room."""

from itertools import pairwise

import pytest
import trio
from outbox_sinks import Pipe, socket_outbox
from scene import settled

from triolet._runtime.audience import Audience
from triolet._runtime.flusher import PARTS_PER_TURN, SENDS_PER_PART, Flusher


@pytest.fixture
def flusher():
    return Flusher()


def logging_sink(log, name):
    class Sink(Pipe):
        on_write = None

        def send(self, data):
            log.append((name, data))
            if self.on_write is not None:
                on_write, self.on_write = self.on_write, None
                on_write()
            return len(data)

    return Sink()


def audience_of(flusher, outboxes):
    audience = Audience(flusher, text=False, bytes_high=10_000, demote=None)
    for outbox in outboxes:
        audience.live[outbox] = None
    return audience


def large(flusher, log, count=1000):
    """Make an audience of more than one turn; return it and its outboxes."""
    outboxes = [socket_outbox(flusher, logging_sink(log, number)) for number in range(count)]
    return audience_of(flusher, outboxes), outboxes


# --- outboxes --------------------------------------------------------------------------------


async def test_frames_of_one_scheduler_turn_leave_in_one_write(flusher, nursery):
    nursery.start_soon(flusher.run)
    await settled()
    sink = Pipe()
    outbox = socket_outbox(flusher, sink)
    for number in range(3):
        outbox.post(b"%d" % number)
        outbox.reply(b"r")

    await settled()

    assert b"".join(sink.writes) == sink.written == b"rrr012"
    assert len(sink.writes) <= 2


async def test_urgent_frames_go_before_all_ordinary_ones(flusher, nursery):
    log = []
    outboxes = [socket_outbox(flusher, logging_sink(log, name)) for name in "abc"]
    for outbox in outboxes:
        outbox.post(b"entry")
    outboxes[2].reply(b"ok")

    nursery.start_soon(flusher.run)
    await settled()

    assert log == [("c", b"okentry"), ("a", b"entry"), ("b", b"entry")]


async def test_the_urgent_queue_is_served_every_64_writes(flusher, nursery):
    """A reply that comes while 1,000 receivers are written to waits for 64 of them at most."""
    log = []
    late = socket_outbox(flusher, logging_sink(log, "late"))
    outboxes = [socket_outbox(flusher, logging_sink(log, n)) for n in range(1000)]
    outboxes[0]._sink.on_write = lambda: late.reply(b"ok")
    for outbox in outboxes:
        outbox.post(b"entry")

    nursery.start_soon(flusher.run)
    await settled()

    assert len(log) == 1001
    assert log.index(("late", b"ok")) <= SENDS_PER_PART


async def test_other_tasks_run_between_the_turns_of_the_flusher(flusher, nursery):
    log = []
    outboxes = [socket_outbox(flusher, logging_sink(log, n)) for n in range(300)]
    for outbox in outboxes:
        outbox.post(b"entry")
    seen = []

    async def other():
        while len(log) < 300:
            await trio.lowlevel.checkpoint()
            seen.append(len(log))

    nursery.start_soon(other)
    nursery.start_soon(flusher.run)
    await settled()

    # Trio shuffles each batch: first in one and last in the next, another task misses two turns.
    steps = [after - before for before, after in pairwise([0, *seen])]
    assert max(steps) <= 2 * PARTS_PER_TURN * SENDS_PER_PART


async def test_a_discarded_outbox_that_is_still_marked_is_written_nothing(flusher, nursery):
    """A connection may end between the commit that marked it and the flusher's turn."""
    sink = Pipe()
    outbox = socket_outbox(flusher, sink)
    outbox.post(b"entry")
    outbox.reply(b"ok")
    outbox.discard()

    nursery.start_soon(flusher.run)
    await settled()

    assert sink.writes == []
    assert flusher.is_idle


async def test_a_cancelled_flusher_can_be_marked(flusher):
    """Ends of engines: whoever posts after the flusher ended must not wake a dead task."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(flusher.run)
        await settled()
        nursery.cancel_scope.cancel()

    socket_outbox(flusher, Pipe()).post(b"late")

    assert len(flusher.dirty) == 1


# --- audiences -------------------------------------------------------------------------------


async def test_an_answer_leaves_together_with_its_senders_entry(flusher, nursery):
    """In a small room, where the others are written to within the same turn."""
    log = []
    audience, (sender, *_) = large(flusher, log, 3)
    audience.tell(b"entry", 0)
    sender.reply(b"ok")

    nursery.start_soon(flusher.run)
    await settled()

    assert sorted(log) == [(0, b"okentry"), (1, b"entry"), (2, b"entry")]


async def test_an_answer_leaves_together_with_its_senders_entry_in_a_direct_room(flusher, nursery):
    log = []
    audience, (sender, _) = large(flusher, log, 2)
    audience.tell(b"entry", 0)
    sender.reply(b"ok")

    nursery.start_soon(flusher.run)
    await settled()

    assert sorted(log) == [(0, b"okentry"), (1, b"entry")]


async def test_what_several_rooms_tell_leaves_in_one_write(flusher, nursery):
    log = []
    first, outboxes = large(flusher, log, 3)
    second = audience_of(flusher, outboxes[::-1])
    for number in range(2):
        first.tell(b"a%d" % number, 0)
        second.tell(b"b%d" % number, 0)

    nursery.start_soon(flusher.run)
    await settled()

    assert sorted(log) == [(number, b"a0a1b0b1") for number in range(3)]


async def test_what_several_direct_rooms_tell_leaves_in_one_write(flusher, nursery):
    log = []
    first, (anna, ben) = large(flusher, log, 2)
    second = audience_of(flusher, [ben, anna])
    for number in range(2):
        first.tell(b"a%d" % number, 0)
        second.tell(b"b%d" % number, 0)

    nursery.start_soon(flusher.run)
    await settled()

    assert sorted(log) == [(0, b"a0b0a1b1"), (1, b"a0b0a1b1")]


async def test_what_is_told_while_a_large_audience_is_written_to_gathers(flusher, nursery):
    """One more write for each, not one for each message."""
    log = []
    audience, outboxes = large(flusher, log)

    def more():
        for number in range(1, 5):
            audience.tell(b"%d" % number, 0)

    outboxes[100].sock.on_write = more
    audience.tell(b"0", 0)

    nursery.start_soon(flusher.run)
    await settled()

    assert log == [(n, b"0") for n in range(1000)] + [(n, b"1234") for n in range(1000)]
    assert flusher.is_idle


async def test_a_large_audience_is_written_to_in_turns(flusher, nursery):
    log = []
    audience, _ = large(flusher, log)
    audience.tell(b"entry", 0)
    seen = []

    async def other():
        while len(log) < 1000:
            await trio.lowlevel.checkpoint()
            seen.append(len(log))

    nursery.start_soon(other)
    nursery.start_soon(flusher.run)
    await settled()

    # Trio shuffles each batch: first in one and last in the next, another task misses two turns.
    steps = [after - before for before, after in pairwise([0, *seen])]
    assert max(steps) <= 2 * PARTS_PER_TURN * SENDS_PER_PART


async def test_the_poller_looks_between_the_parts_of_a_turn(flusher, nursery):
    """What it finds, a ping, is answered before the next part is written."""
    log = []
    audience, _ = large(flusher, log)
    late = socket_outbox(flusher, logging_sink(log, "late"))

    def look():
        if len(log) == 2 * SENDS_PER_PART:
            late.reply(b"pong")

    flusher.look = look
    audience.tell(b"entry", 0)

    nursery.start_soon(flusher.run)
    await settled()

    assert log.index(("late", b"pong")) == 2 * SENDS_PER_PART
    assert len(log) == 1001


@pytest.mark.parametrize("kind", ["reply", "post", "small room", "large room"])
async def test_nobody_waits_for_a_large_audience(flusher, nursery, kind):
    """Whatever comes meanwhile for somebody else leaves after two turns at most."""
    log = []
    audience, outboxes = large(flusher, log)
    late = socket_outbox(flusher, logging_sink(log, "late"))
    others, _ = large(flusher, [], 0 if kind == "small room" else 100)
    others.live[late] = None
    say = {
        "reply": lambda: late.reply(b"news"),
        "post": lambda: late.post(b"news"),
        "small room": lambda: others.tell(b"news", 0),
        "large room": lambda: others.tell(b"news", 0),
    }
    outboxes[100].sock.on_write = say[kind]
    audience.tell(b"entry", 0)

    nursery.start_soon(flusher.run)
    await settled()

    assert log.index(("late", b"news")) <= 100 + 3 * SENDS_PER_PART
    assert len(log) == 1001


async def test_many_large_audiences_do_not_hold_up_the_loop(flusher, nursery):
    """Appending to outboxes takes time too: it is spread over turns, and nobody is forgotten."""
    rooms, members = 20, 3000
    log = []
    outboxes = [socket_outbox(flusher, logging_sink(log, number)) for number in range(members)]
    audiences = [audience_of(flusher, outboxes) for _ in range(rooms)]
    for number, audience in enumerate(audiences):
        audience.tell(b"%02d" % number, 0)
    left = []

    async def other():
        while not flusher.is_idle:
            left.append(len(flusher._waiting))
            await trio.lowlevel.checkpoint()

    nursery.start_soon(other)
    nursery.start_soon(flusher.run)
    await settled()

    assert max(before - after for before, after in pairwise(left)) < rooms // 2
    told = dict.fromkeys(range(members), b"")
    for number, data in log:
        told[number] += data
    everything = [b"%02d" % number for number in range(rooms)]
    assert all(sorted(d[i : i + 2] for i in range(0, 40, 2)) == everything for d in told.values())


async def test_an_audience_that_was_settled_meanwhile_is_not_written_to_again(flusher, nursery):
    log = []
    audience, _ = large(flusher, log)
    audience.tell(b"entry", 0)
    audience.settle()

    nursery.start_soon(flusher.run)
    await settled()

    assert sorted(log) == [(number, b"entry") for number in range(1000)]
    assert flusher.is_idle
