"""Benchmarks run, verify what they count, and say so; what they measure here means nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

# The benchmarks are no package that is installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.peers.all import PEERS
from bench.report.results import Results, read
from bench.scenarios import Sample, every

ROOT = Path(__file__).resolve().parents[2]
# The longest takes 29 s here, alone.
_TIMEOUT_S = 240


def run_bench(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments],
        cwd=ROOT,
        env=os.environ | {"COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )


def results_of(tmp_path: Path, *arguments: str) -> Results:
    found = tmp_path / "found.json"
    tiny = ("--n", "6", "--seconds", "0.2", "--repeat", "1", "--data", str(tmp_path))
    done = run_bench(*arguments, *tiny, "--json", str(found))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "verified: " in done.stdout
    results = read(found)
    assert results.machine["python"]
    assert set(results.peers) <= set(PEERS)
    assert results.samples
    return results


def only(results: Results) -> Sample:
    (sample,) = results.samples
    return sample


def figure_of(sample: Sample, name: str) -> float:
    (value,) = [figure.value for figure in sample.figures if figure.name == name]
    return value


def test_scenarios_and_peers_are_listed():
    listed = run_bench().stdout
    assert all(name in listed for name in (*every(), *PEERS))


def test_direct_counts_messages_that_were_acknowledged_and_delivered(tmp_path):
    """Every message of the run was verified twice, and those between the edges make the rate."""
    found = results_of(tmp_path, "direct", "--window", "2", "--echo", "--store", "sqlite")
    verified = only(found).verified
    assert 0 < verified["measured"] <= verified["acknowledged"]
    assert verified["acknowledged"] == verified["delivered"] == verified["echoed"]
    assert figure_of(only(found), "messages") > 0


def test_fanout_counts_what_reached_every_subscriber(tmp_path):
    """Each acknowledged message was delivered to each of the six, verified byte by byte."""
    found = results_of(tmp_path, "fanout", "--window", "4", "--peers", "triolet,floor")
    assert ["triolet (sqlite)", "floor"] == [sample.who for sample in found.samples]
    for sample in found.samples:
        verified = sample.verified
        assert 0 < verified["measured"] <= verified["delivered"]
        assert verified["delivered"] == 6 * verified["acknowledged"]
        assert figure_of(sample, "deliveries") > 0


def test_idle_counts_connections_that_are_still_subscribed_at_the_end(tmp_path):
    """A message sent after the measurement reaches each connection, and the first one."""
    sample = only(results_of(tmp_path, "idle", "--store", "memory"))
    assert sample.verified["connected"] == 6
    assert sample.verified["delivered"] == 7 * sample.verified["acknowledged"] > 0
    assert figure_of(sample, "set-ups") > 0


def test_growth_counts_messages_pages_and_resumes(tmp_path):
    """Few rooms and few entries, in a store filled before; each answer was verified."""
    found = results_of(tmp_path, "growth")
    cases = [sample.case for sample in found.samples]
    assert 6 == len(cases) == len(set(zip(cases, (one.who for one in found.samples), strict=True)))
    for sample in found.samples:
        verified = sample.verified
        answers = verified.get("answered", verified.get("delivered"))
        assert 0 < verified["measured"] <= answers
    assert not list(tmp_path.glob("triolet-bench-*"))


def test_day_counts_entries_that_everybody_of_a_room_got(tmp_path):
    """Six people in six rooms: each durable deed reached the members, some of whom came back."""
    sample = only(results_of(tmp_path, "day", "--rate", "200", "--store", "sqlite"))
    verified = sample.verified
    assert 0 < verified["acknowledged"] < verified["delivered"] <= 6 * verified["acknowledged"]
    assert verified["done: message"] > 0


def test_resume_counts_clients_who_are_back_and_have_everything(tmp_path):
    """Killed or cut, each of six comes back, and has each of the messages in its 20 rooms."""
    found = results_of(tmp_path, "resume")
    assert 2 == len(found.samples)
    for sample in found.samples:
        assert 6 == sample.verified["back"]
        assert 3 * 20 == sample.verified["acknowledged"]
        assert 6 * sample.verified["acknowledged"] == sample.verified["delivered"]
        assert figure_of(sample, "back, p99 / ideal") >= 1


def test_connect_counts_people_who_came_were_reached_and_left(tmp_path):
    """Three waves of six, each of them reached by a message before it leaves."""
    found = results_of(tmp_path, "connect", "--peers", "triolet,floor")
    assert ["triolet (sqlite)", "floor"] == [sample.who for sample in found.samples]
    for sample in found.samples:
        verified = sample.verified
        assert (18, 18) == (verified["connected"], verified["left in good order"])
        assert verified["delivered"] >= 18
        assert figure_of(sample, "set-ups") > 0
        assert 0 < figure_of(sample, "set-up, p50") <= figure_of(sample, "set-up, p99")


def test_ping_asks_meanwhile_a_room_is_served(tmp_path):
    """Each ping was answered, by a process of its own; every delivery was verified."""
    found = results_of(tmp_path, "ping", "--window", "2", "--peers", "triolet,floor")
    sample = only(found)
    assert sample.verified["pings"] > 0
    assert sample.verified["delivered"] == 6 * sample.verified["acknowledged"] > 0
    assert 0 < figure_of(sample, "ping, p50") <= figure_of(sample, "worst ping")
    assert 0 < figure_of(sample, "idle: ping, p50") <= figure_of(sample, "idle: worst ping")


def test_slow_readers_of_ours_catch_up(tmp_path):
    """One of six reads nothing until all is sent, and then everything, in order."""
    sample = only(results_of(tmp_path, "slow", "--text", "4000"))
    assert sample.verified["caught up"] == 1
    assert sample.verified["delivered"] == 5 * sample.verified["acknowledged"] > 0
    assert figure_of(sample, "caught up") == 100
    assert figure_of(sample, "with slow, p50") > 0


def test_latency_sends_at_half_of_what_it_found_and_at_a_rate_for_all(tmp_path):
    """Of what was due while it was measured, all was acknowledged and delivered."""
    half, fixed = results_of(tmp_path, "latency", "--store", "memory").samples
    assert figure_of(half, "saturation") > 0
    assert {"saturation"} == {one.name for one in half.figures} - {
        one.name for one in fixed.figures
    }
    for sample in (half, fixed):
        verified = sample.verified
        assert 0 < verified["measured"] <= verified["acknowledged"] == verified["delivered"]
        assert figure_of(sample, "delivered, p50") <= figure_of(sample, "delivered, p99.9")
    (asked,) = results_of(tmp_path, "latency", "--store", "memory", "--rate", "500").samples
    assert asked.case == "6 connections, 500/s"


@pytest.mark.parametrize(
    "arguments",
    [("direct", "--n", "5"), ("fanout", "--window", "65"), ("idle", "--store", "paper"), ("none",)],
)
def test_what_cannot_be_measured_is_refused(arguments):
    done = run_bench(*arguments)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
