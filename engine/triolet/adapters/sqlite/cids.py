"""What is kept of a cid: a digest of room, sender and cid, and what the cid became.

Digests are spread evenly, so they can be kept by their first bits, in rows of about a page
(`segments`). They are salted with a secret of the store, so nobody can choose two cids whose
digests are the same; that it happens by itself within 10^9 cids has a chance of 10^-11.
"""

from hashlib import blake2b
from typing import Final

DIGEST_BYTES: Final = 12
DIGEST_BITS: Final = 8 * DIGEST_BYTES

# A record is the digest, seq (5 bytes), at (6), and the code of the op (1).
_VALUE_BYTES: Final = 12
RECORD_BYTES: Final = DIGEST_BYTES + _VALUE_BYTES
_AT: Final = slice(DIGEST_BYTES + 5, DIGEST_BYTES + 11)


def prefix(salt: str, room_id: int) -> str:
    """Return what comes before sender and cid in what is digested; no sender holds a space."""
    return f"{salt} {room_id} "


def digest(before: str, sender: str, cid: str) -> bytes:
    """Return the digest of a sender's cid; `before` is the `prefix` of its room.

    >>> len(digest(prefix("salt", 1), "anna", "c1"))
    12
    """
    return blake2b(f"{before}{sender} {cid}".encode(), digest_size=DIGEST_BYTES).digest()


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
    value = int.from_bytes(records[place + DIGEST_BYTES : place + RECORD_BYTES], "big")
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
