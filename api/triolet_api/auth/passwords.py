"""Which passwords do, after NIST SP 800-63B: long enough, and not what everybody tries first.

There are no rules of composition and none of age: they make passwords worse.
"""

import unicodedata
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Annotated, Final, TypeAlias

from msgspec import Meta

from triolet._model.errors import ErrorCode, Refusal

# Long enough for any phrase, and little to hash.
PASSWORD_CHARACTERS_MAX: Final = 256
# Fewer different ones are a pattern: `abababababab`.
_DIFFERENT_MIN: Final = 4

# As it comes; what may be set is another question.
Password: TypeAlias = Annotated[str, Meta(min_length=1, max_length=PASSWORD_CHARACTERS_MAX)]


def normal(password: str) -> str:
    """Return one spelling of a password, whatever keyboard it was typed on (NFKC).

    >>> normal("e\N{COMBINING ACUTE ACCENT}") == "é"
    True
    """
    return unicodedata.normalize("NFKC", password)


def check_password(password: str, *, name: str, length_min: int) -> None:
    """Refuse what is guessed first.

    Raises:
        Refusal: `INVALID_FIELD`: it is too short, common, a pattern, or the name.
    """
    plain = normal(password)
    if len(plain) < length_min:
        raise Refusal(ErrorCode.INVALID_FIELD, f"a password has {length_min} characters at least")
    if len(set(plain)) < _DIFFERENT_MIN:
        raise Refusal(ErrorCode.INVALID_FIELD, "this password repeats a few characters")
    if _letters(plain) in _given(name):
        raise Refusal(ErrorCode.INVALID_FIELD, "a password must not be the name")
    if plain.lower() in frequent_passwords():
        raise Refusal(ErrorCode.INVALID_FIELD, "this password is among those tried first")


def _given(name: str) -> Iterable[str]:
    plain = _letters(name)
    return (plain, plain[::-1], plain * 2)


def _letters(text: str) -> str:
    return text.lower().strip()


@cache
def frequent_passwords() -> frozenset[str]:
    """Return the passwords that are tried first, lower case."""
    text = (files(__package__) / "frequent_passwords.txt").read_text("utf-8")
    return frozenset(line for line in text.splitlines() if not line.startswith("#"))
