"""Laws of an audience: who is live when something is told gets it, once, in order, as bytes."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from outbox_sinks import Mailbox, Pipe, socket_outbox
from scene import virtually

from triolet._runtime.audience import Audience
from triolet._runtime.flusher import Flusher
from triolet._runtime.outbox import MessageOutbox
from triolet._wire.websocket import binary_frame

HIGH = 1000


class Stage:
    """An audience, and who was demoted from it to which position."""

    def __init__(self):
        self.flusher = Flusher()
        self.demoted = {}
        self.audience = Audience(self.flusher, text=False, bytes_high=HIGH, demote=self._demote)

    def _demote(self, cursor, position):
        self.demoted[cursor.name] = position

    def enter(self, name, sink=None):
        sink = sink or Pipe()
        outbox = socket_outbox(self.flusher, sink)
        self.audience.live[outbox] = SimpleNamespace(name=name, outbox=outbox)
        return outbox

    def flush(self):
        while self.flusher.dirty:
            self.flusher.dirty.popleft().flush()

    def finish(self):
        """Have everything told and written."""
        while not self.audience.serve(3):
            pass
        self.audience.settle()
        self.flush()


@pytest.fixture
def stage():
    return Stage()


def test_settling_gives_everybody_the_same_bytes_object(stage):
    """A thousand subscribers hold one frame; several frames are put together once."""
    outboxes = [stage.enter(number) for number in range(3)]
    frame = binary_frame(b"one")

    stage.audience.tell(frame, 0)
    stage.audience.settle()
    stage.audience.tell(b"two", 1)
    stage.audience.tell(b"three", 2)
    stage.audience.settle()

    assert all(outbox.ordinary[0] is frame for outbox in outboxes)
    assert outboxes[0].ordinary[1] == b"twothree"
    assert all(outbox.ordinary[1] is outboxes[0].ordinary[1] for outbox in outboxes)
    assert [outbox.size for outbox in outboxes] == [len(frame) + 8] * 3


def test_two_are_told_at_once(stage):
    """What a direct room says needs no gathering, and keeps its bound and its count."""
    anna, ben = (stage.enter(name) for name in ("anna", "ben"))
    frame = binary_frame(b"one")
    ben.post(b"x" * HIGH)

    stage.audience.tell(frame, 7)

    assert stage.audience.is_settled
    assert anna.ordinary[0] is frame
    assert stage.demoted == {"ben": 7}
    assert ben.size == HIGH
    assert stage.flusher.counters.deliveries == 1


def test_two_who_are_left_are_told_after_what_three_were_told(stage):
    sinks = [Pipe() for _ in range(3)]
    outboxes = [stage.enter(number, sink) for number, sink in enumerate(sinks)]
    stage.audience.tell(b"1", 0)
    stage.audience.settle()
    stage.audience.live.pop(outboxes[2])

    stage.audience.tell(b"2", 1)
    stage.flush()

    assert [sink.written for sink in sinks] == [b"12", b"12", b"1"]


def test_who_has_something_waiting_is_not_written_to_past_it(stage):
    sinks = [Pipe(), Pipe(), Pipe()]
    outboxes = [stage.enter(number, sink) for number, sink in enumerate(sinks)]
    outboxes[1].post(b"first")

    stage.audience.tell(b"entry", 0)
    stage.audience.begin()
    assert stage.audience.serve(5)

    assert [sink.written for sink in sinks] == [b"entry", b"", b"entry"]
    stage.flush()
    assert sinks[1].writes == [b"firstentry"]


async def test_a_short_write_leaves_the_rest_in_the_outbox(stage):
    sinks = [Pipe(room=0), Pipe(room=2), Pipe()]
    outboxes = [stage.enter(number, sink) for number, sink in enumerate(sinks)]

    stage.audience.tell(b"entry", 0)
    stage.audience.begin()
    stage.audience.serve(3)

    assert [sink.written for sink in sinks] == [b"", b"en", b"entry"]
    assert [outbox.size for outbox in outboxes] == [5, 3, 0]
    assert [sink.wanted for sink in sinks] == [True, True, False]


def test_one_broken_socket_ends_one_connection(stage):
    sinks = [Pipe(), Pipe(), Pipe()]
    for number, sink in enumerate(sinks):
        stage.enter(number, sink)
    sinks[1].error = ConnectionResetError()

    for _ in range(2):
        stage.audience.tell(b"entry", 0)
        stage.audience.begin()
        stage.audience.serve(3)

    assert [sink.written for sink in sinks] == [b"entry" * 2, b"", b"entry" * 2]
    assert [sink.losses for sink in sinks] == [0, 1, 0]


def test_who_takes_messages_is_told_them_one_by_one(stage):
    mailbox = Mailbox(10)
    outbox = MessageOutbox(stage.flusher, mailbox, text=False, bytes_low=10)
    stage.audience.live[outbox] = SimpleNamespace(name="pipe", outbox=outbox)
    stage.enter("anna")
    stage.enter("ben")

    for way in (stage.audience.begin, stage.audience.settle):
        for payload in (b"one", b"two"):
            stage.audience.tell(binary_frame(payload), 0)
        way()
        stage.finish()

    assert mailbox.messages == [b"one", b"two"] * 2


def test_what_is_gathered_is_bounded(stage):
    """Together it must fit an outbox as its parts would: beyond a quarter it is put there."""
    outboxes = [stage.enter(name) for name in ("anna", "ben", "cleo")]
    for number in range(100):
        stage.audience.tell(b"x" * 90, number)
        assert stage.audience._size <= HIGH // 4
        assert all(outbox.size <= HIGH for outbox in outboxes)

    assert stage.demoted == {"anna": 9, "ben": 9, "cleo": 9}
    assert [outbox.size for outbox in outboxes] == [9 * 90] * 3


def test_nobody_is_told_what_was_said_before_or_after(stage):
    """Whoever changes an audience settles it first, in the middle of a round too."""
    sinks = {name: Pipe() for name in ("anna", "ben", "cleo")}
    stage.enter("anna", sinks["anna"])
    ben = stage.enter("ben", sinks["ben"])
    stage.audience.tell(b"1", 0)
    stage.audience.begin()
    stage.audience.serve(1)
    stage.audience.tell(b"2", 1)
    stage.audience.settle()
    stage.enter("cleo", sinks["cleo"])
    stage.audience.live.pop(ben)

    stage.audience.tell(b"3", 2)
    stage.finish()

    assert {name: sink.written for name, sink in sinks.items()} == {
        "anna": b"123",
        "ben": b"12",
        "cleo": b"3",
    }


def test_one_can_be_told_something_after_what_all_were_told(stage):
    sinks = [Pipe(), Pipe(), Pipe()]
    first, *_ = (stage.enter(number, sink) for number, sink in enumerate(sinks))
    cursor = stage.audience.live[first]
    stage.audience.tell(b"all", 0)
    stage.audience.tell_one(cursor, b"one", 1)
    stage.finish()
    assert [sink.written for sink in sinks] == [b"allone", b"all", b"all"]

    stage.audience.live.pop(first)
    stage.audience.tell_one(cursor, b"gone", 1)
    first.post(b"x" * HIGH)
    stage.audience.live[first] = cursor
    stage.audience.tell_one(cursor, b"full", 1)

    assert stage.demoted == {0: 1}
    assert first not in stage.audience.live


names = st.sampled_from("abcd")
steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(("enter", "leave")), names, st.none()),
        st.tuples(st.just("take"), names, st.integers(0, 800)),
        st.tuples(st.just("tell"), st.none(), st.integers(1, 300)),
        st.tuples(st.just("serve"), st.none(), st.integers(1, 3)),
        st.tuples(st.sampled_from(("begin", "settle", "flush")), st.none(), st.none()),
    ),
    max_size=60,
)


class Model:
    """What each should have got: everything told since they entered, to where they were demoted."""

    def __init__(self):
        self.stage = Stage()
        self.told = []
        self.sinks = {}
        self.outboxes = {}
        self.since = {}

    def enter(self, name, _):
        if name not in self.sinks:
            self.stage.audience.settle()
            self.sinks[name] = Pipe(room=0)
            self.outboxes[name] = self.stage.enter(name, self.sinks[name])
            self.since[name] = len(self.told)

    def leave(self, name, _):
        outbox = self.outboxes.get(name)
        if outbox in self.stage.audience.live:
            self.stage.audience.settle()
            if self.stage.audience.live.pop(outbox, None) is not None:
                self.stage.demoted[name] = len(self.told)

    def take(self, name, count):
        if name in self.sinks:
            self.sinks[name].room += count
            if self.sinks[name].wanted:
                self.outboxes[name].resume()

    def tell(self, _, size):
        self.told.append(bytes([len(self.told)]) * size)
        if self.stage.audience.live:
            self.stage.audience.tell(self.told[-1], len(self.told) - 1)

    def serve(self, _, count):
        self.stage.audience.serve(count)

    def begin(self, *_):
        # As the flusher does: not before the round under way is over.
        while not self.stage.audience.serve(1):
            pass
        self.stage.audience.begin()

    def settle(self, *_):
        self.stage.audience.settle()

    def flush(self, *_):
        self.stage.flush()


@given(steps)
@virtually
async def test_everybody_gets_what_was_told_while_they_were_there(script):
    """Whatever the sockets take; and who is too full is left exactly where their bytes end."""
    model = Model()
    for what, name, value in script:
        getattr(model, what)(name, value)
        assert all(outbox.size <= HIGH for outbox in model.outboxes.values())
    model.stage.finish()
    for name, sink in model.sinks.items():
        sink.room = None
        model.outboxes[name].resume()
        model.outboxes[name].flush()

    for name, sink in model.sinks.items():
        end = model.stage.demoted.get(name, len(model.told))
        assert sink.written == b"".join(model.told[model.since[name] : end])
        assert model.outboxes[name].size == 0
