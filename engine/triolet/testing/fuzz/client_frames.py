"""Frames as clients send them, right and wrong, and streams of many of them."""

from random import Random
from typing import Final

from .mutations import mutated

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

PAYLOADS: Final = (
    b"", b"a", b"{}", "é".encode(), "€uro".encode(), "😀".encode() * 31, b"x" * 125, b"x" * 126,
    b"y" * 399, b"z" * 400, b'{"op":"ping","ref":1}', b"\x82\xa2op\xa4ping\xa3ref\x01",
)  # fmt: skip
# No UTF-8, in the ways in which RFC 3629 has it: a stray byte, a surrogate, an overlong form, a
# character beyond the last one.
BLOBS: Final = (
    b"\xff", b"\x80abc", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"{}\xc3",
    b"\x81\x80\x00\x00\x00\x00",
)  # fmt: skip
_PARTS: Final = (b"", b"a", "é".encode(), b"\xc3", b"\xa9", b"b" * 150, b"\xf0\x9f", b"\x98\x80")
_CLOSES: Final = (
    b"", b"\x03\xe8", b"\x03\xe8bye", b"\x0f\xa0\xc3\xa9", b"\x03", b"\x03\xe8\xff", b"\x03\xed",
    b"\x03\xee", b"\x03\xe7", b"\x03\xf4", b"\x03\xf6", b"\x03\xf7", b"\x0b\xb8", b"\x13\x87",
    b"\x13\x88", b"\xff\xff", b"\x00\x00", b"\x03\xec", b"\x03\xe8" + b"r" * 123,
)  # fmt: skip
_KEYS: Final = (b"\0\0\0\0", b"\x11\x80\xfe\x37", b"\xff\xff\xff\xff", b"{}{}")

# Frames kept ready: to make each of a stream's frames anew would cost as much as judging them.
_POOL: Final = 256
_FRESH: Final = 6


def frame(
    opcode: int, payload: bytes = b"", *, key: bytes = b"\0\0\0\0", fin: bool = True,
    masked: bool = True, rsv: int = 0, form: int = 0, size: int | None = None,
) -> bytes:  # fmt: skip
    r"""Make one client frame.

    Args:
        opcode: 0 to 15.
        payload: before masking.
        key: the masking key.
        fin: whether it is the last of its message.
        masked: whether it is masked, as a client's must be.
        rsv: the three reserved bits, 0 to 7.
        form: 126 or 127 forces a longer form of the length than needed.
        size: what the length says, if that is a lie.

    >>> frame(PING)
    b'\x89\x80\x00\x00\x00\x00'
    >>> frame(TEXT, b"Hello", key=bytes.fromhex("37fa213d")).hex()  # RFC 6455, 5.7
    '818537fa213d7f9f4d5158'
    """
    size = len(payload) if size is None else size
    form = max(form, 0 if size < 126 else 126 if size < 65_536 else 127)
    length = size.to_bytes({0: 0, 126: 2, 127: 8}[form], "big") if form else b""
    head = bytes((fin << 7 | rsv << 4 | opcode, masked << 7 | (form or size))) + length
    return head + key + _masked(payload, key) if masked else head + payload


def _masked(payload: bytes, key: bytes) -> bytes:
    size = len(payload)
    keys = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(keys, "big")).to_bytes(size, "big")


def whole(chance: Random, opcode: int, payload: bytes) -> bytes:
    """Return one message, mostly as one frame, else in fragments with controls between them."""
    key = chance.choice(_KEYS)
    if chance.random() < 0.85 or len(payload) < 2:
        return frame(opcode, payload, key=key)
    cut = chance.randrange(len(payload))
    between = control(chance) if chance.random() < 0.5 else b""
    first = frame(opcode, payload[:cut], key=key, fin=False)
    return first + between + frame(CONT, payload[cut:], key=key)


def control(chance: Random) -> bytes:
    """Return a ping or a pong."""
    payload = chance.choice((b"", b"p", b"q" * 125, b"\xff\x00"))
    return frame(chance.choice((PING, PONG)), payload, key=chance.choice(_KEYS))


def odd(chance: Random) -> bytes:
    """Return a frame that some rule is likely to forbid."""
    payload = chance.choice((*PAYLOADS, *BLOBS))
    kind = chance.randrange(8)
    if kind == 0:
        return frame(CLOSE, chance.choice(_CLOSES))
    if kind == 1:
        return frame(chance.randrange(16), payload, fin=chance.random() < 0.5)
    if kind == 2:
        return frame(chance.choice((TEXT, BINARY)), payload, rsv=chance.randrange(1, 8))
    if kind == 3:
        return frame(chance.choice((TEXT, BINARY, PING)), payload, masked=False)
    if kind == 4:
        return frame(chance.choice((PING, PONG, CLOSE)), b"q" * 126)
    if kind == 5:
        size = chance.choice((0, 1, 125, 126, 65_535, 65_536, 1 << 31, 1 << 62, (1 << 64) - 1))
        return frame(chance.choice((TEXT, BINARY, PING)), payload, form=127, size=size)
    if kind == 6:
        parts = [frame(CONT, part, fin=False) for part in chance.choices(_PARTS, k=8)]
        return frame(chance.choice((TEXT, BINARY)), fin=False) + b"".join(parts) + frame(CONT)
    return frame(
        chance.choice((TEXT, BINARY)), chance.choice(BLOBS), form=chance.choice((0, 126, 127))
    )


class Streams:
    """Makes streams of frames; most of what is in them is right, so that much of them is read.

    Args:
        chance: decides everything.
        payloads: what messages carry.
    """

    def __init__(self, chance: Random, payloads: tuple[bytes, ...] = PAYLOADS) -> None:
        self._chance = chance
        self._payloads = payloads
        # Of one data type each, for a frame of the other one ends a connection.
        self._pools = {
            opcode: [self.unit(opcode) for _ in range(_POOL)] for opcode in (TEXT, BINARY)
        }

    def unit(self, opcode: int) -> bytes:
        """Return a message or a control, valid or not for its data type's sake alone."""
        chance = self._chance
        if chance.random() < 0.1:
            return control(chance)
        return whole(chance, opcode, chance.choice(self._payloads))

    def stream(self, opcode: int) -> bytes:
        """Return a stream of messages of one data type; two in three are damaged somewhere."""
        chance, pool = self._chance, self._pools[opcode]
        for _ in range(_FRESH):
            pool[chance.randrange(_POOL)] = self.unit(opcode)
        units = chance.choices(pool, k=chance.choice((1, 3, 20, 60, 60, 60)))
        damage = chance.random()
        if damage < 0.45:
            units.insert(chance.randrange(len(units) + 1), odd(chance))
        elif damage < 0.65:
            at = chance.randrange(len(units))
            units[at] = mutated(units[at], chance, pool)
        stream = b"".join(units)
        if 0.6 < damage < 0.7:
            stream = mutated(stream, chance, pool)
        return stream
