"""Laws of retrying: pauses double up to a bound, and chance spreads them over their second half."""

from hypothesis import given
from hypothesis import strategies as st

from triolet._domain.retrying import pause_s

chances = st.floats(0, 1)
attempts = st.integers(1, 1000)


@given(attempts, chances)
def test_a_pause_is_bounded_and_half_of_it_is_certain(attempt, chance):
    longest_s = pause_s(attempt, first_s=2, most_s=3600, chance=1)

    assert longest_s / 2 <= pause_s(attempt, first_s=2, most_s=3600, chance=chance) <= longest_s
    assert 2 <= longest_s <= 3600


@given(attempts)
def test_a_pause_is_never_shorter_than_the_one_before(attempt):
    before_s, after_s = (
        pause_s(number, first_s=2, most_s=3600, chance=1) for number in (attempt, attempt + 1)
    )

    assert after_s in (2 * before_s, 3600)
