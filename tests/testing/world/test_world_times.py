"""Laws of days: people live through them, everything breaks in them, and promises are kept."""

from collections import Counter
from pathlib import Path

import pytest
from msgspec.structs import replace

from triolet.testing.checker import Bounds, Rule, check
from triolet.testing.history import Stored, Subscribed
from triolet.testing.world import Plan, Script, draw, play
from triolet.testing.world.acts import ACTS
from triolet.testing.world.script import read
from triolet.testing.world.verbs import VERBS

DAYS = Plan(hours=48, clients=40)


def test_every_act_and_every_fault_occurs_on_every_day():
    for seed in range(3):
        done = Counter(step.verb for step in draw(seed, DAYS).steps)

        assert set(done) == {*ACTS, *VERBS}


@pytest.mark.parametrize("hours", [24, 60])
def test_days_last_as_long_as_was_asked_and_end_with_the_quiet_after_a_conversation(hours):
    for seed in range(3):
        steps = draw(seed, Plan(hours=hours, clients=40)).steps
        lasts_s = sum(step.after_s for step in steps)

        assert hours * 3600 <= lasts_s <= (hours + 12) * 3600
        assert [step.verb for step in steps[-2:]] == ["mend", "wait"]


def test_everybody_lives_through_the_whole_time():
    """In every six hours most people do something, and there are hours in which few do."""
    script = draw(1, DAYS)
    now_s, active = 0.0, [set() for _ in range(9)]
    hours = Counter()
    for step in script.steps:
        now_s += step.after_s
        if step.verb in ACTS:
            active[min(8, int(now_s // (6 * 3600)))].add(step.who)
            hours[int(now_s // 3600)] += 1

    assert all(len(who) > 20 for who in active[:8])
    assert min(hours[hour] for hour in range(48)) * 10 < max(hours.values())


def test_promises_are_kept_through_the_hours_of_a_day():
    """A few of them; the command runs years."""
    script = draw(2, Plan(nodes=2, clients=4, hours=24))
    outcome = play(replace(script, steps=script.steps[:600]))

    assert outcome.complaints == []
    assert outcome.virtual_s > 2 * 3600
    assert outcome.connections > 4
    assert outcome.starts > 2


def test_what_is_told_of_people_may_lag_as_the_engine_s_limits_say():
    """With the usual limits that is what the checker assumes of any history."""
    assert Script().patience() == Bounds()

    rare = {"heartbeat_s": 600, "presence_lease_s": 180, "presence_heartbeat_s": 60, "grace_s": 20}
    expected = Bounds(grace_s=20, lease_s=220, silence_s=1210)
    assert Script(limits=rare).patience() == expected


def test_where_hearts_beat_seldom_a_half_open_connection_is_nobody_s_fault_for_longer():
    """Its server gives it up before its client does, who believes to be here meanwhile."""
    scripts = Path(__file__).parent / "scripts"
    outcome = play(read(scripts / "half_open_where_hearts_beat_seldom.json"))

    assert outcome.complaints == []
    hasty = check(outcome.history, Bounds())
    assert [violation.rule for violation in hasty.violations] == [Rule.HERE_IS_SHOWN]


def test_what_is_kept_of_a_room_can_be_bounded():
    """Who comes back from further behind is told so, and nothing else changes."""
    whole = draw(2, Plan(nodes=2, clients=4, hours=24))
    script = draw(2, Plan(nodes=2, clients=4, hours=24, retention=5))
    assert script == replace(whole, limits={**whole.limits, "retention_entries": 5})

    outcome = play(replace(script, steps=script.steps[:600]))

    assert outcome.complaints == []
    assert any(event.floor for event in outcome.history if isinstance(event, Stored))
    assert any(not event.recovered for event in outcome.history if isinstance(event, Subscribed))
