"""Laws of `_model.ids`: what may be a name, and what a direct room is called."""

import string

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triolet._model.ids import (
    DIRECT_PREFIX,
    Cid,
    Room,
    Seq,
    User,
    direct_room,
    is_cid,
    is_room,
    is_user,
)

LETTERS = string.ascii_letters + string.digits
USER_CHARS = LETTERS + "_.@-"
ROOM_CHARS = LETTERS + "_.:@-"

USERS = st.text(USER_CHARS, min_size=1, max_size=64)
laws = settings(derandomize=True, deadline=None, max_examples=100)


def converts(text: object, kind: object) -> bool:
    try:
        msgspec.convert(text, kind)
    except msgspec.ValidationError:
        return False
    return True


def test_each_character_is_of_the_alphabet_or_refused() -> None:
    """A user is of `[A-Za-z0-9_.@-]`, a room may have `:` as well; nothing else gets in."""
    for char in map(chr, range(0x300)):
        for text in (char, f"a{char}", f"{char}a", f"a{char}a"):
            assert is_user(text) is converts(text, User) is (char in USER_CHARS)
            assert is_room(text) is converts(text, Room) is (char in ROOM_CHARS)


@pytest.mark.parametrize(
    "text", ["", "\n", "a\n", "a\nb", "é", "\uff41", "\u212a", "a b", "a/b", "a\0", "\ud800", "😀"]
)
def test_lookalikes_and_line_ends_are_refused(text: str) -> None:
    """No trailing newline, no full-width letter, no Kelvin sign: `$` and `(?i)` let those in."""
    assert not is_user(text)
    assert not is_room(text)


def test_lengths_end_where_the_protocol_says() -> None:
    """User 1 to 64, room 1 to 160, cid 1 to 64 characters."""
    assert [n for n in range(200) if is_user("u" * n)] == list(range(1, 65))
    assert [n for n in range(200) if is_room("r" * n)] == list(range(1, 161))
    assert [n for n in range(200) if is_cid("c" * n)] == list(range(1, 65))
    assert [n for n in range(200) if converts("c" * n, Cid)] == list(range(1, 65))


@pytest.mark.parametrize(
    ("text", "valid"),
    [("01J-7", True), ("clé 🙂", True), ("a\nb", False), ("a\0", False), ("\ud800", False)],
)
def test_a_cid_is_printable(text: str, valid: bool) -> None:
    """A cid is printable, of any script; control characters and half characters are not."""
    assert is_cid(text) is valid


@pytest.mark.parametrize(
    ("number", "valid"),
    [(0, True), (1, True), (2**53 - 1, True), (2**53, False), (-1, False), (1.0, False)],
)
def test_a_seq_is_a_number_that_a_browser_can_hold(number: float, valid: bool) -> None:
    """0 ≤ seq < 2^53; no float, no bool."""
    assert converts(number, Seq) is valid
    assert not converts(True, Seq)


@laws
@given(USERS, USERS)
def test_a_direct_room_is_one_room_for_both(one: str, other: str) -> None:
    """The order of asking does not matter, and the name is a room's name of the space `dm:`."""
    if one == other:
        with pytest.raises(ValueError, match="two different users"):
            direct_room(one, other)
        return
    name = direct_room(one, other)

    assert direct_room(other, one) == name
    assert is_room(name)
    assert name.startswith(DIRECT_PREFIX)


@laws
@given(USERS, USERS)
def test_a_direct_room_names_its_two_users_in_byte_order(one: str, other: str) -> None:
    """No user has a `:`, so the name can be taken apart: no two pairs share a room."""
    if one != other:
        prefix, first, second = direct_room(one, other).split(":")

        assert prefix == "dm"
        assert {first, second} == {one, other}
        assert first.encode() < second.encode()
