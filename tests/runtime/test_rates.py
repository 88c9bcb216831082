"""Laws of a user's rates: tiers multiply them, and what costs more has its own."""

import pytest

from triolet._model.commands import Create, Direct, History, Send
from triolet._model.errors import ErrorCode, Refusal
from triolet._model.limits import Limits
from triolet._runtime.rates import UserRates, factor_of, require

LIMITS = Limits(
    commands_rate=10,
    commands_burst=20,
    creates_rate=1,
    creates_burst=2,
    pages_rate=2,
    pages_burst=4,
    premium_factor=3,
)


def taken(rates, kind, now=0.0, factor=1.0):
    """Return how many are admitted at one moment."""
    count = 0
    while rates.take(kind, factor, now) == 0:
        count += 1
    return count


def test_what_makes_rooms_and_what_reads_pages_has_a_rate_of_its_own_within_the_common_one():
    rates = UserRates(LIMITS, nodes=1)

    assert taken(rates, Create) == 2
    assert taken(rates, Direct) == 0
    assert taken(rates, History) == 4
    assert taken(rates, Send) == 14
    assert taken(rates, None) == 0


@pytest.mark.parametrize(("kind", "free", "premium"), [(Send, 20, 60), (Create, 2, 6)])
def test_a_tier_has_a_multiple(kind, free, premium):
    assert taken(UserRates(LIMITS, nodes=1), kind) == free
    assert taken(UserRates(LIMITS, nodes=1), kind, factor=3.0) == premium


def test_whose_sessions_are_of_two_tiers_does_not_get_both():
    rates = UserRates(LIMITS, nodes=1)
    taken(rates, Send, factor=3.0)
    assert taken(rates, Send) <= 1
    assert taken(rates, Send, factor=3.0) <= 3


def test_several_nodes_admit_a_part_each_of_what_costs_more_too():
    rates = UserRates(LIMITS, nodes=1)
    taken(rates, Create)
    rates.share(2)
    assert taken(rates, Create, now=10.0) == 1
    assert not rates.is_whole(10.0)
    assert rates.is_whole(100.0)


def test_unknown_tiers_are_as_none_and_service_is_exempt_unless_configured():
    assert factor_of("platinum", LIMITS) == factor_of("", LIMITS) == factor_of("free", LIMITS) == 1
    assert factor_of("service", LIMITS) == 0
    assert factor_of("service", Limits(service_factor=50)) == 50


def test_who_has_to_wait_is_told_how_long():
    require(0.0)
    with pytest.raises(Refusal) as refused:
        require(0.25)
    assert (refused.value.code, refused.value.retry_after_ms) == (ErrorCode.RATE_LIMITED, 251)
