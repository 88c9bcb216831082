"""What a fact does beyond its entry: memberships, the room itself, and what is folded."""

import sqlite3

from msgspec import UNSET

from ..._model.entries import Edit, Member, Meta, React
from .ledger import Room


def make_room(
    connection: sqlite3.Connection,
    name: str,
    *,
    kind: str,
    title: str,
    public: bool,
    gen: int,
    at: int,
) -> int:
    """Make a room without entries, and return its id."""
    # A number that no room has had, of those that were deleted either.
    (room_id,) = connection.execute(
        "SELECT 1 + max(coalesce((SELECT max(id) FROM rooms), 0), "
        "coalesce((SELECT max(room_id) FROM tombstones), 0))"
    ).fetchone()
    connection.execute(
        "INSERT INTO rooms (id, name, kind, title, public, acl_ver, members, floor, floor_n, "
        "oldest_at) VALUES (?, ?, ?, ?, ?, 0, 0, 0, 0, ?)",
        (room_id, name, kind, title, public, at),
    )
    connection.execute("INSERT INTO lineage VALUES (?, ?, 1)", (room_id, gen))
    return int(room_id)


def member(connection: sqlite3.Connection, room: Room, fact: Member) -> None:
    """Set or end a membership; a new member's marks start where the room now ends."""
    place = (room.id, fact.user)
    if fact.role is None:
        cursor = connection.execute("DELETE FROM members WHERE room_id = ? AND user = ?", place)
        if cursor.rowcount:
            connection.execute(
                "DELETE FROM inboxes WHERE user = ? AND room = ?", (fact.user, room.name)
            )
            _count_member(connection, room, -1)
        return
    cursor = connection.execute(
        "UPDATE members SET role = ? WHERE room_id = ? AND user = ?", (fact.role, *place)
    )
    if not cursor.rowcount:
        connection.execute(
            "INSERT INTO members VALUES (?, ?, ?, ?, ?, ?)",
            (*place, fact.role, room.head, room.head, room.n),
        )
        connection.execute("INSERT INTO inboxes VALUES (?, ?, ?)", (fact.user, room.name, room.id))
        _count_member(connection, room, 1)


def _count_member(connection: sqlite3.Connection, room: Room, change: int) -> None:
    connection.execute("UPDATE rooms SET members = members + ? WHERE id = ?", (change, room.id))


def seat_founders(connection: sqlite3.Connection, room: Room) -> None:
    """Let everybody of a room just made have read all of its making."""
    connection.execute(
        "UPDATE members SET delivered = ?, read = ?, read_n = ? WHERE room_id = ?",
        (room.head, room.head, room.n, room.id),
    )


def meta(connection: sqlite3.Connection, room: Room, fact: Meta) -> None:
    """Change title or visibility."""
    if fact.title is not UNSET:
        connection.execute("UPDATE rooms SET title = ? WHERE id = ?", (fact.title, room.id))
    if fact.public is not UNSET:
        connection.execute("UPDATE rooms SET public = ? WHERE id = ?", (fact.public, room.id))


def edit(connection: sqlite3.Connection, room: Room, fact: Edit, packed: bytes) -> None:
    """Know an edit by its target, and fold it."""
    place = (room.id, fact.target)
    connection.execute("INSERT INTO edits VALUES (?, ?, ?)", (*place, room.head))
    connection.execute("REPLACE INTO bodies VALUES (?, ?, ?, ?)", (*place, room.at, packed))


def react(connection: sqlite3.Connection, room: Room, fact: React, user: str) -> None:
    """Put or take back a reaction, and count it."""
    place = (room.id, fact.target, fact.emoji)
    if fact.on:
        cursor = connection.execute(
            "INSERT OR IGNORE INTO reactions VALUES (?, ?, ?, ?, ?)", (*place, user, room.head)
        )
        if cursor.rowcount:
            connection.execute(
                "INSERT INTO reaction_counts VALUES (?, ?, ?, 1) ON CONFLICT "
                "(room_id, target, emoji) DO UPDATE SET count = count + 1",
                place,
            )
        return
    cursor = connection.execute(
        "DELETE FROM reactions WHERE room_id = ? AND target = ? AND emoji = ? AND user = ?",
        (*place, user),
    )
    if cursor.rowcount:
        connection.execute(
            "UPDATE reaction_counts SET count = count - 1 "
            "WHERE room_id = ? AND target = ? AND emoji = ?",
            place,
        )
        connection.execute(
            "DELETE FROM reaction_counts "
            "WHERE room_id = ? AND target = ? AND emoji = ? AND count = 0",
            place,
        )
