"""What both windows of a recorder share: who is recorded, when it is, and which cursor is next."""

from collections.abc import Callable
from typing import TypeAlias, final

from msgspec import UNSET

from ..._model.commands import Position
from ..._model.entries import Entry
from ..._model.events import Reset, Subscribed, Subscription
from .. import history

Write: TypeAlias = Callable[[history.Event], None]
Row: TypeAlias = Subscribed | Subscription


@final
class Scribe:
    """Whoever writes events down for one client.

    Attributes:
        conn: the ordinal of the present or last connection, 0 before the first.
        node: to which life of which node it has connected last, where that is known.
        is_cut_off: the client's machine has vanished: what it still says, nobody hears.
    """

    def __init__(self, name: str, user: str, write: Write, clock: Callable[[], float]) -> None:
        self.user = user
        self.write = write
        self.conn = 0
        self.node = ""
        self.is_cut_off = False
        self._name = name
        self._clock = clock
        self._last_sub = 0

    @property
    def here(self) -> tuple[float, str, int]:
        """The fields that all events have."""
        return self._clock(), self._name, self.conn

    def subscribed(self, row: Row, since: Position | None, *, wire: bool) -> "Cursor":
        """Write down that a cursor stands, and return it."""
        self._last_sub += 1
        pos = _start(row, since)
        self.write(
            history.Subscribed(
                *self.here,
                sub=self._last_sub,
                room=row.room,
                epoch=row.epoch,
                pos=pos,
                head=row.head,
                floor=row.floor,
                role=row.role,
                since=since,
                recovered=row.recovered,
                wire=wire,
            )
        )
        return Cursor(self._last_sub, pos)

    def seen(self, entry: Entry, cursor: "Cursor | None") -> None:
        """Write down an entry; on no cursor, where nothing was due (`sub` 0)."""
        sub = 0
        if cursor is not None:
            sub, cursor.seq = cursor.sub, entry.seq
        self.write(history.Seen(*self.here, sub=sub, room=entry.room, entry=history.logged(entry)))

    def reset(self, reset: Reset, cursor: "Cursor") -> None:
        """Write down that a cursor was moved."""
        is_fork = reset.since is not UNSET
        pos = reset.head if reset.since is UNSET else min(cursor.seq, reset.since[1])
        cursor.seq = pos
        self.write(
            history.Reset(
                *self.here,
                sub=cursor.sub,
                room=reset.room,
                epoch=reset.epoch,
                pos=pos,
                head=reset.head,
                floor=0 if reset.floor is UNSET else reset.floor,
                fork=is_fork,
            )
        )

    def closed(self, room: str, reason: str, cursor: "Cursor", seq: int = 0) -> None:
        """Write down that a cursor has ended."""
        self.write(history.Closed(*self.here, sub=cursor.sub, room=room, reason=reason, seq=seq))


def _start(row: Row, since: Position | None) -> int:
    """Return the position a subscription starts from, as the protocol says."""
    if since is None:
        return row.head
    if isinstance(row.since, tuple):
        return min(since[1], row.since[1])
    return since[1] if row.recovered else row.head


@final
class Cursor:
    """A cursor being recorded: its ordinal, and the last seq that came on it."""

    __slots__ = ("seq", "sub")

    def __init__(self, sub: int, seq: int) -> None:
        self.sub = sub
        self.seq = seq
