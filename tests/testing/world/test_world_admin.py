"""Laws of a world's administrator: what a node says is noted, and nothing else is made of it."""

import pytest

from triolet.testing import history
from triolet.testing.world import Script, Step, play


def noted(*steps, **world):
    """Play steps, and return what was noted of bans: whom, and whether a node has said so."""
    outcome = play(Script(people=2, steps=steps, **world))
    assert outcome.complaints == []
    told = [e for e in outcome.history if isinstance(e, history.Banned | history.Pardoned)]
    return [(type(event).__name__, event.user, event.node) for event in told]


BAN = Step("ban", pick=9)
LIFT = Step("lift", after_s=5)


def test_a_node_says_that_a_ban_is_in_force_and_that_it_is_lifted():
    assert noted(BAN, LIFT) == [
        ("Banned", "ben", ""),
        ("Banned", "ben", "node0.1"),
        ("Pardoned", "ben", ""),
        ("Pardoned", "ben", "node0.1"),
    ]


def test_bans_that_are_left_are_lifted_in_the_end():
    assert [kind for kind, _, node in noted(BAN) if not node] == ["Banned", "Pardoned"]


def test_a_ban_that_ends_by_itself_is_over_then():
    """After nine seconds; who knocks after that is let in, or there would be complaints."""
    assert noted(Step("ban", pick=0, amount=0.1), Step("open", after_s=20), LIFT) == [
        ("Banned", "anna", ""),
        ("Banned", "anna", "node0.1"),
    ]


@pytest.mark.parametrize(
    ("death", "made"),
    [(Step("crash", pick=2), []), (Step("crash", pick=3), [("Banned", "ben", "")])],
)
def test_a_node_that_dies_says_nothing(death, made):
    found = noted(death, BAN, Step("restart", after_s=2), Step("wait", after_s=2))

    assert [one for one in found if one[0] == "Banned"] == made


def test_where_no_node_is_up_nothing_comes_of_it():
    assert noted(Step("crash"), BAN, LIFT, Step("restart", after_s=1)) == []


def test_a_node_that_leaves_meanwhile_keeps_nobody_waiting():
    steps = (Step("hold"), BAN, Step("stop"), Step("wait", after_s=60))

    assert [kind for kind, _, node in noted(*steps) if node] == []
