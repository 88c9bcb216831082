"""An open loop sends when it is time, and counts from when it was."""

import contextlib
import math
import select
import socket
import threading
import time
from array import array
from itertools import islice, pairwise
from types import SimpleNamespace

import pytest
from bench.errors import Unexpected
from bench.load.pairs import Pair, PairsOutcome, ScheduledPairs
from bench.load.schedule import evenly, poisson, poll_until
from bench.load.window import Load, Spent
from bench.scenarios import latency
from ends import Motionless, entry, framed, ok

RATE = 1000
MANY = 20_000
# In which all that is due comes, also where nobody is let run for a while.
BUSY_S = 2


@pytest.mark.parametrize("schedule", [poisson, evenly])
def test_a_schedule_keeps_its_rate_and_is_the_same_for_a_seed(schedule):
    due = list(islice(schedule(RATE, 1), MANY))
    assert due == list(islice(schedule(RATE, 1), MANY))
    assert due != list(islice(schedule(RATE, 2), MANY))
    assert due == sorted(due)
    assert due[-1] == pytest.approx(MANY / RATE, rel=0.03)


def test_people_who_know_nothing_of_each_other_come_in_bursts():
    """The pauses of a Poisson process have their mean as their standard deviation."""
    due = list(islice(poisson(RATE, 3), MANY))
    pauses = [b - a for a, b in pairwise(due)]
    assert 1 / RATE**2 == pytest.approx(
        sum((one - 1 / RATE) ** 2 for one in pauses) / len(pauses), rel=0.1
    )


def test_one_comes_in_each_span():
    spans = [int(one * RATE) for one in islice(evenly(RATE, 3), 500)]
    assert spans == list(range(500))


@pytest.mark.parametrize("is_low", [True, False])
def test_it_waits_until_the_time_and_no_longer_when_something_comes(is_low, monkeypatch):
    """To the microsecond where `select` can be used, by looking again where it cannot."""
    if not is_low:
        monkeypatch.setattr("bench.load.schedule._DESCRIPTOR_MAX", -1)
    ours, theirs = socket.socketpair()
    with select.epoll() as epoll, ours, theirs:
        epoll.register(ours, select.EPOLLIN)
        due = time.perf_counter() + 0.0105
        while time.perf_counter() < due:
            assert poll_until(epoll, due, 10) == []
        theirs.send(b"x")
        assert poll_until(epoll, time.perf_counter() + 60, 10) == [(ours.fileno(), 1)]
        assert poll_until(epoll, 0, 10) == [(ours.fileno(), 1)]


def served(ends, channel, due, *, answers, holds_s=(), measured_s=0.2):
    """Run one scheduled pair against a server that gives `answers` message by message.

    Its sender's first sends take `holds_s`, as if nobody had let it.
    """
    sender, sender_end = ends.connection()
    receiver, receiver_end = ends.connection()
    send, holds = sender.send, list(holds_s)

    def sending(frame: bytes) -> None:
        time.sleep(holds.pop(0) if holds else 0)
        send(frame)

    def answering() -> None:
        with contextlib.suppress(OSError):
            for to_sender, to_receiver in answers:
                assert sender_end.recv(len(frame), socket.MSG_WAITALL)
                sender_end.sendall(to_sender)
                if to_receiver is None:
                    receiver_end.shutdown(socket.SHUT_WR)
                else:
                    receiver_end.sendall(to_receiver)

    frame = channel.message(1)
    pair = Pair(channel, _Sending(sender, sending), receiver)
    server = threading.Thread(target=answering)
    server.start()
    try:
        load = Load(Motionless(), 0, 0, measured_s, lambda _: None)
        return ScheduledPairs([pair], load, iter(due), 1).run()
    finally:
        sender.sock.close()
        server.join()


class _Sending:
    """A connection with another `send`."""

    def __init__(self, connection, send) -> None:
        self._connection = connection
        self.send = send

    def __getattr__(self, name):
        return getattr(self._connection, name)


def right(number: int) -> tuple[bytes, bytes]:
    return framed(ok(number)), framed(entry(number))


def test_latencies_count_from_when_a_message_was_due(ends, channel):
    """Two are due at a time; the first holds the second up, which is not excused for it.

    The one before them begins what is measured.
    """
    outcome = served(
        ends,
        channel,
        [0.001, 0.03, 0.03, math.inf],
        answers=[right(1), right(2), right(3)],
        holds_s=[0, 0.05],
        measured_s=BUSY_S,
    )
    assert (3, 2, 2) == (outcome.verified, len(outcome.acknowledged), len(outcome.delivered))
    assert min(outcome.acknowledged) >= 0.05
    assert min(outcome.delivered) >= 0.05


@pytest.mark.parametrize(
    ("second", "why"),
    [
        ((framed(ok(1)), b""), "an acknowledgement of 1 after 1"),
        ((framed(ok(3)), b""), "an acknowledgement of 3 after 1"),
        ((b"", framed(entry(1))), "a delivery of 1 after 1"),
        ((b"", framed(entry(3))), "a delivery of 3 after 1"),
        ((b"", framed(entry(2, body={"text": "hallo"}))), "not as it was sent"),
        ((framed(ok(2)), None), "hung up"),
    ],
)
def test_what_is_out_of_its_place_ends_the_run(ends, channel, second, why):
    with pytest.raises(Unexpected, match=why):
        served(ends, channel, [0.02, 0.03, math.inf], answers=[right(1), second])


def test_a_message_that_does_not_come_ends_the_run(ends, channel, monkeypatch):
    monkeypatch.setattr("bench.load.pairs._DRAIN_S", 0)
    with pytest.raises(Unexpected, match="1 were acknowledged, 0 delivered"):
        served(ends, channel, [0.02, math.inf], answers=[(framed(ok(1)), b"")], measured_s=BUSY_S)


@pytest.mark.parametrize(("generator_s", "rate"), [(0.5, 500), (1.5, 333.3)])
def test_a_schedule_leaves_the_generator_half_of_its_time(monkeypatch, generator_s, rate):
    """As its messages cost, which come one by one: 1,000/s of those that come together cost less.

    Half of saturation is 500/s; where they would take it more than half of its time, it is less.
    """

    def load_of(spent):
        def made(*_, **__):
            outcome = PairsOutcome(spent, array("d"), array("d"), 0, 0)
            return SimpleNamespace(run=lambda: outcome)

        return made

    together = Spent(1.0, 1.0, 0.3, 0.0, (1000,))
    one_by_one = Spent(1.0, 1.0, generator_s, 0.0, (1000,))
    monkeypatch.setattr(latency, "PairsLoad", load_of(together))
    monkeypatch.setattr(latency, "ScheduledPairs", load_of(one_by_one))
    options = SimpleNamespace(told=lambda *_: None, seconds=1)

    pace = latency._half_of_saturation(options, None, [])

    assert pace.saturation == 1000
    assert pace.rate == pytest.approx(rate, rel=0.01)
    assert pace.missing_part == pytest.approx(1 - rate / 500, abs=0.01)
