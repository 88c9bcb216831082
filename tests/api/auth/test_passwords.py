"""Law: a password is long and not guessed first; which characters it has is nobody's business."""

import msgspec
import pytest

from triolet._model.errors import ErrorCode, Refusal
from triolet_api.auth.passwords import (
    PASSWORD_CHARACTERS_MAX,
    Password,
    check_password,
    frequent_passwords,
    normal,
)


def check(password, *, name="anna", length_min=10):
    check_password(password, name=name, length_min=length_min)


@pytest.mark.parametrize(
    "password", ["correct horse", "abcdefghij", "пароль один", "0123456789ab", "  spaces  x"]
)
def test_any_ten_characters_do(password):
    check(password)


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("abcdefghi", "10 characters"),
        ("e\N{COMBINING ACUTE ACCENT}abcdefgh", "10 characters"),
        ("aaaaaaaaaaaa", "repeats"),
        ("abababababab", "repeats"),
        ("qwertyuiop", "tried first"),
        ("QwertyUIOP", "tried first"),
    ],
)
def test_what_is_guessed_first_does_not(password, why):
    with pytest.raises(Refusal, match=why) as refused:
        check(password)
    assert refused.value.code == ErrorCode.INVALID_FIELD
    assert password not in str(refused.value)


@pytest.mark.parametrize("password", ["anna.karenina", "Anna.Karenina", "aninerak.anna"])
def test_it_is_not_the_name(password):
    with pytest.raises(Refusal, match="name"):
        check(password, name="anna.karenina")


def test_one_password_is_typed_on_many_keyboards():
    assert normal(
        "\N{FULLWIDTH LATIN SMALL LETTER P}assword e\N{COMBINING ACUTE ACCENT}"
    ) == normal("password é")


def test_a_phrase_fits():
    msgspec.convert("x" * PASSWORD_CHARACTERS_MAX, Password)
    for text in ("", "x" * (PASSWORD_CHARACTERS_MAX + 1)):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(text, Password)


def test_the_list_is_what_it_says():
    """Those of eight characters and more, as no shorter one can be set."""
    found = frequent_passwords()
    assert len(found) == 3000
    assert all(len(one) >= 8 and one == one.lower() for one in found)
