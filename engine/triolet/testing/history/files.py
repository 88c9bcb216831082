"""Histories in files: one event a line, JSON."""

from collections.abc import Iterable, Iterator
from heapq import merge as merged
from operator import attrgetter
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, final

import msgspec

from .events import VERSION, Event, Opened

# Write this much at a time: a load test's events come 10⁵ a second, 200 bytes each.
_BUFFER_BYTES: Final = 1 << 20

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Event).decode


class HistoryError(Exception):
    """A file is no history of this version; the message names the line and what is wrong."""


def encode(event: Event) -> bytes:
    r"""Return an event as a line.

    >>> from triolet.testing.history import Acked
    >>> encode(Acked(1.5, "c1", 1, room="lobby", cid="x", seq=7))
    b'{"event":"acked","t":1.5,"client":"c1","conn":1,"room":"lobby","cid":"x","seq":7}\n'
    """
    return _encode(event) + b"\n"


@final
class Writer:
    """A history that grows in a file: `with Writer(path) as writer: writer.write(event)`.

    Raises:
        OSError: the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None

    def __enter__(self) -> "Writer":
        self._file = self._path.open("wb", buffering=_BUFFER_BYTES)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._file is not None
        self._file.close()

    def write(self, event: Event) -> None:
        """Append an event; it is in the file when the block has ended."""
        assert self._file is not None
        self._file.write(encode(event))


def read(lines: Iterable[bytes]) -> Iterator[Event]:
    """Yield the events of a history's lines; empty ones are skipped.

    Raises:
        HistoryError: a line is no event, or of another version.
    """
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            event = _decode(line)
        except msgspec.DecodeError as error:
            raise HistoryError(f"line {number}: {error}") from error
        if isinstance(event, Opened) and event.version != VERSION:
            raise HistoryError(f"line {number}: version {event.version}, not {VERSION}")
        yield event


def merge(histories: Iterable[Iterable[Event]]) -> Iterator[Event]:
    """Yield the events of several histories of one run by time; each keeps its own order.

    What happened at the very same time comes in any order: what is recorded by a clock that
    stands still meanwhile, as a virtual one does, belongs into one history.
    """
    return merged(*histories, key=attrgetter("t"))
