"""`ws`: the WebSocket library that most servers on Node are written with."""

from typing import final

from .node import NodePeer


@final
class Ws(NodePeer):
    """See the module."""

    name = "ws"
    about = "a chat server on Node's ws, with bufferutil: JSON, one encoding a message, no store"
    program = "ws.cjs"
    package = "ws"
