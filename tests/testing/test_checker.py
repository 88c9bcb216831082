"""Law: histories of a system that keeps its promises are accepted; each way to spoil one is not.

What is spoilt is said by name, and the smallest counter-example is about it.
"""

import random

import pytest
from checker_model import ModelSystem
from checker_mutations import MUTATIONS

from triolet.testing import history
from triolet.testing.checker import Promise, Rule, check, counter_example, timeline

SEEDS = range(20)
STEPS = 120


@pytest.fixture(scope="module")
def good():
    """Some good histories."""
    return [ModelSystem(seed).run(STEPS) for seed in SEEDS]


def test_a_system_that_keeps_its_promises_is_believed(good) -> None:
    found = {seed: check(events).violations for seed, events in zip(SEEDS, good, strict=True)}

    assert {seed: violations for seed, violations in found.items() if violations} == {}


def test_every_rule_but_one_was_applied_to_them(good) -> None:
    """The rest is in `checker/test_cursors`: the model's log keeps all its entries."""
    applied = {rule for events in good for rule in check(events).judged}

    assert set(Rule) - applied == {Rule.LOST_ONLY_BELOW_FLOOR}


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_spoilt_history_is_rejected_for_what_was_spoilt(good, name) -> None:
    spoil, rules = MUTATIONS[name]
    spoilt = 0
    for seed, events in zip(SEEDS, good, strict=True):
        bad = spoil(events, random.Random(seed))
        if bad is not None:
            spoilt += 1
            assert not set(check(bad).found).isdisjoint(rules), f"seed {seed}"

    assert spoilt >= 3


def test_every_rule_has_a_way_to_break_it() -> None:
    assert {rule for _, rules in MUTATIONS.values() for rule in rules} == set(Rule)


def test_every_promise_that_a_history_can_break_has_a_rule() -> None:
    """What is bounded inside an engine is not to be seen from outside."""
    assert {rule.promise for rule in Rule} == set(Promise) - {Promise.BOUNDED}


def test_a_history_that_was_written_and_read_is_judged_alike(good) -> None:
    events = good[0]
    lines = [history.encode(event) for event in events]

    assert check(history.read(lines)) == check(events)


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_counter_example_is_small_and_breaks_the_same(good, name) -> None:
    spoil, _ = MUTATIONS[name]
    chance = random.Random(1)
    bad = next(bad for events in good if (bad := spoil(events, chance)) is not None)
    violation = check(bad).violations[0]

    few = counter_example(bad, violation, events_max=200_000)
    again = [found for found in check(few).violations if found.rule is violation.rule]

    assert violation.key in [found.key for found in again]
    assert len(few) <= 30
    assert len(timeline(few).splitlines()) in (len(few), len(few) + 1)
