"""Law: a recorded load is a history of all that was sent and seen, and is found good."""

import subprocess
import sys
from pathlib import Path

import pytest

# The benchmarks are no package that is installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.cli import parse
from bench.scenarios import every

from triolet.testing import history
from triolet.testing.checker import Rule, check

ROOT = Path(__file__).resolve().parents[2]


def recorded(path: Path, *asked: str) -> list[history.Event]:
    command = [sys.executable, "-m", "bench", *asked, "--repeat", "1", "--history", str(path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    with path.open("rb") as file:
        return list(history.read(file))


def test_a_tiny_load_is_judged(tmp_path: Path) -> None:
    asked = ["direct", "--n", "4", "--window", "2", "--seconds", "0.2", "--store", "memory"]
    events = recorded(tmp_path / "run.jsonl", *asked)

    sent = [event.cid for event in events if isinstance(event, history.Sent)]
    seen = [event.entry.cid for event in events if isinstance(event, history.Seen)]
    verdict = check(events)
    assert verdict.holds
    assert sorted(sent) == sorted(seen)
    assert verdict.judged[Rule.ACKED_IS_WHAT_WAS_SENT] == len(sent) > 4


def test_who_comes_back_is_recorded_too(tmp_path: Path) -> None:
    events = recorded(tmp_path / "run.jsonl", "resume", "--n", "4", "--case", "cut")

    subscribed = [event for event in events if isinstance(event, history.Subscribed)]
    seen = [event for event in events if isinstance(event, history.Seen)]
    verdict = check(events)
    assert verdict.holds
    assert any(event.since is not None and event.pos < event.head for event in subscribed)
    assert len(seen) >= 4 * 4
    assert verdict.judged[Rule.RESUMES_WHERE_IT_WAS] > 4


@pytest.mark.parametrize(
    "asked",
    [
        ["fanout", "--repeat", "1"],
        ["direct"],
        ["direct", "--repeat", "1", "--peers", "ws"],
    ],
    ids=["bytes in bulk", "several runs", "another server"],
)
def test_what_cannot_be_recorded_is_refused(asked: list[str]) -> None:
    with pytest.raises(SystemExit):
        parse([*asked, "--history", "x"], every())
