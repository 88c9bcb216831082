"""Socket.IO on Node."""

from typing import final

from .crowd import Plan
from .node import NodePeer
from .socketio_crowd import SocketIoCrowd
from .socketio_packets import SocketIoPeer


class SocketIo(SocketIoPeer, NodePeer):
    """See the module."""

    name = "socketio"
    about = "Socket.IO on Node, with bufferutil, WebSocket alone: acknowledged emits, no store"
    program = "socketio.cjs"
    package = "socket.io"


@final
class SocketIoRecovery(SocketIo):
    """With connection state recovery, which takes time and memory for every message."""

    name = "socketio-recovery"
    about = "Socket.IO with connection state recovery, in memory: a restart loses what it knew"
    scenarios = frozenset(("resume",))

    def environment(self) -> dict[str, str]:
        """See `PlainPeer.environment`."""
        return super().environment() | {"BENCH_RECOVERY": "1"}

    def crowd(self, plan: Plan, *, text: str) -> SocketIoCrowd:
        """See `Peer.crowd`."""
        return SocketIoCrowd(plan, self._secret, text)
