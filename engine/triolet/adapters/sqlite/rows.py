"""How rows of the tables become the port's values."""

from typing import Final

from ..._model.entries import FactKind, Record

# A kind is kept as its place in this tuple: only ever appended to.
KINDS: Final[tuple[FactKind, ...]] = ("message", "edit", "delete", "react", "member", "meta")
KIND_CODES: Final[dict[FactKind, int]] = {kind: code for code, kind in enumerate(KINDS)}
MESSAGE: Final = KIND_CODES["message"]


def record(
    room: str, seq: int, n: int, kind: int, sender: str, at: int, cid: str, packed: bytes
) -> Record:
    """Return a row of `log` as a record of `room`."""
    return Record(room, seq, n, KINDS[kind], sender, at, cid, packed)


def cid_key(sender: str, cid: str) -> str:
    """Return what `cids` keeps for a sender's cid. No sender's name holds a space."""
    return f"{sender} {cid}"
