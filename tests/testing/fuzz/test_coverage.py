"""Laws of `fuzz.coverage`: libFuzzer leads within the budget, and what it finds is made small."""

from importlib.util import find_spec

import pytest

from triolet.testing.__main__ import main
from triolet.testing.fuzz import coverage
from triolet.testing.fuzz.campaign import Budget
from triolet.testing.fuzz.failure import Failure
from triolet.testing.fuzz.instrumented import _FED, _left_alone
from triolet.testing.fuzz.table import TARGETS
from triolet.testing.fuzz.violation import Violation

SAID = b"INFO: more\n\n === Uncaught Python exception: ===\nViolation: a word\nTraceback ..."
needs_atheris = pytest.mark.skipif(find_spec("atheris") is None, reason="needs atheris")


class Planted:
    name, unit, batch = "planted", "bytes", 1

    def judge(self, inputs):
        if any(b"ab" in data for data in inputs):
            raise Violation("it has the word")
        return sum(map(len, inputs))


def failed(tmp_path, *inputs, status=77, said=SAID):
    for number, data in enumerate(inputs):
        (tmp_path / f"crash-{number}").write_bytes(data)
    return coverage._failure(Planted(), 7, tmp_path, status, said)


def test_what_was_found_is_made_small(tmp_path):
    assert failed(tmp_path, b"hay hay ab hay") == Failure(
        target="planted", seed=7, what="Violation: it has the word", inputs=(b"ab",)
    )


def test_what_does_not_fail_again_is_kept_with_what_was_said(tmp_path):
    assert failed(tmp_path, b"hay") == Failure(
        target="planted", seed=7, what="Violation: a word", inputs=(b"hay",)
    )


def test_an_end_without_an_input_is_a_failure(tmp_path):
    """The process may be ended by the system."""
    failure = failed(tmp_path, status=-9, said=b"no words of atheris")

    assert failure.what == "the process ended with status -9: no words of atheris"
    assert failed(tmp_path, status=0) is None


@pytest.mark.parametrize("target", TARGETS)
def test_the_engine_is_instrumented_and_not_its_judges(target):
    left_alone = _left_alone(target)

    assert set(_FED) == set(TARGETS)
    assert {"triolet", "triolet.testing", "triolet.testing.fuzz.readings"} <= set(left_alone)
    assert not {"triolet._wire", "triolet._wire.frames", "triolet._model.limits"} & set(left_alone)
    assert ("triolet._runtime.session" in left_alone) == (target != "edge")


def test_without_atheris_the_command_says_what_is_missing(monkeypatch, capsys):
    monkeypatch.setattr(coverage, "is_here", lambda: False)

    assert main(["fuzz", "--engine", "atheris", "--seconds", "1"]) == 2
    assert "triolet[testing,fuzz]" in capsys.readouterr().err


def test_one_process_is_led(monkeypatch, capsys):
    monkeypatch.setattr(coverage, "is_here", lambda: True)

    assert main(["fuzz", "--engine", "atheris", "--jobs", "2"]) == 2
    assert "one process" in capsys.readouterr().err


@needs_atheris
def test_libfuzzer_leads_until_the_budget_is_used_up():
    shares = []
    budget = Budget(seconds=2)
    report = coverage.run(TARGETS["codec"](), seed=1, budget=budget, advanced=shares.append)

    assert report.failure is None
    assert report.inputs == report.units > 100
    assert 2 <= report.seconds < 30
    # Of which the first inputs alone reach a hundred.
    assert report.features > 100
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    few = coverage.run(
        TARGETS["frames"](), seed=1, budget=Budget(units=50), advanced=lambda _share: None
    )
    assert 50 <= few.units < 500
