"""Laws of `_wire.frames`: the reader is a plain Protocol, for any cut of any stream."""

import doctest
import gc
import sys
import tracemalloc
import weakref
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.frames import Frame
from websockets.protocol import OPEN, SERVER, Protocol
from websockets.utils import apply_mask

from triolet._wire import frames
from triolet._wire.frames import FRAGMENTS_MAX, CloseReceived, FrameReader

TEXT, BINARY, CONT, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10
KEY = b"\x11\x80\xfe\x37"


def frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, masked: bool = True, rsv: int = 0,
    form: int = 0,
) -> bytes:  # fmt: skip
    """One frame as a client sends it; `form` 126 or 127 forces a longer length form."""
    size = len(payload)
    form = max(form, 0 if size < 126 else 126 if size < 65_536 else 127)
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    second = (0x80 if masked else 0) | (form or size)
    length = size.to_bytes({0: 0, 126: 2, 127: 8}[form], "big") if form else b""
    return bytes((first, second)) + length + (KEY + apply_mask(payload, KEY) if masked else payload)


class Reference:
    """A plain Protocol, one byte at a time; the rest of the law is written the naive way."""

    def __init__(self, *, text: bool, message_bytes_max: int) -> None:
        self.protocol = Protocol(SERVER, max_size=message_bytes_max)
        self.own = TEXT if text else BINARY
        self.fragments: list[bytes] = []
        self.messages: list[bytes] = []
        self.written = b""
        self.close: CloseReceived | None = None

    def receive(self, data: bytes) -> None:
        protocol = self.protocol
        for at in range(len(data)):
            if self.close is not None:
                return
            protocol.receive_data(data[at : at + 1])
            for event in protocol.events_received():
                self.take(event)
            self.written += b"".join(protocol.data_to_send())
            if protocol.state is not OPEN:
                failed, sent = protocol.close_rcvd != protocol.close_sent, protocol.close_sent
                self.close = CloseReceived(code=sent.code, reason=sent.reason, failed=failed)

    def take(self, event: Frame) -> None:
        if event.opcode not in (TEXT, BINARY, CONT):
            return
        if event.opcode not in (self.own, CONT):
            name = "text" if self.own == TEXT else "binary"
            self.protocol.fail(1003, f"this subprotocol has {name} messages only")
            return
        self.fragments.append(event.data)
        if len(self.fragments) > FRAGMENTS_MAX:
            self.protocol.fail(1009, f"more than {FRAGMENTS_MAX} fragments")
        elif event.fin:
            message, self.fragments = b"".join(self.fragments), []
            try:
                if self.own == TEXT:
                    message.decode()
                self.messages.append(message)
            except UnicodeDecodeError:
                self.protocol.fail(1007, "text is not UTF-8")

    def at_message_boundary(self) -> bool:
        """True when nothing of a frame or message is pending.

        An empty `reader.buffer` alone does not tell: `read_exact` may hold a header already.
        What tells is that the parser waits in `at_eof`, where it begins a frame.
        """
        protocol, waits_in = self.protocol, self.protocol.parser.gi_yieldfrom
        return (
            protocol.state is OPEN
            and protocol.current_size is None
            and not protocol.reader.buffer
            and waits_in is not None
            and waits_in.__name__ == "at_eof"
        )


def holds_nothing(reader: FrameReader) -> bool:
    return reader._part is None and reader._protocol is None and reader._fragments is None


def check_equal(stream: bytes, cuts: Iterator[int], *, text: bool) -> None:
    """The reader and the reference agree after every piece of the stream."""
    reader = FrameReader(text=text, message_bytes_max=400)
    reference = Reference(text=text, message_bytes_max=400)
    messages, written, at = [], b"", 0
    while at < len(stream):
        piece = stream[at : at + next(cuts)]
        at += len(piece)
        messages += reader.receive(piece)
        written += reader.take_replies()
        reference.receive(piece)
        assert messages == reference.messages
        assert written == reference.written
        assert reader.close == reference.close
        idle = reference.close is not None or reference.at_message_boundary()
        assert holds_nothing(reader) == idle
        assert reader._part is None or len(reader._part) <= 400 + 14


TEXTS = st.sampled_from(["", "a", "{}", "é", "€uro", "😀" * 31, "x" * 125, "x" * 126, "y" * 399])
BLOBS = st.sampled_from([b"\xff", b"\x80abc", b"\xed\xa0\x80", b"\xc0\x80", b"z" * 127, bytes(400)])
PAYLOADS = TEXTS.map(str.encode) | BLOBS
PLAIN = st.builds(frame, st.just(TEXT) | st.just(BINARY), PAYLOADS)
CONTROL = st.builds(
    frame, st.sampled_from([PING, PONG, PING, PONG, CLOSE]),
    st.sampled_from([b"", b"p", b"q" * 125, b"\x03\xe8bye", b"\x03\xe8", b"\x0f\xa1\xff"]),
)  # fmt: skip
# Cut anywhere, a character's bytes too; pings between the fragments.
FRAGMENTED = st.builds(
    lambda opcode, parts, ping: (
        frame(opcode, parts[0], fin=False)
        + b"".join(frame(CONT, part, fin=False) + ping for part in parts[1:-1])
        + frame(CONT, parts[-1])
    ),
    st.just(TEXT) | st.just(BINARY),
    st.lists(st.sampled_from([b"", b"a", "é".encode(), b"\xc3", b"\xa9", b"b" * 150]), min_size=2),
    st.sampled_from([b"", frame(PING, b"between"), frame(PONG)]),
)
ODD = st.builds(
    frame, st.integers(0, 15), PAYLOADS, fin=st.booleans(), masked=st.booleans(),
    rsv=st.sampled_from([0, 0, 0, 4, 1]), form=st.sampled_from([0, 126, 127]),
)  # fmt: skip
PIECES = st.lists(PLAIN | PLAIN | CONTROL | FRAGMENTED | ODD, max_size=8)
CUTS = st.lists(st.sampled_from([1, 1, 2, 3, 5, 7, 40, 150, 1_000]), min_size=1, max_size=20)


@settings(max_examples=250, deadline=None, derandomize=True, database=None)
@given(PIECES, CUTS, st.booleans())
def test_the_reader_is_a_protocol(pieces: list[bytes], cuts: list[int], text: bool) -> None:
    """Messages, replies, close and what is held are equal after every cut of every stream."""
    stream = b"".join(pieces)
    check_equal(stream, iter(cuts * (len(stream) + 1)), text=text)


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(PIECES.filter(any), CUTS, st.booleans(), st.integers(0, 10_000), st.integers(1, 255))
def test_a_damaged_stream_is_judged_alike(
    pieces: list[bytes], cuts: list[int], text: bool, at: int, flip: int
) -> None:
    """The same holds with any one byte changed: no damage is read in two ways."""
    stream = bytearray(b"".join(pieces))
    stream[at % len(stream)] ^= flip
    check_equal(bytes(stream), iter(cuts * (len(stream) + 1)), text=text)


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(st.binary(max_size=60), CUTS, st.booleans())
def test_noise_is_judged_alike(noise: bytes, cuts: list[int], text: bool) -> None:
    """The same holds for bytes that are no WebSocket at all; nothing raises."""
    check_equal(noise, iter(cuts * (len(noise) + 1)), text=text)


@pytest.mark.parametrize("piece", [1, 2, 3])
def test_half_a_header_is_no_boundary(piece: int) -> None:
    """Rule 15: a Protocol that took half a frame's header has an empty buffer, and is not done.

    If this fails after an upgrade of `websockets`, review `_take_other`.
    """
    ping, protocol = frame(PING, b"abc"), Protocol(SERVER)
    protocol.receive_data(ping[:2])
    assert not protocol.reader.buffer
    assert protocol.parser.gi_yieldfrom.__name__ != "at_eof"
    protocol.receive_data(ping[2:])
    assert protocol.parser.gi_yieldfrom.__name__ == "at_eof"

    for unusual in (ping, frame(BINARY, b"a", fin=False) + frame(CONT, b"b")):
        stream = unusual + frame(BINARY, b"after") + unusual
        check_equal(stream, iter([piece] * len(stream)), text=False)


@pytest.mark.parametrize("size", [65_535, 65_536, 100_000])
@pytest.mark.parametrize("form", [0, 127])
@pytest.mark.parametrize("piece", [999, 1 << 20])
def test_large_frames_arrive_whole(size: int, form: int, piece: int) -> None:
    """Every length form is read up to the limit, in one piece or in many."""
    stream = frame(BINARY, b"\x5a" * size, form=form) + frame(BINARY, b"after")
    reader = FrameReader(text=False, message_bytes_max=100_000)
    cut = [stream[at : at + piece] for at in range(0, len(stream), piece)]

    assert [m for part in cut for m in reader.receive(part)] == [b"\x5a" * size, b"after"]
    assert holds_nothing(reader)


def test_a_large_frame_in_small_reads_grows_in_place() -> None:
    """1 MiB in 1 KiB reads: one buffer is appended to, never joined anew, so time is linear."""
    stream = frame(BINARY, bytes(1 << 20))
    reader = FrameReader(text=False, message_bytes_max=1 << 20)
    reader.receive(stream[:1024])
    part = reader._part

    for at in range(1024, len(stream) - 1024, 1024):
        assert reader.receive(stream[at : at + 1024]) == []
        assert reader._part is part is not None
    assert reader.receive(stream[at + 1024 :]) == [bytes(1 << 20)]


def end_of(*stream: bytes, text: bool = False) -> tuple[list[bytes], bytes, CloseReceived | None]:
    """(messages, replies, close) of a stream taken at once."""
    reader = FrameReader(text=text, message_bytes_max=1_000)
    messages = reader.receive(b"".join(stream))
    return messages, reader.take_replies(), reader.close


@pytest.mark.parametrize(
    ("clause", "code", "stream"),
    [
        ("5.1 a client's frame is masked", 1002, frame(BINARY, b"x", masked=False)),
        ("5.2 RSV1 is 0 without an extension", 1002, frame(BINARY, b"x", rsv=4)),
        ("5.2 RSV3 is 0 without an extension", 1002, frame(BINARY, b"x", rsv=1)),
        ("5.2 opcode 3 is reserved", 1002, frame(3, b"x")),
        ("5.2 opcode 15 is reserved", 1002, frame(15, b"x")),
        ("5.4 a continuation continues something", 1002, frame(CONT, b"x")),
        ("5.4 messages do not interleave", 1002, frame(BINARY, fin=False) + frame(BINARY)),
        ("5.5 a control frame has ≤ 125 bytes", 1002, frame(PING, b"x" * 126)),
        ("5.5 a control frame is whole", 1002, frame(PING, fin=False)),
        ("5.5.1 a close body is not 1 byte", 1002, frame(CLOSE, b"x")),
        ("5.5.1 a reason is UTF-8", 1007, frame(CLOSE, b"\x03\xe8\xff")),
        ("7.4.1 1005 does not travel", 1002, frame(CLOSE, b"\x03\xed")),
        ("7.4.2 999 is unused", 1002, frame(CLOSE, b"\x03\xe7")),
        ("5.4 close does not cut a message short", 1002, frame(BINARY, fin=False) + frame(CLOSE)),
        ("5.6 text where binary is spoken", 1003, frame(TEXT, b"x")),
        ("5.6 a text fragment where binary is spoken", 1003, frame(TEXT, b"x", fin=False)),
        ("10.4 too big", 1009, frame(BINARY, bytes(1_001))),
        ("10.4 too big, 64-bit length", 1009, frame(BINARY, bytes(70_000))),
        ("10.4 too big in sum", 1009, frame(BINARY, b"x", fin=False) + frame(CONT, bytes(1_000))),
        ("10.4 too many", 1009, frame(BINARY, fin=False) + FRAGMENTS_MAX * frame(CONT, fin=False)),
    ],
)  # fmt: skip
def test_a_broken_rule_fails_the_connection(clause: str, code: int, stream: bytes) -> None:
    """RFC 6455, 7.1.7: a close frame with the clause's code goes out, and nothing more is read."""
    before, after = frame(BINARY, b"before"), frame(PING) + frame(BINARY, b"after")

    messages, replies, close = end_of(before, stream, after)

    assert close is not None
    assert (close.code, close.failed) == (code, True), clause
    assert messages == [b"before"]
    assert replies[:4] == b"\x88" + bytes((2 + len(close.reason),)) + code.to_bytes(2, "big")
    assert replies[4:] == close.reason.encode()


@pytest.mark.parametrize("bad", [b"\xff", b"a\xc3", b"\xc0\xaf", b"\xed\xa0\x80", b"{}\x80"])
def test_text_is_utf8(bad: bytes) -> None:
    """RFC 6455, 8.1: text that is no UTF-8 fails with 1007, whole or in fragments."""
    good, in_two = frame(TEXT, b"{}"), frame(TEXT, bad[:1], fin=False) + frame(CONT, bad[1:])
    messages, replies, close = end_of(good, frame(TEXT, bad), good, text=True)

    assert (messages, replies, close) == end_of(good, in_two, good, text=True)
    assert messages == [b"{}"]
    assert close == CloseReceived(code=1007, reason="text is not UTF-8", failed=True)


def test_a_character_may_be_cut_by_fragments() -> None:
    """RFC 6455, 5.6: a fragment need not be UTF-8 by itself, the message must be."""
    emoji = "😀".encode()
    pieces = [frame(TEXT, emoji[:1], fin=False), frame(CONT, emoji[1:3], fin=False)]

    assert end_of(*pieces, frame(CONT, emoji[3:]), text=True) == ([emoji], b"", None)


def test_oversize_fails_at_its_header() -> None:
    """What is too big is refused before a byte of it is buffered."""
    reader = FrameReader(text=False, message_bytes_max=1_000)

    assert reader.receive(frame(BINARY, bytes(1_001))[:4]) == []
    assert reader.close is not None
    assert reader.close.code == 1009


def test_fragments_up_to_the_limits_are_one_message() -> None:
    """The limits themselves are allowed: exactly as many fragments, exactly as many bytes."""
    first, last = frame(BINARY, bytes(500), fin=False), frame(CONT, bytes(500))
    between = frame(CONT, fin=False) * (FRAGMENTS_MAX - 2)

    assert end_of(first, between, last) == ([bytes(1_000)], b"", None)


@pytest.mark.parametrize(
    ("body", "code", "reason"),
    [(b"\x0f\xa0bye", 4000, "bye"), (b"\x03\xe8", 1000, ""), (b"", 1005, "")],
)
def test_a_close_is_echoed(body: bytes, code: int, reason: str) -> None:
    """RFC 6455, 5.5.1: the client's close comes back as it was (7.1.5: no code is 1005)."""
    messages, replies, close = end_of(frame(CLOSE, body), frame(BINARY, b"after"))

    assert (messages, replies) == ([], b"\x88" + bytes((len(body),)) + body)
    assert close == CloseReceived(code=code, reason=reason, failed=False)


def test_pings_are_answered_and_pongs_are_not() -> None:
    """RFC 6455, 5.5.2 and 5.5.3: each ping's payload comes back in order; messages go on."""
    stream = [frame(PING, b"1"), frame(PONG), frame(BINARY, b"x"), frame(PONG, b"?"), frame(PING)]

    assert end_of(*stream) == ([b"x"], b"\x8a\x011\x8a\x00", None)


def test_replies_are_taken_once() -> None:
    """`replies` is None when there is nothing to write: that is the cheap question."""
    reader = FrameReader(text=False, message_bytes_max=1_000)
    assert reader.replies is None
    assert reader.take_replies() == b""
    reader.receive(frame(PING))
    assert reader.take_replies() == b"\x8a\x00"
    assert reader.replies is None


@pytest.mark.parametrize(
    ("before", "code"),
    [(b"", 1006), (b"\x82", 1006), (frame(BINARY, fin=False), 1006), (frame(CLOSE), 1005)],
)
def test_the_end_of_the_stream_is_1006(before: bytes, code: int) -> None:
    """RFC 6455, 7.1.5: without a close frame the code is 1006; the first end is the one told."""
    reader = FrameReader(text=False, message_bytes_max=1_000)
    reader.receive(before)
    reader.receive_eof()

    assert reader.close == CloseReceived(code=code, reason="", failed=False)
    assert holds_nothing(reader)
    assert reader.receive(frame(BINARY, b"late")) == []


def test_an_idle_reader_is_tiny() -> None:
    """At a message boundary a connection holds no parser and no buffer, whatever came before."""
    fragmented = frame(BINARY, fin=False) + frame(PING) + frame(CONT, b"y" * 200)
    stream = frame(BINARY, b"x" * 300) + frame(PING, b"p") + frame(PONG) + fragmented
    readers = [FrameReader(text=False, message_bytes_max=1_000) for _ in range(1_000)]
    tracemalloc.start()
    for reader in readers:
        reader.receive(stream[:310])
        reader.receive(stream[310:])
        reader.take_replies()
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert all(map(holds_nothing, readers))
    assert sys.getsizeof(readers[0]) <= 104
    assert grown < 10_000


@pytest.mark.parametrize(
    "ending",
    # The last one is ended by the end of the stream.
    [frame(PING), frame(CLOSE), frame(BINARY, rsv=4), frame(TEXT), frame(BINARY, fin=False)],
)
def test_a_parser_leaves_no_garbage(ending: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Protocol is a cycle (a generator, a traceback), yet goes without the garbage collector.

    The server raises the collector's threshold, so what waits for it is memory held.
    """
    made: list[weakref.ref[Protocol]] = []

    class Watched(Protocol):
        def __init__(self, *args: object, **kwargs: object) -> None:
            super().__init__(*args, **kwargs)
            made.append(weakref.ref(self))

    monkeypatch.setattr(frames, "Protocol", Watched)
    reader = FrameReader(text=False, message_bytes_max=1_000)
    gc.disable()
    try:
        reader.receive(ending)
        reader.receive_eof()
        assert [protocol() for protocol in made] == [None]
    finally:
        gc.enable()


def test_the_plain_way_needs_no_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    """Data frames whole or halved, and pongs to our empty pings, never make a Protocol."""
    monkeypatch.setattr(frames, "Protocol", None)
    stream = frame(BINARY, b"x" * 300) + frame(PONG) + frame(BINARY, b"y")

    for piece in (1, 3, 7, 1_000):
        reader = FrameReader(text=False, message_bytes_max=1_000)
        cut = [stream[at : at + piece] for at in range(0, len(stream), piece)]
        assert [m for part in cut for m in reader.receive(part)] == [b"x" * 300, b"y"]


def test_the_examples_are_true() -> None:
    """Each docstring's example runs as printed."""
    assert doctest.testmod(frames).failed == 0
