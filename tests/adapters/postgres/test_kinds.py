"""Laws of `adapters.postgres.kinds`: PostgreSQL's binary formats, as psycopg writes them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.adapt import PyFormat, Transformer
from psycopg.types.numeric import Float8, Int2, Int4, Int8

from triolet.adapters.postgres import kinds

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


def dumped(value):
    """What psycopg makes of a value, in the same format."""
    (data,) = Transformer().dump_sequence([value], [PyFormat.BINARY])
    return bytes(data)


def integers(bits):
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


@pytest.mark.parametrize(
    ("kind", "wrap", "values"),
    [
        (kinds.BOOL, bool, st.booleans()),
        (kinds.BYTEA, bytes, st.binary()),
        (kinds.INT2, Int2, integers(16)),
        (kinds.INT4, Int4, integers(32)),
        (kinds.INT8, Int8, integers(64)),
        (kinds.FLOAT8, Float8, st.floats(allow_nan=False)),
        (kinds.TEXT, str, TEXTS),
    ],
)
def test_one_value_is_as_psycopg_writes_it(kind, wrap, values):
    """Two writers of one format agree."""

    @given(values)
    def agree(value):
        assert dumped(wrap(value)) == kind.encode(value)

    agree()


@pytest.mark.parametrize(
    ("kind", "wrap", "values"),
    [
        (kinds.BOOLS, bool, st.booleans()),
        (kinds.BYTEAS, bytes, st.binary()),
        (kinds.INT2S, Int2, integers(16)),
        (kinds.INT4S, Int4, integers(32)),
        (kinds.INT8S, Int8, integers(64)),
        (kinds.FLOAT8S, Float8, st.floats(allow_nan=False)),
        (kinds.TEXTS, str, TEXTS),
    ],
)
def test_an_array_is_as_psycopg_writes_it(kind, wrap, values):
    """With nulls and without."""

    @given(
        st.lists(values | st.none(), min_size=1).filter(
            lambda all_: any(one is not None for one in all_)
        )
    )
    def agree(array):
        expected = dumped([None if one is None else wrap(one) for one in array])
        assert expected == kind.encode(array)

    agree()
