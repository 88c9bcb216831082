"""The whole connection: bytes from a socket through the edge into a session of an engine.

An input is what one client sends after a request head: mostly a hello, then commands, right and
wrong, in frames, right and wrong. The client reads, reads little, never reads, or vanishes.
Nothing may crash or hang, no buffer may pass its bound, nothing of the client may be left, and
two others must be able to talk.
"""

from collections.abc import Sequence
from random import Random
from typing import ClassVar, Final, final

import trio
import trio.testing

from triolet._wire.codec import Format

from ..client_frames import BINARY, TEXT, control, frame, odd, whole
from ..cuts import pieces
from ..grammar import ROOMS, USERS, command, damaged, encoded
from ..mutations import mutated
from ..stage import Stage, open_stage
from ..stand_ins import Manner

# Text and turn (bits 0 and 1 of the first), the client's manner, and the seed of the cuts.
FLAG_BYTES: Final = 5
# Inputs between two looks at whether the others can talk.
_TALK_EVERY: Final = 8
_HEAD: Final = (
    "GET /ws HTTP/1.1\r\nHost: a.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Protocol: triolet.v1.{form}\r\n\r\n"
)
_HEADS: Final = {
    False: _HEAD.format(form="msgpack").encode(),
    True: _HEAD.format(form="json").encode(),
}
# Commands kept ready as frames, of which each input has a few new ones.
_POOL: Final = 512
_FRESH: Final = 8


@final
class EdgeTarget:
    """See the module, and `target.Target`."""

    name: ClassVar[str] = "edge"
    unit: ClassVar[str] = "frames"
    batch: ClassVar[int] = 64

    def __init__(self) -> None:
        self._pools: dict[bool, list[bytes]] = {}

    def invent(self, chance: Random) -> bytes:
        """See `Target`."""
        if not self._pools:
            self._pools = {
                text: [_unit(chance, text=text) for _ in range(_POOL)] for text in (False, True)
            }
        text = chance.random() < 0.5
        pool = self._pools[text]
        for _ in range(_FRESH):
            pool[chance.randrange(_POOL)] = _unit(chance, text=text)
        manner = chance.choice((0, 0, 0, 1, 1, 2, 3))
        flags = bytes((text | chance.randrange(2) << 1, manner)) + chance.randbytes(3)
        return flags + self._stream(chance, pool, text=text)

    def _stream(self, chance: Random, pool: list[bytes], *, text: bool) -> bytes:
        units = chance.choices(pool, k=chance.choice((2, 10, 40, 80, 120)))
        if chance.random() < 0.9:
            hello = encoded({"op": "hello", "token": chance.choice(USERS)}, _form(text=text))
            units.insert(0, frame(TEXT if text else BINARY, hello))
        damage = chance.random()
        if damage < 0.15:
            units.insert(chance.randrange(len(units) + 1), odd(chance))
        elif damage < 0.25:
            at = chance.randrange(len(units))
            units[at] = mutated(units[at], chance, pool)
        elif damage < 0.35:
            # The same again and again: what is asked of one thing adds up, pages most of all.
            again = _greedy(text=text) if chance.random() < 0.5 else chance.choice(pool)
            units += [again] * 100
        return b"".join(units)

    def judge(self, inputs: Sequence[bytes]) -> int:
        """See `Target`."""
        return trio.run(_judge, inputs, clock=trio.testing.MockClock(autojump_threshold=0))


def _form(*, text: bool) -> Format:
    return "json" if text else "msgpack"


def _greedy(*, text: bool) -> bytes:
    """Return a request whose answer is a hundred times as long as it is."""
    asked = {"op": "history", "room": ROOMS[0], "limit": 200}
    return frame(TEXT if text else BINARY, encoded(asked, _form(text=text)))


def _unit(chance: Random, *, text: bool) -> bytes:
    """Return a frame with a command, one in ten damaged as a map, one in ten as bytes."""
    way = chance.random()
    if way < 0.08:
        return control(chance)
    made = command(chance)
    made["ref"] = chance.randrange(1_000)
    if way < 0.18:
        made = damaged(made, chance)
    payload = encoded(made, _form(text=text))
    if 0.18 < way < 0.22:
        payload = mutated(payload, chance)
    return whole(chance, TEXT if text else BINARY, payload)


async def _judge(inputs: Sequence[bytes]) -> int:
    frames = 0
    async with open_stage() as stage:
        for index, data in enumerate(inputs):
            frames += await _converse(stage, data)
            if index % _TALK_EVERY == _TALK_EVERY - 1 or index == len(inputs) - 1:
                await stage.talk()
    return frames


async def _converse(stage: Stage, data: bytes) -> int:
    """Be one client; return how many of its frames were read before its end began."""
    flags, stream = data[:FLAG_BYTES].ljust(FLAG_BYTES, b"\0"), data[FLAG_BYTES:]
    head = _HEADS[bool(flags[0] & 1)]
    sock = stage.connect(Manner(flags[1] % len(Manner)), in_turn=bool(flags[0] & 2))
    read = 0
    for piece in pieces(head + stream, int.from_bytes(flags[2:], "big")):
        sock.feed(piece)
        await stage.digest(sock)
        if not stage.is_over(sock):
            read = sock.taken
        if sock.closed or sock.is_unread:
            break
    await stage.leave(sock)
    return count_frames(stream[: max(0, read - len(head))])


def count_frames(stream: bytes) -> int:
    """Return how many whole frames a stream begins with.

    >>> count_frames(frame(TEXT, b"{}") * 3 + b"half")
    3
    """
    at, count, end = 0, 0, len(stream)
    while end - at >= 6:
        size = stream[at + 1] & 0x7F
        at += 6
        if size >= 126:
            width = 2 if size == 126 else 8
            size = int.from_bytes(stream[at - 4 : at - 4 + width], "big")
            at += width
        at += size
        count += at <= end
    return count
