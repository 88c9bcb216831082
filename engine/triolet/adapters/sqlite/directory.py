"""Members, marks, inboxes and people: what is read of them, and what is written."""

import sqlite3
from collections.abc import Sequence
from typing import Final

import msgspec

from ..._model.commands import VisibleTo
from ..._model.entries import Role
from ..._model.ids import FAMILY_PREFIX
from ...ports.people import Person, Revocation
from ...ports.store import InboxItem, Mark, Membership, RoomState, StoredRoom
from .bulk import Among
from .ledger import Ledger
from .reading import last_message
from .rows import AT, SEQ
from .schema import HEAD
from .snapshot import ROOM_COLUMNS, RoomRow, Snapshot

_MEMBER_COLUMNS: Final = "m.user, m.role, m.delivered, m.read, m.read_n"
_MEMBERS: Final = f"""
    SELECT {_MEMBER_COLUMNS} FROM members m
    WHERE m.room_id = (SELECT id FROM rooms WHERE name = ?) AND """  # noqa: S608 - ours
# All members of a room as one value: each row that SQLite returns gives the interpreter's lock
# away, and a hundred thousand rows wait for it as often while the engine's thread is busy.
_ROOMS: Final = Among(f"""
    SELECT {ROOM_COLUMNS}, CASE WHEN r.members <= ? THEN (
        SELECT json_group_array(json_array(user, role, delivered, read, read_n))
        FROM (SELECT * FROM members WHERE room_id = r.id ORDER BY user)) END
    FROM rooms r WHERE r.name IN ({{}})""")  # noqa: S608 - ours
_INBOX: Final = f"""
    SELECT {_MEMBER_COLUMNS}, {ROOM_COLUMNS}
    FROM inboxes i CROSS JOIN rooms r ON r.id = i.room_id
    CROSS JOIN members m ON m.room_id = i.room_id AND m.user = i.user
    WHERE i.user = ? AND i.room """  # noqa: S608 - the columns are ours
_INBOX_AFTER: Final = _INBOX + "> ? ORDER BY i.room LIMIT ?"
_INBOX_OF: Final = Among(_INBOX + "IN ({}) ORDER BY i.room")
_HEADS: Final = Among(f"SELECT r.name, r.id, {HEAD} FROM rooms r WHERE r.name IN ({{}})")  # noqa: S608
# Rooms whose last run of one lane or the other is late enough; what memory knows comes besides.
_LAST_AT: Final = (
    "coalesce((SELECT at FROM places WHERE room_id = r.id AND lane = {} "
    "ORDER BY seq DESC LIMIT 1), 0) >= ?1"
)
_ACTIVE: Final = (
    f"SELECT r.name FROM rooms r WHERE ({_LAST_AT.format(0)} OR {_LAST_AT.format(1)}) "  # noqa: S608
    "AND r.name > ?2 ORDER BY r.name LIMIT ?3"
)
_NAMED: Final = Among("SELECT name FROM rooms WHERE id IN ({})")
_POSITIONS: Final = f"""
    SELECT i.room, i.room_id, {HEAD}, m.read FROM inboxes i
    CROSS JOIN rooms r ON r.id = i.room_id
    CROSS JOIN members m ON m.room_id = i.room_id AND m.user = i.user
    WHERE i.user = ? ORDER BY i.room LIMIT ?"""  # noqa: S608 - the columns are ours
_PEOPLE: Final = Among("SELECT user, status, last_seen, visible_to FROM people WHERE user IN ({})")
_REVOKED: Final = Among("SELECT not_before FROM revocations WHERE user IN ({})")
# The first text that is greater than every family.
_BEHIND_FAMILIES: Final = FAMILY_PREFIX[:-1] + chr(ord(FAMILY_PREFIX[-1]) + 1)
# Names in one IN.
_NAMES: Final = 256

_memberships: Final = msgspec.json.Decoder(list[Membership]).decode

# Less than any name, so that "after None" is "after the beginning".
_BEGINNING: Final = ""


def _membership(user: str, role: Role, delivered: int, read: int, read_n: int) -> Membership:
    return Membership(user=user, role=role, delivered=delivered, read=read, read_n=read_n)


def state(snapshot: Snapshot, room: str) -> RoomState | None:
    """Return where a room stands, or None."""
    row = snapshot.room(room)
    return None if row is None else snapshot.state(row)


def rooms(snapshot: Snapshot, rooms: Sequence[str], *, members_max: int) -> dict[str, StoredRoom]:
    """Return those that exist, by name, with their members unless there are too many."""
    if not rooms:
        return {}
    rows = _ROOMS.execute(snapshot.connection, list(rooms), members_max).fetchall()
    return {
        row[1]: StoredRoom(
            snapshot.state(snapshot.current(RoomRow._make(row[:-1]))),
            None if row[-1] is None else _memberships(row[-1]),
        )
        for row in rows
    }


def names(snapshot: Snapshot, *, after: str | None, limit: int) -> list[str]:
    """Return the names of rooms in order, those after `after`."""
    rows = snapshot.connection.execute(
        "SELECT name FROM rooms WHERE name > ? ORDER BY name LIMIT ?", (after or _BEGINNING, limit)
    )
    return [name for (name,) in rows]


def heads(snapshot: Snapshot, rooms: Sequence[str]) -> dict[str, tuple[str, int]]:
    """Return `{room: (epoch, head)}` of those that exist, in the order asked."""
    found: dict[str, int] = {}
    for start in range(0, len(rooms), _NAMES):
        names = list(rooms[start : start + _NAMES])
        rows = _HEADS.execute(snapshot.connection, names)
        found.update((name, _head(snapshot, room_id, head)) for name, room_id, head in rows)
    return {room: (snapshot.epoch, found[room]) for room in rooms if room in found}


def _head(snapshot: Snapshot, room_id: int, head: int) -> int:
    """Return a room's head: the later one of what the tables say and what memory has."""
    last = snapshot.runs.last(room_id)
    return head if last is None else max(head, last[SEQ])


def active_rooms(snapshot: Snapshot, *, since: int, after: str | None, limit: int) -> list[str]:
    """Return rooms whose last entry is of `since` or later, by name, those after `after`."""
    connection, first = snapshot.connection, after or _BEGINNING
    found = [name for (name,) in connection.execute(_ACTIVE, (since, first, limit))]
    recent = [
        room_id
        for room_id in snapshot.runs.recent_rooms()
        if (last := snapshot.runs.last(room_id)) is not None and last[AT] >= since
    ]
    for start in range(0, len(recent), _NAMES):
        found += [name for (name,) in _NAMED.execute(connection, recent[start : start + _NAMES])]
    return [name for name in sorted(dict.fromkeys(found)) if name > first][:limit]


def members(snapshot: Snapshot, room: str, *, after: str | None, limit: int) -> list[Membership]:
    """Return members by user name, those after `after`."""
    rows = snapshot.connection.execute(
        _MEMBERS + "m.user > ? ORDER BY m.user LIMIT ?", (room, after or _BEGINNING, limit)
    )
    return [_membership(*row) for row in rows]


def membership(snapshot: Snapshot, room: str, user: str) -> Membership | None:
    """Return one membership, or None."""
    row = snapshot.connection.execute(_MEMBERS + "m.user = ?", (room, user)).fetchone()
    return None if row is None else _membership(*row)


def marks(snapshot: Snapshot, room: str, *, seq: int, after: str | None, limit: int) -> list[Mark]:
    """Return marks with `delivered >= seq` or `read >= seq`, by subject, those after `after`."""
    rows = snapshot.connection.execute(
        _MEMBERS + "m.user > ? AND (m.delivered >= ? OR m.read >= ?) ORDER BY m.user LIMIT ?",
        (room, after or _BEGINNING, seq, seq, limit),
    )
    return [
        Mark(room=room, user=user, delivered=delivered, read=read, read_n=read_n)
        for user, _, delivered, read, read_n in rows
    ]


# --- inboxes -----------------------------------------------------------------------------


def inbox(snapshot: Snapshot, user: str, *, after: str | None, limit: int) -> list[InboxItem]:
    """Return the user's rooms by name, those after `after`."""
    rows = snapshot.connection.execute(_INBOX_AFTER, (user, after or _BEGINNING, limit))
    return _items(snapshot, user, rows)


def inbox_of(snapshot: Snapshot, user: str, rooms: Sequence[str]) -> list[InboxItem]:
    """Return those of `rooms` the user is a member of, by name."""
    names = sorted(dict.fromkeys(rooms))
    found: list[InboxItem] = []
    for start in range(0, len(names), _NAMES):
        rows = _INBOX_OF.execute(snapshot.connection, names[start : start + _NAMES], user)
        found += _items(snapshot, user, rows)
    return found


def _items(snapshot: Snapshot, user: str, rows: sqlite3.Cursor) -> list[InboxItem]:
    items = []
    for row in rows.fetchall():
        room = snapshot.current(RoomRow._make(row[5:]))
        last = last_message(snapshot, room, user)
        items.append(InboxItem(snapshot.state(room), _membership(*row[:5]), last))
    return items


def positions(snapshot: Snapshot, user: str, *, limit: int) -> list[tuple[str, str, int, int]]:
    """Return `(room, epoch, head, read)` of the user's rooms by name, at most `limit`."""
    rows = snapshot.connection.execute(_POSITIONS, (user, limit))
    return [
        (room, snapshot.epoch, _head(snapshot, room_id, head), read)
        for room, room_id, head, read in rows
    ]


# --- people ------------------------------------------------------------------------------


def acquainted(snapshot: Snapshot, user: str, others: Sequence[str]) -> list[str]:
    """Return those of `others`, in their order, who share a room that is not public."""
    known = []
    for other in others:
        row = snapshot.connection.execute(
            "SELECT 1 FROM inboxes mine CROSS JOIN rooms r ON r.id = mine.room_id "
            "CROSS JOIN members m ON m.room_id = mine.room_id AND m.user = ? "
            "WHERE mine.user = ? AND NOT r.public LIMIT 1",
            (other, user),
        ).fetchone()
        if row is not None:
            known.append(other)
    return known


def people(snapshot: Snapshot, users: Sequence[str]) -> list[Person]:
    """Return what is kept of these users, in their order; a default for the unknown."""
    found: dict[str, Person] = {}
    for start in range(0, len(users), _NAMES):
        rows = _PEOPLE.execute(snapshot.connection, list(users[start : start + _NAMES]))
        for row in rows:
            found[row[0]] = Person(*row)
    return [found.get(user) or Person(user) for user in users]


def revoked(snapshot: Snapshot, subjects: Sequence[str]) -> int:
    """Return the greatest `not_before` of these subjects in ms, 0 if nothing is revoked."""
    rows = _REVOKED.execute(snapshot.connection, list(subjects))
    return max((not_before for (not_before,) in rows), default=0)


def revocations(
    snapshot: Snapshot, *, since: int, after: str | None, limit: int
) -> list[Revocation]:
    """Return revocations with `not_before >= since` (ms), by user, those after `after`."""
    rows = snapshot.connection.execute(
        "SELECT user, not_before FROM revocations WHERE user > ? AND not_before >= ? "
        "ORDER BY user LIMIT ?",
        (after or "", since, limit),
    )
    return [Revocation(subject, not_before) for subject, not_before in rows]


# --- writing, in the writer's thread -----------------------------------------------------


def put_marks(connection: sqlite3.Connection, marks: Sequence[Mark]) -> None:
    """Move marks forward."""
    for mark in marks:
        connection.execute(
            "UPDATE members SET delivered = max(delivered, ?), "
            "read_n = CASE WHEN ? > read THEN ? ELSE read_n END, read = max(read, ?) "
            "WHERE room_id = (SELECT id FROM rooms WHERE name = ?) AND user = ? "
            "AND (delivered < ? OR read < ?)",
            (
                mark.delivered,
                mark.read,
                mark.read_n,
                mark.read,
                mark.room,
                mark.user,
                mark.delivered,
                mark.read,
            ),
        )


def put_people(connection: sqlite3.Connection, people: Sequence[Person]) -> None:
    """Keep each person's status, and `last_seen` unless the stored one is greater."""
    for person in people:
        connection.execute(
            "INSERT INTO people (user, status, last_seen) VALUES (?, ?, ?) "
            "ON CONFLICT (user) DO UPDATE SET "
            "status = excluded.status, last_seen = max(last_seen, excluded.last_seen)",
            (person.user, person.status, person.last_seen),
        )


def show_to(connection: sqlite3.Connection, user: str, visible_to: VisibleTo) -> None:
    """Keep who may see a user."""
    connection.execute(
        "INSERT INTO people VALUES (?, '', 0, ?) ON CONFLICT (user) DO UPDATE SET "
        "visible_to = excluded.visible_to",
        (user, visible_to),
    )


def forget(connection: sqlite3.Connection, user: str) -> None:
    """Keep nothing of a user but their revocation."""
    connection.execute("DELETE FROM people WHERE user = ?", (user,))


def revoke(connection: sqlite3.Connection, revocation: Revocation) -> None:
    """Keep a revocation; the greatest `not_before` of a subject wins."""
    connection.execute(
        "INSERT INTO revocations VALUES (?, ?) ON CONFLICT (user) DO UPDATE SET "
        "not_before = max(not_before, excluded.not_before)",
        (revocation.subject, revocation.not_before),
    )


def forget_revocations(connection: sqlite3.Connection, *, older_than: int, limit: int) -> list[str]:
    """Forget families with `not_before < older_than` (ms), at most `limit`; return which."""
    rows = connection.execute(
        "DELETE FROM revocations WHERE user IN (SELECT user FROM revocations "
        "WHERE user >= ? AND user < ? AND not_before < ? LIMIT ?) RETURNING user",
        (FAMILY_PREFIX, _BEHIND_FAMILIES, older_than, limit),
    ).fetchall()
    return [subject for (subject,) in rows]


def new_generation(ledger: Ledger, epoch: str) -> None:
    """Begin the next generation in every room, from its head + 1."""
    gen = ledger.gen = ledger.gen + 1
    execute = ledger.connection.execute
    execute("INSERT INTO generations VALUES (?, ?)", (gen, epoch))
    execute("UPDATE store SET gen = ?", (gen,))
    execute(f"INSERT INTO lineage SELECT r.id, ?, {HEAD} + 1 FROM rooms r", (gen,))  # noqa: S608
    runs = ledger.runs()
    for room_id in ledger.recent.rooms():
        last = runs.last(room_id)
        assert last is not None, "a room is here because of an entry"
        execute(
            "UPDATE lineage SET first_seq = max(first_seq, ?) WHERE room_id = ? AND gen = ?",
            (last[SEQ] + 1, room_id, gen),
        )
