"""Laws of the command: its exit status, its summary, and how to see a failure again."""

import argparse
import signal
import subprocess
import sys

import pytest

from triolet.testing.world import Script, Step, command, seeds
from triolet.testing.world.script import read, write

# The real command, in which later seeds take as long as a test may wait.
ENDLESS = """
import functools, sys, time
from triolet.testing.__main__ import main
from triolet.testing.world import seeds

play = seeds.judge

@functools.wraps(play)
def judge(seed, plan):
    while seed >= 27:
        # In steps: what a signal sets off is done between two of them.
        time.sleep(0.01)
    return play(seed, plan)

seeds.judge = judge
sys.exit(main())
"""


def run(*arguments):
    parser = argparse.ArgumentParser()
    command.configure(parser)
    return command.run(parser.parse_args([str(one) for one in arguments]))


def test_seeds_are_counted_and_what_they_did_is_summed_up(capsys):
    before = signal.getsignal(signal.SIGTERM)
    assert run("--seeds", 2, "--jobs", 1, "--nodes", 1, "--from", 3) == 0
    assert signal.getsignal(signal.SIGTERM) is before

    told = capsys.readouterr().out
    assert "2 seeds, 0 violated" in told
    assert "seeds/s" in told


def test_one_seed_writes_its_history(tmp_path, capsys):
    path = tmp_path / "history.jsonl"

    assert run("--seed", 3, "--nodes", 1, "--history", path) == 0

    assert b'"event":"settled"' in path.read_bytes()
    assert "digest" in capsys.readouterr().out


def test_a_script_is_played_from_a_file(tmp_path, capsys):
    path = tmp_path / "script.json"
    write(Script(steps=(Step("send"),)), path)

    assert run("--script", path) == 0

    assert read(path).steps == (Step("send"),)
    assert "digest" in capsys.readouterr().out


@pytest.mark.parametrize("content", [None, b"{", b'{"steps": 1}'])
def test_a_file_that_is_no_script_is_misuse(tmp_path, capsys, content):
    path = tmp_path / "script.json"
    if content is not None:
        path.write_bytes(content)

    assert run("--script", path) == 2

    assert str(path) in capsys.readouterr().err


def test_a_violation_is_told_with_the_command_that_shows_it_again(monkeypatch, capsys):
    """And the exit status is 1."""

    def play(script):
        raise RuntimeError("a bug")

    monkeypatch.setattr(seeds, "play", play)

    assert run("--seeds", 1, "--jobs", 1, "--from", 8, "--nodes", 2) == 1

    told = capsys.readouterr().out
    assert "VIOLATED: the world ended: RuntimeError('a bug')" in told
    assert "python -m triolet.testing world --seed 8 --nodes 2\n" in told
    assert "1 seeds, 1 violated" in told


@pytest.mark.parametrize(
    ("jobs", "number", "is_ignored"),
    [
        (1, signal.SIGTERM, True),
        (2, signal.SIGTERM, False),
        (2, signal.SIGINT, False),
    ],
)
def test_a_run_that_is_stopped_says_how_far_it_came_and_how_to_go_on(jobs, number, is_ignored):
    """Also where Ctrl+C is ignored, as a script's shell has it for what it starts with `&`."""
    command = [sys.executable, "-c", ENDLESS, "world", "--from", "7", "--seeds", "100"]
    if is_ignored:
        command = ["/bin/sh", "-c", "trap '' INT; exec \"$@\"", "sh", *command]
    with subprocess.Popen(
        [*command, "--jobs", str(jobs), "--nodes", "1", "--clients", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        try:
            assert process.stderr.readline() == "seeds: 5 of 100\n"
            process.send_signal(number)
            told, warned = process.communicate(timeout=250)
        finally:
            process.kill()

    count = int(told.split()[0])
    assert 5 <= count <= 20
    assert warned.splitlines()[-1] == f"stopped; go on with --from {7 + count}"
    assert "Traceback" not in warned
    assert f"{count} seeds, 0 violated" in told
    assert process.returncode == 0
