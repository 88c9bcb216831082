"""Words: what a text is split into for searching, and which texts a search finds.

Case and accents do not count: a text is compared as its compatibility decomposition (NFKD),
case folded, without marks. Words are what is alphanumeric between what is not. A text is found
when each word asked for is one of its words, in any order.

Chinese, Japanese, Thai, Lao, Burmese and Khmer are written without spaces between words, so a
word with one of their letters is found inside a longer run, too.
"""

import re
import unicodedata
from itertools import islice
from typing import Final, final

# A search box holds a few words; each more makes a scan slower and what it finds rarer.
WORDS_MAX: Final = 8
# Longer than any word somebody types: most dictionaries end below 40.
WORD_CHARS_MAX: Final = 64
# All words at their longest, and as much again between them.
QUERY_CHARS_MAX: Final = 2 * WORDS_MAX * WORD_CHARS_MAX

# Characters remembered with what they become: ideographs in use are 8,000, all else is few.
_FOLDS_MAX: Final = 16_384

# Letters of runs without spaces that are looked for one beside the other: a search for more of
# them is answered by what these leave.
_PAIRS_ASKED_MAX: Final = 4

_WORD: Final = re.compile(r"[^\W_]+")
# Thai and Lao, Burmese, Khmer, kana, ideographs: as they are once decomposed.
_UNSPACED: Final = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3041-\u30ff\u3400-\u4dbf"
    "\u4e00-\u9fff\U00020000-\U0003ffff]"
)


@final
class _Folds(dict[int, str]):
    """What each character becomes, as they are met.

    32 KiB of text take 0.7 to 1.7 ms by it, 2.4 with all of its words; by NFKD, 2 to 200.
    """

    def __missing__(self, code: int) -> str:
        if len(self) >= _FOLDS_MAX:
            self.clear()
        # Folding a case may compose what decomposes again.
        cased = unicodedata.normalize("NFKD", chr(code)).casefold()
        plain = unicodedata.normalize("NFKD", cased)
        kept = "".join([char for char in plain if unicodedata.category(char)[0] != "M"])
        self[code] = kept
        return kept


_FOLDS: Final = _Folds()


def folded(text: str) -> str:
    """Return a text without case and accents, which is what is compared.

    >>> folded("ÉCLAIR Straße ②")
    'eclair strasse 2'
    """
    # Each character by itself: what they have to do with each other is a matter of marks.
    return text.lower() if text.isascii() else text.translate(_FOLDS)


def words_of(text: str) -> list[str]:
    """Return the words of a text as they are compared, in their order.

    >>> words_of("Zürich, 3 o'clock")
    ['zurich', '3', 'o', 'clock']
    """
    return _WORD.findall(folded(text))


def asked(query: str) -> tuple[str, ...]:
    """Return the words somebody asks for, each once.

    Raises:
        ValueError: it has no word, more than `WORDS_MAX`, one above `WORD_CHARS_MAX`, or is
            above `QUERY_CHARS_MAX` as a whole.
    """
    if len(query) > QUERY_CHARS_MAX:
        raise ValueError(f"a search is at most {QUERY_CHARS_MAX} characters, not {len(query)}")
    words = tuple(dict.fromkeys(words_of(query)))
    if not words:
        raise ValueError("a search needs a word: a letter or a digit")
    if len(words) > WORDS_MAX:
        raise ValueError(f"a search has at most {WORDS_MAX} words, not {len(words)}")
    longest = max(map(len, words))
    if longest > WORD_CHARS_MAX:
        raise ValueError(f"a word is at most {WORD_CHARS_MAX} characters, not {longest}")
    return words


def holds(text: str, words: tuple[str, ...]) -> bool:
    """Whether each of the words, as `asked` returns them, is one of the text's.

    >>> holds("Déjà vu, twice", asked("VU deja")), holds("a view", asked("vi"))
    (True, False)
    """
    plain = folded(text)
    for word in words:
        if word not in plain:
            return False  # nearly every text, without being split
    rest = [word for word in words if _UNSPACED.search(word) is None]
    return not rest or set(rest) <= set(_WORD.findall(plain))


# --- what an index keeps -----------------------------------------------------------------


def parts_of(text: str) -> list[str]:
    """Return what an index keeps of a text, each once: of what it `holds`, the `parts_asked`.

    Words, and of a run of letters without spaces each letter and each two beside each other.

    >>> parts_of("Tea, tea: お茶")
    ['tea', 'お', '茶', 'お茶']
    """
    parts = dict.fromkeys(words_of(text))
    if text.isascii():
        return [*parts]
    found: dict[str, None] = {}
    for part in parts:
        if _UNSPACED.search(part) is None:
            found[part] = None
        else:
            found.update(dict.fromkeys([*part, *map(str.__add__, part, part[1:])]))
    return [*found]


def parts_asked(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return what an index has of each text that holds these words, the longest first.

    >>> parts_asked(asked("tea 世界地"))
    ('tea', '世界', '界地')
    """
    parts: dict[str, None] = {}
    for word in words:
        if _UNSPACED.search(word) is None or len(word) == 1:
            parts[word] = None
        else:
            pairs = map(str.__add__, word, word[1:])
            parts.update(dict.fromkeys(islice(pairs, _PAIRS_ASKED_MAX)))
    return tuple(sorted(parts, key=len, reverse=True))
