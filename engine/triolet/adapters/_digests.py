"""The digest of a cid: what stores that move from one adapter to another find it by.

The digest is salted with a secret of the store, so nobody can choose two cids whose digests
are the same; that it happens by itself within 10^9 cids has a chance of 10^-11.
"""

from hashlib import blake2b
from typing import Final

DIGEST_BYTES: Final = 12
DIGEST_BITS: Final = 8 * DIGEST_BYTES


def prefix(salt: str, room_id: int) -> str:
    """Return what comes before sender and cid in what is digested; no sender holds a space."""
    return f"{salt} {room_id} "


def digest(before: str, sender: str, cid: str) -> bytes:
    """Return the digest of a sender's cid; `before` is the `prefix` of its room.

    >>> len(digest(prefix("salt", 1), "anna", "c1"))
    12
    """
    return blake2b(f"{before}{sender} {cid}".encode(), digest_size=DIGEST_BYTES).digest()
