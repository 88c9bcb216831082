"""What others wrote, made safe to show: it is text, and never anything that a terminal obeys."""

import json
import re
import unicodedata
from collections.abc import Iterator
from typing import Final

from msgspec import UNSET, UnsetType
from rich.cells import cell_len, get_character_cell_size

from triolet._model.json import JsonMap

# Whole sequences first, so that no "[31m" remains of them: CSI, OSC and its kin, two-byte ones.
_SEQUENCE: Final = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x90\x98\x9c-\x9f]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*[0-~]"
)
_LINE_BREAK: Final = re.compile(r"\r\n?|[\n\v\f\x85\u2028\u2029]")
# Joiners and the tags of flags are invisible and carry meaning; every other format character
# (direction overrides among them) could make a text look like what it is not.
_JOINERS: Final = "\u200c\u200d"
_TAGS: Final = range(0xE0020, 0xE0080)
# Marks stacked on one letter: three in living scripts; a hundred paint over other lines.
_MARKS_MAX: Final = 4
_REGIONAL: Final = range(0x1F1E6, 0x1F200)
_SKIN_TONES: Final = range(0x1F3FB, 0x1F400)


def clean(text: str) -> str:
    r"""Return `text` without controls, escapes and direction overrides; line breaks become `\n`.

    >>> clean("a\x1b[31mred\x1b[0m\tb\u202e\x07"), clean("one\r\ntwo\u2028three")
    ('ared    b', 'one\ntwo\nthree')
    """
    text = _SEQUENCE.sub("", text)
    text = _LINE_BREAK.sub("\n", text).replace("\t", "    ")
    return "".join(_visible(text))


def clean_line(text: str) -> str:
    r"""Return `text` as `clean` does, on one line.

    >>> clean_line("one\n\ntwo")
    'one two'
    """
    return " ".join(clean(text).split())


def _visible(text: str) -> Iterator[str]:
    marks = 0
    for char in text:
        category = unicodedata.category(char)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        if marks > _MARKS_MAX:
            continue
        if category == "Cs":
            yield "\ufffd"
        elif char == "\n" or category not in ("Cc", "Cf") or char in _JOINERS or ord(char) in _TAGS:
            yield char


def text_of(body: JsonMap | UnsetType) -> str:
    """Return a body as safe text: what is under `text`, by convention; else the whole as JSON.

    >>> text_of({"text": "hello"}), text_of({"poll": 3})
    ('hello', '{"poll": 3}')
    """
    if body is UNSET:
        return ""
    text = body.get("text")
    return clean(text if isinstance(text, str) else json.dumps(body, ensure_ascii=False))


def shorten(text: str, cells: int) -> str:
    """Return the start of `text`, at most `cells` wide on a terminal, with `…` if that is not all.

    >>> shorten("hello", 5), shorten("hello", 4), shorten("漢字漢字", 4)
    ('hello', 'hel…', '漢…')
    """
    if cell_len(text) <= cells:
        return text
    kept, width = "", 1
    for cluster in clusters(text):
        width += cell_len(cluster)
        if width > cells:
            break
        kept += cluster
    return kept + "…" if cells > 0 else ""


def clusters(text: str) -> list[str]:
    r"""Return what a person takes for the characters of `text`.

    A smaller rule than Unicode's (UAX 29), enough for a line editor: combining marks, joined
    emojis, skin tones and flags stay together.

    >>> clusters("e\u0301👍🏽👨\u200d👩🇬🇧🇫🇷") == ["e\u0301", "👍🏽", "👨\u200d👩", "🇬🇧", "🇫🇷"]
    True
    """
    found: list[str] = []
    for char in text:
        if found and _continues(found[-1], char):
            found[-1] += char
        else:
            found.append(char)
    return found


def _continues(cluster: str, char: str) -> bool:
    if cluster == "\n" or char == "\n":
        return False
    code = ord(char)
    if code in _REGIONAL:
        return len(cluster) == 1 and ord(cluster) in _REGIONAL
    is_joined = cluster[-1] == "\u200d" and len(cluster) > 1
    return is_joined or code in _SKIN_TONES or get_character_cell_size(char) == 0
