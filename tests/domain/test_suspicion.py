"""Laws of `_domain.suspicion`: people never reach the threshold, and each kind of bot does."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triolet._domain.suspicion import (
    THRESHOLD,
    WINDOW_S,
    Evidence,
    Registrations,
    opening_points,
)

laws = settings(derandomize=True, deadline=None, max_examples=60)
START = 1e6
SEEDS = st.integers(0, 10**9)
# What no browser does, and a class that signs up at once: they alone say nothing.
WORST_OPENING = opening_points("", "") + 2


def person(seed):
    """Yield the points after each act of somebody who chats for an hour."""
    chance, evidence, now = random.Random(seed), Evidence(), START
    pace = chance.choice([1.0, 2.0, 3.0])
    while now < START + 3600:
        # How long people take to answer is log-normal, with a spread of more than its mean's half.
        now += chance.lognormvariate(pace, 0.6)
        if chance.random() < 0.02:
            evidence.met(f"friend{chance.randrange(6)}", now)
        # They forward something to a few; mostly no two things they say are the same.
        body = 7 if chance.random() < 0.05 else chance.choice([None, chance.randrange(10**9)])
        room = f"room{chance.randrange(4)}"
        evidence.wrote(room, body, now)
        yield evidence.points(now)


@laws
@given(SEEDS)
def test_a_person_has_no_points(seed):
    assert set(person(seed)) == {0}


@laws
@given(st.lists(st.floats(0, 0.2), min_size=1, max_size=60))
def test_what_is_pasted_or_sent_again_at_once_has_none(gaps):
    evidence, now = Evidence(), START
    for gap in gaps:
        now += gap
        evidence.wrote("tea", None, now)

        assert evidence.points(now) == 0


def timer(chance, evidence, now):
    every = chance.uniform(0.5, 40)
    for _ in range(17):
        now += every + chance.uniform(0, 0.05)
        evidence.wrote("tea", chance.randrange(10**9), now)
    return now


def spread(chance, evidence, now, rooms=10):
    for number in range(rooms):
        now += chance.lognormvariate(1, 1)
        evidence.wrote(f"room{number}", 7, now)
        evidence.wrote("tea", chance.randrange(10**9), now)
    return now


def approach(chance, evidence, now):
    for number in range(20):
        now += min(chance.lognormvariate(2, 1), 25)
        evidence.met(f"stranger{number}", now)
    return now


@laws
@given(SEEDS)
@pytest.mark.parametrize(
    ("bot", "opening"),
    [
        (timer, opening_points("", "")),
        (timer, opening_points("Mozilla/5.0", "")),
        (spread, 0),
        (approach, 0),
    ],
)
def test_a_bot_reaches_the_threshold(bot, opening, seed):
    evidence = Evidence()
    now = bot(random.Random(seed), evidence, START)

    assert evidence.points(now) + opening >= THRESHOLD


@laws
@given(SEEDS, st.sampled_from([timer, spread, approach]))
def test_it_is_forgotten_with_time(seed, bot):
    evidence = Evidence()
    now = bot(random.Random(seed), evidence, START)

    assert evidence.points(now + WINDOW_S) == 0


def test_accounts_made_in_a_burst_count_for_who_does_something_besides():
    made, evidence = Registrations(), Evidence()
    for number in range(15):
        made.add(START + number)
    now = spread(random.Random(1), evidence, START + 20, rooms=5)

    assert evidence.points(now) < THRESHOLD
    assert made.points(now) < THRESHOLD
    assert evidence.points(now) + made.points(now) >= THRESHOLD
    assert made.points(now + WINDOW_S) == 0
    assert WORST_OPENING < THRESHOLD


def test_a_family_is_no_burst():
    made = Registrations()
    for _ in range(4):
        made.add(START)

    assert made.points(START) == 0


def test_what_is_kept_is_bounded():
    evidence = Evidence()
    for number in range(2000):
        evidence.met(f"user{number}", START)
        evidence.wrote(f"room{number}", number % 50, START)

    kept = len(evidence._times) + len(evidence._strangers)
    kept += sum(map(len, evidence._bodies.values()))
    assert kept <= 17 + 20 + 8 * 10
