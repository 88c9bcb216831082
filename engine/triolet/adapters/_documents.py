"""What every adapter's documents have alike: which changes can be, and where a prefix ends."""

from collections.abc import Sequence
from typing import Final, final

from .._model.errors import StoreUnavailable
from ..ports.documents import CHANGES_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX, Change

# What a column of either database holds; times are ms, and versions are counted.
_NUMBER_MAX: Final = (1 << 63) - 1

_SURROGATES: Final = (0xD800, 0xDFFF)
_CODE_POINT_MAX: Final = 0x10FFFF


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


def end_of(prefix: str) -> str | None:
    r"""Return the first text behind all that begin with `prefix`, by code points; None: none is.

    >>> end_of("ban/"), end_of("a\U0010ffff"), end_of("\U0010ffff"), end_of("\ud7ff")
    ('ban0', 'b', None, '\ue000')
    """
    for at in reversed(range(len(prefix))):
        point = ord(prefix[at]) + 1
        if point == _SURROGATES[0]:
            # What UTF-8 cannot say is no text.
            point = _SURROGATES[1] + 1
        if point <= _CODE_POINT_MAX:
            return prefix[:at] + chr(point)
    return None


@final
class NoDocuments:
    """Documents of a store that has no place for them yet: every call fails."""

    def __getattr__(self, name: str) -> object:
        raise StoreUnavailable("this store keeps no documents yet")
