"""What others wrote is text, and nothing that a terminal obeys."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from triolet_api.chat.text import clean, clean_line, clusters, shorten, text_of

HOSTILE = {
    "a colour": ("a\x1b[31mb\x1b[0m", "ab"),
    "a title by OSC and BEL": ("a\x1b]0;owned\x07b", "ab"),
    "a link by OSC and ST": ("\x1b]8;;http://x\x1b\\text\x1b]8;;\x1b\\", "text"),
    "a device control string": ("a\x1bP1;2|payload\x1b\\b", "ab"),
    "an OSC without an end": ("a\x1b]0;rest", "a0;rest"),
    "C1 controls": ("a\x9b31mb\x9d0;t\x9cc\x85d", "abc\nd"),
    "a lone ESC": ("a\x1b", "a"),
    "a charset switch": ("a\x1b(0b", "ab"),
    "backspaces": ("admin\x08\x08x", "adminx"),
    "a direction override": ("a\u202egnp.exe\u2066b", "agnp.exeb"),
    "invisible letters": ("pay\u200b\ufeff\u00adpal", "paypal"),
    "a lone surrogate": ("a\ud800b", "a\ufffdb"),
    "line breaks": ("a\r\nb\rc\u2028d\x0be", "a\nb\nc\nd\ne"),
    "a tab": ("a\tb", "a    b"),
    "a tower of marks": ("e" + "\u0301" * 50, "e" + "\u0301" * 4),
}


@pytest.mark.parametrize(("told", "shown"), HOSTILE.values(), ids=HOSTILE)
def test_what_a_terminal_would_obey_is_gone(told, shown):
    assert shown == clean(told)


@pytest.mark.parametrize(
    "text", ["👨\u200d👩\u200d👧", "❤\ufe0f", "🏴\U000e0067\U000e007f", "नमस्ते", "שָׁלוֹם"]
)
def test_what_people_write_stays(text):
    assert text == clean(text)


@given(st.text())
def test_nothing_but_visible_characters_and_line_breaks_is_left(text):
    for char in clean(text):
        assert char == "\n" or unicodedata.category(char) not in ("Cc", "Cs"), repr(char)


@given(st.text(st.characters(codec=None)))
def test_cleaning_twice_is_cleaning_once(text):
    assert clean(clean(text)) == clean(text)


@given(st.text())
def test_a_line_is_one_line(text):
    assert "\n" not in clean_line(text)


@pytest.mark.parametrize("part", ["\x9d", "\x1b]", "\x1b[", "\x1b[0;", "\u0301"])
def test_hostile_repetition_takes_linear_time(part):
    # Of quadratic time the run itself would tell: 10^12 steps.
    assert len(clean(part * 1_000_000)) <= 1_000_000 * len(part)


@given(st.text(), st.integers(0, 20))
def test_a_shortened_text_fits(text, cells):
    assert cell_len(shorten(text, cells)) <= cells


@given(st.text())
def test_clusters_are_the_whole_text(text):
    assert text == "".join(clusters(text))


def test_a_body_that_is_no_text_is_shown_as_json():
    assert '{"text": 3}' == text_of({"text": 3})
    assert '{"x": "\\u001b[31m"}' == text_of({"x": "\x1b[31m"})
