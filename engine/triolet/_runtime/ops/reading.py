"""History, receipts, rooms, sync: pages of what the store knows, and `ping`."""

from functools import partial
from typing import Final

import trio

from ..._domain.inbox import unread
from ..._domain.room import require_sight
from ..._model.commands import History, ListReceipts, ListRooms, Ping, Sync
from ..._model.entries import FoldedMessage
from ..._model.errors import ErrorCode, Refusal
from ..._model.events import HistoryPage, Inbox, InboxRow, Pong, ReceiptPage, Synced
from ..._wire.codec import encode_body
from ...ports.gate import Action
from ...ports.store import HistorySlice, InboxItem, Mark
from ..asker import Asker
from ..pipeline import ALONE, HANDLERS, Job
from ..rights import role_for
from ..room import Room
from ..states import States

# Rooms of one user that `sync` compares.
_SYNC_ROOMS_MAX: Final = 10_000
# Changed rooms described in one `synced`; a client that missed more asks `rooms` for its pages.
_SYNC_ROWS_MAX: Final = 1000


async def _history(asker: Asker, command: History) -> None:
    await require_reading(asker, command.room)
    page = await _page(asker, command)
    asker.write(
        HistoryPage(
            ref=command.ref,
            messages=page.messages,
            more=page.more,
            as_of=(page.epoch, page.head),
        )
    )


async def _page(asker: Asker, command: History) -> HistorySlice:
    engine, user = asker.engine, asker.user
    page = engine.hub.histories.find(user, command)
    if page is not None:
        await trio.lowlevel.checkpoint()
        return page
    floor = engine.hub.histories.floor(command.room)
    page = await engine.store.history(
        command.room,
        user,
        before=command.before,
        after=command.after,
        limit=command.limit,
        bytes_max=engine.limits.page_bytes_max,
    )
    if page is None:
        raise Refusal(ErrorCode.NO_SUCH_ROOM)
    engine.hub.histories.keep(user, command, page, floor)
    return page


async def _receipts(asker: Asker, command: ListReceipts) -> None:
    await require_reading(asker, command.room)
    # What moved within the last second is in memory alone.
    await asker.engine.marks.flush()
    marks = await asker.engine.store.marks(
        command.room, seq=command.seq, after=command.after, limit=command.limit + 1
    )
    asker.write(
        ReceiptPage(
            ref=command.ref,
            marks=tuple((mark.user, mark.delivered, mark.read) for mark in marks[: command.limit]),
            more=len(marks) > command.limit,
        )
    )


async def require_reading(asker: Asker, name: str) -> None:
    """Make sure that somebody may read in a room.

    Raises:
        Refusal: `NO_SUCH_ROOM`, or `FORBIDDEN` by the gate's word.
        StoreError: it could not be looked at.
    """
    hub = asker.engine.hub
    async with hub.pinned(name, asker.user) as room:
        if room is None:
            raise Refusal(ErrorCode.NO_SUCH_ROOM)
        seat = await hub.seat(room, asker.user)
        role = role_for(asker, seat, Action.READ)
        require_sight(room.rights_of(role))


async def _rooms(asker: Asker, command: ListRooms) -> None:
    with asker.engine.marks.reading():
        items = await asker.engine.store.inbox(
            asker.user, after=command.after, limit=command.limit + 1
        )
        rows = _rows(asker, items[: command.limit])
    asker.write(Inbox(ref=command.ref, rooms=rows, more=len(items) > command.limit))


async def _sync(asker: Asker, command: Sync) -> None:
    with asker.engine.marks.reading():
        await _compare(asker, command)


async def _compare(asker: Asker, command: Sync) -> None:
    store = asker.engine.store
    have = {room: (epoch, seq) for room, epoch, seq in command.have}
    read = _read_marks(command)
    mine = await store.positions(asker.user, limit=_SYNC_ROOMS_MAX)
    changed = [
        room
        for room, epoch, head, seq in mine
        if have.get(room) != (epoch, head)
        or (room in read and read[room] != _read_of(asker, room, seq))
    ]
    names = dict.fromkeys(room for room, *_ in mine)
    items = await store.inbox_of(asker.user, changed[:_SYNC_ROWS_MAX])
    gone = [room for room in have if room not in names and not await _is_mine(asker, room)]
    asker.write(
        Synced(
            ref=command.ref,
            rooms=_rows(asker, items),
            gone=tuple(gone),
        )
    )


def _read_marks(command: Sync) -> dict[str, int]:
    """Return the read marks that the client knows, by room."""
    if command.read is None:
        return {}
    if len(command.read) != len(command.have):
        raise Refusal(ErrorCode.INVALID_FIELD, "`read` has one mark for each of `have`")
    places = zip(command.have, command.read, strict=True)
    return {room: read for (room, _, _), read in places}


def _read_of(asker: Asker, room: str, stored: int) -> int:
    """Return how far the user has read, which may not be written yet."""
    engine = asker.engine
    mark, seat = engine.marks.pending(room, asker.user), engine.hub.seat_here(room, asker.user)
    pending = 0 if mark is None else mark.read
    return max(stored, pending, 0 if seat is None else seat.read)


async def _is_mine(asker: Asker, name: str) -> bool:
    """Whether the user is a member of a room that was not among those compared."""
    hub = asker.engine.hub
    async with hub.pinned(name, asker.user) as room:
        return room is not None and (await hub.seat(room, asker.user)).role is not None


def _rows(asker: Asker, items: list[InboxItem]) -> tuple[InboxRow, ...]:
    """Describe rooms; last messages are left out beyond a page's bytes."""
    bytes_left = asker.engine.limits.page_bytes_max
    rows: list[InboxRow] = []
    for item in items:
        bytes_left -= _bytes(item.last)
        rows.append(_row(asker, item, item.last if bytes_left > 0 else None))
    return tuple(rows)


def _bytes(message: FoldedMessage | None) -> int:
    if message is None or not isinstance(message.body, dict):
        return 0
    return len(encode_body(message.body))


def _row(asker: Asker, item: InboxItem, last: FoldedMessage | None) -> InboxRow:
    state = item.state
    read, read_n = _marks_of(asker, item)
    return InboxRow(
        room=state.room,
        kind=state.kind,
        title=state.title,
        epoch=state.epoch,
        head=state.head,
        unread=unread(state.n, read_n=read_n, floor_n=state.floor_n),
        read=read,
        role=item.membership.role,
        last=last,
    )


def _marks_of(asker: Asker, item: InboxItem) -> tuple[int, int]:
    """Return how far the user has read: the greatest of what the store and this node know.

    Where one of them knows less, it learns: doorbells get lost, and a node may go before it
    could write.
    """
    engine, membership, room = asker.engine, item.membership, item.state.room
    read, read_n = membership.read, membership.read_n
    mark = engine.marks.pending(room, asker.user)
    if mark is not None and mark.read >= read:
        read, read_n = mark.read, mark.read_n
    heard = engine.marks.heard(room, item.state.epoch, asker.user)
    if heard is not None and read < heard.read <= item.state.head:
        read, read_n = heard.read, heard.read_n
    seat = engine.hub.seat_here(room, asker.user)
    if seat is not None and seat.role is not None and seat.read > read:
        engine.marks.moved(seat)
        return seat.read, seat.read_n
    # A room that is on its way in may have been read before the mark was written, by a node
    # that died before it could ring.
    known = Mark(
        room=room, user=asker.user, delivered=membership.delivered, read=read, read_n=read_n
    )
    engine.hub.when_loaded(room, partial(_learn, engine.states, known))
    return read, read_n


def _learn(states: States, known: Mark, room: Room) -> None:
    """Have the seat of a room that is loaded know what the store does."""
    seat = room.seats.get(known.user)
    if seat is None or seat.role is None or seat.read >= known.read:
        return
    since = min(seat.delivered, seat.read)
    seat.read, seat.read_n = known.read, known.read_n
    seat.delivered = max(seat.delivered, known.delivered, known.read)
    states.marks_moved(seat, since=since)


def _ping(asker: Asker, command: Ping) -> Job | None:
    asker.write(Pong(ref=command.ref, now=asker.engine.clock.now_ms()))
    return None


HANDLERS[History] = ALONE[History] = _history
HANDLERS[ListReceipts] = ALONE[ListReceipts] = _receipts
HANDLERS[ListRooms] = ALONE[ListRooms] = _rooms
HANDLERS[Sync] = ALONE[Sync] = _sync
HANDLERS[Ping] = ALONE[Ping] = _ping
