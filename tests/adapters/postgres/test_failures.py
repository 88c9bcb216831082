"""Laws of `adapters.postgres.failures`: whose fault it is decides what a caller may do."""

import pytest

from triolet._model.errors import StoreUnavailable
from triolet.adapters.postgres.failures import Refused, refusal


@pytest.mark.parametrize(
    "sqlstate",
    [
        "08006",
        "25006",
        "28P01",
        "3D000",
        "40001",
        "40P01",
        "53300",
        "55P03",
        "57P01",
        "57014",
        "58030",
        "XX000",
    ],
)
def test_the_places_fault_may_be_tried_again(sqlstate):
    """Nothing was done, and the same statement may succeed later."""
    error = refusal(sqlstate, "what the server said")

    assert isinstance(error, StoreUnavailable)
    assert "what the server said" in str(error)


@pytest.mark.parametrize("sqlstate", ["22001", "22021", "23505", "42P01", "54000", "TR001"])
def test_the_statements_fault_is_said_with_its_state(sqlstate):
    """Trying it again changes nothing; whoever sent a batch finds the one that is bad."""
    error = refusal(sqlstate, "what the server said")

    assert isinstance(error, Refused)
    assert (sqlstate, "what the server said") == (error.sqlstate, error.message)


@pytest.mark.parametrize("sqlstate", ["26000", "42P05"])
def test_a_pooler_between_is_named(sqlstate):
    """Whoever runs it reads what to write into the URL."""
    assert "prepare=0" in str(refusal(sqlstate, "prepared statement"))
