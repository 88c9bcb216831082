"""One state of the store, as a reader sees it."""

import sqlite3
from typing import Final, NamedTuple, final

from ..._model.entries import RoomKind
from ...ports.store import RoomState
from .recent import Recent
from .rows import SEQ
from .rows import N as N_OF
from .runs import Place, Runs
from .schema import HEAD, N

# Columns of `RoomRow`, from `rooms r`.
ROOM_COLUMNS: Final = (
    "r.id, r.name, r.kind, r.title, r.public, r.acl_ver, r.members, r.floor, r.floor_n, "
    f"{HEAD}, {N}"
)
_ROOM: Final = f"SELECT {ROOM_COLUMNS} FROM rooms r WHERE r.name = ?"  # noqa: S608 - ours


class RoomRow(NamedTuple):
    """A room's row, head and n, in the order of `ROOM_COLUMNS`."""

    id: int
    name: str
    kind: RoomKind
    title: str
    public: int
    acl_ver: int
    members: int
    floor: int
    floor_n: int
    head: int
    n: int

    @property
    def place(self) -> Place:
        """Whose entries are meant."""
        return Place(self.id, self.name, self.floor)


@final
class Snapshot:
    """A read transaction that has begun, and the recent entries that go with it."""

    def __init__(self, connection: sqlite3.Connection, recent: Recent) -> None:
        self.connection = connection
        # This first question fixes the state; memory is looked at only afterwards, so it
        # holds at least what the state does.
        self.indexed, batch, self.salt, self.epoch, gens = connection.execute(
            "SELECT s.indexed, (SELECT max(batch) FROM journal), s.salt, g.epoch, "
            "(SELECT count(*) FROM generations) "
            "FROM store s JOIN generations g ON g.gen = s.gen"
        ).fetchone()
        self._is_first_generation = gens == 1
        self.batch = max(self.indexed, batch or 0)
        dropped_upto, self.windows = recent.view
        self.is_covered = dropped_upto <= self.indexed
        self.runs = Runs(connection, self.windows, self.batch)

    def room(self, name: str) -> RoomRow | None:
        """Return a room's row, or None."""
        row = self.connection.execute(_ROOM, (name,)).fetchone()
        return None if row is None else self.current(RoomRow._make(row))

    def current(self, room: RoomRow) -> RoomRow:
        """Return the row with where the room stands, if memory knows that better."""
        last = self.runs.last(room.id)
        if last is None or last[SEQ] <= room.head:
            return room
        return room._replace(head=last[SEQ], n=last[N_OF])

    def state(self, room: RoomRow) -> RoomState:
        """Return where a room stands."""
        return RoomState(
            room=room.name,
            kind=room.kind,
            title=room.title,
            public=bool(room.public),
            epoch=self.epoch,
            lineage=self._lineage(room),
            head=room.head,
            n=room.n,
            floor=room.floor,
            floor_n=room.floor_n,
            acl_ver=room.acl_ver,
            members=room.members,
        )

    def _lineage(self, room: RoomRow) -> tuple[tuple[str, int], ...]:
        if self._is_first_generation:
            return ((self.epoch, 1),)
        return tuple(
            self.connection.execute(
                "SELECT g.epoch, l.first_seq FROM lineage l JOIN generations g USING (gen) "
                "WHERE l.room_id = ? ORDER BY gen",
                (room.id,),
            )
        )
