"""`ws`: the WebSocket library that most servers on Node are written with."""

from collections.abc import Callable, Sequence
from typing import final

from . import node
from .plain import PROGRAMS, PlainPeer


@final
class Ws(PlainPeer):
    """See the module."""

    name = "ws"
    about = "a chat server on Node's ws, with bufferutil: JSON, one encoding a message, no store"
    scenarios = frozenset(("fanout", "direct", "idle"))

    def install(self, told: Callable[[str], None]) -> str:
        """See `Peer.install`."""
        return node.install("ws", told)

    def command(self) -> Sequence[str]:
        """See `PlainPeer.command`."""
        return [node.program("node"), str(PROGRAMS / "ws.cjs")]

    def environment(self) -> dict[str, str]:
        """See `PlainPeer.environment`."""
        return super().environment() | node.ENVIRONMENT
