"""Law: every planted fault is caught, by the promise it breaks; and nothing without it.

One seed each here; the command tries several.
"""

import logging

import pytest

from triolet.testing.__main__ import main
from triolet.testing.checker import Promise
from triolet.testing.faults.command import table
from triolet.testing.faults.planting import FAULTS, Broken, Fault, Swap
from triolet.testing.faults.trial import Result, faults, try_fault


@pytest.fixture(autouse=True)
def quiet():
    """What a broken engine complains of is of no interest."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("name", [fault.name for fault in faults()])
def test_a_planted_fault_is_caught_and_only_while_it_is_planted(name) -> None:
    result = try_fault(FAULTS[name], range(1))

    assert result.caught == 1
    assert result.alarms == ()
    if FAULTS[name].promise is Promise.BANNED:
        assert len(result.by) == 1, "each of its rules is about something of its own"


def test_there_are_enough_of_them_for_each_promise() -> None:
    of = {promise: [f for f in faults() if f.promise is promise] for promise in Promise}
    first_seven = list(Promise)[:7]

    assert len(faults()) >= 24
    assert [promise for promise in first_seven if len(of[promise]) < 2] == []
    assert [promise for promise in Promise if not of[promise]] == [Promise.FOLDED]


def test_a_fault_is_gone_when_its_block_ends() -> None:
    class Engine:
        def answer(self):
            return 1

    swap = Swap(Engine, "answer", lambda original: lambda self: original(self) + 1)
    fault = Fault("off", "one too many", Promise.DERIVED, lambda _: [], (swap,))

    with fault.planted():
        assert Engine().answer() == 2
    assert Engine().answer() == 1

    with pytest.raises(ZeroDivisionError), fault.planted():
        raise ZeroDivisionError
    assert Engine().answer() == 1


def test_what_is_not_caught_does_not_hold_nor_does_an_alarm_without_a_fault() -> None:
    blind = Fault("f", "", Promise.ONCE, lambda _: [], ())
    other = Fault("f", "", Promise.ONCE, lambda _: [Broken(Promise.ORDER, "x")], ())
    shy = Fault("f", "", Promise.ONCE, lambda _: [Broken(Promise.ONCE, "x")], ())

    assert not try_fault(blind, range(2)).holds
    assert try_fault(other, range(2)).caught == 0
    assert try_fault(shy, range(2)).caught == 2
    # It is found without the fault as well.
    assert not try_fault(shy, range(2)).holds


def test_a_table_says_what_caught_what() -> None:
    good = Result("good", Promise.ONCE, 2, 3, ("an entry came twice",), ())
    bad = Result("bad", Promise.ORDER, 0, 3, (), ("a gap",))

    assert table([good, bad]).splitlines() == [
        "good    2 of 3  once: an entry came twice",
        "bad     0 of 3  one order: NOT CAUGHT",
        "    WITHOUT IT: a gap",
        "1 of 2 faults caught",
    ]


def test_the_command(capsys) -> None:
    name = "an_outbox_without_bound"

    assert main(["faults", name, "--seeds", "2"]) == 0
    out = capsys.readouterr()
    assert f"{name}    2 of 2  bounded: an outbox is above its bound" in out.out
    assert "planting: 1 of 1\n" in out.err

    assert main(["faults", "none"]) == 2
    assert main(["faults", name, "--seeds", "0"]) == 2
