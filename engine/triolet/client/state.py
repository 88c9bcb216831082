"""Where a client's connection stands, as a table; anything that changes it is in this file."""

from enum import Enum
from typing import Final, final

# The close code of a connection that ended without one (RFC 6455, 7.4.1); never on the wire.
ABNORMAL: Final = 1006


@final
class State(Enum):
    """What an application may show of the connection."""

    # Asking for a token, dialling, greeting.
    CONNECTING = "connecting"
    # Welcomed: requests leave, events arrive.
    ONLINE = "online"
    # Waiting for the next attempt; durable requests are queued.
    OFFLINE = "offline"
    # Over for good.
    CLOSED = "closed"


@final
class Happening(Enum):
    """What moves a connection."""

    DIALLED = "dialled"
    WELCOMED = "welcomed"
    LOST = "lost"
    ENDED = "ended"


# Total: each state answers each happening.
TRANSITIONS: Final[dict[State, dict[Happening, State]]] = {
    State.CONNECTING: {
        Happening.DIALLED: State.CONNECTING,
        Happening.WELCOMED: State.ONLINE,
        Happening.LOST: State.OFFLINE,
        Happening.ENDED: State.CLOSED,
    },
    State.ONLINE: {
        Happening.DIALLED: State.ONLINE,
        Happening.WELCOMED: State.ONLINE,
        Happening.LOST: State.OFFLINE,
        Happening.ENDED: State.CLOSED,
    },
    State.OFFLINE: {
        Happening.DIALLED: State.CONNECTING,
        Happening.WELCOMED: State.OFFLINE,
        Happening.LOST: State.OFFLINE,
        Happening.ENDED: State.CLOSED,
    },
    State.CLOSED: {
        Happening.DIALLED: State.CLOSED,
        Happening.WELCOMED: State.CLOSED,
        Happening.LOST: State.CLOSED,
        Happening.ENDED: State.CLOSED,
    },
}
