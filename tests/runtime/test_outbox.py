"""Laws of what waits to be written: order, no byte lost or twice, honest sizes, and turns."""

from itertools import pairwise

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from scene import settled, virtually

from triolet._runtime.outbox import SENDS_PER_TURN, Flusher, MessageOutbox, SocketOutbox
from triolet._wire.websocket import binary_frame

BYTES_LOW = 100


class Pipe:
    """A byte sink that takes what it is told to take: `room` bytes in all, or none."""

    def __init__(self, room=None):
        self.room = room
        self.written = b""
        self.writes = []
        self.wanted = False

    def write_nowait(self, data):
        taken = len(data) if self.room is None else min(self.room, len(data))
        if self.room is not None:
            self.room -= taken
        self.written += data[:taken]
        self.writes.append(data[:taken])
        return taken

    def wait_writable(self, *, wanted):
        self.wanted = wanted


class Mailbox:
    """A message sink with a place for `room` messages."""

    def __init__(self, room):
        self.room = room
        self.messages = []

    def put_nowait(self, payload):
        if not self.room:
            return False
        self.room -= 1
        self.messages.append(payload)
        return True


@pytest.fixture
def flusher():
    return Flusher()


def socket_outbox(flusher, sink):
    return SocketOutbox(flusher, sink, text=False, bytes_low=BYTES_LOW)


def waiting(outbox):
    """Count the bytes that an outbox really holds."""
    tail = len(getattr(outbox, "_tail", b""))
    return tail + sum(map(len, outbox.urgent)) + sum(map(len, outbox.ordinary))


# --- one outbox ------------------------------------------------------------------------------


def test_a_flush_is_one_write_urgent_frames_first(flusher):
    sink = Pipe()
    outbox = socket_outbox(flusher, sink)
    outbox.post(b"entry-1")
    outbox.reply(b"ok-1")
    outbox.post(b"entry-2")
    outbox.reply(b"ok-2")

    outbox.flush()

    assert sink.writes == [b"ok-1ok-2entry-1entry-2"]
    assert outbox.size == 0


def test_an_urgent_flush_leaves_the_ordinary_frames(flusher):
    sink = Pipe()
    outbox = socket_outbox(flusher, sink)
    outbox.post(b"entry")
    outbox.reply(b"ok")

    outbox.flush(urgent_only=True)

    assert sink.writes == [b"ok"]
    assert (outbox.size, outbox.ordinary) == (5, [b"entry"])


def test_nothing_to_write_is_not_written(flusher):
    sink = Pipe()

    socket_outbox(flusher, sink).flush()

    assert sink.writes == []


async def test_a_short_write_leaves_the_rest_first(flusher):
    """Also against an urgent frame: it must not land within another one."""
    sink = Pipe(room=3)
    outbox = socket_outbox(flusher, sink)
    outbox.post(b"abcdef")
    outbox.flush()
    assert sink.wanted
    outbox.reply(b"URGENT")
    outbox.flush(urgent_only=True)
    assert sink.written == b"abc"
    assert outbox.size == 9

    sink.room = None
    outbox.resume()

    assert sink.written == b"abcdefURGENT"
    assert not sink.wanted
    assert outbox.size == 0


async def test_a_peer_that_takes_nothing_is_asked_when_it_can_again(flusher):
    sink = Pipe(room=0)
    outbox = socket_outbox(flusher, sink)
    outbox.post(b"abc")

    outbox.flush()

    assert sink.wanted
    assert outbox.size == 3


async def test_blocked_since_is_the_time_of_the_last_byte_taken(flusher):
    """`stall_s` counts from there: a byte taken restarts it, a vain attempt does not."""
    sink = Pipe(room=2)
    outbox = socket_outbox(flusher, sink)
    outbox.post(b"abcdef")
    outbox.flush()
    assert outbox.blocked_since == 0
    await trio.sleep(5)
    outbox.resume()
    assert outbox.blocked_since == 0
    sink.room = 1
    outbox.resume()
    assert outbox.blocked_since == 5
    sink.room = None

    outbox.resume()

    assert outbox.blocked_since is None


async def test_on_low_is_called_once_at_the_low_mark(flusher):
    sink = Pipe(room=50)
    outbox = socket_outbox(flusher, sink)
    calls = []
    outbox.on_low = lambda: calls.append(outbox.size)
    outbox.post(b"x" * 200)
    outbox.flush()
    assert calls == []

    sink.room = 100
    outbox.resume()
    sink.room = None
    outbox.resume()

    assert calls == [50]


async def test_discarding_forgets_everything(flusher):
    sink = Pipe(room=1)
    outbox = socket_outbox(flusher, sink)
    outbox.on_low = lambda: None
    outbox.post(b"abc")
    outbox.flush()
    outbox.reply(b"def")

    outbox.discard()
    sink.room = None
    outbox.flush()
    outbox.resume()

    assert sink.written == b"a"
    assert (outbox.size, outbox.on_low, outbox.blocked_since) == (0, None, None)


frames = st.binary(min_size=1, max_size=40)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("post"), frames),
        st.tuples(st.just("reply"), frames),
        st.tuples(st.just("flush"), st.booleans()),
        st.tuples(st.just("take"), st.integers(0, 60)),
    ),
    max_size=60,
)


@given(steps)
@virtually
async def test_no_byte_is_lost_or_doubled_whatever_the_peer_takes(script):
    """Each queue leaves in its order, frames whole, and `size` is what really waits."""
    sink = Pipe(room=0)
    outbox = socket_outbox(Flusher(), sink)
    sent = {b"P": [], b"R": []}
    for what, value in script:
        if what in ("post", "reply"):
            kind = b"P" if what == "post" else b"R"
            frame = kind + bytes([len(value)]) + value
            sent[kind].append(frame)
            getattr(outbox, what)(frame)
        elif what == "flush":
            outbox.flush(urgent_only=value)
        else:
            sink.room += value
            if sink.wanted:
                outbox.resume()
        assert outbox.size == waiting(outbox)
    sink.room = None
    outbox.resume()
    outbox.flush()

    assert outbox.size == waiting(outbox) == 0
    assert by_kind(sink.written) == sent


def by_kind(data):
    found = {b"P": [], b"R": []}
    while data:
        end = 2 + data[1]
        found[data[:1]].append(data[:end])
        data = data[end:]
    return found


@given(steps)
@virtually
async def test_messages_keep_their_order_whatever_the_reader_takes(script):
    sink = Mailbox(0)
    outbox = MessageOutbox(Flusher(), sink, text=False, bytes_low=BYTES_LOW)
    sent = {b"P": [], b"R": []}
    for what, value in script:
        if what in ("post", "reply"):
            kind = b"P" if what == "post" else b"R"
            sent[kind].append(kind + value)
            getattr(outbox, what)(binary_frame(kind + value))
        elif what == "flush":
            outbox.flush(urgent_only=value)
        else:
            sink.room += value % 3
            outbox.resume()
        assert outbox.size == waiting(outbox)
    sink.room = 1000
    outbox.resume()

    assert outbox.size == 0
    assert {kind: [one for one in sink.messages if one[:1] == kind] for kind in sent} == sent


async def test_a_message_sink_that_is_full_blocks_the_outbox(flusher):
    """Nothing overtakes the message that was refused, not even a reply."""
    sink = Mailbox(1)
    outbox = MessageOutbox(flusher, sink, text=False, bytes_low=BYTES_LOW)
    lows = []
    outbox.on_low = lambda: lows.append(outbox.size)
    for payload in (b"1", b"2"):
        outbox.post(binary_frame(payload))
    outbox.flush()
    outbox.reply(binary_frame(b"3"))
    sink.room = 5
    outbox.flush()
    assert sink.messages == [b"1"]

    outbox.resume()

    assert sink.messages == [b"1", b"3", b"2"]
    assert lows == [3]
    outbox.post(binary_frame(b"4"))
    outbox.discard()
    assert (outbox.size, outbox.blocked_since) == (0, None)


# --- the flusher -----------------------------------------------------------------------------


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

    assert log == [("c", b"ok"), ("a", b"entry"), ("b", b"entry"), ("c", b"entry")]


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
    assert log.index(("late", b"ok")) <= SENDS_PER_TURN


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
    assert max(steps) <= 2 * SENDS_PER_TURN


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
    assert (flusher.dirty, flusher._urgent) == ([], [])


async def test_a_cancelled_flusher_can_be_marked(flusher):
    """Ends of engines: whoever posts after the flusher ended must not wake a dead task."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(flusher.run)
        await settled()
        nursery.cancel_scope.cancel()

    socket_outbox(flusher, Pipe()).post(b"late")

    assert len(flusher.dirty) == 1


def logging_sink(log, name):
    class Sink(Pipe):
        on_write = None

        def write_nowait(self, data):
            log.append((name, data))
            if self.on_write is not None:
                on_write, self.on_write = self.on_write, None
                on_write()
            return len(data)

    return Sink()
