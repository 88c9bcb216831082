"""The cases. Each is what a client sends, and what RFC 6455 lets it expect."""

from typing import Final, final

import msgspec
from msgspec import Struct

from ..client_frames import BINARY, CLOSE, CONT, PING, PONG, TEXT, frame

ROOM: Final = "rfc6455"
_KEY: Final = b"\x37\xfa\x21\x3d"
_HI: Final = "Hello"


@final
class Case(Struct, frozen=True, kw_only=True):
    """One case.

    Attributes:
        name: the number in the Autobahn test suite, and what is tried.
        clause: of RFC 6455.
        frames: what is sent, frame by frame.
        texts: what must come back, in order.
        pongs: payloads of the pongs that must come, in order.
        close: the code that the server must close with; None: it must stay open.
        also: other codes that are allowed, where the RFC leaves a choice (non-strict).
    """

    name: str
    clause: str
    frames: tuple[bytes, ...]
    texts: tuple[str, ...] = ()
    pongs: tuple[bytes, ...] = ()
    close: int | None = None
    also: tuple[int | None, ...] = ()


def say(text: str, size: int = 0) -> bytes:
    """Return a message that comes back, padded with blanks to `size` bytes."""
    asked = {"op": "send", "room": ROOM, "body": {"text": text}}
    return msgspec.json.encode(asked).ljust(size)


def hi(text: str = _HI) -> bytes:
    """Return a good message as one frame."""
    return frame(TEXT, say(text), key=_KEY)


def fragments(payload: bytes, *sizes: int) -> tuple[bytes, ...]:
    """Cut a message after so many bytes each; the rest is the last fragment."""
    found, at = [], 0
    for index, size in enumerate(sizes):
        part = payload[at : at + size]
        found.append(frame(CONT if index else TEXT, part, key=_KEY, fin=False))
        at += size
    return (*found, frame(CONT, payload[at:], key=_KEY))


def ping(payload: bytes = b"") -> bytes:
    """Return a ping."""
    return frame(PING, payload, key=_KEY)


def close(code: int | None = 1000, reason: bytes = b"") -> bytes:
    """Return a close frame."""
    return frame(CLOSE, b"" if code is None else code.to_bytes(2, "big") + reason, key=_KEY)


def _sizes() -> list[Case]:
    """1: every form of a length, whole."""
    sizes = (125, 126, 127, 128, 1_000, 65_535, 65_536, 131_072)
    return [
        Case(
            name=f"1.1: a message of {size} bytes",
            clause="5.2",
            frames=(frame(TEXT, say("é", size), key=_KEY),),
            texts=("é",),
        )
        for size in sizes
    ]


_PINGS: Final = (
    Case(name="2.1: an empty ping", clause="5.5.2", frames=(ping(),), pongs=(b"",)),
    Case(name="2.2: a ping with text", clause="5.5.2", frames=(ping(b"Hi"),), pongs=(b"Hi",)),
    Case(
        name="2.3: a ping with bytes that are no text",
        clause="5.5.2",
        frames=(ping(b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff"),),
        pongs=(b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff",),
    ),
    Case(
        name="2.4: a ping of 125 bytes", clause="5.5", frames=(ping(b"\xfe" * 125),),
        pongs=(b"\xfe" * 125,),
    ),
    Case(name="2.5: a ping of 126 bytes", clause="5.5", frames=(ping(b"x" * 126),), close=1002),
    Case(name="2.7: a pong nobody asked for", clause="5.5.3", texts=(_HI,),
         frames=(frame(PONG), hi())),
    Case(
        name="2.9: a pong nobody asked for, then a ping", clause="5.5.3",
        frames=(frame(PONG, b"mine"), ping(b"yours")), pongs=(b"yours",),
    ),
    Case(
        name="2.10: ten pings", clause="5.5.3",
        frames=tuple(ping(b"%d" % n) for n in range(10)), pongs=tuple(b"%d" % n for n in range(10)),
    ),
)  # fmt: skip


def _reserved() -> list[Case]:
    """3 and 4: bits and opcodes that mean nothing yet."""
    bits = [
        Case(
            name=f"3.{rsv}: reserved bits {rsv:03b}", clause="5.2",
            frames=(hi(), frame(opcode, payload, key=_KEY, rsv=rsv), ping()),
            texts=(_HI,), close=1002,
        )
        for rsv in range(1, 8)
        for opcode, payload in ((TEXT, say("no")), (PING, b""), (CLOSE, b""))
    ]  # fmt: skip
    opcodes = [
        Case(
            name=f"4: opcode {opcode}, {len(payload)} bytes", clause="5.2",
            frames=(hi(), frame(opcode, payload, key=_KEY), ping()), texts=(_HI,), close=1002,
        )
        for opcode in (*range(3, 8), *range(11, 16))
        for payload in (b"", b"x" * 10)
    ]  # fmt: skip
    return bits + opcodes


_HALF: Final = fragments(say(_HI), 9)
_FRAGMENTS: Final = (
    Case(name="5.1: a ping in fragments", clause="5.5", close=1002,
         frames=(frame(PING, b"a", fin=False), frame(CONT, b"b"))),
    Case(name="5.2: a pong in fragments", clause="5.5", close=1002,
         frames=(frame(PONG, b"a", fin=False), frame(CONT, b"b"))),
    Case(name="5.3: a message in two fragments", clause="5.4", frames=_HALF, texts=(_HI,)),
    Case(name="5.6: a ping between fragments", clause="5.4", texts=(_HI,), pongs=(b"between",),
         frames=(_HALF[0], ping(b"between"), _HALF[1])),
    Case(name="5.9: a continuation of nothing, final", clause="5.4", close=1002,
         frames=(frame(CONT, b"x"), hi())),
    Case(name="5.12: a continuation of nothing, not final", clause="5.4", close=1002,
         frames=(frame(CONT, b"x", fin=False), hi())),
    Case(name="5.15: a continuation after a message in fragments", clause="5.4", texts=(_HI,),
         frames=(*_HALF, frame(CONT, b"x"), hi()), close=1002),
    Case(name="5.18: a message within another", clause="5.4", close=1002,
         frames=(frame(TEXT, b"a", fin=False), frame(TEXT, b"b"))),
    Case(name="5.19: pings between many fragments", clause="5.4", texts=(_HI,),
         pongs=(b"1", b"2"),
         frames=(*(many := fragments(say(_HI), 3, 4, 5, 6))[:2], ping(b"1"), many[2], ping(b"2"),
                 *many[3:])),
    Case(name="5.21: empty fragments", clause="5.4", texts=(_HI,),
         frames=fragments(say(_HI), 0, 0, 5, 0, 4, 0)),
    Case(name="5: an unmasked frame", clause="5.1", texts=(_HI,), close=1002,
         frames=(hi(), frame(TEXT, say("no"), masked=False))),
    Case(name="5: the other data type", clause="5.6", texts=(_HI,), close=1003,
         frames=(hi(), frame(BINARY, say("no"), key=_KEY))),
)  # fmt: skip

# After Markus Kuhn's stress test: first and last of each length, and what is none.
VALID_TEXTS: Final = (
    "κόσμε", "\x01", "\x7f", "\x80", "\u07ff", "\u0800", "\ud7ff", "\ue000", "\ufffd", "\uffff",
    "\U00010000", "\U0001f600", "\U0010ffff", "\ufeffx", "Hello-µ@ßöäüàá-UTF-8!!", "\U0001fffe",
)  # fmt: skip
INVALID_BYTES: Final = tuple(
    bytes.fromhex(one)
    for one in (
        "80", "bf", "80bf", "80bf80", "c0", "c020", "e020", "f020", "f820", "fc20", "c3", "e0a0",
        "ef80", "f08080", "f7bfbf", "fe", "ff", "fefeffff", "c0af", "e080af", "f08080af",
        "f8808080af", "fc80808080af", "c1bf", "e09fbf", "f08fbfbf", "c080", "e08080", "f0808080",
        "eda080", "edad bf".replace(" ", ""), "edb080", "edbfbf", "eda080edb080", "edafbfedbfbf",
        "f4908080", "f5808080", "f888808080", "cebae1bdb9cf83cebcceb5eda080656469746564",
    )
)  # fmt: skip


def _texts() -> list[Case]:
    """6: UTF-8, whole, in fragments, and fragments cut within a character."""
    found = []
    for text in VALID_TEXTS:
        payload = say(text)
        at = payload.index(b'"text":"') + 8
        for name, frames in (
            ("whole", (frame(TEXT, payload, key=_KEY),)),
            ("byte by byte", fragments(payload, at, *[1] * len(text.encode()))),
        ):
            found.append(
                Case(name=f"6.2: {text!a} {name}", clause="8.1", frames=frames, texts=(text,))
            )
    for bad in INVALID_BYTES:
        payload = say("?").replace(b"?", bad)
        at = payload.index(bad) + 1
        for name, frames in (
            ("whole", (frame(TEXT, payload, key=_KEY),)),
            ("in fragments", fragments(payload, at)),
        ):
            found.append(
                Case(
                    name=f"6.3: {bad.hex()} {name}",
                    clause="8.1",
                    frames=(hi(), *frames, ping()),
                    texts=(_HI,),
                    close=1007,
                )
            )
    return found


_VALID_CODES: Final = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)
_INVALID_CODES: Final = (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535)
_CLOSES: Final = (
    Case(name="7.1.1: a message, then a close", clause="5.5.1", frames=(hi(), close()),
         texts=(_HI,), close=1000),
    Case(name="7.1.2: two closes", clause="5.5.1", frames=(close(), close()), close=1000),
    Case(name="7.1.3: a ping after the close", clause="5.5.1", frames=(close(), ping(b"no")),
         close=1000),
    Case(name="7.1.4: a message after the close", clause="5.5.1", frames=(close(), hi()),
         close=1000),
    Case(name="7.1.5: a close within a message", clause="5.4", close=1000, also=(1002,),
         frames=(_HALF[0], close(), _HALF[1])),
    Case(name="7.1.6: a long message, a close, a ping", clause="5.5.1", texts=("x",), close=1000,
         frames=(frame(TEXT, say("x", 131_072), key=_KEY), close(), ping(b"no"))),
    Case(name="7.3.1: a close without a code", clause="7.1.5", frames=(close(None),), close=1005),
    Case(name="7.3.2: a close of one byte", clause="5.5.1", close=1002,
         frames=(frame(CLOSE, b"\x03", key=_KEY),)),
    Case(name="7.3.5: a reason of 123 bytes", clause="5.5", close=1000,
         frames=(close(1000, b"r" * 123),)),
    Case(name="7.3.6: a reason of 124 bytes", clause="5.5", close=1002,
         frames=(close(1000, b"r" * 124),)),
    Case(name="7.5.1: a reason that is no text", clause="5.5.1", close=1007,
         frames=(close(1000, INVALID_BYTES[-1]),)),
    *(Case(name=f"7.7: close with {code}", clause="7.4", frames=(close(code, b"bye"),), close=code)
      for code in _VALID_CODES),
    *(Case(name=f"7.9: close with {code}", clause="7.4", frames=(close(code, b"bye"),), close=1002)
      for code in _INVALID_CODES),
)  # fmt: skip

# The default of `message_bytes_max`; a deployment may have set another one.
_BYTES_MAX: Final = 131_072
_LIMITS: Final = (
    Case(name="9.1: a message at the limit", clause="10.4", texts=("x" * 32_000,),
         frames=(frame(TEXT, say("x" * 32_000, _BYTES_MAX), key=_KEY),)),
    Case(name="9.2: a message above the limit", clause="10.4", close=1009,
         frames=(frame(TEXT, say("x", _BYTES_MAX + 1), key=_KEY),)),
    Case(name="9.3: fragments at the limit together", clause="10.4", texts=("x",),
         frames=fragments(say("x", _BYTES_MAX), *[16_384] * 7)),
    Case(name="9.4: fragments above the limit together", clause="10.4", close=1009,
         frames=fragments(say("x", _BYTES_MAX + 1), *[16_384] * 8)),
    Case(name="9: a length of 2^63", clause="5.2", close=1009, also=(1002,),
         frames=(frame(TEXT, b"", key=_KEY, form=127, size=1 << 63),)),
    Case(name="9.7: two hundred small messages", clause="5.4", texts=tuple(map(str, range(200))),
         frames=tuple(hi(str(number)) for number in range(200))),
    Case(name="10.1.1: a message in 51 fragments", clause="5.4", texts=("x",),
         frames=fragments(say("x", 65_536), *[1_300] * 50)),
    Case(name="12.1: a compressed frame, though nothing was agreed", clause="5.2", close=1002,
         frames=(frame(TEXT, bytes.fromhex("f248cdc9c90700"), key=_KEY, rsv=4),)),
)  # fmt: skip

CASES: Final = (
    *_sizes(), *_PINGS, *_reserved(), *_FRAGMENTS, *_texts(), *_CLOSES, *_LIMITS,
)  # fmt: skip
