"""Peers that are Python libraries do the same work: a tiny run of each is verified like ours."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

# The benchmarks are no package that is installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.errors import Missing
from bench.peers import installing
from bench.peers.all import PEERS
from bench.peers.installing import install_once
from bench.peers.python import PythonPeer
from bench.report.results import read

ROOT = Path(__file__).resolve().parents[2]
NAMES = [name for name, peer in PEERS.items() if isinstance(peer, PythonPeer)]
SCENARIOS = ("fanout", "direct", "latency", "idle", "connect")
# All of one peer's take 10 s here, most of which is waiting.
_TIMEOUT_S = 180


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, tuple["subprocess.CompletedProcess[str]", Path]]:
    """Run each peer through all of its scenarios, side by side: nothing is measured here."""
    try:
        PEERS[NAMES[0]].install(lambda _: None)
    except Missing as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("bench")
    tiny = ("--n", "6", "--window", "2", "--seconds", "0.2", "--repeat", "1")

    def run(name: str) -> tuple["subprocess.CompletedProcess[str]", Path]:
        found = folder / f"{name}.json"
        done = subprocess.run(
            [sys.executable, "-m", "bench", *SCENARIOS, *tiny, "--peers", name, "--json", found],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
        return done, found

    with ThreadPoolExecutor(len(NAMES)) as pool:
        return dict(zip(NAMES, pool.map(run, NAMES), strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_each_takes_part_and_everything_is_verified(name, runs):
    """What was acknowledged was delivered to everybody else, once and in order."""
    done, found = runs[name]
    assert done.returncode == 0, done.stdout + done.stderr
    results = read(found)
    assert {} == results.missing
    assert {name} == {sample.who for sample in results.samples}
    verified = {sample.scenario: sample.verified for sample in results.samples}
    assert set(SCENARIOS) == set(verified)

    fanout, idle, connect = (verified[scenario] for scenario in ("fanout", "idle", "connect"))
    assert fanout["delivered"] == 6 * fanout["acknowledged"] >= fanout["measured"] > 0
    for pairs in (verified["direct"], verified["latency"]):
        assert pairs["delivered"] == pairs["acknowledged"] >= pairs["measured"] > 0
    assert idle["connected"] == 6
    assert idle["delivered"] == 7 * idle["acknowledged"] > 0
    assert 18 == connect["connected"] == connect["left in good order"] <= connect["delivered"]


@pytest.fixture
def fills(monkeypatch, tmp_path) -> list[Path]:
    """Have packages below a temporary folder; return where the folders that were filled are."""
    monkeypatch.setattr(installing, "INSTALLED", tmp_path / "peers")
    return []


def test_a_folder_is_filled_once_by_whoever_comes_first(fills):
    """Four at a time ask for the same: one fills, and all find it filled."""

    def fill(folder: Path) -> None:
        fills.append(folder)
        assert list(folder.iterdir()) == []
        (folder / "package").write_text("here")

    def ask(_: int) -> str:
        return (install_once("python", "a>=1", fill) / "package").read_text()

    with ThreadPoolExecutor(4) as pool:
        assert ["here"] * 4 == list(pool.map(ask, range(4)))
    assert len(fills) == 1

    install_once("python", "a>=2", fill)
    assert len(fills) == 2


def test_a_folder_whose_filling_failed_is_filled_anew(fills):
    """Half of the packages is as good as none, and says nothing later."""

    def fail(folder: Path) -> None:
        (folder / "half").write_text("here")
        raise Missing("no network")

    with pytest.raises(Missing, match="no network"):
        install_once("python", "a>=1", fail)
    assert not (install_once("python", "a>=1", fills.append) / "half").exists()
    assert len(fills) == 1


def test_what_cannot_be_written_is_missing(fills, tmp_path):
    (tmp_path / "peers").write_text("a file is in the way")
    with pytest.raises(Missing, match="peers"):
        install_once("python", "a>=1", fills.append)


def test_packages_that_cannot_be_had_are_missing(fills, monkeypatch):
    """By a reason that tells what was tried, and nothing is left that looks installed."""
    monkeypatch.setattr("bench.peers.python.sys.executable", "/bin/false")
    for _ in range(2):
        with pytest.raises(Missing, match="peers in Python"):
            PEERS["websockets"].install(lambda _: None)
