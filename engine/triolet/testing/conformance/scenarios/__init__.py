"""The scenes, in the order in which a client's author wants to pass them."""

from typing import Final

from ..scene import Scene
from . import coming_back, resuming, retrying, tokens, wire

SCENES: Final[tuple[type[Scene], ...]] = (
    *wire.SCENES,
    *retrying.SCENES,
    *resuming.SCENES,
    *tokens.SCENES,
    *coming_back.SCENES,
)
