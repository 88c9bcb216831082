"""Laws of `triolet.testing.fuzz.stage` and its stand-ins: what a client sends is answered there."""

import pytest
import trio
import trio.testing

from triolet.testing.fuzz.client_frames import BINARY, TEXT, frame
from triolet.testing.fuzz.grammar import encoded
from triolet.testing.fuzz.stage import open_stage
from triolet.testing.fuzz.stand_ins import FakeListener, FakeSocket, Manner
from triolet.testing.fuzz.targets.edge import FLAG_BYTES, _converse, count_frames
from triolet.testing.fuzz.violation import Violation

FLAGS = bytes(FLAG_BYTES)


def said(*messages):
    return b"".join(frame(BINARY, encoded(one, "msgpack")) for one in messages)


def on_stage(scene):
    async def play():
        async with open_stage() as stage:
            await scene(stage)

    trio.run(play, clock=trio.testing.MockClock(autojump_threshold=0))


@pytest.mark.parametrize("manner", Manner)
@pytest.mark.parametrize("turn", [0, 2])
def test_a_client_is_read_and_leaves_nothing(manner, turn):
    hello = {"op": "hello", "token": "anna"}
    stream = said(hello, *[{"op": "ping", "ref": number} for number in range(30)])

    async def scene(stage):
        frames = await _converse(stage, bytes((turn, manner.value, 0, 0, 0)) + stream)
        assert frames == (31 if manner is not Manner.NEVER_READS else frames)
        assert frames > 0
        await stage.talk()
        await stage.talk()

    on_stage(scene)


def test_what_is_sent_is_answered():
    async def scene(stage):
        sock = stage.connect(Manner.READS, in_turn=False)
        sock.feed(b"GET / HTTP/1.1\r\n\r\n"[:5])
        await stage.digest(sock)
        assert (sock.taken, sock.sent) == (5, 0)
        sock.end()
        await stage.leave(sock)
        assert sock.closed

    on_stage(scene)


def test_who_is_refused_by_the_gate_is_told_and_left():
    async def scene(stage):
        assert await _converse(stage, FLAGS + said({"op": "hello", "token": "nobody"})) in (0, 1)

    on_stage(scene)


def test_an_answer_that_others_must_not_get_is_a_violation():
    async def scene(stage):
        with pytest.raises(Violation, match="ordinary kick"):
            await stage._people[0].ask("kick", room="nowhere", user="x")

    on_stage(scene)


def test_frames_are_counted():
    assert count_frames(b"") == 0
    assert count_frames(frame(TEXT, b"x" * 200) + frame(TEXT, b"y" * 70_000) + b"\x81") == 2
    assert count_frames(frame(TEXT, b"x" * 200)[:-1]) == 0


def test_manners_of_a_socket():
    for manner, taken in ((Manner.READS, 5_000), (Manner.VANISHES, 5_000)):
        sock = FakeSocket(manner)
        assert sock.send(bytes(5_000)) == taken
    with pytest.raises(BrokenPipeError):
        sock.send(b"more")
    never = FakeSocket(Manner.NEVER_READS)
    assert never.send(b"the answer to the head") == 22
    with pytest.raises(BlockingIOError):
        never.send(b"more")
    with pytest.raises(BlockingIOError):
        FakeListener().accept()
