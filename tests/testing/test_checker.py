"""Law: histories of a system that keeps its promises are accepted; each way to spoil one is not.

What is spoilt is said by name, and the smallest counter-example is about it.
"""

import random

import pytest
from checker_bans import BANS
from checker_endings import ENDINGS
from checker_model import ModelSystem
from checker_mutations import MUTATIONS

from triolet.testing import history
from triolet.testing.checker import Promise, Rule, check, counter_example, timeline

WAYS = {**MUTATIONS, **ENDINGS, **BANS}
SEEDS = range(20)
STEPS = 120


@pytest.fixture(scope="module")
def good():
    """Some good histories."""
    return [ModelSystem(seed).run(STEPS) for seed in SEEDS]


@pytest.fixture(scope="module")
def ended():
    """Some that end with the deletion of the room."""
    return [ModelSystem(seed).run_to_the_end(STEPS) for seed in SEEDS]


@pytest.fixture(scope="module")
def banned():
    """Some in which somebody is banned for a while."""
    return [ModelSystem(seed).run_with_a_ban(STEPS) for seed in SEEDS]


@pytest.fixture
def whole(request, good, ended, banned):
    """Those that a way to spoil a history is about."""
    name = request.node.callspec.params["name"]
    return ended if name in ENDINGS else banned if name in BANS else good


def test_a_system_that_keeps_its_promises_is_believed(good, ended, banned) -> None:
    found = [check(events).violations for events in (*good, *ended, *banned)]

    assert [violations for violations in found if violations] == []


def test_every_rule_but_one_was_applied_to_them(good, ended, banned) -> None:
    """The rest is in `checker/test_cursors`: the model's log keeps all its entries."""
    judged = [check(events).judged for events in (*good, *ended, *banned)]
    applied = {rule for one in judged for rule, times in one.items() if times}

    assert set(Rule) - applied == {Rule.LOST_ONLY_BELOW_FLOOR}


@pytest.mark.parametrize("name", WAYS)
def test_a_spoilt_history_is_rejected_for_what_was_spoilt(whole, name) -> None:
    spoil, rules = WAYS[name]
    spoilt = 0
    for seed, events in zip(SEEDS, whole, strict=True):
        bad = spoil(events, random.Random(seed))
        if bad is not None:
            spoilt += 1
            assert not set(check(bad).found).isdisjoint(rules), f"seed {seed}"

    assert spoilt >= 3


def test_every_rule_has_a_way_to_break_it() -> None:
    assert {rule for _, rules in WAYS.values() for rule in rules} == set(Rule)


def test_every_promise_that_a_history_can_break_has_a_rule() -> None:
    """What is bounded inside an engine is not to be seen from outside."""
    assert {rule.promise for rule in Rule} == set(Promise) - {Promise.BOUNDED}


def test_a_history_that_was_written_and_read_is_judged_alike(good) -> None:
    events = good[0]
    lines = [history.encode(event) for event in events]

    assert check(history.read(lines)) == check(events)


@pytest.mark.parametrize("name", WAYS)
def test_a_counter_example_is_small_and_breaks_the_same(whole, name) -> None:
    spoil, _ = WAYS[name]
    chance = random.Random(1)
    bad = next(bad for events in whole if (bad := spoil(events, chance)) is not None)
    violation = check(bad).violations[0]

    few = counter_example(bad, violation, events_max=200_000)
    again = [found for found in check(few).violations if found.rule is violation.rule]

    assert violation.key in [found.key for found in again]
    assert len(few) <= 30
    assert len(timeline(few).splitlines()) in (len(few), len(few) + 1)
