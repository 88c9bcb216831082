"""Laws of `triolet.testing.fuzz`: what is broken is found, made small, kept, and found again."""

import json
import subprocess
import sys
import time
from functools import partial
from random import Random

import pytest

from triolet._wire import frames
from triolet.testing.__main__ import main
from triolet.testing.fuzz import campaign
from triolet.testing.fuzz.campaign import Budget, run
from triolet.testing.fuzz.failure import Failure, described, what_fails
from triolet.testing.fuzz.jobs import Job, parts, work
from triolet.testing.fuzz.memory import Watch, resident_bytes
from triolet.testing.fuzz.table import TARGETS
from triolet.testing.fuzz.violation import Hang, Violation

MIB = 1024 * 1024


class Planted:
    """A target that breaks on a word; `units` are bytes."""

    name, unit, batch = "planted", "bytes", 3

    def __init__(self, breaks=lambda data: b"ab" in data):
        self.breaks = breaks
        self.seen = []

    def invent(self, chance: Random) -> bytes:
        return bytes(chance.choices(b"abcd", k=chance.randrange(9)))

    def judge(self, inputs):
        self.seen += inputs
        for data in inputs:
            if self.breaks(data):
                raise Violation("it has the word")
        return sum(map(len, inputs))


def fuzz(target, seed=1, **budget):
    return run(target, seed=seed, budget=Budget(**budget), advanced=lambda _share: None)


# --- campaigns -----------------------------------------------------------------------------


def test_a_seed_decides_every_input():
    one, same, other = (Planted(breaks=lambda _data: False) for _ in range(3))
    fuzz(one, seed=5, units=500)
    fuzz(same, seed=5, units=500)
    fuzz(other, seed=6, units=500)

    assert one.seen == same.seen
    assert one.seen[:20] != other.seen[:20]


def test_units_are_what_was_read_and_end_a_campaign():
    target = Planted(breaks=lambda _data: False)
    report = fuzz(target, units=1_000)

    assert report.failure is None
    assert report.units == sum(map(len, target.seen)) >= 1_000
    assert report.inputs == len(target.seen)
    # It looks up after every 64 inputs, no more than 9 bytes each.
    assert report.units < 1_000 + 64 * 9


def test_time_ends_a_campaign_and_it_tells_how_far_it_is():
    shares = []
    budget = Budget(seconds=0.05)
    report = run(Planted(breaks=lambda _d: False), seed=1, budget=budget, advanced=shares.append)

    assert 0.05 <= report.seconds < 60
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_a_failure_is_made_small():
    report = fuzz(Planted(), units=10_000)

    assert report.failure == Failure(
        target="planted", seed=1, what="Violation: it has the word", inputs=(b"ab",)
    )


def test_what_fails_only_together_is_kept_together():
    """Two inputs of a batch may be needed; the others are left out."""

    class Together(Planted):
        def judge(self, inputs):
            if len({data[:1] for data in inputs if data} & {b"a", b"b"}) == 2:
                raise Violation("both")
            return len(inputs)

    failure = fuzz(Together(), units=10_000).failure

    assert sorted(failure.inputs) == [b"a", b"b"]


def test_what_does_not_fail_again_is_kept_as_it_was():
    seen = []

    def once(data):
        seen.append(data)
        return len(seen) == 100

    failure = fuzz(Planted(breaks=once), units=10_000).failure

    assert len(failure.inputs) == Planted.batch
    assert seen[99] in failure.inputs


def _loop():
    while True:
        pass


@pytest.mark.parametrize(
    ("bound", "bound_s", "hang"),
    # The others must not take so long, also where the processor is somebody else's for a while.
    [("HANG_CPU_S", 0.3, _loop), ("HANG_S", 3, partial(time.sleep, 600))],
)
def test_a_hang_is_a_failure(monkeypatch, bound, bound_s, hang):
    """Whether it computes, or waits for what never comes."""
    monkeypatch.setattr(campaign, bound, bound_s)

    def hangs(data):
        return data[:1] == b"a" and hang()

    failure = fuzz(Planted(breaks=hangs), units=10_000).failure

    assert failure.what.startswith(Hang.__name__)
    assert any(data[:1] == b"a" for data in failure.inputs)


def test_a_leak_is_a_failure(monkeypatch):
    kept = []
    monkeypatch.setattr(campaign, "Watch", lambda: Watch(growth_bytes_max=8 * MIB))

    class Leaking(Planted):
        def judge(self, inputs):
            kept.append(bytearray(64 * 1024))
            return 1

    report = fuzz(Leaking(), units=2_000)

    assert "a leak" in report.failure.what
    assert report.grown_bytes > 8 * MIB


def test_the_resident_size_is_told():
    before = resident_bytes()
    held = bytearray(b"x") * (32 * MIB)

    assert resident_bytes() - before > 24 * MIB
    assert len(held) == 32 * MIB


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (Violation("no"), "Violation: no"),
        (ExceptionGroup("a", [ExceptionGroup("b", [KeyError("k")])]), "KeyError: 'k'"),
        (ValueError("x" * 1_000), "ValueError: " + "x" * 288),
    ],
)
def test_errors_are_told_shortly(error, words):
    assert described(error) == words


# --- targets -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TARGETS)
def test_every_target_is_reproducible_from_its_seed(name):
    def inputs():
        target, chance = TARGETS[name](), Random(3)
        return [target.invent(chance) for _ in range(20)]

    assert inputs() == inputs()


@pytest.mark.parametrize("name", TARGETS)
def test_the_engine_passes(name):
    """A short campaign of each target; the long ones are the command's."""
    report = fuzz(TARGETS[name](), seed=11, units=2_000)

    assert report.failure is None
    assert report.units >= 2_000


# --- the command ---------------------------------------------------------------------------


def fuzz_command(*arguments):
    command = [sys.executable, "-m", "triolet.testing", "fuzz", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=250, check=False)


def test_the_command_fuzzes_all_targets_in_processes(tmp_path):
    done = fuzz_command("--frames", "400", "--seed", "7", "--jobs", "2", "--out", str(tmp_path))

    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert sorted(line.split(":")[0] for line in lines) == sorted(
        f"{name}, seed {seed}" for name in TARGETS for seed in (7, 8)
    )
    assert "fuzz, seed 7" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_help_and_misuse(tmp_path, capsys):
    for arguments, status in (("--help", 0), ("--target=nothing", 2), ("--frames=0", 2)):
        with pytest.raises(SystemExit) as ended:
            main(["fuzz", arguments])
        assert ended.value.code == status
    assert "--frames" in capsys.readouterr().out
    no_failure = tmp_path / "other.json"
    no_failure.write_text("{}")
    assert main(["fuzz", str(no_failure)]) == 2
    assert main(["fuzz", str(tmp_path / "absent.json")]) == 2


def test_a_failure_is_kept_in_a_file_that_replays_it(tmp_path, monkeypatch, capsys):
    """With the bug it fails again, without it does not."""
    bug = monkeypatch.context()
    with bug as patched:
        patched.setattr(frames, "_is_utf8", lambda _payload: True)
        failure = fuzz(TARGETS["frames"](), units=200_000).failure
        assert failure is not None
        path = failure.write(tmp_path / "new")
        assert what_fails(TARGETS["frames"](), failure.inputs) == failure.what
        assert main(["fuzz", str(path)]) == 1
        assert failure.what in capsys.readouterr().out
    assert Failure.read(path) == failure
    assert json.loads(path.read_text())["target"] == "frames"
    # One frame of the dozens that were in it, and what had been written in it is gone.
    (data,) = failure.inputs
    assert len(data) < 450
    assert len(set(data[12:])) <= 3
    assert main(["fuzz", str(path)]) == 0


def test_a_process_that_dies_is_a_failure(monkeypatch):
    """It may be ended by the system, for want of memory for instance."""
    seen = []
    job = Job(targets=("frames", "no such target"), seed=1, budget=Budget(units=100))
    reports = work([job], seen.append)

    assert [report.failure is None for report in reports] == [True, False]
    assert "ended with status 1" in reports[1].failure.what
    assert len(seen) == parts([job]) // 2
