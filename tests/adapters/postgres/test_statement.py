"""Laws of `adapters.postgres.statement`: what is sent is of the types that were said."""

import pytest

from triolet.adapters.postgres.failures import Refused
from triolet.adapters.postgres.kinds import INT2, INT8, TEXT, TEXTS
from triolet.adapters.postgres.statement import Statement


def test_none_is_null_whatever_the_type():
    """For each of the parameters."""
    assert [None, b"a"] == Statement("SELECT $1, $2", INT8, TEXT).encoded([None, "a"])


@pytest.mark.parametrize(
    ("kind", "value"),
    [(INT2, 2**15), (INT8, 2**63), (INT8, "1"), (TEXT, "\ud800"), (TEXT, 1), (TEXTS, ["a", 1])],
)
def test_what_is_no_value_of_its_type_is_refused(kind, value):
    """Before anything is sent: the connection is as it was."""
    with pytest.raises(Refused) as caught:
        Statement("SELECT $1", kind).encoded([value])

    assert "22000" == caught.value.sqlstate


def test_names_are_of_the_text_and_the_types():
    """Equal in every process, and different where the server would see a difference."""
    one = Statement("SELECT $1", INT8)

    assert one.name == Statement("SELECT $1", INT8).name
    assert 3 == len(
        {one.name, Statement("SELECT $1", TEXT).name, Statement("SELECT  $1", INT8).name}
    )
    # A name is an identifier.
    assert len(one.name) < 64
