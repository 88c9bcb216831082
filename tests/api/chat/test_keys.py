"""Bytes of a terminal become keys, wherever they are cut; anything else becomes nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triolet_api.chat.keys import PASTE_CHARS_MAX, Focused, Key, Keyboard, Pasted, Typed

SEQUENCES = {
    b"\r": Key.ENTER,
    b"\n": Key.NEWLINE,
    b"\x1b\r": Key.NEWLINE,
    b"\x7f": Key.BACKSPACE,
    b"\x08": Key.BACKSPACE,
    b"\x1b[3~": Key.DELETE,
    b"\x1b[A": Key.UP,
    b"\x1bOA": Key.UP,
    b"\x10": Key.UP,
    b"\x1b[B": Key.DOWN,
    b"\x1b[C": Key.RIGHT,
    b"\x1b[D": Key.LEFT,
    b"\x1b[1;5C": Key.WORD_RIGHT,
    b"\x1b[1;3D": Key.WORD_LEFT,
    b"\x1bb": Key.WORD_LEFT,
    b"\x1bf": Key.WORD_RIGHT,
    b"\x1b[H": Key.HOME,
    b"\x1bOH": Key.HOME,
    b"\x1b[1~": Key.HOME,
    b"\x1b[F": Key.END,
    b"\x1b[4~": Key.END,
    b"\x01": Key.HOME,
    b"\x05": Key.END,
    b"\x15": Key.KILL_BEFORE,
    b"\x0b": Key.KILL_AFTER,
    b"\x17": Key.KILL_WORD,
    b"\x1b\x7f": Key.KILL_WORD,
    b"\x0c": Key.REDRAW,
    b"\x04": Key.END_OF_INPUT,
    b"\x1b[I": Focused(on=True),
    b"\x1b[O": Focused(on=False),
    "é漢👍🏽".encode(): Typed("é漢👍🏽"),
    b"\x1b[200~one\rtwo\x1b[31m\x03\x1b[201~": Pasted("one\ntwo"),
}
# Nothing is to be done for these.
SILENT = [b"\x1b[5~", b"\x1b[15;2~", b"\x1b[?1;2c", b"\x1bOP", b"\x1bx", b"\x00", b"\x1f", b"\x9b"]


@pytest.mark.parametrize(("data", "press"), SEQUENCES.items(), ids=map(repr, SEQUENCES))
def test_what_terminals_send_for_a_key(data, press):
    assert [press] == Keyboard().feed(data)


@pytest.mark.parametrize("data", SILENT, ids=map(repr, SILENT))
def test_what_means_nothing_here_leaves_nothing_behind(data):
    keyboard = Keyboard()

    found = keyboard.feed(data + b"a\r")

    assert found[-2:] in ([Typed("a"), Key.ENTER], [Typed("\ufffda"), Key.ENTER])
    assert len(found) == 2


@given(st.lists(st.sampled_from([*SEQUENCES, *SILENT[:-1]])), st.data())
def test_where_it_is_cut_makes_no_difference(parts, data):
    stream = b"".join(parts)
    whole, cut = Keyboard(), Keyboard()
    found = []
    at = 0
    while at < len(stream):
        size = data.draw(st.integers(1, 5))
        found += cut.feed(stream[at : at + size])
        at += size

    assert _joined(whole.feed(stream)) == _joined(found)


def _joined(presses):
    """Letters that came in two pieces are the same letters."""
    found = []
    for press in presses:
        if found and isinstance(press, Typed) and isinstance(found[-1], Typed):
            found[-1] = Typed(found[-1].text + press.text)
        else:
            found.append(press)
    return found


@given(st.binary(max_size=200))
def test_no_bytes_are_too_strange(data):
    for press in Keyboard().feed(data):
        if isinstance(press, Typed):
            assert "\x1b" not in press.text
            assert "\n" not in press.text


def test_an_esc_that_nothing_follows_is_given_up():
    keyboard = Keyboard()

    assert [] == keyboard.feed(b"\x1b")
    assert keyboard.is_waiting
    assert [] == keyboard.give_up()
    assert not keyboard.is_waiting
    assert [Typed("b")] == keyboard.feed(b"b")


def test_a_sequence_without_an_end_is_given_up():
    keyboard = Keyboard()

    assert [] == keyboard.feed(b"\x1b[" + b"1;" * 15)
    keyboard.feed(b"1;1")

    assert Typed("ok") == keyboard.feed(b"ok")[-1]


def test_a_paste_that_is_too_long_is_cut_and_ends():
    keyboard = Keyboard()

    (pasted,) = keyboard.feed(b"\x1b[200~" + b"x" * (PASTE_CHARS_MAX + 100) + b"\x1b[201~")

    assert PASTE_CHARS_MAX == len(pasted.text)
    assert [Key.ENTER] == keyboard.feed(b"\r")


def test_a_paste_is_cut_anywhere():
    keyboard = Keyboard()
    found = []
    for byte in b"\x1b[200~a\x1b[20b\x1b[201~\r":
        found += keyboard.feed(bytes([byte]))

    assert [Pasted("a"), Key.ENTER] == found or [Pasted("ab"), Key.ENTER] == found
