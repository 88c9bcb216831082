"""Laws of `_domain.words`: what case, accents and order do not change, and what words do."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triolet._domain import words as module
from triolet._domain.words import (
    QUERY_CHARS_MAX,
    WORD_CHARS_MAX,
    WORDS_MAX,
    asked,
    folded,
    holds,
    parts_asked,
    parts_of,
    words_of,
)

laws = settings(derandomize=True, deadline=None, max_examples=100)

# What folds in its own way: sharp s, dotted I, iota below, final sigma, ligature, Hangul, marks.
SPECIAL = "ßẞİıᾳͅΣςŉﬁ한가\u0301\u0308\u05b0ﷺ½Ⅷ⑳が世ไท_-' "
texts = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from(SPECIAL), max_size=40)
# Letters of scripts with spaces.
words = st.text("abcäöéßΣžς123", min_size=1, max_size=6)
gaps = st.text(" .,;-_!\n…", min_size=1, max_size=3)


def by_the_book(text: str) -> str:
    """What Unicode says of a text as a whole: decomposed, case folded, without marks."""
    decomposed = unicodedata.normalize("NFKD", text)
    while (again := unicodedata.normalize("NFKD", decomposed.casefold())) != decomposed:
        decomposed = again
    return "".join(char for char in decomposed if unicodedata.category(char)[0] != "M")


@laws
@given(texts)
def test_folding_is_what_unicode_says(text: str) -> None:
    """Character by character comes to the same as the whole text, and once is enough."""
    assert folded(text) == by_the_book(text)
    assert folded(folded(text)) == folded(text)


@laws
@given(texts)
def test_case_and_composition_do_not_count(text: str) -> None:
    """However a text is composed, and whatever its case, it folds to the same."""
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert folded(unicodedata.normalize(form, text)) == folded(text)
    assert folded(text.casefold()) == folded(text)


@laws
@given(texts)
def test_words_are_all_that_is_alphanumeric(text: str) -> None:
    """Nothing is lost and nothing added but what is no letter and no digit."""
    assert "".join(words_of(text)) == "".join(char for char in folded(text) if char.isalnum())


@laws
@given(st.lists(words, max_size=6), gaps)
def test_words_are_what_stands_between_gaps(said: list[str], gap: str) -> None:
    """Splitting takes joining back."""
    assert words_of(gap.join(said)) == [folded(word) for word in said]


@laws
@given(st.lists(words, max_size=8), st.lists(words, min_size=1, max_size=3), gaps)
def test_all_words_are_needed_and_whole(said: list[str], wanted: list[str], gap: str) -> None:
    """A text is found exactly when its words are a superset of those asked for."""
    text, query = gap.join(said), asked(" ".join(wanted))

    assert holds(text, query) is (set(query) <= set(words_of(text)))


@laws
@given(texts.filter(words_of))
def test_a_text_is_found_by_its_own_words(text: str) -> None:
    query = tuple(dict.fromkeys(words_of(text)))

    assert holds(text, query)
    assert holds(text.casefold(), query[::-1])


@pytest.mark.parametrize("text", ["你好世界", "東京でお茶", "ภาษาไทย", "မြန်မာ", "ខ្មែរ", "ພາສາລາວ"])
def test_parts_are_found_where_no_spaces_are_written(text: str) -> None:
    plain = folded(text)

    assert all(holds(text, (plain[i : i + 2],)) for i in range(len(plain) - 1))
    assert not holds(plain[0], (plain[:2],))


@pytest.mark.parametrize("text", ["ab", "привет", "한국", "हिन्दी", "שלום", "سلام"])
def test_parts_are_not_found_where_spaces_are_written(text: str) -> None:
    assert holds(f"({text})", asked(text))
    assert not holds(text, (folded(text)[:-1],))


def test_what_is_asked_is_bounded() -> None:
    """At the bounds it is taken, beyond them it is refused by name."""
    many = [chr(ord("a") + i) for i in range(WORDS_MAX)]
    assert asked(" ".join([*many, *many])) == tuple(many)
    assert asked("x" * WORD_CHARS_MAX) == ("x" * WORD_CHARS_MAX,)
    assert asked("x" + " " * (QUERY_CHARS_MAX - 1)) == ("x",)
    for query, why in (
        ("", "needs a word"),
        ("._- ", "needs a word"),
        ("\u0301", "needs a word"),
        (" ".join([*many, "z"]), "8 words, not 9"),
        ("x" * (WORD_CHARS_MAX + 1), "64 characters, not 65"),
        ("ﬁ" * 33, "64 characters, not 66"),
        ("x" + " " * QUERY_CHARS_MAX, "1024 characters, not 1025"),
    ):
        with pytest.raises(ValueError, match=why):
            asked(query)


def test_what_is_remembered_of_characters_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many different characters are met, and they fold as they did."""
    monkeypatch.setattr(module, "_FOLDS_MAX", 50)
    text = "".join(map(chr, range(0xC0, 0x250)))

    assert folded(text) == by_the_book(text)
    assert len(module._FOLDS) <= 50


@laws
@given(texts, st.data())
def test_a_text_that_is_found_has_the_parts_that_are_asked_for(
    text: str, data: st.DataObject
) -> None:
    """An index of parts misses no text that holds the words, also parts of long runs."""
    plain = [word[:WORD_CHARS_MAX] for word in words_of(text)] or ["世"]
    word = data.draw(st.sampled_from(plain))
    start = data.draw(st.integers(0, len(word) - 1))
    for query in (word, word[start:], word[: start + 1]):
        needed = asked(query)
        if holds(text, needed):
            assert set(parts_asked(needed)) <= set(parts_of(text))


@laws
@given(texts, texts)
def test_texts_one_below_the_other_have_the_parts_of_both(one: str, other: str) -> None:
    """Several texts may be split at once."""
    together = parts_of(f"{one}\n{other}")
    assert set(together) == {*parts_of(one), *parts_of(other)}
    assert len(together) == len(set(together))


def test_parts_of_runs_without_spaces_are_letters_and_pairs() -> None:
    """A search for more than five letters in a run asks for its first pairs."""
    assert ["ab", "世", "界", "世界"] == parts_of("ab 世界")
    assert ("世",) == parts_asked(("世",))
    assert ("一二", "二三", "三四", "四五") == parts_asked(("一二三四五六七",))
