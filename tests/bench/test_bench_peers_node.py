"""Peers on Node, and nats-server, do the same work: a tiny run of each is verified like ours."""

import subprocess
import sys
from pathlib import Path

import pytest

# The benchmarks are no package that is installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.errors import Missing
from bench.peers.all import PEERS
from bench.report.results import read
from bench.scenarios import Sample

ROOT = Path(__file__).resolve().parents[2]
# Three scenarios of one peer take 6 s here; a busy machine takes ten times that.
_TIMEOUT_S = 180


def run(name: str, folder: Path, *scenarios: str) -> list[Sample]:
    """Return what a tiny run of one peer gave."""
    try:
        PEERS[name].install(lambda _: None)
    except Missing as error:
        pytest.skip(str(error))
    found = folder / "found.json"
    tiny = ("--n", "6", "--window", "4", "--seconds", "0.2", "--repeat", "1", "--json", str(found))
    done = subprocess.run(
        [sys.executable, "-m", "bench", *scenarios, "--peers", name, *tiny],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    results = read(found)
    assert {} == results.missing
    assert {name} == {sample.who for sample in results.samples}
    return list(results.samples)


@pytest.fixture(scope="module", params=["ws", "socketio", "nats"])
def samples(request, tmp_path_factory) -> dict[str, Sample]:
    """Return what one peer gave, by scenario."""
    found = run(request.param, tmp_path_factory.mktemp("bench"), "fanout", "direct", "idle")
    return {sample.scenario: sample for sample in found}


def test_each_takes_part_and_everything_is_verified(samples):
    """What was acknowledged was delivered to everybody else, once and in order."""
    fanout, direct, idle = (samples[name].verified for name in ("fanout", "direct", "idle"))
    assert fanout["delivered"] == 6 * fanout["acknowledged"] >= fanout["measured"] > 0
    assert direct["delivered"] == direct["acknowledged"] >= direct["measured"] > 0
    assert 6 == idle["connected"]
    assert idle["delivered"] == 7 * idle["acknowledged"] > 0


def test_socketio_recovers_what_was_cut_and_gives_the_rest_anew(tmp_path):
    """Each of six is back both times; only after a restart none is recovered."""
    restarted, cut = (sample.verified for sample in run("socketio-recovery", tmp_path, "resume"))
    assert (6, 0, 1) == (restarted["back"], restarted["recovered"], restarted["restarts"])
    assert (6, 6, 0) == (cut["back"], cut["recovered"], cut["lost"])
    assert 6 * cut["acknowledged"] == cut["delivered"] > 0


@pytest.mark.parametrize("name", ["ws", "socketio", "nats"])
def test_a_peer_that_is_not_here_is_missing(name, monkeypatch):
    """By a reason that names it, so that what requires it can tell."""
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(Missing, match=r"(?i)node|nats-server"):
        PEERS[name].install(lambda _: None)
