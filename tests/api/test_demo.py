"""The demo as one runs it: it proves what it shows, and leaves nothing behind."""

import os
import re
import signal
import subprocess
import sys

import pytest
import trio
from click.testing import CliRunner

from triolet_api.demo import command, options, show
from triolet_api.demo.proof import Verdict

# The show without pauses takes 4 s; a busy machine ten times that.
PATIENCE_S = 120
COMMAND = [sys.executable, "-m", "triolet_api", "demo"]


async def run(*, columns):
    with trio.fail_after(PATIENCE_S):
        done = await trio.run_process(
            [*COMMAND, "--fast"],
            capture_stdout=True,
            capture_stderr=True,
            check=False,
            env=os.environ | {"COLUMNS": str(columns)},
        )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.mark.parametrize("columns", [80, 50])
async def test_the_server_dies_and_nothing_is_lost(columns):
    status, output, errors = await run(columns=columns)

    assert (0, "") == (status, errors), output
    shown = [
        "ben is online",
        "anna is typing …",
        "✓ sent",
        "✓✓ delivered to ben",
        "✓✓ read by ben",
        "edited [",
        "put 💡 to [",
        "ben is away",
        "kill -9",
        "the server starts again",
        "back",
        "✓ nothing was lost",
    ]
    at = 0
    for text in shown:
        assert text in output[at:], (text, output)
        at = output.index(text, at)
    assert "\x1b" not in output
    killed, started = map(int, re.findall(r"process (\d+)", output))
    assert killed != started
    for pid in (killed, started):
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


# With pauses: without them it may be over before it is stopped, on a machine that is busy.


async def heard(process, word):
    """Read until a word comes; return what has come."""
    output = b""
    with trio.fail_after(PATIENCE_S):
        while word not in output:
            part = await process.stdout.receive_some()
            assert part, output
            output += part
    return output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_whoever_stops_it_stops_the_server_too(number):
    process = await trio.lowlevel.open_process(COMMAND, stdout=subprocess.PIPE)
    async with process.stdout:
        output = await heard(process, b"typing")
        process.send_signal(number)
        with trio.fail_after(PATIENCE_S):
            assert 1 == await process.wait()

    (pid,) = map(int, re.findall(rb"process (\d+)", output))
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_who_looks_away_ends_it():
    process = await trio.lowlevel.open_process(
        COMMAND, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    async with process.stderr:
        async with process.stdout:
            await heard(process, b"process")
        with trio.fail_after(PATIENCE_S):
            assert 1 == await process.wait()
        assert b"" == await process.stderr.receive_some()


def test_what_was_lost_is_told_by_the_status(monkeypatch):
    monkeypatch.setattr(show, "judge", lambda people: Verdict((), ("anna: “x” is nowhere",)))

    result = CliRunner().invoke(command, ["--fast"])

    assert 1 == result.exit_code
    assert "✗ anna: “x” is nowhere" in result.output
    assert "nothing was lost" not in result.output


def test_it_does_not_go_on_for_ever(monkeypatch):
    monkeypatch.setattr(options, "DEMO_TIMEOUT_S", 0)

    result = CliRunner().invoke(command, [])

    assert 1 == result.exit_code
    assert "this took longer than 0 s" in result.output
