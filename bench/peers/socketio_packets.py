"""The protocol of Socket.IO (5, on Engine.IO 4), spoken by hand in text frames.

Of Engine.IO there is `0` (open), `2` and `3` (ping and pong) and `4` (message); a message
begins with Socket.IO's own type: `0` connect, `2` event, `3` acknowledgement, `4` refusal.
"""

from types import MappingProxyType
from typing import Final, Literal, final

import msgspec
from msgspec import Struct, field

from ..errors import Unexpected
from ..load.frames import TEXT, masked
from . import ACK, DELIVERY, Channel, Seen, Step
from .plain import PlainPeer
from .tokens import mint

_encode: Final = msgspec.json.Encoder().encode


@final
class Message(Struct, frozen=True, forbid_unknown_fields=True):
    room: str
    seq: int
    text: str
    sender: str = field(name="from")


@final
class _Sent(Struct, frozen=True, forbid_unknown_fields=True):
    seq: int


_read_event: Final = msgspec.json.Decoder(tuple[Literal["message"], Message]).decode
_read_ack: Final = msgspec.json.Decoder(tuple[_Sent]).decode


@final
class SocketIoChannel(Channel):
    """See `Channel`: message number n has acknowledgement id n and seq n."""

    def __init__(self, room: str, sender: str, text: str) -> None:
        self.room = room
        self._sender = sender
        self._text = text
        self._after = _encode(["send", {"room": room, "text": text}])

    def message(self, number: int) -> bytes:
        """See `Channel.message`."""
        return masked(TEXT, b"42%d%b" % (number, self._after))

    def read(self, payload: bytes) -> Seen:
        """See `Channel.read`."""
        kind, at = payload[:2], payload.find(b"[")
        try:
            if kind == b"42" and at == 2:
                return DELIVERY, self._delivered(payload)
            if kind == b"43" and payload[2:at].isdigit():
                (sent,) = _read_ack(payload[at:])
                if sent.seq == int(payload[2:at]):
                    return ACK, sent.seq
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Unexpected(f"{error}: {payload[:400]!r}") from None
        raise Unexpected(f"neither a message nor an acknowledgement: {payload[:400]!r}")

    def _delivered(self, payload: bytes) -> int:
        _, found = _read_event(payload[2:])
        if (found.room, found.sender, found.text) != (self.room, self._sender, self._text):
            raise Unexpected(f"not as it was sent: {payload[:400]!r}")
        return found.seq


class SocketIoPeer(PlainPeer):
    """A server program that speaks Socket.IO, over WebSocket alone.

    `join` and `send` are events that it acknowledges: `{room}` by `{room}`, `{room, text}` by
    `{seq}`; `message` is the event of a delivery.
    """

    answers = MappingProxyType({b"2": masked(TEXT, b"3")})
    path = "/socket.io/?EIO=4&transport=websocket"

    def hello(self, user: str) -> Step:
        """See `Peer.hello`."""

        def is_connected(payload: bytes) -> bool:
            if payload.startswith(b"0{"):
                return False
            if not payload.startswith(b'40{"sid":"'):
                raise Unexpected(f"not connected: {payload[:400]!r}")
            return True

        return Step(
            masked(TEXT, b"40" + _encode({"token": mint(self._secret, user)})), is_connected
        )

    def open_room(self, sender: str, room: str, *, text: str) -> tuple[Step, SocketIoChannel]:
        """See `Peer.open_room`."""
        channel = SocketIoChannel(room, sender, text)
        return self.follow(channel), channel

    def follow(self, channel: Channel) -> Step:
        """See `Peer.follow`."""
        assert isinstance(channel, SocketIoChannel)
        joined = b"430" + _encode([{"room": channel.room}])

        def is_joined(payload: bytes) -> bool:
            if payload != joined:
                raise Unexpected(f"join was answered: {payload[:400]!r}")
            return True

        return Step(masked(TEXT, b"420" + _encode(["join", {"room": channel.room}])), is_joined)
