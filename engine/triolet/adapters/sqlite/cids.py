"""What is kept of a cid: its digest (`adapters._digests`), and what the cid became.

Digests are spread evenly, so they can be kept by their first bits, in rows of about a page
(`segments`).
"""

from typing import Final

from .._digests import DIGEST_BYTES

# A record is the digest, seq (5 bytes), at (6), and the code of the op (1).
_VALUE_BYTES: Final = 12
RECORD_BYTES: Final = DIGEST_BYTES + _VALUE_BYTES
_AT: Final = slice(DIGEST_BYTES + 5, DIGEST_BYTES + 11)


def record(key: bytes, seq: int, at: int, code: int) -> bytes:
    """Return what is kept of a cid."""
    return key + (seq << 56 | at << 8 | code).to_bytes(_VALUE_BYTES, "big")


def found_in(records: bytes, key: bytes) -> tuple[int, int, int] | None:
    """Return seq, at and op code of a digest's record among records, or None.

    >>> found_in(b"x" * 24 + record(b"k" * 12, 7, 5, 3), b"k" * 12)
    (7, 5, 3)
    """
    place = records.find(key)
    while place % RECORD_BYTES:
        if place < 0:
            return None
        # These bytes were found across two records.
        place = records.find(key, place + 1)
    return value_of(records[place : place + RECORD_BYTES])


def value_of(one: bytes) -> tuple[int, int, int]:
    """Return seq, at and op code of a record."""
    value = int.from_bytes(one[DIGEST_BYTES:], "big")
    return value >> 56, value >> 8 & 0xFFFF_FFFF_FFFF, value & 0xFF


def split(records: bytes) -> list[bytes]:
    """Return the records one by one."""
    return [records[at : at + RECORD_BYTES] for at in range(0, len(records), RECORD_BYTES)]


def is_since(one: bytes, at: bytes) -> bool:
    """Whether a record's draft is not older than `at` (`at_bytes`)."""
    return one[_AT] >= at


def at_bytes(at: int) -> bytes:
    """Return a time (ms) as records hold it."""
    return at.to_bytes(_AT.stop - _AT.start, "big")
