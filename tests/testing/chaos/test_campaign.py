"""What strikes when, and a deployment of somebody else's."""

from collections import Counter
from random import Random

import pytest

from triolet._model.errors import ConfigurationError
from triolet.testing import history
from triolet.testing.chaos.campaign import Deck, Wishes, campaign
from triolet.testing.chaos.faults import FAULTS
from triolet.testing.chaos.system import Deployed, open_served
from triolet.testing.checker import check


def test_each_fault_strikes_as_often_as_any_other():
    """Law: after as many cycles as there are faults, each has been."""
    deck = Deck(tuple(FAULTS), Random(1))
    drawn = [deck.draw(is_storm=False) for _ in range(3 * len(FAULTS))]
    assert Counter(name for (name,) in drawn) == dict.fromkeys(FAULTS, 3)
    assert {name for (name,) in drawn[: len(FAULTS)]} == set(FAULTS)


def test_a_storm_strikes_each_place_once():
    """Law: two faults at once never strike the same process or the same network."""
    deck = Deck(("kill", "pause", "cut", "jump"), Random(1))
    for _ in range(10):
        drawn = deck.draw(is_storm=True)
        assert sorted(FAULTS[name][0] for name in drawn) == ["clients", "network", "process"]


def test_the_same_seed_draws_the_same():
    """Law: choices follow from the seed."""
    first, second = (Deck(tuple(FAULTS), Random(7)) for _ in range(2))
    for number in range(20):
        assert first.draw(is_storm=number % 5 == 1) == second.draw(is_storm=number % 5 == 1)


def test_a_deployment_needs_one_way_to_tokens(tmp_path):
    """Law: a secret or a command, and not both; a command is asked with the user's name."""
    with pytest.raises(ConfigurationError):
        Deployed("ws://localhost/ws")
    with pytest.raises(ConfigurationError):
        Deployed("ws://localhost/ws", secret=b"x" * 32, token_command="echo")
    assert Deployed("ws://x/ws", token_command="echo token of {user}").token("u1") == "token of u1"
    assert Deployed("ws://x/ws", secret=b"x" * 32).token("u1").count(".") == 2


async def test_a_deployment_is_judged_by_faults_of_its_network(tmp_path):
    """Law: all it takes is an address and tokens; its processes are left alone."""
    (tmp_path / "data").mkdir()
    async with open_served(tmp_path / "data") as served:
        tokens = {}

        class Known:
            urls, processes, data, bounds = served.urls, {}, None, served.bounds

            def token(self, user):
                return tokens.setdefault(user, served.token(user))

        wishes = Wishes(
            faults=("cut", "hold"),
            cycles=99,
            seconds=60,
            clients=4,
            workers=2,
            rate=60,
            seed=3,
            folder=tmp_path,
            tempo=0.1,
        )
        done = []
        outcome = await campaign(Known(), wishes, lambda: done.append(None), lambda: len(done) == 2)
        assert served.process.pid
    assert (outcome.violations, outcome.cycles, outcome.downs_s) == ([], 2, [])
    assert len(outcome.histories) == 3
    parts = [history.read(path.read_bytes().splitlines()) for path in outcome.histories]
    found = list(history.merge(parts))
    assert check(found, outcome.bounds).violations == ()
    assert {one.user for one in found if isinstance(one, history.Opened)} <= tokens.keys()
