"""The frame edge: the engine's reader against two independent readings of RFC 6455.

The same stream goes to the engine's `FrameReader` in pieces, to a `websockets` Protocol at
once, and, now and then, to `wsproto`. All must give the same messages, and refuse with the
same close code whatever RFC 6455 has a code for.
"""

from collections.abc import Sequence
from random import Random
from typing import ClassVar, Final, final

from ..client_frames import BINARY, BLOBS, PAYLOADS, TEXT, Streams
from ..readings import Reading, read_by_websockets, read_by_wsproto, read_ours
from ..violation import Violation

# What comes before the stream in an input: whether it is text (bit 0), the seed of the cuts.
FLAG_BYTES: Final = 4
# wsproto takes as long as all the rest: it is asked about one input in so many.
_ASKED_EVERY: Final = 8
# Registered with IANA after RFC 6455; wsproto does not know it.
_BAD_GATEWAY: Final = 1014


@final
class FramesTarget:
    """See the module, and `target.Target`."""

    name: ClassVar[str] = "frames"
    unit: ClassVar[str] = "frames"
    batch: ClassVar[int] = 1

    def __init__(self) -> None:
        self._streams: Streams | None = None

    def invent(self, chance: Random) -> bytes:
        """See `Target`."""
        if self._streams is None:
            self._streams = Streams(chance, (*PAYLOADS * 4, *BLOBS))
        flags = chance.randbytes(FLAG_BYTES)
        return flags + self._streams.stream(TEXT if flags[0] & 1 else BINARY)

    def judge(self, inputs: Sequence[bytes]) -> int:
        """See `Target`."""
        return sum(map(_judge, inputs))


def _judge(data: bytes) -> int:
    text, stream = bool(data[:1] and data[0] & 1), data[FLAG_BYTES:]
    seed = int.from_bytes(data[1:FLAG_BYTES], "big")
    ours, written = read_ours(stream, seed, text=text)
    theirs = read_by_websockets(stream, text=text)
    _compare(ours, written, theirs)
    if not seed // 4 % _ASKED_EVERY:
        compare_with_wsproto(ours, read_by_wsproto(stream), text=text)
    return theirs.frames


def _compare(ours: Reading, written: bytes, theirs: Reading) -> None:
    """Compare with the reading of `websockets`, which must be equal in everything."""
    if ours.messages != theirs.messages:
        raise Violation("other messages than websockets reads")
    if (ours.code, ours.failed) != (theirs.code, theirs.failed):
        raise Violation(f"closed with {ours.code} where websockets says {theirs.code}")
    pongs = b"".join(bytes((0x8A, len(payload))) + payload for payload in theirs.pongs)
    if not written.startswith(pongs):
        raise Violation("other pongs than websockets sends")
    rest = written[len(pongs) :]
    if theirs.code is None:
        if rest:
            raise Violation("something is written that nothing asked for")
    elif rest[:1] != b"\x88" or rest[1] != len(rest) - 2:
        raise Violation("the end is not told by one close frame")
    elif (int.from_bytes(rest[2:4], "big") if rest[1] else 1005) != theirs.code:
        raise Violation("the close frame has another code than the close")


def compare_with_wsproto(ours: Reading, theirs: Reading, *, text: bool) -> None:
    """Compare with the reading of `wsproto`, where RFC 6455 leaves no choice.

    Raises:
        Violation: they differ.
    """
    shorter = min(len(ours.messages), len(theirs.messages))
    if ours.messages[:shorter] != theirs.messages[:shorter]:
        raise Violation("other messages than wsproto reads")
    if ours.code in (1003, 1009) or (theirs.failed and theirs.code is None):
        return  # rules of ours, of which it knows nothing; or one of its own
    may_differ = (
        # One judges the beginning of a frame or of a text where the other one waits for more.
        (theirs.failed and ours.code is None and ours.is_open_ended)
        or (ours.failed and theirs.code is None and theirs.is_open_ended)
        or (text and theirs.code == 1007 and ours.code != 1007)
        or ours.code == _BAD_GATEWAY
        # A close frame whose code and reason are both wrong: either may be said.
        or (theirs.failed and {ours.code, theirs.code} == {1002, 1007})
        # A close within a message: `websockets` has it that the message must be whole.
        or (not theirs.failed and theirs.is_open_ended and ours.code == 1002)
    )
    if len(ours.messages) != len(theirs.messages) and not may_differ:
        raise Violation("more or fewer messages than wsproto reads")
    if ours.code != theirs.code and not may_differ:
        raise Violation(f"closed with {ours.code} where wsproto says {theirs.code}")
