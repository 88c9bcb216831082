"""All peers by name. Triolet comes first: what others are compared with."""

from typing import Final

from . import Peer
from .floor import Floor
from .nats import Nats
from .socketio import SocketIo, SocketIoRecovery
from .triolet import Triolet
from .websockets import Websockets
from .ws import Ws

PEERS: Final[dict[str, Peer]] = {
    one.name: one
    for one in (Triolet(), Floor(), Ws(), SocketIo(), SocketIoRecovery(), Nats(), Websockets())
}
