"""Laws of worlds: they repeat themselves exactly, and what they find is found again."""

import os
import subprocess
import sys

import pytest

from triolet.testing import history
from triolet.testing.checker import Rule
from triolet.testing.world import Plan, Script, Step, draw, play
from triolet.testing.world.script import NAMES

AGAIN = """
from triolet.testing.world import Plan, draw, play
outcome = play(draw({seed}, Plan(nodes={nodes})))
print(outcome.digest, len(outcome.history), outcome.virtual_s, outcome.entries)
"""


def elsewhere(seed, nodes, hash_seed):
    """Play a seed in a process of its own."""
    command = [sys.executable, "-c", AGAIN.format(seed=seed, nodes=nodes)]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.parametrize(("seed", "nodes"), [(5, 1), (6, 3)])
def test_a_seed_goes_the_same_way_in_every_process(seed, nodes):
    """Every byte that every host receives, and when: whatever the hashes of strings are."""
    outcome = play(draw(seed, Plan(nodes=nodes)))
    here = [outcome.digest, len(outcome.history), outcome.virtual_s, outcome.entries]

    assert outcome.entries > 0
    for hash_seed in ("1", "2"):
        assert elsewhere(seed, nodes, hash_seed) == [str(one) for one in here]


def test_another_seed_goes_another_way():
    """Else nothing was drawn."""
    outcomes = [play(Script(seed=seed, steps=(Step("send"),))) for seed in (1, 2)]

    assert outcomes[0].digest != outcomes[1].digest


@pytest.mark.parametrize("seed", range(6))
def test_promises_are_kept(seed):
    """A few seeds, so that the machinery is seen to work; the command runs many."""
    outcome = play(draw(seed))

    assert outcome.complaints == []
    assert outcome.entries > 0


def test_a_room_that_is_deleted_is_tried_by_everybody_and_another_one_takes_its_place() -> None:
    said = Step("send", after_s=3, who=3, pick=1)
    script = Script(people=2, devices=2, nodes=2, steps=(said, Step("delete_room", pick=1), said))
    outcome = play(script)

    def of(kind):
        return [event for event in outcome.history if isinstance(event, kind)]

    late = {event.client for event in of(history.Refused) if event.room == "room0"}
    assert outcome.complaints == []
    assert [(event.room, event.user) for event in of(history.Deleted)] == [("room0", "anna")]
    assert late == {f"{user}/{i}.1" for user in ("anna", "ben") for i in (0, 1)}
    assert [event.room for event in of(history.Stored)] == ["room0", "room0.1", "dm:anna:ben"]
    assert [event.room for event in of(history.Sent) if event.op == "send"][:2] == [
        "room0",
        "room0.1",
    ]
    assert outcome.judged[Rule.GONE_IS_SAID] == len(late)


def test_everybody_follows_every_room_of_theirs_when_a_world_begins() -> None:
    outcome = play(Script(people=3, devices=2, rooms=2))

    followed = {
        (event.client, event.room)
        for event in outcome.history
        if isinstance(event, history.Subscribed) and event.wire
    }
    groups = {(f"{user}/{i}.1", f"room{k}") for user in NAMES[:3] for i in (0, 1) for k in (0, 1)}
    direct = {(f"{user}/{i}.1", "dm:anna:ben") for user in NAMES[:2] for i in (0, 1)}
    assert followed == groups | direct


def test_who_is_banned_is_sent_away_comes_in_vain_and_comes_back() -> None:
    ban, knock, lift = Step("ban", pick=9), Step("knock", after_s=3), Step("lift", after_s=3)
    said = Step("send", who=2, after_s=3)
    outcome = play(Script(people=2, devices=2, nodes=3, steps=(ban, knock, lift, said)))

    def of_ben(kind):
        events = [event for event in outcome.history if isinstance(event, kind)]
        return [event for event in events if event.client.startswith("ben")]

    away = [(event.client, event.conn, event.code) for event in of_ben(history.Disconnected)]
    nodes = {event.client: event.node for event in of_ben(history.Greeted)}
    assert outcome.complaints == []
    assert sorted(away[:2]) == [(f"ben/{i}.1", 1, 4003) for i in (0, 1)]
    assert sorted(away[2:4]) == [(f"ben/{i}.2", 0, 4003) for i in (0, 1)]
    assert set(nodes.values()) <= {f"node{i}.1" for i in range(3)}
    assert sorted((event.client, event.room) for event in of_ben(history.Sent)) == [
        ("ben/0.3", "dm:anna:ben"),
        ("ben/0.3", "room0"),
        ("ben/0.3", "room0"),
    ]
    assert outcome.judged[Rule.BAN_HAS_CAUSE] == 4
    assert outcome.judged[Rule.BAN_LOSES_NOTHING] == 2


def test_every_life_of_a_node_has_a_name_that_is_told_when_it_begins() -> None:
    steps = (Step("crash"), Step("restart", after_s=1), Step("wait", after_s=20))
    outcome = play(Script(people=1, nodes=2, steps=steps))

    started = [event.node for event in outcome.history if isinstance(event, history.Started)]
    greeted = [event.node for event in outcome.history if isinstance(event, history.Greeted)]
    assert started == ["node0.1", "node1.1", "node0.2"]
    assert len(started) == outcome.starts
    assert set(greeted) <= set(started)
