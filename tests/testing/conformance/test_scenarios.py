"""The kit passes clients that keep the protocol, and finds every flaw of one that does not."""

import random
import sys
from pathlib import Path

import pytest
import trio

from triolet.testing.conformance.command import play, play_all
from triolet.testing.conformance.scenarios import SCENES
from triolet.testing.conformance.scenarios.coming_back import is_steady

ROOT = Path(__file__).parents[3]
PYTHON_CLIENT = (sys.executable, str(ROOT / "examples/conformance/client.py"))
NODE_CLIENT = str(ROOT / "examples/conformance/client.mjs")
BROWSER_CLIENT = str(ROOT / "examples/conformance/triolet.mjs")
FLAWED = str(Path(__file__).with_name("flawed.mjs"))
# They mostly wait.
AT_ONCE = 5
# On a busy machine a program takes its time to begin.
PATIENT = [type(one.__name__, (one,), {"timeout_s": 4 * one.timeout_s}) for one in SCENES]
BY_NAME = {scene.name: scene for scene in SCENES}

# Long enough for a client without the flaw to pass.
PATIENCE_S = {name: 14 if name in ("away", "silent") else 8 for name in BY_NAME}
# Each flaw, and a scene that must find it.
FLAWS = {
    "a new cid for each attempt": "lost-answer",
    "what is unanswered is forgotten": "lost-request",
    "a refusal that passes is final": "store-unavailable",
    "retries at once": "rate-limited",
    "positions are forgotten": "resume",
    "the ok of a message moves the position": "talk",
    "entries are shown as they come": "repeated",
    "a fork is not heard of": "fork",
    "resets are not heard of": "reset-since",
    "history is not refetched": "not-recovered",
    "tokens are not refreshed": "token-expiring",
    "tokens are kept for ever": "token-expired",
    "never stops": "banned",
    "no backoff": "away",
    "a fixed backoff": "away",
    "hints are not heeded": "too-many",
    "silence is not noticed": "silent",
    "no bound in flight": "in-flight",
    "removal is not heard of": "removed",
}


@pytest.fixture(scope="module")
def of_python():
    """What came of each scene with the Python client; several at once."""
    results = trio.run(play_all, PATIENT, PYTHON_CLIENT, AT_ONCE)
    return {result.scene.name: result.complaints for result in results}


@pytest.fixture(scope="module")
def of_node(node_modules):
    """What came of each scene with the example client in JavaScript."""
    results = trio.run(play_all, PATIENT, in_node(node_modules, NODE_CLIENT), AT_ONCE)
    return {result.scene.name: result.complaints for result in results}


@pytest.fixture(scope="module")
def of_the_browsers(node_modules):
    """What came of each scene with the client that browsers load."""
    results = trio.run(play_all, PATIENT, in_node(node_modules, BROWSER_CLIENT), AT_ONCE)
    return {result.scene.name: result.complaints for result in results}


@pytest.fixture(scope="module")
def of_flaws(node_modules):
    """What the scene that is about each flaw complained of."""
    complaints = {}

    async def play_flaw(flaw, name):
        scene = type("Quick", (BY_NAME[name],), {"timeout_s": PATIENCE_S[name]})
        complaints[flaw] = (await play(scene, in_node(node_modules, FLAWED, flaw))).complaints

    async def play_flaws():
        async with trio.open_nursery() as nursery:
            for flaw, name in FLAWS.items():
                nursery.start_soon(play_flaw, flaw, name)

    trio.run(play_flaws)
    return complaints


def in_node(node_modules, *arguments):
    # `ws` is looked for in the working folder.
    return ("sh", "-c", 'cd "$0" && exec node "$@"', str(node_modules), *arguments)


@pytest.mark.parametrize("name", BY_NAME)
def test_the_python_client_keeps_the_protocol(of_python, name):
    assert of_python[name] == []


@pytest.mark.parametrize("name", BY_NAME)
def test_the_example_in_javascript_keeps_the_protocol(of_node, name):
    assert of_node[name] == []


@pytest.mark.parametrize("name", BY_NAME)
def test_the_client_of_browsers_keeps_the_protocol(of_the_browsers, name):
    assert of_the_browsers[name] == []


@pytest.mark.parametrize("flaw", FLAWS)
def test_a_flaw_is_found(of_flaws, flaw):
    """In the scene that is about it."""
    assert of_flaws[flaw]


def test_a_steady_beat_is_heard_on_a_busy_machine_and_full_jitter_is_none():
    """A beat of 1.5 s with one long stall, and short ones; the protocol's backoff, many times."""
    chance = random.Random(1)
    for _ in range(1000):
        beats = [1.5 + chance.uniform(0, 0.25) for _ in range(4)]
        beats[chance.randrange(4)] += 2
        assert is_steady(beats)
    drawn = [full_jitter(chance, 6.0) for _ in range(20_000)]
    assert sum(map(is_steady, drawn)) <= 20
    assert not is_steady([])
    assert not is_steady([1.5])


def full_jitter(chance, away_s):
    """Return the pauses of a polite client, until a server is back."""
    pauses = []
    while sum(pauses) < away_s:
        pauses.append(chance.uniform(0, 0.5 * 2 ** len(pauses)))
    return pauses


def test_every_scene_names_its_clause_and_itself():
    assert len(BY_NAME) == len(SCENES)
    assert all(scene.clause and scene.__doc__ for scene in SCENES)
