"""How some of the port's values are kept in the tables."""

from typing import Final

from ..._model.entries import FactKind

# A kind is kept as its place in this tuple: only ever appended to.
KINDS: Final[tuple[FactKind, ...]] = ("message", "edit", "delete", "react", "member", "meta")
KIND_CODES: Final[dict[FactKind, int]] = {kind: code for code, kind in enumerate(KINDS)}
MESSAGE: Final = KIND_CODES["message"]


def cid_key(sender: str, cid: str) -> str:
    """Return what `cids` keeps for a sender's cid. No sender's name holds a space."""
    return f"{sender} {cid}"
