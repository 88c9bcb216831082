"""Law: no two accounts differ in case alone, and each is called what the protocol allows."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from triolet._model.errors import ErrorCode, Refusal
from triolet._model.ids import is_user
from triolet_api.auth.names import RESERVED, Name, account_name, check_free_to_take

NAMES = st.from_regex(r"\A[A-Za-z0-9_][A-Za-z0-9_.@-]{0,63}\Z")


@given(NAMES)
def test_a_name_in_any_case_is_one_account(name):
    found = account_name(name)
    assert found == account_name(name.upper()) == account_name(found)
    assert is_user(found)
    assert msgspec.convert(name, Name) == name


@pytest.mark.parametrize(
    "text", ["", ".", "..", "-x", "@a", "a:b", "a b", "ö", "a\n", "a" * 65, "\N{KELVIN SIGN}"]
)
def test_what_is_no_name(text):
    """Also what Unicode folds to a letter: the Kelvin sign is no k."""
    with pytest.raises(Refusal) as refused:
        account_name(text)
    assert refused.value.code == ErrorCode.INVALID_FIELD
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(text, Name)


def test_names_that_speak_for_the_service_are_not_for_whoever_comes_first():
    check_free_to_take("anna")
    for name in RESERVED:
        assert account_name(name) == name
        with pytest.raises(Refusal, match="reserved"):
            check_free_to_take(name)
