"""Deleting rooms: a tombstone at once, and what they leave behind a little at a time.

With the tombstone a room's row goes, and with it all that reads find by its name. Its number is
never given again: what is left is found by it, and cids are digested with it. What it has left
is folded first, so that the tables alone know it, and the journal no more.
"""

import sqlite3
from typing import Final, NamedTuple

from ...ports.store import Draft, Duplicate, RoomDeleted
from .ledger import Ledger, Room
from .retention import Due, Step, sweep
from .snapshot import Snapshot

# A run has up to 64 entries, and 16 KiB or one fact.
_RUNS_PER_STEP: Final = 16
# A batch of the journal has about 20 KiB.
_BATCHES_PER_STEP: Final = 16
# More than any seq.
_END: Final = 1 << 62

_FIRST: Final = "SELECT seq, at, op FROM tombstones WHERE name = ? AND sender = ? AND cid = ?"


class Left(NamedTuple):
    """A deleted room that has left something, and whether the tables alone know of it."""

    room_id: int
    name: str
    is_folded: int


def delete(ledger: Ledger, room: Room, draft: Draft, now_ms: int) -> RoomDeleted:
    """Put a tombstone in a room's place; inside an append's transaction."""
    at = max(room.at, now_ms)
    execute = ledger.connection.execute
    execute(
        "INSERT INTO tombstones VALUES (?, ?, ?, ?, ?, ?, ?, 0, 0)",
        (room.id, room.name, draft.sender, draft.cid, draft.op, room.head, at),
    )
    execute("DELETE FROM rooms WHERE id = ?", (room.id,))
    execute("DELETE FROM lineage WHERE room_id = ?", (room.id,))
    ledger.forget_room(room.name)
    return RoomDeleted(room.head, at)


def first(connection: sqlite3.Connection, room: str, sender: str, cid: str) -> Duplicate | None:
    """Return what the draft that deleted a room became, if that is the one; else None."""
    row = connection.execute(_FIRST, (room, sender, cid)).fetchone()
    return None if row is None else Duplicate(*row)


def is_deleted(connection: sqlite3.Connection, room: str) -> bool:
    """Whether a room of this name was deleted."""
    found = connection.execute("SELECT 1 FROM tombstones WHERE name = ?", (room,)).fetchone()
    return found is not None


# --- what is left behind -----------------------------------------------------------------


def left(snapshot: Snapshot) -> Left | None:
    """Return a deleted room that has left something, or None."""
    row = snapshot.connection.execute(
        "SELECT room_id, name, is_folded FROM tombstones WHERE NOT is_cleared ORDER BY room_id"
    ).fetchone()
    return None if row is None else Left(*row)


def unseat(ledger: Ledger, room: Left, limit: int) -> list[str]:
    """End at most `limit` memberships, and return whose."""
    execute, room_id = ledger.connection.execute, room.room_id
    users = [
        user
        for (user,) in execute(
            "SELECT user FROM members WHERE room_id = ? ORDER BY user LIMIT ?", (room_id, limit)
        )
    ]
    for user in users:
        execute("DELETE FROM members WHERE room_id = ? AND user = ?", (room_id, user))
        execute("DELETE FROM inboxes WHERE user = ? AND room = ?", (user, room.name))
    return users


def clear_journal(ledger: Ledger) -> bool:
    """Remove some batches that are folded; return whether there may be more."""
    for _ in ledger.journal.cleared(ledger.connection, _BATCHES_PER_STEP):
        return True
    return False


def folded(ledger: Ledger, room: Left) -> None:
    """Know that the tables alone know of a room."""
    ledger.connection.execute(
        "UPDATE tombstones SET is_folded = 1 WHERE room_id = ?", (room.room_id,)
    )


def remove(ledger: Ledger, room: Left) -> int:
    """Remove some rows of a room, and return about how many; 0: it is cleared."""
    execute, room_id = ledger.connection.execute, room.room_id
    runs = execute(
        "SELECT lane, seq, run FROM places WHERE room_id = ? LIMIT ?", (room_id, _RUNS_PER_STEP)
    ).fetchall()
    for lane, seq, run in runs:
        execute("DELETE FROM runs WHERE id = ?", (run,))
        execute(
            "DELETE FROM places WHERE room_id = ? AND lane = ? AND seq = ?", (room_id, lane, seq)
        )
    count = len(runs)
    if not count:
        # All that was folded is of messages that are gone.
        gone = Step(Due(room_id, room.name), _END, 0, 0, is_done=True)
        count = sweep(ledger, gone)
    if not count:
        execute("UPDATE tombstones SET is_cleared = 1 WHERE room_id = ?", (room_id,))
    return count
