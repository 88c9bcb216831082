"""Those who follow a room live, in one format, and what they are about to be told.

What a room says in one scheduler turn, or while its audience is being served, is gathered
here and goes to everybody as the same bytes: with 32 messages in flight, one write and one
look at the outbox for each connection instead of 32.

Law: whoever is live when something is told is written it, and nothing told before or after.
So an audience is settled before it changes: what was told is put into the outboxes.
"""

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Final, final

from .flusher import Flusher
from .outbox import Outbox

if TYPE_CHECKING:
    from .room import Cursor

# Live cursors up to which there is nothing to gather for: the two of a direct room cost less than
# remembering that they are to be told.
_PAIR: Final = 2


@final
class Audience:
    """See the module.

    Args:
        text: the format: JSON, or msgpack.
        bytes_high: of an outbox: a cursor is demoted instead of going above it.
        demote: called with a cursor whose outbox was too full, out of the audience already,
            and the position it is left at.

    Attributes:
        live: cursors by outbox.
    """

    __slots__ = (
        "_at",
        "_bytes_high",
        "_demote",
        "_flusher",
        "_frames",
        "_position",
        "_served",
        "_served_count",
        "_served_data",
        "_served_position",
        "_size",
        "live",
        "text",
    )

    def __init__(
        self,
        flusher: Flusher,
        *,
        text: bool,
        bytes_high: int,
        demote: Callable[["Cursor", int], None],
    ) -> None:
        self._flusher = flusher
        self._bytes_high = bytes_high
        self._demote = demote
        self.text = text
        self.live: dict[Outbox, Cursor] = {}
        # What is to be told, its size, and the room's position before it.
        self._frames: list[bytes] = []
        self._size = 0
        self._position = 0
        # Who is being served, how far that has got, and what they get.
        self._served: list[Outbox] = []
        self._at = 0
        self._served_data = b""
        # Of how many frames that consists.
        self._served_count = 0
        self._served_position = 0

    def tell(self, frame: bytes, position: int) -> None:
        """Tell everybody something; who has no room for it is left behind at `position`."""
        if not self._frames:
            if len(self.live) <= _PAIR and not self._served:
                self._append(self.live, frame, position, 1)
                return
            self._position = position
            self._flusher.mark_audience(self)
        self._frames.append(frame)
        self._size += len(frame)
        # Together it must fit an outbox as well as its parts would.
        if self._size > self._bytes_high // 4:
            self.settle()

    def tell_one(self, cursor: "Cursor", frame: bytes, position: int) -> None:
        """Tell one live cursor something, after what everybody was told."""
        self.settle()
        if self.live.get(cursor.outbox) is cursor:
            self._append((cursor.outbox,), frame, position, 1)

    @property
    def is_settled(self) -> bool:
        """Whether `settle` has nothing to do."""
        return not (self._served or self._frames)

    def settle(self) -> None:
        """Put what was told into the outboxes of those who have not got it yet."""
        if self._served:
            served, self._served = self._served[self._at :], []
            self._append(served, self._served_data, self._served_position, self._served_count)
        if self._frames:
            count = len(self._frames)
            self._append(self.live, self._take(), self._position, count)

    def begin(self) -> bool:
        """Begin to write what was told straight to the sockets, if there is anything."""
        if not self._frames:
            return False
        self._served_position = self._position
        self._served_count = len(self._frames)
        self._served_data = self._take()
        self._served, self._at = list(self.live), 0
        return True

    def serve(self, count: int) -> bool:
        """Write to the next `count` of the audience; return whether that was the end of it."""
        data = self._served_data
        size = len(data)
        waiting: list[Outbox] = []
        part = self._served[self._at : self._at + count]
        for outbox in part:
            if outbox.size:
                waiting.append(outbox)
                continue
            try:
                taken = outbox.sock.send(data)
            except OSError as error:
                outbox.refused(data, error)
                continue
            if taken < size:
                outbox.cut_short(data, taken)
        written = len(part) - len(waiting)
        counters = self._flusher.counters
        counters.deliveries += written * self._served_count
        counters.bytes_out += written * size
        if waiting:
            self._append(waiting, data, self._served_position, self._served_count)
        self._at += count
        if self._at < len(self._served):
            return False
        self._served, self._served_data = [], b""
        return True

    def _take(self) -> bytes:
        frames, self._frames, self._size = self._frames, [], 0
        return frames[0] if len(frames) == 1 else b"".join(frames)

    def _append(self, outboxes: Collection[Outbox], data: bytes, position: int, count: int) -> None:
        """Queue the same bytes, of `count` frames, in each outbox.

        A full one's cursor is left at `position`.
        """
        size = len(data)
        room_left = self._bytes_high - size
        flusher = self._flusher
        full: list[Outbox] = []
        for outbox in outboxes:
            if outbox.size > room_left:
                full.append(outbox)
                continue
            outbox.size += size
            if outbox.ordinary is None:
                outbox.ordinary = [data]
                flusher.dirty.append(outbox)
            else:
                outbox.ordinary.append(data)
        flusher.counters.deliveries += (len(outboxes) - len(full)) * count
        flusher.wake()
        for outbox in full:
            self._demote(self.live.pop(outbox), position)
