"""Questions about one room's log, answered from a snapshot."""

import sqlite3
from collections.abc import Iterable
from itertools import islice

from msgspec import UNSET, UnsetType

from ..._domain.fold import REACTION_EMOJIS_MAX, REACTION_USERS_MAX
from ..._model.entries import Edit, FoldedMessage, Message, Reaction, Record
from ..._model.json import JsonMap
from ..._wire.codec import unpack_fact
from ...ports.store import Duplicate, HistorySlice
from .._digests import digest, prefix
from . import deleting, segments
from .recent import MESSAGES, OTHERS
from .rows import FACT, SEQ, N, Row, records_of, seq_of
from .sieve import probe
from .snapshot import RoomRow, Snapshot


def page(
    snapshot: Snapshot, room_name: str, *, after: int, upto: int, limit: int, bytes_max: int
) -> list[Record]:
    """Return records with `after < seq <= upto` within the bounds."""
    room = snapshot.room(room_name)
    if room is None:
        return []
    rows = entries(snapshot, room, after=after, upto=upto, limit=limit, bytes_max=bytes_max)
    return records_of(room.name, rows)


def entries(
    snapshot: Snapshot, room: RoomRow, *, after: int, upto: int, limit: int, bytes_max: int
) -> list[Row]:
    """Return a room's entries with `after < seq <= upto` within the bounds."""
    upto = min(upto, room.head)
    messages, others = (
        _within(
            snapshot.runs.ascending(room.place, lane, after=after, upto=upto, limit=limit),
            bytes_max,
        )
        for lane in (MESSAGES, OTHERS)
    )
    rows = messages
    if others:
        # Two sorted lists one after the other are merged in one pass.
        rows = sorted(messages + others, key=seq_of)[:limit]
    size = 0
    for count, row in enumerate(rows):
        size += len(row[FACT])
        if count and size > bytes_max:
            return rows[:count]
    return rows


def _within(parts: Iterable[list[Row]], bytes_max: int) -> list[Row]:
    """Return the first parts, the last of which exceeds `bytes_max`."""
    found: list[Row] = []
    size = 0
    for part in parts:
        found += part
        size += sum([len(row[FACT]) for row in part])
        if size > bytes_max:
            break
    return found


def n_at(snapshot: Snapshot, room_name: str, seq: int) -> int:
    """Return how many messages the room had at `seq`."""
    room = snapshot.room(room_name)
    if room is None:
        return 0
    if seq >= room.head:
        return room.n
    last = snapshot.runs.descending(room.place, MESSAGES, before=seq + 1, limit=1)
    return next((part[0][N] for part in last), room.floor_n)


def find(snapshot: Snapshot, room_name: str, sender: str, cid: str) -> Duplicate | None:
    """Return what a cid became, or None."""
    room = snapshot.room(room_name)
    if room is None:
        return deleting.first(snapshot.connection, room_name, sender, cid)
    key = digest(prefix(snapshot.salt, room.id), sender, cid)
    found = segments.find(snapshot.connection, key)
    if found is not None:
        return segments.duplicate(snapshot.connection, found)
    place, pattern = probe(key)
    for window in snapshot.windows:
        kept = window.cids.find(key, place, pattern)
        # Folded windows are in the table, or were and are pruned; later than the snapshot's
        # head is not committed yet.
        if kept is not None and window.last_batch > snapshot.indexed and kept[0] <= room.head:
            return segments.duplicate(snapshot.connection, kept)
    return None


# --- folded messages ---------------------------------------------------------------------


def history(
    snapshot: Snapshot,
    room_name: str,
    user: str,
    *,
    before: int | None,
    after: int | None,
    limit: int,
    bytes_max: int,
) -> HistorySlice | None:
    """Return folded messages as `user` sees them, oldest first; None: no such room."""
    room = snapshot.room(room_name)
    if room is None:
        return None
    runs, place = snapshot.runs, room.place
    if before is None and after is not None:
        parts = runs.ascending(place, MESSAGES, after=after, upto=room.head, limit=limit + 1)
        messages, more = folded(snapshot, room, user, parts, limit=limit, bytes_max=bytes_max)
    else:
        end = room.head + 1 if before is None else min(before, room.head + 1)
        parts = runs.descending(place, MESSAGES, before=end, limit=limit + 1)
        messages, more = folded(snapshot, room, user, parts, limit=limit, bytes_max=bytes_max)
        messages.reverse()
    return HistorySlice(tuple(messages), more, snapshot.epoch, room.head)


def last_message(snapshot: Snapshot, room: RoomRow, user: str) -> FoldedMessage | None:
    """Return a room's last message, folded, or None."""
    parts = snapshot.runs.descending(room.place, MESSAGES, before=room.head + 1, limit=1)
    messages, _ = folded(snapshot, room, user, parts, limit=1, bytes_max=0)
    return messages[0] if messages else None


def folded(
    snapshot: Snapshot,
    room: RoomRow,
    user: str,
    parts: Iterable[list[Row]],
    *,
    limit: int,
    bytes_max: int,
) -> tuple[list[FoldedMessage], bool]:
    """Return the first of these messages within the bounds, and whether there are more."""
    found: list[FoldedMessage] = []
    size = 0
    for part in parts:
        # The one more than `limit` is not looked at.
        some = list(islice(part, limit - len(found)))
        if not some:
            return found, True
        first, last = sorted((some[0][SEQ], some[-1][SEQ]))
        edits = edits_of(snapshot.connection, room.id, first, last)
        reactions = _reactions(snapshot, room, user, first, last)
        for row in some:
            edit = edits.get(row[SEQ])
            size += len(row[FACT] if edit is None else edit[1])
            if found and size > bytes_max:
                return found, True
            found.append(_folded(row, edit, reactions.get(row[SEQ], {})))
        if len(some) < len(part):
            return found, True
    return found, False


def _folded(
    row: Row, edit: tuple[int, bytes] | None, reactions: dict[str, Reaction]
) -> FoldedMessage:
    _, _, seq, n, _, sender, at, cid, _, packed = row
    message = _message(packed)
    return FoldedMessage(
        seq=seq,
        n=n,
        at=at,
        cid=cid,
        sender=sender,
        body=_present_body(message, edit),
        reply_to=message.reply_to,
        mentions=message.mentions,
        edited_at=UNSET if edit is None else edit[0],
        erased=message.erased,
        reactions=reactions,
    )


def edits_of(
    connection: sqlite3.Connection, room_id: int, first: int, last: int
) -> dict[int, tuple[int, bytes]]:
    """Return when messages from `first` to `last` were edited, and the latest edit's fact."""
    rows = connection.execute(
        "SELECT target, at, packed FROM bodies WHERE room_id = ? AND target BETWEEN ? AND ?",
        (room_id, first, last),
    )
    return {target: (at, packed) for target, at, packed in rows}


def present_body(packed: bytes, edit: tuple[int, bytes] | None) -> JsonMap | UnsetType:
    """Return how a message reads now, by its fact and its latest edit."""
    return _present_body(_message(packed), edit)


def _message(packed: bytes) -> Message:
    message = unpack_fact(packed)
    assert isinstance(message, Message), "the lane of messages holds nothing else"
    return message


def _present_body(message: Message, edit: tuple[int, bytes] | None) -> JsonMap | UnsetType:
    # A deletion later than the snapshot shows in memory at once, but not in its tables.
    if edit is None or message.erased:
        return message.body
    fact = unpack_fact(edit[1])
    assert isinstance(fact, Edit), "`bodies` holds edits"
    return fact.body


def _reactions(
    snapshot: Snapshot, room: RoomRow, user: str, first: int, last: int
) -> dict[int, dict[str, Reaction]]:
    """Return the reactions under messages from `first` to `last`."""
    found: dict[int, dict[str, Reaction]] = {}
    execute = snapshot.connection.execute
    while row := execute(
        "SELECT target FROM reaction_counts WHERE room_id = ? AND target BETWEEN ? AND ? "
        "ORDER BY target LIMIT 1",
        (room.id, first, last),
    ).fetchone():
        (target,) = row
        counts = execute(
            "SELECT emoji, count FROM reaction_counts WHERE room_id = ? AND target = ? "
            "ORDER BY emoji LIMIT ?",
            (room.id, target, REACTION_EMOJIS_MAX),
        ).fetchall()
        found[target] = {
            emoji: _reaction(snapshot, (room.id, target, emoji), count, user)
            for emoji, count in counts
        }
        first = target + 1
    return found


def _reaction(snapshot: Snapshot, place: tuple[int, int, str], count: int, user: str) -> Reaction:
    """Return one emoji under one message; its users by when they put it, the first ten."""
    where = "FROM reactions WHERE room_id = ? AND target = ? AND emoji = ?"
    execute = snapshot.connection.execute
    users = tuple(
        name
        for (name,) in execute(
            f"SELECT user {where} ORDER BY seq LIMIT {REACTION_USERS_MAX}", place
        )
    )
    mine = user in users
    if not mine and count > len(users):
        mine = execute(f"SELECT 1 {where} AND user = ?", (*place, user)).fetchone() is not None
    return Reaction(count, mine, users)
