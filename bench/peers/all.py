"""All peers by name. Triolet comes first: what others are compared with."""

from typing import Final

from . import Peer
from .channels import Channels
from .floor import Floor
from .nats import Nats
from .python_socketio import PythonSocketIo
from .quart_trio import QuartTrio
from .socketio import SocketIo, SocketIoRecovery
from .trio_websocket import TrioWebsocket
from .triolet import Triolet
from .triolet_nodes import TrioletNodes
from .websockets import Websockets
from .ws import Ws

PEERS: Final[dict[str, Peer]] = {
    one.name: one
    for one in (
        Triolet(),
        TrioletNodes("postgres", "this checkout, one node on PostgreSQL", nodes=1, bus="memory"),
        TrioletNodes(
            "postgres-redis",
            "one node on PostgreSQL that rings for others on Redis",
            nodes=1,
            bus="redis",
        ),
        TrioletNodes(
            "crossing",
            "two nodes on PostgreSQL and Redis: direct messages cross, half of a fan-out does",
            nodes=2,
            bus="redis",
        ),
        TrioletNodes(
            "crossing-notify",
            "two nodes on PostgreSQL alone, by LISTEN and NOTIFY",
            nodes=2,
            bus="postgresql",
        ),
        Floor(),
        Ws(),
        SocketIo(),
        SocketIoRecovery(),
        Nats(),
        Websockets(),
        TrioWebsocket(),
        PythonSocketIo(),
        Channels(),
        QuartTrio(),
    )
}
