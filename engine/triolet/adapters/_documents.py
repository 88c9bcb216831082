"""What every adapter's documents have alike: which changes can be, and where a prefix ends."""

from collections.abc import Sequence
from typing import Final, final

from msgspec import Struct

from ..ports.documents import CHANGES_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX, Change

# What a column of either database holds; times are ms, and versions are counted.
_NUMBER_MAX: Final = (1 << 63) - 1

_SURROGATES: Final = (0xD800, 0xDFFF)
_CODE_POINT_MAX: Final = 0x10FFFF
# Longer than a key may be: greater than any.
_BEHIND_ALL: Final = chr(_CODE_POINT_MAX) * (KEY_BYTES_MAX // 4 + 1)


def is_key(key: str) -> bool:
    r"""Whether there can be a document of this key.

    >>> [is_key(key) for key in ("ban/ann", "", "a\0b", "\ud800", "ä" * 257)]
    [True, False, False, False, False]
    """
    # A character is one byte or more, so most keys need not be encoded to be measured.
    if not key or len(key) > KEY_BYTES_MAX or "\0" in key:
        return False
    if key.isascii():
        return True
    try:
        return len(key.encode()) <= KEY_BYTES_MAX
    except UnicodeEncodeError:
        return False


def check_changes(changes: Sequence[Change]) -> None:
    """Refuse changes that no store can make.

    Raises:
        ValueError: see `Documents.write`.
    """
    if len(changes) > CHANGES_MAX:
        raise ValueError(f"{len(changes)} changes in one write; at most {CHANGES_MAX}")
    for change in changes:
        if not is_key(change.key):
            raise ValueError(f"no key: text of 1 to {KEY_BYTES_MAX} bytes without U+0000")
        if change.value is not None and len(change.value) > VALUE_BYTES_MAX:
            raise ValueError(f"a value of {len(change.value)} bytes; at most {VALUE_BYTES_MAX}")
        if not all(0 <= one <= _NUMBER_MAX for one in (change.expires_at, change.version or 0)):
            raise ValueError("a time or a version below 0, or too large")
    if len({change.key for change in changes}) != len(changes):
        raise ValueError("a key twice in one write")


def check_keys(keys: Sequence[str]) -> None:
    """Refuse to read too much at once.

    Raises:
        ValueError: more than `CHANGES_MAX` keys.
    """
    if len(keys) > CHANGES_MAX:
        raise ValueError(f"{len(keys)} keys in one read; at most {CHANGES_MAX}")


def check_scan(prefix: str, after: str, limit: int) -> None:
    """Refuse a scan that no store can make.

    Raises:
        ValueError: see `Documents.scan`.
    """
    if not is_key(prefix) or (after and not is_key(after)):
        raise ValueError(f"no key: text of 1 to {KEY_BYTES_MAX} bytes without U+0000")
    if not 1 <= limit <= CHANGES_MAX:
        raise ValueError(f"a limit of {limit}; 1 to {CHANGES_MAX}")


@final
class Span(Struct, frozen=True):
    """The keys that a scan looks at: from `first` on, or from behind it; those below `end`."""

    first: str
    is_behind: bool
    end: str


def span(prefix: str, after: str, *, descending: bool) -> Span:
    """Return what a scan looks at.

    >>> span("ban/", "ban/cleo", descending=False)
    Span(first='ban/cleo', is_behind=True, end='ban0')
    >>> span("ban/", "ban/cleo", descending=True)
    Span(first='ban/', is_behind=False, end='ban/cleo')
    """
    end = _end_of(prefix)
    if after and descending:
        return Span(prefix, is_behind=False, end=min(after, end))
    if after >= prefix:
        return Span(after, is_behind=True, end=end)
    return Span(prefix, is_behind=False, end=end)


def _end_of(prefix: str) -> str:
    r"""Return the first text behind all keys that begin with `prefix`, by code points.

    >>> _end_of("ban/"), _end_of("a\U0010ffff"), _end_of("\ud7ff")
    ('ban0', 'b', '\ue000')
    """
    for at in reversed(range(len(prefix))):
        point = ord(prefix[at]) + 1
        if point == _SURROGATES[0]:
            # What UTF-8 cannot say is no text.
            point = _SURROGATES[1] + 1
        if point <= _CODE_POINT_MAX:
            return prefix[:at] + chr(point)
    return _BEHIND_ALL
