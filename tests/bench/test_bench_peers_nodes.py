"""Nodes on PostgreSQL and Redis are measured as one server: all of their messages are verified."""

import subprocess
import sys
from pathlib import Path

import pytest

# The benchmarks are no package that is installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.errors import Missing
from bench.peers.all import PEERS
from bench.report.results import read

ROOT = Path(__file__).resolve().parents[2]
# A PostgreSQL, a Redis and two nodes start twice; 8 s here.
_TIMEOUT_S = 180


@pytest.mark.parametrize(
    ("name", "services"),
    [("postgres", ["PostgreSQL"]), ("crossing", ["PostgreSQL", "Redis"])],
)
def test_what_crosses_is_verified_and_services_are_told_beside(name, services, tmp_path):
    try:
        PEERS[name].install(lambda _: None)
    except Missing as error:
        pytest.skip(str(error))
    found = tmp_path / "found.json"
    tiny = ("--n", "6", "--window", "4", "--seconds", "0.3", "--repeat", "1", "--json", str(found))
    done = subprocess.run(
        [sys.executable, "-m", "bench", "fanout", "direct", "--peers", name, *tiny],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    results = read(found)
    assert {} == results.missing
    fanout, direct = results.samples
    assert fanout.verified["delivered"] == 6 * fanout.verified["acknowledged"] > 0
    assert direct.verified["delivered"] == direct.verified["acknowledged"] > 0
    told = [figure.name for figure in direct.figures if figure.name.endswith("CPU a message")]
    assert told == ["server CPU a message", *(f"{service} CPU a message" for service in services)]
