"""Questions about one room's log, answered from a snapshot."""

from heapq import merge
from itertools import islice
from typing import Final, TypeVar

from msgspec import UNSET, UnsetType

from ..._domain.fold import REACTION_EMOJIS_MAX, REACTION_USERS_MAX
from ..._model.entries import Edit, FoldedMessage, Message, Reaction, Record
from ..._model.json import JsonMap
from ..._wire.codec import unpack_fact
from ...ports.store import Duplicate, HistorySlice
from .bulk import Among
from .places import Place
from .recent import MESSAGES, OTHERS
from .rows import KINDS, cid_key
from .snapshot import RoomRow, Snapshot

T = TypeVar("T")

# Rows asked for at once: a page is cut by bytes as well, and 64 bodies of 32 KiB are 2 MiB.
_ROWS: Final = 64

_RECORDS: Final = Among(
    "SELECT seq, n, kind, sender, at, cid, packed FROM log WHERE id IN ({}) ORDER BY id"
)
# A message and its latest edit.
_MESSAGES: Final = (
    "SELECT m.seq, m.n, m.at, m.cid, m.sender, m.erased, m.packed, e.packed, e.at "
    "FROM log m LEFT JOIN log e ON e.id = (SELECT id FROM edits "
    "WHERE room_id = m.room_id AND target = m.seq ORDER BY seq DESC LIMIT 1) "
    "WHERE m.id IN ({}) ORDER BY m.id "
)
_MESSAGES_UP: Final = Among(_MESSAGES)
_MESSAGES_DOWN: Final = Among(_MESSAGES + "DESC")


def page(
    snapshot: Snapshot, room_name: str, *, after: int, upto: int, limit: int, bytes_max: int
) -> list[Record]:
    """Return records with `after < seq <= upto` within the bounds."""
    room = snapshot.room(room_name)
    if room is None:
        return []
    after, upto = max(after, room.floor), min(upto, room.head)
    lanes = [
        snapshot.places.ascending(room.id, lane, after=after, upto=upto, limit=limit)
        for lane in (MESSAGES, OTHERS)
    ]
    found: list[Record] = []
    size = 0
    for some in _in_parts(list(islice(merge(*lanes), limit))):
        rows = _RECORDS.execute(snapshot.connection, [log_id for _, log_id in some])
        for seq, n, kind, sender, at, cid, packed in rows:
            size += len(packed)
            if found and size > bytes_max:
                rows.close()
                return found
            found.append(Record(room.name, seq, n, KINDS[kind], sender, at, cid, packed))
    return found


def _in_parts(items: list[T]) -> list[list[T]]:
    return [items[start : start + _ROWS] for start in range(0, len(items), _ROWS)]


def n_at(snapshot: Snapshot, room_name: str, seq: int) -> int:
    """Return how many messages the room had at `seq`."""
    room = snapshot.room(room_name)
    if room is None:
        return 0
    if seq >= room.head:
        return room.n
    last = snapshot.places.descending(room.id, MESSAGES, before=seq + 1, floor=room.floor, limit=1)
    if not last:
        return room.floor_n
    ((_, log_id),) = last
    (n,) = snapshot.connection.execute("SELECT n FROM log WHERE id = ?", (log_id,)).fetchone()
    return int(n)


def find(snapshot: Snapshot, room_name: str, sender: str, cid: str) -> Duplicate | None:
    """Return what a cid became, or None."""
    room = snapshot.room(room_name)
    if room is None:
        return None
    key = cid_key(sender, cid)
    row = snapshot.connection.execute(
        "SELECT seq, at, op FROM cids WHERE room_id = ? AND key = ?", (room.id, key)
    ).fetchone()
    if row is not None:
        return Duplicate(*row)
    for window in snapshot.windows:
        tail = window.tails.get(room.id)
        first = None if tail is None else tail.cids.get(key)
        # Folded windows are in the table, or were and are pruned; later than the snapshot's
        # head is not committed yet.
        if first is not None and window.last_id > snapshot.indexed and first[0] <= room.head:
            return Duplicate(*first)
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
    upwards = before is None and after is not None
    if upwards:
        places = snapshot.places.ascending(
            room.id, MESSAGES, after=max(after or 0, room.floor), upto=room.head, limit=limit + 1
        )
    else:
        places = _newest(snapshot, room, before=before, limit=limit + 1)
    messages = folded(snapshot, room, user, places[:limit], upwards=upwards, bytes_max=bytes_max)
    more = len(places) > len(messages)
    if not upwards:
        messages.reverse()
    return HistorySlice(tuple(messages), more, snapshot.epoch, room.head)


def last_message(snapshot: Snapshot, room: RoomRow, user: str) -> FoldedMessage | None:
    """Return a room's last message, folded, or None."""
    places = _newest(snapshot, room, before=None, limit=1)
    messages = folded(snapshot, room, user, places, upwards=False, bytes_max=0)
    return messages[0] if messages else None


def _newest(snapshot: Snapshot, room: RoomRow, *, before: int | None, limit: int) -> list[Place]:
    end = room.head + 1 if before is None else min(before, room.head + 1)
    return snapshot.places.descending(room.id, MESSAGES, before=end, floor=room.floor, limit=limit)


def folded(
    snapshot: Snapshot,
    room: RoomRow,
    user: str,
    places: list[Place],
    *,
    upwards: bool,
    bytes_max: int,
) -> list[FoldedMessage]:
    """Return the messages at `places`, in that order, while their bodies fit."""
    query = _MESSAGES_UP if upwards else _MESSAGES_DOWN
    found: list[FoldedMessage] = []
    size = 0
    for some in _in_parts(places):
        first, last = sorted((some[0][0], some[-1][0]))
        reactions = _reactions(snapshot, room, user, first, last)
        rows = query.execute(snapshot.connection, [log_id for _, log_id in some])
        for seq, n, at, cid, sender, is_erased, packed, edit, edited_at in rows:
            size += len(edit or packed)
            if found and size > bytes_max:
                rows.close()
                return found
            message = unpack_fact(packed)
            assert isinstance(message, Message), "the lane of messages holds nothing else"
            found.append(
                FoldedMessage(
                    seq=seq,
                    n=n,
                    at=at,
                    cid=cid,
                    sender=sender,
                    body=message.body if edit is None else _edited_body(edit),
                    reply_to=message.reply_to,
                    mentions=message.mentions,
                    edited_at=UNSET if edit is None else edited_at,
                    erased=bool(is_erased),
                    reactions=reactions.get(seq, {}),
                )
            )
    return found


def _edited_body(packed: bytes) -> JsonMap | UnsetType:
    edit = unpack_fact(packed)
    assert isinstance(edit, Edit), "`edits` points at edits"
    return edit.body


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
