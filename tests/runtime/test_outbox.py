"""Laws of what waits to be written: order, no byte lost or twice, and honest sizes."""

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from outbox_sinks import BYTES_LOW, Mailbox, Pipe, socket_outbox
from scene import virtually

from triolet._runtime.flusher import Flusher
from triolet._runtime.outbox import MessageOutbox
from triolet._wire.websocket import binary_frame


@pytest.fixture
def flusher():
    return Flusher()


def waiting(outbox):
    """Count the bytes that an outbox really holds."""
    tail = len(getattr(outbox, "_tail", b""))
    return tail + sum(map(len, [*(outbox.urgent or ()), *(outbox.ordinary or ())]))


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
    outbox.flush()
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


async def test_a_socket_that_fails_is_told_once_and_takes_the_rest(flusher):
    """One connection ends by it: until it has, nothing waits for a peer that is gone."""
    sink = Pipe()
    outbox = socket_outbox(flusher, sink)
    sink.error = ConnectionResetError()
    for _ in range(3):
        outbox.post(b"abc")
        outbox.flush()
        outbox.sock.send(b"straight")

    assert (sink.losses, sink.wanted, sink.written) == (1, False, b"")
    assert (outbox.size, outbox.blocked_since) == (0, None)


@pytest.mark.parametrize("error", [BlockingIOError, InterruptedError])
async def test_a_socket_that_takes_nothing_now_is_not_lost(flusher, error):
    sink = Pipe()
    outbox = socket_outbox(flusher, sink)
    sink.error = error()
    outbox.post(b"abc")
    outbox.flush()
    assert (sink.losses, sink.wanted, outbox.size) == (0, True, 3)
    sink.error = None

    outbox.resume()

    assert (sink.written, sink.wanted, outbox.size) == (b"abc", False, 0)


async def test_what_comes_while_the_peer_is_blocked_leaves_with_the_rest(flusher):
    """One write for all that waits, once bytes are taken again."""
    sink = Pipe(room=2)
    outbox = socket_outbox(flusher, sink)
    outbox.post(b"abcd")
    outbox.flush()
    outbox.post(b"entry")
    outbox.reply(b"ok")
    sink.room = None

    outbox.resume()

    assert sink.writes == [b"ab", b"cdokentry"]


frames = st.binary(min_size=1, max_size=40)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("post"), frames),
        st.tuples(st.just("reply"), frames),
        st.tuples(st.just("flush"), st.none()),
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
            outbox.flush()
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
    """Also where several were queued end to end."""
    sink = Mailbox(0)
    outbox = MessageOutbox(Flusher(), sink, text=False, bytes_low=BYTES_LOW)
    sent = {b"P": [], b"R": []}
    for what, value in script:
        if what in ("post", "reply"):
            kind = b"P" if what == "post" else b"R"
            messages = [kind + value[at : at + 15] for at in range(0, len(value), 15)]
            sent[kind] += messages
            getattr(outbox, what)(b"".join(map(binary_frame, messages)))
        elif what == "flush":
            outbox.flush()
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
