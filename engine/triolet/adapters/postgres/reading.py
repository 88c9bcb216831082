"""What is asked of the store, as statements, and their rows as what the port returns."""

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec
from msgspec import UNSET

from ..._model.entries import Edit, FoldedMessage, Message, Reaction, Record
from ..._wire.codec import pack_fact, unpack_fact
from ...ports.store import (
    HistorySlice,
    InboxItem,
    Membership,
    RoomState,
    StoredRoom,
)
from .drafts import KINDS
from .kinds import INT4, INT8, TEXT, TEXTS
from .statement import Row, Rows, Statement

ROOMS: Final = Statement("SELECT * FROM triolet.rooms($1, $2)", TEXTS, INT4)
NAMES: Final = Statement(
    "SELECT name FROM triolet.rooms WHERE name > $1 ORDER BY name LIMIT $2", TEXT, INT8
)
HEADS: Final = Statement("SELECT * FROM triolet.heads($1)", TEXTS)
# Asked by who has come back, once: whatever it is planned as, it looks at all rooms.
ACTIVE_ROOMS: Final = Statement(
    "SELECT r.name FROM triolet.rooms r JOIN triolet.heads h ON h.room_id = r.id "
    "WHERE h.at >= $1 AND r.name > $2 ORDER BY r.name LIMIT $3",
    INT8,
    TEXT,
    INT8,
)
MEMBERS: Final = Statement(
    "SELECT * FROM triolet.members($1, $2, $3, $4, $5)", TEXT, TEXT, INT8, INT8, TEXT
)
PAGE: Final = Statement(
    "SELECT * FROM triolet.page($1, $2, $3, $4, $5)", TEXT, INT8, INT8, INT8, INT8
)
HISTORY: Final = Statement(
    "SELECT * FROM triolet.history($1, $2, $3, $4, $5, $6)", TEXT, TEXT, INT8, INT8, INT8, INT8
)
FIND: Final = Statement("SELECT * FROM triolet.find($1, $2, $3)", TEXT, TEXT, TEXT)
N_AT: Final = Statement("SELECT * FROM triolet.n_at($1, $2)", TEXT, INT8)
INBOX: Final = Statement("SELECT * FROM triolet.inbox($1, $2, $3, $4)", TEXT, TEXT, INT8, TEXTS)
POSITIONS: Final = Statement("SELECT * FROM triolet.positions($1, $2)", TEXT, INT8)
ACQUAINTED: Final = Statement("SELECT * FROM triolet.acquainted($1, $2)", TEXT, TEXTS)
PEOPLE: Final = Statement("SELECT * FROM triolet.persons($1)", TEXTS)
REVOKED: Final = Statement("SELECT triolet.revoked($1)", TEXTS)
REVOCATIONS: Final = Statement(
    "SELECT * FROM triolet.revocations($1, $2, $3, $4)", INT8, TEXT, INT8, TEXT
)

# Less than any name, so that "after None" is "after the beginning".
BEGINNING: Final = ""

_lineage: Final = msgspec.json.Decoder(tuple[tuple[str, int], ...]).decode
_memberships: Final = msgspec.json.Decoder(list[Membership]).decode
_reactions: Final = msgspec.json.Decoder(list[tuple[str, int, tuple[str, ...], bool]]).decode
_ERASED: Final = pack_fact(Message(erased=True))


def state(row: Row) -> RoomState:
    """Return where a room stands, from a row that begins as `states` does, without the id."""
    name, kind, title, public, epoch, lineage, head, n, floor, floor_n, acl_ver, members = row[:12]
    return RoomState(
        room=name,
        kind=kind,
        title=title,
        public=public,
        epoch=epoch,
        lineage=((epoch, 1),) if lineage is None else _lineage(lineage),
        head=head,
        n=n,
        floor=floor,
        floor_n=floor_n,
        acl_ver=acl_ver,
        members=members,
    )


def stored_room(row: Row) -> StoredRoom:
    """Return a room, with its members unless there are too many."""
    members = row[12]
    return StoredRoom(state(row), None if members is None else _memberships(members))


def membership(row: Row) -> Membership:
    """Return a membership."""
    user, role, delivered, read, read_n = row
    return Membership(user=user, role=role, delivered=delivered, read=read, read_n=read_n)


def records(room: str, rows: Rows, *, bytes_max: int) -> list[Record]:
    """Return a page's records, within `bytes_max`."""
    found: list[Record] = []
    size = 0
    for seq, n, kind, sender, at, cid, packed, rest, target in rows:
        fact = packed or rest or (_ERASED if kind == 0 else _erased_edit(target))
        size += len(fact)
        if found and size > bytes_max:
            break
        found.append(Record(room, seq, n, KINDS[kind], sender, at, cid, fact))
    return found


def history(rows: Rows, *, is_forward: bool, bytes_max: int) -> HistorySlice | None:
    """Return a page of history, from the rows of `history`."""
    if not rows:
        return None
    epoch, head, found = rows[0][:3]
    messages = list(_within((row[3:] for row in rows if row[3] is not None), bytes_max))
    more = len(messages) < found
    if not is_forward:
        messages.reverse()
    return HistorySlice(tuple(messages), more, epoch, head)


def _within(rows: Iterable[Row], bytes_max: int) -> Iterator[FoldedMessage]:
    """Yield messages while the facts that hold their bodies fit; the first one in any case."""
    size = 0
    for row in rows:
        before = size
        packed, rest, edited_at, edit = row[5:9]
        size += len(_body_fact(row[0], packed, rest, edited_at, edit))
        if before and size > bytes_max:
            return
        yield folded(row)


def _body_fact(
    seq: int, packed: bytes | None, rest: bytes | None, edited_at: int | None, edit: bytes | None
) -> bytes:
    """Return the fact that holds a message's present body, or says that it is erased."""
    if edited_at is None:
        return packed or rest or _ERASED
    return edit or _erased_edit(seq)


def folded(row: Row) -> FoldedMessage:
    """Return a message, from a row of `folded` without the room, and its reactions."""
    seq, n, at, cid, sender, packed, rest, edited_at, edit, reactions = row
    message = unpack_fact(packed or rest or _ERASED)
    assert isinstance(message, Message), "the table of messages holds nothing else"
    body = message.body
    if edit is not None and not message.erased:
        latest = unpack_fact(edit)
        assert isinstance(latest, Edit), "it is found by being one"
        body = latest.body
    return FoldedMessage(
        seq=seq,
        n=n,
        at=at,
        cid=cid,
        sender=sender,
        body=body,
        reply_to=message.reply_to,
        mentions=message.mentions,
        edited_at=UNSET if edited_at is None else edited_at,
        erased=message.erased,
        reactions={}
        if reactions is None
        else {
            emoji: Reaction(count, mine, users)
            for emoji, count, users, mine in _reactions(reactions)
        },
    )


def inbox_items(user: str, rows: Rows) -> list[InboxItem]:
    """Return a user's rooms."""
    return [
        InboxItem(
            state(row),
            membership((user, *row[12:16])),
            None if row[16] is None else folded(row[16:]),
        )
        for row in rows
    ]


def _erased_edit(target: int) -> bytes:
    return pack_fact(Edit(target, erased=True))
