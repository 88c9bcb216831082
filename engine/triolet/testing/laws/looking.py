"""A picture asked for afresh, by a client that has followed nothing."""

from collections.abc import Iterable

from msgspec import UNSET

from ..._model.entries import FoldedMessage
from ..._model.errors import ErrorCode, Refusal
from ..._model.events import HistoryPage, InboxRow, Subscribed
from ...client import Client
from .picture import Picture, RoomPicture

# Rooms and messages of one question: the most that the protocol grants.
_PAGE = 200


async def inbox_of(client: Client) -> dict[str, InboxRow]:
    """Return all of a client's rooms, by name."""
    rows: dict[str, InboxRow] = {}
    more = True
    while more:
        page = await client.rooms(after=next(reversed(rows), None), limit=_PAGE)
        rows |= {row.room: row for row in page.rooms}
        more = page.more
    return rows


async def history_of(client: Client, room: str) -> tuple[dict[int, FoldedMessage], HistoryPage]:
    """Return all messages of a room by seq, as of the newest page's position; and that page.

    An entry that comes while older pages are read is applied to them by whoever follows.
    """
    first = page = await client.history(room, limit=_PAGE)
    messages = list(first.messages)
    while page.more:
        page = await client.history(room, before=messages[0].seq, limit=_PAGE)
        messages = [*page.messages, *messages]
    return {message.seq: message for message in messages}, first


async def subscribe(client: Client, room: str) -> Subscribed | None:
    """Follow a room; None: it is not there for this user."""
    try:
        return await client.subscribe(room)
    except Refusal as refusal:
        if refusal.code is not ErrorCode.NO_SUCH_ROOM:
            raise
        return None


async def look(
    client: Client, *, guest_of: Iterable[str], uncounted: Iterable[str], watched: Iterable[str]
) -> Picture:
    """Return what a client finds when it asks for everything.

    Args:
        client: one that has followed nothing yet.
        guest_of: public rooms to look into though they may not be the user's.
        uncounted: rooms whose members come and go without entries.
        watched: whose presence to ask for.
    """
    inbox = await inbox_of(client)
    rooms: dict[str, RoomPicture] = {}
    for name in dict.fromkeys([*inbox, *guest_of]):
        granted = await subscribe(client, name)
        if granted is None:
            continue
        messages, _ = await history_of(client, name)
        marks = None if granted.receipts is UNSET else {u: (d, r) for u, d, r in granted.receipts}
        rooms[name] = RoomPicture(
            head=granted.head,
            role=granted.role,
            title=inbox[name].title if name in inbox else None,
            messages=messages,
            marks=None if name in uncounted else marks,
            typing=granted.typing,
        )
    people = (await client.watch(watched)).users
    return Picture(
        rooms=rooms,
        inbox={row.room: (row.epoch, row.head, row.unread, row.read) for row in inbox.values()},
        people={user: (status, last_seen) for user, status, last_seen in people},
    )
