"""Law: what is shown instead of a history is a part of it, breaks the same, and is minimal."""

import random

from checker_model import ModelSystem
from checker_mutations import an_entry_is_delivered_twice, an_entry_is_not_delivered

from triolet.testing import history
from triolet.testing.checker import Rule, check, counter_example


def spoilt(mutation, seed=3):
    bad = mutation(ModelSystem(seed).run(120), random.Random(seed))
    return bad, check(bad).violations[0]


def test_it_is_a_part_of_the_history_in_its_order() -> None:
    bad, violation = spoilt(an_entry_is_delivered_twice)

    few = counter_example(bad, violation)

    rest = iter(bad)
    assert all(event in rest for event in few)


def test_nothing_can_be_left_out() -> None:
    bad, violation = spoilt(an_entry_is_delivered_twice)

    few = counter_example(bad, violation)

    assert few
    for left_out in range(len(few)):
        fewer = few[:left_out] + few[left_out + 1 :]
        assert violation.key not in [found.key for found in check(fewer).violations]


def test_an_entry_that_came_twice_is_told_in_three_events() -> None:
    bad, violation = spoilt(an_entry_is_delivered_twice)

    few = counter_example(bad, violation)

    assert violation.rule is Rule.SEEN_ONCE
    assert [type(event).__name__ for event in few] == ["Subscribed", "Seen", "Seen"]


def test_a_gap_is_told_with_the_entries_on_its_two_sides() -> None:
    bad, violation = spoilt(an_entry_is_not_delivered)

    few = counter_example(bad, violation)

    seqs = [event.entry.seq for event in few if isinstance(event, history.Seen)]
    assert violation.rule in (Rule.NO_GAP_SEEN, Rule.RESUMED_WHOLE)
    assert seqs[-1] == seqs[-2] + 2 if len(seqs) > 1 else seqs[0] == few[0].pos + 2


def test_when_the_budget_is_spent_the_best_so_far_is_returned() -> None:
    bad, violation = spoilt(an_entry_is_delivered_twice)

    for events_max in (0, 100, 1000):
        few = counter_example(bad, violation, events_max=events_max)
        assert violation.key in [found.key for found in check(few).violations]
