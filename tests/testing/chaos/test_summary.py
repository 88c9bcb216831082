"""Figures of a history, counted by hand."""

from triolet.testing import history
from triolet.testing.chaos.campaign import Outcome
from triolet.testing.chaos.process import Usage
from triolet.testing.chaos.summary import count, percentile, rows
from triolet.testing.checker import Bounds

HERE = {"client": "c1", "conn": 1}


def test_losses_and_repetitions_are_counted():
    """Law: a client is back at its next welcome, and what it says again was asked again."""
    sent = {"op": "send", "room": "lobby", "cid": "a"}
    found = count(
        [
            history.Opened(0, **HERE, user="anna"),
            history.Connected(1, **HERE),
            history.Sent(2, **HERE, **sent),
            history.Disconnected(3, **HERE),
            history.Connected(3.5, **HERE),
            history.Sent(4, **HERE, **sent),
            history.Acked(5, **HERE, room="lobby", cid="a", seq=1, duplicate=True),
            history.Refused(5, **HERE, room="lobby", cid="b", code=3004),
            history.Disconnected(6, **HERE),
            history.Left(7, **HERE),
        ]
    )
    assert (found.clients, found.connections, found.back_s) == (1, 2, [0.5])
    assert (found.acked, found.duplicates, found.repeated, found.refused) == (1, 1, 1, 1)


def test_a_try_that_fails_is_part_of_the_way_back():
    """Law: back is who is welcome again, counted from the loss of what was there."""
    first, later = {"client": "c1", "conn": 0}, HERE
    found = count(
        [
            history.Disconnected(1, **first),
            history.Connected(2, **later),
            history.Disconnected(3, **later),
            history.Disconnected(4, **later),
            history.Connected(5, **later),
        ]
    )
    assert (found.connections, found.back_s) == (2, [2])


def test_percentiles_are_values_that_were_there():
    """Law: the nearest rank."""
    values = list(range(1, 101))
    assert [percentile(values, p) for p in (50, 99, 100)] == [50, 99, 100]
    assert percentile([7], 1) == 7


def test_the_table_tells_growth():
    """Law: what a process held before and after stands side by side."""
    outcome = Outcome(
        struck={"kill": 2},
        cycles=2,
        downs_s=[2.0, 1.0],
        before={"server": Usage(5, 19, 4, 2048), "other": None},
        after={"server": Usage(6, 20, 7, 4096), "other": None},
        violations=[],
        histories=[],
        bounds=Bounds(),
    )
    told = dict(rows(count([]), outcome))
    assert told["faults"] == "2 kill"
    assert told["process away"] == "1.00 s p50, 2.00 s p99, 2 times"
    assert told["server: sockets"] == "5 → 6"
    assert told["server: MiB"] == "2 → 4"
    assert "other: sockets" not in told
