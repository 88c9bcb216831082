"""Messages of a session as server-sent events, and where it stands in its rooms as their ids.

An id tells the position in each room of the request, in the order of the request: a browser that
reconnects repeats the request, and says the last id that it has seen.
"""

from collections.abc import Sequence
from typing import Final, final
from urllib.parse import quote, unquote
from zlib import crc32

import msgspec
from msgspec import Struct

from triolet._model.commands import Place
from triolet._model.errors import Close, CloseCode

HEARTBEAT: Final = b":\n\n"
# Messages that move a position begin like this, as the engine's codec writes them.
_MOVING: Final = (b'{"op":"entry"', b'{"op":"ok"', b'{"op":"reset"', b'{"op":"closed"')
_NOTICE: Final = b'{"op":"notice"'
# Of a client that does not count: when to come back after a drain that did not say it.
_RETRY_MS: Final = 1000
# A position's number; as long as 2^53, and no longer.
_DIGITS_MAX: Final = 16


@final
class Closing(Struct, frozen=True, tag="close", tag_field="op", omit_defaults=True):
    """The last event of a stream: why it ends, by the close codes of the protocol."""

    code: int
    reason: str
    retry_after_ms: int | None = None


@final
class _Row(Struct):
    """A room of a subscription, granted or not."""

    room: str
    epoch: str = ""
    head: int = 0
    recovered: bool = False
    since: tuple[str, int] | None = None
    code: int | None = None


@final
class _Moving(Struct):
    """What is read of a message that may move a position."""

    op: str
    room: str = ""
    seq: int = 0
    epoch: str = ""
    head: int = 0
    since: tuple[str, int] | None = None
    ref: int | None = None
    rooms: msgspec.Raw = msgspec.Raw()


@final
class _Notice(Struct):
    retry_after_ms: int | None = None


_moving = msgspec.json.Decoder(_Moving).decode
_rows = msgspec.json.Decoder(tuple[_Row, ...]).decode
_notice = msgspec.json.Decoder(_Notice).decode


@final
class Positions:
    """Where a stream stands in the rooms it was asked for, as far as it has been told.

    Args:
        places: the rooms, in the order of the request, each with where it begins.

    >>> positions = Positions([("tea", "e1", 4), ("milk", "", 0)])
    >>> positions.take(b'{"op":"entry","room":"tea","seq":5}'), positions.id
    (True, '0bbd93b0;e1;5,')
    >>> read_id(positions.id, ["tea", "milk"])
    [('tea', 'e1', 5), ('milk', '', 0)]
    """

    def __init__(self, places: Sequence[Place]) -> None:
        self._index = {room: index for index, (room, _, _) in enumerate(places)}
        self._since = {room: (epoch, seq) for room, epoch, seq in places}
        self._check = _check_of([room for room, _, _ in places])
        # The names of epochs; of each room which one, and the seq. A store has one, as a rule.
        self._epochs: dict[str, int] = {}
        self._written = [""] * len(places)
        self._epoch_of = [""] * len(places)
        for room, epoch, seq in places:
            if epoch:
                self._move(room, epoch, seq)

    @property
    def id(self) -> str:
        """The positions, as short as they can be."""
        epochs = ",".join(quote(epoch, safe="") for epoch in self._epochs)
        return f"{self._check};{epochs};{','.join(self._written)}"

    def take(self, payload: bytes) -> bool:
        """Take note of a message; return whether it moved a position."""
        if not payload.startswith(_MOVING):
            return False
        moving = _moving(payload)
        if moving.op == "ok":
            return self._subscribed(moving)
        index = self._index.get(moving.room)
        if index is None:
            return False
        if moving.op == "entry":
            self._move(moving.room, self._epoch_of[index], moving.seq)
        elif moving.op == "reset":
            epoch, seq = moving.since or (moving.epoch, moving.head)
            self._move(moving.room, epoch, seq)
        else:
            self._written[index] = self._epoch_of[index] = ""
        return True

    def _subscribed(self, moving: _Moving) -> bool:
        # The stream's own requests have no `ref`.
        if moving.ref is not None or not bytes(moving.rooms):
            return False
        for row in _rows(moving.rooms):
            if row.code is None:
                asked = self._since.get(row.room, ("", 0)) if row.recovered else None
                epoch, seq = row.since or asked or (row.epoch, row.head)
                self._move(row.room, epoch, seq)
        return True

    def _move(self, room: str, epoch: str, seq: int) -> None:
        index = self._index[room]
        self._epoch_of[index] = epoch
        number = self._epochs.setdefault(epoch, len(self._epochs))
        self._written[index] = f"{seq}.{number}" if number else str(seq)


def read_id(text: str, rooms: Sequence[str]) -> list[Place]:
    """Return where a stream of these rooms stood.

    Raises:
        ValueError: it is no id of a stream of these rooms.
    """
    check, epochs, written = text.split(";")
    if check != _check_of(rooms):
        raise ValueError("it is of other rooms")
    names = [unquote(epoch) for epoch in epochs.split(",")]
    positions = written.split(",")
    return [_place(*each, names) for each in zip(rooms, positions, strict=True)]


def _place(room: str, position: str, epochs: Sequence[str]) -> Place:
    if not position:
        return (room, "", 0)
    seq, _, number = position.partition(".")
    if not (seq.isdecimal() and len(seq) <= _DIGITS_MAX and (number or "0").isdecimal()):
        raise ValueError("it is no position")
    if int(number or 0) >= len(epochs):
        raise ValueError("it names no epoch")
    return (room, epochs[int(number or 0)], min(int(seq), 2**53 - 1))


def _check_of(rooms: Sequence[str]) -> str:
    return f"{crc32(' '.join(rooms).encode()):08x}"


@final
class EventWriter:
    """Writes messages as events; `positions` None: the client keeps them by itself."""

    def __init__(self, positions: Positions | None) -> None:
        self._positions = positions
        self._retry_ms = _RETRY_MS

    def event(self, payload: bytes) -> bytes:
        r"""Return a message as an event.

        >>> EventWriter(None).event(b'{"op":"ok"}')
        b'data: {"op":"ok"}\n\n'
        """
        head = b""
        if self._positions is not None and self._positions.take(payload):
            head = f"id: {self._positions.id}\n".encode()
        elif payload.startswith(_NOTICE):
            after_ms = _notice(payload).retry_after_ms
            if after_ms is not None:
                self._retry_ms = after_ms
                head = b"retry: %d\n" % after_ms
        # JSON as the engine writes it has no line breaks.
        return head + b"data: " + payload + b"\n\n"

    def closing(self, close: Close) -> bytes:
        """Return the last event: why it ends, and, of a drain, when to come back."""
        is_drain = close.code == CloseCode.DRAINING
        closing = Closing(close.code, close.reason, self._retry_ms if is_drain else None)
        head = b"retry: %d\n" % self._retry_ms if is_drain else b""
        return head + b"data: " + msgspec.json.encode(closing) + b"\n\n"
