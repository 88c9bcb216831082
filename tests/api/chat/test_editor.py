"""A line editor: what is written, where the cursor stands, and what of it is drawn."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from triolet_api.chat.editor import BREAK, HISTORY_LINES_MAX, TEXT_CHARS_MAX, Editor, View
from triolet_api.chat.keys import Key


def written(text, *keys):
    editor = Editor()
    editor.insert(text)
    for key in keys:
        editor.press(key)
    return editor


CASES = {
    "backspace": ("abc", [Key.BACKSPACE], "ab", ""),
    "backspace at the beginning": ("abc", [Key.HOME, Key.BACKSPACE], "", "abc"),
    "delete": ("abc", [Key.HOME, Key.DELETE], "", "bc"),
    "delete at the end": ("abc", [Key.DELETE], "abc", ""),
    "left": ("abc", [Key.LEFT], "ab", "c"),
    "left of all": ("abc", [Key.LEFT] * 5, "", "abc"),
    "right": ("abc", [Key.HOME, Key.RIGHT], "a", "bc"),
    "end": ("abc", [Key.HOME, Key.END], "abc", ""),
    "a word to the left": ("one two  ", [Key.WORD_LEFT], "one ", "two  "),
    "a word to the right": ("one two", [Key.HOME, Key.WORD_RIGHT], "one", " two"),
    "kill a word": ("one two", [Key.KILL_WORD], "one ", ""),
    "kill to the beginning": ("one two", [Key.LEFT, Key.KILL_BEFORE], "", "o"),
    "kill to the end": ("one two", [Key.WORD_LEFT, Key.KILL_AFTER], "one ", ""),
    "a line break": ("ab", [Key.LEFT, Key.NEWLINE], "a" + BREAK, "b"),
    "a combining mark goes with its letter": ("xe\u0301", [Key.BACKSPACE], "x", ""),
    "a family is one": ("x👨\u200d👩\u200d👧", [Key.LEFT], "x", "👨\u200d👩\u200d👧"),
    "a flag is one": ("🇬🇧🇫🇷", [Key.BACKSPACE], "🇬🇧", ""),
    "keys of others": ("ab", [Key.ENTER, Key.REDRAW, Key.END_OF_INPUT], "ab", ""),
}


@pytest.mark.parametrize(("text", "keys", "left", "right"), CASES.values(), ids=CASES)
def test_a_key_does_what_it_says(text, keys, left, right):
    assert View(left, right) == written(text, *keys).view(40)


def test_a_mark_typed_after_its_letter_joins_it():
    editor = written("e")

    editor.insert("\u0301")
    editor.press(Key.BACKSPACE)

    assert "" == editor.text


def test_a_line_is_taken_and_another_begins():
    editor = written("hello")

    assert ("hello", "") == (editor.take(), editor.text)


def test_up_brings_lines_back_and_down_the_draft():
    editor = Editor()
    for line in ("one", "two", "two", "  "):
        editor.insert(line)
        editor.take()
    editor.insert("draft")
    seen = []
    for key in (Key.UP, Key.UP, Key.UP, Key.DOWN, Key.DOWN, Key.DOWN):
        editor.press(key)
        seen.append(editor.text)

    assert ["two", "one", "one", "two", "draft", "draft"] == seen


def test_only_so_many_lines_are_remembered():
    editor = Editor()
    for number in range(HISTORY_LINES_MAX + 5):
        editor.insert(str(number))
        editor.take()
    for _ in range(HISTORY_LINES_MAX + 5):
        editor.press(Key.UP)

    assert "5" == editor.text


def test_what_is_too_much_is_left_out():
    editor = written("x" * TEXT_CHARS_MAX)

    editor.insert("more")

    assert TEXT_CHARS_MAX == len(editor.text)


def test_a_long_line_is_seen_around_the_cursor():
    editor = written("0123456789")

    assert View("6789", "") == editor.view(5)
    for _ in range(7):
        editor.press(Key.LEFT)
    assert View("", "34567") == editor.view(5)
    editor.press(Key.END)
    assert View("6789", "") == editor.view(5)


def test_a_line_that_fits_again_is_seen_from_its_beginning():
    editor = written("0123456789")
    editor.view(5)

    for _ in range(7):
        editor.press(Key.BACKSPACE)

    assert View("012", "") == editor.view(5)


@given(
    deeds=st.lists(
        st.one_of(
            st.text(st.sampled_from("ab \n漢👍e\u0301\u200d👩🇬🇧"), max_size=6),
            st.sampled_from([key for key in Key if key not in (Key.UP, Key.DOWN)]),
        ),
        max_size=30,
    ),
    cells=st.integers(3, 12),
)
def test_what_is_drawn_fits_and_is_around_the_cursor(deeds, cells):
    editor = Editor()
    for deed in deeds:
        if isinstance(deed, Key):
            editor.press(deed)
        else:
            editor.insert(deed)
        view = editor.view(cells)
        drawn = editor.text.replace("\n", BREAK)

        assert 0 <= editor.cursor <= len(editor)
        assert cell_len(view.left) <= cells
        assert view.left + view.right in drawn
