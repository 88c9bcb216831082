"""What the connections of a load sent and saw, as a history that the checker can judge.

For our own server alone: the history is of its protocol. A load that is recorded is no
measurement, for the generator decodes everything twice.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, final

from triolet._model.events import Welcome
from triolet._wire.codec import decode_event
from triolet.testing.history import Event, Opened, Writer
from triolet.testing.recorder import Scribe, Tap

from .connection import Connection, kinds
from .frames import BINARY, Frame

# About 400 MB of lines; beyond that, nothing of anybody is recorded any more.
EVENTS_MAX: Final = 2_000_000
_MASK_BYTES: Final = 4


def unmasked(frame: bytes) -> bytes:
    """Return what a client's frame carries.

    >>> from bench.load.frames import masked
    >>> unmasked(masked(BINARY, b"x" * 200)) == b"x" * 200
    True
    """
    length = frame[1] & 0x7F
    start = 2 + {126: 2, 127: 8}.get(length, 0)
    mask, data = frame[start : start + _MASK_BYTES], frame[start + _MASK_BYTES :]
    key = (mask * (len(data) // _MASK_BYTES + 1))[: len(data)]
    mixed = int.from_bytes(data, "big") ^ int.from_bytes(key, "big")
    return mixed.to_bytes(len(data), "big")


@final
class Recorded:
    """A history on its way into a file, and how much of it is there."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self.events = 0
        self.clients = 0

    def write(self, event: Event) -> None:
        """Take an event, unless there are too many."""
        if self.events < EVENTS_MAX:
            self.events += 1
            self._writer.write(event)


@contextmanager
def recorded(path: Path) -> Iterator[Recorded]:
    """Record all connections that are opened while the block lasts."""
    with Writer(path) as writer:
        tape = Recorded(writer)

        class RecordedConnection(Connection):
            """A connection whose frames are noted."""

            __slots__ = ("_tap",)

            def send(self, frame: bytes) -> None:
                tap: Tap | None = getattr(self, "_tap", None)
                if tap is not None and frame[0] == BINARY:
                    tap.leaves(unmasked(frame))
                super().send(frame)

            def take(self, data: bytes) -> list[Frame]:
                frames = super().take(data)
                for first_byte, payload in frames:
                    if first_byte == BINARY:
                        self._note(payload)
                return frames

            def _note(self, payload: bytes) -> None:
                if not hasattr(self, "_tap"):
                    welcome = decode_event(payload, "msgpack")
                    if not isinstance(welcome, Welcome):
                        return
                    tape.clients += 1
                    name = f"{welcome.user}/{tape.clients}"
                    tape.write(Opened(time.monotonic(), name, user=welcome.user, origin="bench"))
                    scribe = Scribe(name, welcome.user, tape.write, time.monotonic)
                    self._tap = Tap(scribe, "msgpack")
                self._tap.arrives(payload)

        kinds.append(RecordedConnection)
        try:
            yield tape
        finally:
            kinds.pop()
