"""Many conversations at a time: each is heard in its turn, none is believed more than it proves."""

import socket

import pytest
from bench.errors import Unexpected
from bench.load import turns
from bench.load.frames import CLOSE, unmasked
from bench.load.turns import take_turns
from bench.peers import Step
from ends import framed

SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"


def is_yes(payload: bytes) -> bool:
    if payload not in (b"yes", b"wait"):
        raise Unexpected("no")
    return payload == b"yes"


STEPS = [Step(b"first", is_yes), Step(b"second", is_yes)]


def test_conversations_take_turns_and_no_more_than_so_many_at_a_time():
    """A conversation is begun when another has ended, and each takes as long as it takes."""
    ends = [socket.socketpair() for _ in range(5)]
    running, most = set(), 0

    def talk(number: int):
        nonlocal most
        running.add(number)
        most = max(most, len(running))
        yield
        assert ends[number][0].recv(10) == b"answer"
        running.discard(number)

    def begin():
        for number, (ours, theirs) in enumerate(ends):
            theirs.send(b"answer")
            yield ours, talk(number)

    taken_s = list(take_turns(begin(), 2))
    assert (5, 2, set()) == (len(taken_s), most, running)
    assert all(0 <= one < turns.ANSWER_TIMEOUT_S for one in taken_s)
    for ours, theirs in ends:
        ours.close()
        theirs.close()


def test_a_silent_server_ends_the_run(ends, monkeypatch):
    monkeypatch.setattr(turns, "ANSWER_TIMEOUT_S", 0.01)
    connection, _ = ends.connection()
    with pytest.raises(Unexpected, match="no answer"):
        list(take_turns(iter([(connection.sock, connection.leaving())]), 1))


def opened(ends, *answers: bytes):
    """Return a connection whose opening got these answers, each when it was waited for."""
    connection, server = ends.connection()
    talk = connection.opening(b"upgrade", None, STEPS)
    next(talk)
    for answer in answers:
        server.sendall(answer)
        if next(talk, "over") == "over":
            return connection, server
    raise AssertionError("it goes on")


@pytest.mark.parametrize(
    "answers",
    [
        (SWITCHED, framed(b"yes"), framed(b"yes")),
        (SWITCHED[:9], SWITCHED[9:] + framed(b"wait"), framed(b"yes")[:3], framed(b"yes")[3:] * 2),
        (SWITCHED + framed(b"yes") + framed(b"wait"), framed(b"yes")),
    ],
    ids=["one by one", "in pieces", "together"],
)
def test_a_conversation_says_each_step_once_the_last_is_answered(ends, answers):
    """However the answers are cut; what comes between is passed over."""
    if answers[-1] == framed(b"yes")[3:] * 2:
        answers = (*answers[:-1], framed(b"yes")[3:] + framed(b"yes"))
    connection, server = opened(ends, *answers)
    assert server.recv(100) == b"upgradefirstsecond"
    assert connection.go_nonblocking() == []


def test_what_comes_with_the_last_answer_is_kept(ends):
    connection, _ = opened(ends, SWITCHED, framed(b"yes"), framed(b"yes") + framed(b"more"))
    assert connection.go_nonblocking() == [(0x82, b"more")]


@pytest.mark.parametrize(
    "answers",
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n",),
        (SWITCHED, framed(b"no")),
        (SWITCHED, framed(b"yes"), framed(b"no")),
        (SWITCHED, unmasked(CLOSE, b"\x03\xf0")),
    ],
    ids=["no upgrade", "first refused", "second refused", "closed"],
)
def test_an_answer_that_is_none_ends_the_run(ends, answers):
    with pytest.raises(Unexpected):
        opened(ends, *answers)


def left(ends, *said: bytes) -> None:
    connection, server = ends.connection()
    talk = connection.leaving()
    next(talk)
    assert server.recv(100)[0] == CLOSE
    for data in said:
        server.sendall(data)
        next(talk)
    server.close()
    next(talk, None)


CLOSED = unmasked(CLOSE, b"\x03\xe8")


@pytest.mark.parametrize("said", [(CLOSED,), (framed(b"late") + CLOSED,), (CLOSED[:1], CLOSED[1:])])
def test_a_leaving_client_waits_for_the_close_frame_and_the_end(ends, said):
    left(ends, *said)


@pytest.mark.parametrize("said", [(), (framed(b"late"),), (CLOSED[:1],)])
def test_a_server_that_hangs_up_without_a_close_frame_ends_the_run(ends, said):
    with pytest.raises(Unexpected, match="without a close frame"):
        left(ends, *said)
