"""All peers by name. Triolet comes first: what others are compared with."""

from typing import Final

from . import Peer
from .channels import Channels
from .floor import Floor
from .nats import Nats
from .python_socketio import PythonSocketIo
from .socketio import SocketIo, SocketIoRecovery
from .trio_websocket import TrioWebsocket
from .triolet import Triolet
from .websockets import Websockets
from .ws import Ws

PEERS: Final[dict[str, Peer]] = {
    one.name: one
    for one in (
        Triolet(),
        Floor(),
        Ws(),
        SocketIo(),
        SocketIoRecovery(),
        Nats(),
        Websockets(),
        TrioWebsocket(),
        PythonSocketIo(),
        Channels(),
    )
}
