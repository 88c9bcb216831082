"""`python -m triolet.testing chaos`: every fault for real, and what it says of a loss."""

import signal
import sys
from pathlib import Path

import pytest
import trio
import trio.testing

from triolet.testing import history
from triolet.testing.__main__ import main
from triolet.testing.chaos.command import _heed
from triolet.testing.chaos.faults import FAULTS

SMALL = ["--clients", "8", "--rate", "80", "--tempo", "0.1"]


def events(path):
    return list(history.read(path.read_bytes().splitlines()))


def test_after_every_fault_nothing_acknowledged_is_lost(tmp_path, capsys):
    """Law: each fault strikes, alone and with others, is healed, and everything holds."""
    kept, data = tmp_path / "history.jsonl", tmp_path / "data"
    count = str(len(FAULTS))
    asked = ["chaos", "--cycles", count, *SMALL, "--data", str(data), "--history", str(kept)]
    status = main(asked)
    said = capsys.readouterr().out
    assert status == 0, said
    assert "0 acknowledged lost, 0 repeated, 0 out of order" in said
    found = events(kept)
    verbs = {one.verb for one in found if isinstance(one, history.Fault)}
    # A kill in a checkpoint says so, if there was one within its patience.
    assert verbs - {"checkpoint"} == {
        "crash", "cut", "delay", "drain", "full_disk", "hold", "leap", "pause", "sever", "skew",
        "sleep", "slow",
    }  # fmt: skip
    left = {one.client for one in found if isinstance(one, history.Left)}
    assert left == {one.client for one in found if isinstance(one, history.Opened)}
    assert sum(client.startswith("chaos") for client in left) == 8
    assert sum(isinstance(one, history.Acked) for one in found) > 100
    assert any(isinstance(one, history.Settled) for one in found)
    # What is not asked to be kept is taken away, what is asked stays.
    assert sorted(path.name for path in data.glob("*.jsonl")) == []
    assert (data / "triolet.db").exists()


def test_a_disk_that_lies_is_found_out(tmp_path, capsys):
    """Law: what was acknowledged and is gone makes it exit with 1, and keep the evidence."""
    server = f"{sys.executable} {Path(__file__).with_name('forgetful_server.py')}"
    data = tmp_path / "data"
    # Twice: the first kill comes at once, when a busy machine may have acknowledged nothing yet;
    # before the second one there were acknowledgements, for those are waited for.
    asked = ["chaos", "--cycles", "2", "--faults", "kill", "--seed", "4", *SMALL]
    assert main([*asked, "--server", server, "--patience", "16", "--data", str(data)]) == 1
    said = capsys.readouterr().out
    # Which promise is broken first depends on what was in the end of the log.
    assert "violated: " in said
    assert "0 acknowledged lost" not in said
    assert (data / "history.jsonl").exists()


async def test_told_to_stop_it_comes_to_its_end_and_told_again_it_stops(capsys):
    """Law: the first signal means no more faults, the second the end."""
    told, signals = trio.open_memory_channel(2)
    enough = trio.Event()
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_heed, signals, enough, scope)
            await trio.testing.wait_all_tasks_blocked()
            assert not enough.is_set()
            await told.send(signal.SIGINT)
            await enough.wait()
            assert not scope.cancel_called
            await told.send(signal.SIGTERM)
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert "no more faults" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (["--faults", "kill,fire"], "'fire' is none of kill, "),
        (["--url", "ws://localhost:1/ws"], "give --secret-file or --token-command"),
        (["--url", "ws://localhost:1/ws", "--faults", "kill"], "'kill' is none of cut, "),
        (["--url", "wss://localhost:1/ws", "--faults", "cut"], "'cut' is none of jump, "),
        (["--url", "ws://", "--token-command", "true"], "is no ws:, wss:, http: or https: address"),
        (["--url", "ws://localhost:1/ws", "--token-command", "false"], "--token-command: "),
    ],
)
def test_misuse_is_told_with_2(tmp_path, capsys, asked, why):
    """Law: what cannot be done is told before anything is."""
    assert main(["chaos", *asked, "--data", str(tmp_path)]) == 2
    assert why in capsys.readouterr().err


def test_a_deployment_that_is_not_there_is_no_proof(tmp_path, capsys):
    """Law: what cannot be reached is told, with 1, and not waited for any longer."""
    where = ["--url", "ws://127.0.0.1:1/ws", "--token-command", "echo {user}", "--patience", "0.3"]
    assert main(["chaos", *where, "--data", str(tmp_path)]) == 1
    assert "no rooms could be made, 0.3 s later" in capsys.readouterr().out


def test_a_server_that_does_not_start_is_told(tmp_path, capsys):
    """Law: its last words are shown."""
    server = "sh -c 'echo no such option >&2; exit 2'"
    assert main(["chaos", "--server", server, "--data", str(tmp_path)]) == 1
    assert "no such option" in capsys.readouterr().err


def test_numbers_that_make_no_sense_are_refused(capsys):
    """Law: no clients is no proof."""
    with pytest.raises(SystemExit) as ended:
        main(["chaos", "--clients", "1"])
    assert ended.value.code == 2
    assert "1 is less than 2" in capsys.readouterr().err
