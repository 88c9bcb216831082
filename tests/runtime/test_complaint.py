"""Laws of a complaint: at once, then seldom, and nothing is left untold in the end."""

import logging

import pytest

from triolet._runtime.complaint import Complaint


class Time:
    s = 100.0

    def __call__(self):
        return self.s


@pytest.fixture
def now():
    return Time()


@pytest.fixture
def complaint(now):
    return Complaint(logging.getLogger("here"), now=now)


@pytest.fixture
def told(caplog):
    return lambda: [one.getMessage() for one in caplog.records]


def test_the_first_failure_is_told_at_once(complaint, told):
    complaint.again("full")

    assert told() == ["full"]


def test_a_thousand_failures_in_ten_seconds_are_two_warnings_and_an_end(complaint, now, told):
    """What came between two warnings is counted in the second one; none is lost."""
    for number in range(1000):
        complaint.again(f"full {number}")
        now.s += 0.01

    assert told() == [
        "full 0",
        "full 500 (and 499 more like the last one)",
    ]
    complaint.over("well")
    assert told()[-1] == "well (and 499 more like the last one)"


def test_what_is_well_is_not_told(complaint, told):
    complaint.over("well")

    assert told() == []


def test_the_end_is_told_once_and_the_next_failure_at_once(complaint, told):
    complaint.again("full")
    complaint.over("well")
    complaint.over("well")
    complaint.again("full again")

    assert told() == ["full", "well", "full again"]
