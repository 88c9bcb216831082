"""What the session leaves to be done by whoever drives it, one class per kind of deed."""

from typing import TypeAlias, final

from msgspec import Struct

from .._model.entries import Entry
from .._model.errors import Close
from .._model.events import Event, Synced
from ._requests import Request

# What an application's streams carry. `Synced` comes after each reconnection.
ClientEvent: TypeAlias = Entry | Event | Synced


@final
class Settled(Struct, frozen=True):
    """`request.outcome` is there: wake who waits for it."""

    request: Request


@final
class Deliver(Struct, frozen=True):
    """Give an event to the streams; `size` is its length on the wire, in bytes."""

    event: ClientEvent
    size: int


@final
class RoomEnded(Struct, frozen=True):
    """Nothing more will come of a room: end its streams."""

    room: str


@final
class HangUp(Struct, frozen=True):
    """End this connection; the client comes back."""

    close: Close


@final
class RenewToken(Struct, frozen=True):
    """Ask the provider for a token and send it as `refresh`."""


@final
class KeepToken(Struct, frozen=True):
    """The server has taken a newer token: greet with it from now on."""

    token: str


@final
class Noted(Struct, frozen=True):
    """Something went wrong that no caller waits for: log it."""

    message: str


Effect: TypeAlias = Settled | Deliver | RoomEnded | HangUp | RenewToken | KeepToken | Noted
