"""Backoff: exponential ceilings, full jitter below them, the server's hint never undercut."""

from client_peer import FakeEntropy
from hypothesis import given
from hypothesis import strategies as st

from triolet.client import Backoff
from triolet.client.backoff import hint_s_of

attempts = st.integers(0, 5000)
hints = st.floats(0, 10_000)
shares = st.floats(0, 1)


@given(attempts, shares, hints)
def test_delay_lies_between_the_hint_and_the_hint_plus_the_ceiling(attempt, share, hint_s):
    backoff = Backoff()

    delay_s = backoff.delay_s(attempt, FakeEntropy(share), hint_s=hint_s)

    believed_s = min(hint_s, backoff.hint_s_max)
    assert believed_s <= delay_s <= believed_s + backoff.limit_s(attempt)


@given(attempts)
def test_jitter_is_full(attempt):
    """The draw is from nothing to the ceiling, not around a middle."""
    entropy = FakeEntropy()
    backoff = Backoff()

    backoff.delay_s(attempt, entropy)

    assert [(0, backoff.limit_s(attempt))] == entropy.draws


@given(attempts)
def test_ceilings_grow_up_to_the_greatest(attempt):
    backoff = Backoff(base_s=1, factor=3, ceiling_s=60)

    assert backoff.limit_s(attempt) <= backoff.limit_s(attempt + 1) <= 60


def test_ceilings_are_exponential():
    backoff = Backoff(base_s=1, factor=3, ceiling_s=60)

    assert [backoff.limit_s(attempt) for attempt in range(6)] == [1, 3, 9, 27, 60, 60]


def test_negative_hint_is_none():
    assert Backoff().delay_s(0, FakeEntropy(0), hint_s=-5) == 0


def test_hint_of_a_reason():
    """Only a JSON map with the number gives a hint; any other reason is text."""
    assert hint_s_of('{"retry_after_ms": 250, "more": "…"}') == 0.25
    for reason in ("", "too slow", "{", "[]", '{"retry_after_ms": "x"}', "null", "7"):
        assert hint_s_of(reason) == 0
