"""Frames the client sends, read into whole messages (RFC 6455, section 5).

Two ways, which the tests hold equal for any cut of any stream:

- **plain**: a whole, masked, unfragmented data frame of the connection's own type.
  Nearly all traffic, and no parser: 0.5 µs a frame against 4.8.
- **other**: halves, controls, fragments, errors.
  Each such frame is collected whole, then given to a `websockets` Protocol
  that lives only while it is needed.

The Protocol is never given a part of a frame that may still turn out well,
so it stands at a frame boundary whenever `receive` returns.
Asking it instead is a trap: with the header of half a frame taken, its buffer is empty too.
"""

from dataclasses import dataclass

from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN, SERVER, Protocol

from .websocket import LOGGER

try:
    from websockets.speedups import apply_mask
except ImportError:  # pragma: no cover - a platform without the C extension
    from websockets.utils import apply_mask

__all__ = ["FRAGMENTS_MAX", "CloseReceived", "FrameReader"]

FRAGMENTS_MAX = 1_024
"""Fragments of one message.

The size limit does not bound empty fragments, which would cost 64 bytes each for ever;
1,024 still lets a 64 KiB message come in pieces of 64 bytes.
"""

_FIN_TEXT = 0x81
_FIN_BINARY = 0x82
# What a browser answers to our empty PING: the one control frame every idle connection sends.
_EMPTY_PONG = b"\x8a\x80"

# Opcodes that RFC 6455, 5.2 defines; the Protocol refuses others without reading on.
_OPCODES = frozenset(map(int, Opcode))


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseReceived:
    """The end of what the client sends; nothing after it is read.

    `failed` is false when the client ended it: `code` and `reason` are the client's
    (1005: its close frame had no code; 1006: the stream ended without a close frame).
    It is true when we fail the connection (RFC 6455, 7.1.7): `code` is what we send,
    1002 for a broken rule, 1003 for the wrong data type, 1007 for text that is no UTF-8,
    1009 for a message too big.
    """

    code: int
    reason: str
    failed: bool


class FrameReader:
    r"""Reads one client's frames; pure, bounded, and 96 bytes small at a message boundary.

    `text` tells the connection's own data type: text frames (JSON) or binary (MessagePack).
    `message_bytes_max` bounds a message's payload in bytes, fragments added up;
    what is buffered never exceeds that and one header.

    `close` is None until the client, an error or the end of the stream ends the reading.
    `replies` is None unless something must be written back: ask it, then `take_replies`.
    A caller that has sent a close frame of its own drops the replies from then on:
    the client's close frame is then the echo, and an echo is not echoed.

    >>> reader = FrameReader(text=True, message_bytes_max=65_536)
    >>> reader.receive(bytes.fromhex("8182 00000000") + b"{}" + bytes.fromhex("8980 00000000"))
    [b'{}']
    >>> reader.take_replies()
    b'\x8a\x00'
    """

    __slots__ = (
        "_first_byte",
        "_fragments",
        "_message_bytes_max",
        "_needed",
        "_part",
        "_protocol",
        "close",
        "replies",
    )

    def __init__(self, *, text: bool, message_bytes_max: int) -> None:
        self.close: CloseReceived | None = None
        self.replies: bytearray | None = None
        self._first_byte = _FIN_TEXT if text else _FIN_BINARY
        self._message_bytes_max = message_bytes_max
        self._part: bytearray | None = None
        # How long `_part` must be before anyone can judge it.
        self._needed = 0
        self._fragments: list[bytes] | None = None
        # Alive through a fragmented message, else only within one call of `receive`.
        self._protocol: Protocol | None = None

    def receive(self, data: bytes) -> list[bytes]:
        """Take what the socket gave; return the payloads of the messages it completes, in order.

        After a close or failure they are the messages before it, and later calls return none.
        Never raises for what the client sent.
        Afterwards look at `replies` and `close`;
        the replies of one call are never longer than `data` and one frame.
        """
        payloads: list[bytes] = []
        if self._part is not None:
            self._part += data
            if len(self._part) < self._needed:
                return payloads
            data, self._part = bytes(self._part), None
        at = self._take_plain(data, 0, payloads)
        if at < len(data):
            while at < len(data) and self.close is None:
                at = self._take_other(data, at, payloads)
                at = self._take_plain(data, at, payloads)
            if self._fragments is None:
                self._release_protocol()
        return payloads

    def receive_eof(self) -> None:
        """Take the end of the stream: close 1006, unless the reading had ended before."""
        if self.close is None:
            self._end(CloseReceived(code=1006, reason="", failed=False))

    def take_replies(self) -> bytes:
        """Return what must be written back (pongs, the close frame), and forget it."""
        replies, self.replies = self.replies, None
        return bytes(replies or b"")

    def _take_plain(self, data: bytes, at: int, payloads: list[bytes]) -> int:
        """Take whole plain frames from `at` on; return where the first other one begins."""
        if self._fragments is not None or self.close is not None:
            return at
        first_byte = self._first_byte
        end = len(data)
        while end - at >= 6 and data[at] == first_byte:
            size = data[at + 1] - 0x80
            key_at = at + 2
            if size == 126:
                size = data[at + 2] << 8 | data[at + 3]
                key_at = at + 4
            elif not 0 <= size < 126:  # unmasked; or above 64 KiB, which the other way can do
                break
            payload_at = key_at + 4
            payload_end = payload_at + size
            if payload_end > end or size > self._message_bytes_max:
                break
            payload = apply_mask(data[payload_at:payload_end], data[key_at:payload_at])
            if first_byte == _FIN_TEXT and not payload.isascii() and not _is_utf8(payload):
                break
            payloads.append(payload)
            at = payload_end
        return at

    def _take_other(self, data: bytes, at: int, payloads: list[bytes]) -> int:
        """Take the one frame at `at`, or keep it as `_part` while it is not whole.

        Returns where the next frame begins.
        """
        protocol = self._protocol
        size_max = self._message_bytes_max
        if protocol is not None and protocol.current_size is not None:
            size_max -= protocol.current_size
        needed = _needed(data, at, size_max)
        if len(data) - at < needed:
            self._part, self._needed = bytearray(data[at:]), needed
            return len(data)
        if protocol is None:
            if data.startswith(_EMPTY_PONG, at):
                return at + needed
            # 6 µs to make, so it is kept until `receive` returns: a flood of pings shares one.
            protocol = Protocol(SERVER, max_size=self._message_bytes_max, logger=LOGGER)
            self._protocol = protocol
        protocol.receive_data(data[at : at + needed])
        events = protocol.events_received()
        # A whole frame, or its hopeless beginning, is an event or an end: nothing lingers inside.
        assert events or protocol.state is not OPEN
        for frame in events:
            assert isinstance(frame, Frame)
            self._take_frame(frame, protocol, payloads)
        self._take_outcome(protocol)
        return at + needed

    def _take_frame(self, frame: Frame, protocol: Protocol, payloads: list[bytes]) -> None:
        """Take one valid frame: data is a message or a fragment; controls are the Protocol's."""
        data = bytes(frame.data)
        if frame.opcode is Opcode.CONT:
            assert self._fragments is not None
            self._fragments.append(data)
            if len(self._fragments) > FRAGMENTS_MAX:
                protocol.fail(1009, f"more than {FRAGMENTS_MAX} fragments")
                return
            if not frame.fin:
                return
            data, self._fragments = b"".join(self._fragments), None
        elif frame.opcode is Opcode.TEXT or frame.opcode is Opcode.BINARY:
            if frame.opcode != self._first_byte & 0x0F:
                own = "text" if self._first_byte == _FIN_TEXT else "binary"
                protocol.fail(1003, f"this subprotocol has {own} messages only")
                return
            if not frame.fin:
                self._fragments = [data]
                return
        else:
            return
        if self._first_byte == _FIN_TEXT and not _is_utf8(data):
            protocol.fail(1007, "text is not UTF-8")
        else:
            payloads.append(data)

    def _take_outcome(self, protocol: Protocol) -> None:
        """Collect what the Protocol writes, and its end if it has ended."""
        writes = protocol.data_to_send()
        if writes:
            if self.replies is None:
                self.replies = bytearray()
            self.replies += b"".join(writes)
        if protocol.state is OPEN:
            return
        sent = protocol.close_sent
        assert sent is not None
        # `close_rcvd is sent`: the Protocol echoed the client's close frame, so nothing failed.
        failed = protocol.close_rcvd is not sent
        self._end(CloseReceived(code=int(sent.code), reason=sent.reason, failed=failed))

    def _end(self, close: CloseReceived) -> None:
        """Stop reading, and let go of everything that was kept to go on."""
        self.close = close
        self._part = self._fragments = None
        self._release_protocol()

    def _release_protocol(self) -> None:
        """Drop the Protocol so that its 1.3 KB go now, not when the collector next runs.

        It is a cycle: its parser is a generator that refers to it, as an error's traceback does.
        """
        protocol, self._protocol = self._protocol, None
        if protocol is not None:
            protocol.parser.close()
            protocol.parser_exc = None


def _needed(data: bytes, at: int, size_max: int) -> int:
    """Bytes that the frame at `at` must have before anyone can judge it, as far as it tells.

    Two for the header, then the header with its length, then the whole frame;
    no more than the header for what fails on sight: not masked, no such opcode, above `size_max`.

    >>> [_needed(bytes.fromhex(frame), 0, 1_000) for frame in ("81", "8185", "81fe", "81fe0100")]
    [2, 11, 4, 264]
    >>> [_needed(bytes.fromhex(frame), 0, 1_000) for frame in ("8105", "8385", "81fe1000")]
    [2, 2, 4]
    """
    if len(data) - at < 2:
        return 2
    header, size = 2, data[at + 1] - 0x80
    if size < 0 or data[at] & 0x0F not in _OPCODES:
        return 2
    if size >= 126:
        header = 4 if size == 126 else 10
        if len(data) - at < header:
            return header
        size = int.from_bytes(data[at + 2 : at + header], "big")
    return header if size > size_max else header + 4 + size


def _is_utf8(payload: bytes) -> bool:
    """Tell whether the bytes are UTF-8, as RFC 3629 has it: no surrogates, no overlong forms."""
    if payload.isascii():
        return True
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True
