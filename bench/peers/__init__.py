"""Who is measured. A peer is an adapter: how to start it, what to say, how to read answers.

Scenarios and load know only these protocols, so the same verified load drives every peer.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeAlias

from ..load.frames import WEBSOCKET, Framing
from ..server import Server
from .pings import WEBSOCKET_PING, Ping

if TYPE_CHECKING:
    from .crowd import Crowd, Plan

# What a frame of the server turned out to be, and the number of the message it is about.
OTHER: Final = 0
ACK: Final = 1
DELIVERY: Final = 2
Seen: TypeAlias = tuple[int, int]


class Step(NamedTuple):
    """A frame to send, and what judges each frame that comes back.

    `is_answer` returns True for the awaited answer, False for what may come in between,
    and raises `Unexpected` for anything else.
    """

    frame: bytes
    is_answer: Callable[[bytes], bool]


class Channel(Protocol):
    """A room with one sender. Its messages are numbered 1, 2, 3 … as the sender sends them."""

    def message(self, number: int) -> bytes:
        """Return the whole masked frame that sends a message."""
        ...

    def read(self, payload: bytes) -> Seen:
        """Judge the payload of a frame; a delivery's or acknowledgement's content is verified.

        Raises:
            Unexpected: it belongs to no message of this channel, or is not as it was sent.
        """
        ...


class Peer(Protocol):
    """One kind of server.

    Attributes:
        name: what it is called on the command line and in tables.
        about: what it is, in a few words, with what it does not do that Triolet does.
        stores: what its stores are called on the command line, the default first.
        scenarios: the names of those it can take part in.
        framing: how what it sends is cut into messages.
        answers: frames to be sent when a message of just these bytes comes: its own keep-alive.
        keeps_for_late_readers: whether it promises that a subscriber who does not read for a
            while gets everything afterwards.
        pings: what it answers: the one that goes as far inside as a request does comes first,
            the WebSocket's own, where it knows that, comes last.
    """

    name: str
    about: str
    stores: tuple[str, ...] = ("memory",)
    scenarios: frozenset[str]
    framing: Framing = WEBSOCKET
    answers: Mapping[bytes, bytes] = {}
    keeps_for_late_readers: bool = False
    pings: tuple[Ping, ...] = (WEBSOCKET_PING,)

    def install(self, told: Callable[[str], None]) -> str:
        """Make sure that it is here, and return its version; `told` hears what takes long.

        Raises:
            Missing: it cannot be had on this machine.
        """
        ...

    def start(
        self, *, store: str, parent: Path | None, is_raised: bool = True
    ) -> AbstractContextManager[Server]:
        """Start a fresh server, its data below `parent`; it ends with the block.

        Limits that a load would meet before the server does are raised, or are those that an
        operator has who sets none (`is_raised=False`).
        """
        ...

    def upgrade(self, port: int) -> bytes:
        """Return the request head that opens a connection."""
        ...

    def hello(self, user: str) -> Step:
        """Authenticate by a signed token, which the server verifies."""
        ...

    def open_pair(self, sender: str, receiver: str, *, text: str) -> tuple[Step, Channel]:
        """Open the room of two, said by the sender."""
        ...

    def open_room(self, sender: str, room: str, *, text: str) -> tuple[Step, Channel]:
        """Open a room that everybody may follow, said by its sender."""
        ...

    def follow(self, channel: Channel) -> Step:
        """Have a channel's messages delivered from now on. None is on its way to it."""
        ...

    def crowd(self, plan: "Plan", *, text: str) -> "Crowd":
        """Return clients who share rooms; only peers that take part in `resume` have any."""
        ...
