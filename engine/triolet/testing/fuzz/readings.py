"""What a stream of frames means, as the engine and two other implementations read it."""

from dataclasses import dataclass, field
from typing import Final

from websockets.frames import Frame, Opcode
from websockets.protocol import SERVER, Protocol
from wsproto.frame_protocol import FrameProtocol, ParseFailed
from wsproto.frame_protocol import Opcode as WsprotoOpcode

from triolet._wire.frames import FRAGMENTS_MAX, FrameReader

from .cuts import pieces
from .violation import Violation

MESSAGE_BYTES_MAX: Final = 400
# A frame's header: two bytes, eight of length, four of the key.
_HEADER_BYTES_MAX: Final = 14
_NO_CODE: Final = 1005


@dataclass
class Reading:
    """Messages, pongs owed, and how it ends: `code` is None while it has not.

    Attributes:
        failed: whether a broken rule ended it, and not the client's close frame.
        frames: frames that were judged.
        is_open_ended: a frame or a message has begun, and is not whole.
    """

    messages: list[bytes] = field(default_factory=list)
    pongs: list[bytes] = field(default_factory=list)
    code: int | None = None
    failed: bool = False
    frames: int = 0
    is_open_ended: bool = False


def read_ours(stream: bytes, seed: int, *, text: bool) -> tuple[Reading, bytes]:
    """Read with the engine's reader, in pieces; return also what it writes back.

    Raises:
        Violation: it holds more than it may, or goes on after the end.
    """
    reader = FrameReader(text=text, message_bytes_max=MESSAGE_BYTES_MAX)
    found, written = Reading(), b""
    for piece in pieces(stream, seed):
        has_ended = reader.close is not None
        messages = reader.receive(piece)
        if has_ended and (messages or reader.replies):
            raise Violation("something is read after the end")
        found.messages += messages
        if reader.replies is not None:
            written += reader.take_replies()
        held = reader._part  # noqa: SLF001 - what is buffered shows nowhere else
        if held is not None and len(held) > MESSAGE_BYTES_MAX + _HEADER_BYTES_MAX:
            raise Violation("more than a message and a header is buffered")
    if reader.close is not None:
        found.code, found.failed = reader.close.code, reader.close.failed
    found.is_open_ended = reader._part is not None  # noqa: SLF001 - as above
    return found, written


def read_by_websockets(stream: bytes, *, text: bool) -> Reading:
    """Read with a plain `websockets` Protocol at once; our protocol's rules are put naively."""
    protocol = Protocol(SERVER, max_size=MESSAGE_BYTES_MAX)
    found, assembly = Reading(), _Assembly(Opcode.TEXT if text else Opcode.BINARY)
    protocol.receive_data(stream)
    for event in protocol.events_received():
        assert isinstance(event, Frame)
        found.frames += 1
        if event.opcode is Opcode.PING:
            found.pongs.append(bytes(event.data))
        elif event.opcode is Opcode.CLOSE:
            found.code = int.from_bytes(event.data[:2], "big") if event.data else _NO_CODE
        elif event.opcode is not Opcode.PONG:
            found.code = assembly.take(event, found.messages)
            found.failed = found.code is not None
        if found.code is not None:
            break
    if found.code is None and protocol.close_sent is not None:
        found.code, found.failed = int(protocol.close_sent.code), True
        found.frames += 1
    # A cycle, as `_wire.frames` says; left to the collector it would be taken for a leak.
    protocol.parser.close()
    protocol.parser_exc = None
    return found


class _Assembly:
    """Messages from fragments, and the rules that `websockets` leaves to whoever uses it."""

    def __init__(self, own: Opcode) -> None:
        self._own = own
        self._fragments: list[bytes] = []

    def take(self, frame: Frame, messages: list[bytes]) -> int | None:
        """Take a data frame; return the code to fail with, if any."""
        if frame.opcode not in (self._own, Opcode.CONT):
            return 1003
        self._fragments.append(bytes(frame.data))
        if len(self._fragments) > FRAGMENTS_MAX:
            return 1009
        if not frame.fin:
            return None
        message, self._fragments = b"".join(self._fragments), []
        if self._own is Opcode.TEXT and not _is_utf8(message):
            return 1007
        messages.append(message)
        return None


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def read_by_wsproto(stream: bytes) -> Reading:
    """Read with `wsproto`, which knows neither our data type nor our limits."""
    protocol = FrameProtocol(client=False, extensions=[])
    found, parts = Reading(), list[bytes]()
    protocol.receive_bytes(stream)
    try:
        for frame in protocol.received_frames():
            payload = frame.payload
            if isinstance(payload, tuple):  # of a close frame
                found.code = int(payload[0])
                break
            data = payload.encode() if isinstance(payload, str) else bytes(payload)
            if frame.opcode is WsprotoOpcode.PING:
                found.pongs.append(data)
            elif frame.opcode is not WsprotoOpcode.PONG:
                parts.append(data)
                if frame.message_finished:
                    found.messages.append(b"".join(parts))
                    parts.clear()
    except ParseFailed as error:
        found.code, found.failed = int(error.code), True
        # RFC 6455, 5.2 tells senders to use the shortest form of a length; nobody must refuse
        # another. Of a control frame in another form it says that it is too long.
        if "would have sufficed" in str(error) or "Control frame with payload" in str(error):
            found.code = None
    decoder = protocol._frame_decoder  # noqa: SLF001 - what is waited for shows nowhere else
    found.is_open_ended = bool(parts or decoder.header or decoder.buffer)
    return found
