"""History, receipts, rooms, sync: pages of what the store knows, and `ping`."""

from functools import partial
from typing import Final

from ..._domain.inbox import unread
from ..._domain.room import require_sight
from ..._model.commands import History, ListReceipts, ListRooms, Ping, Sync
from ..._model.entries import FoldedMessage
from ..._model.errors import ErrorCode, Refusal
from ..._model.events import HistoryPage, Inbox, InboxRow, Pong, ReceiptPage, Synced
from ..._wire.codec import encode_body
from ...ports.gate import Action
from ...ports.store import InboxItem, Mark
from ..pipeline import HANDLERS, Job
from ..rights import role_for
from ..room import Room
from ..session import Session
from ..states import States

# Rooms of one user that `sync` compares.
_SYNC_ROOMS_MAX: Final = 10_000
# Changed rooms described in one `synced`; a client that missed more asks `rooms` for its pages.
_SYNC_ROWS_MAX: Final = 1000


async def _history(session: Session, command: History) -> None:
    engine = session.engine
    await _require_sight(session, command.room)
    page = await engine.store.history(
        command.room,
        session.user,
        before=command.before,
        after=command.after,
        limit=command.limit,
        bytes_max=engine.limits.page_bytes_max,
    )
    if page is None:
        raise Refusal(ErrorCode.NO_SUCH_ROOM)
    session.write(
        HistoryPage(
            ref=command.ref,
            messages=page.messages,
            more=page.more,
            as_of=(page.epoch, page.head),
        )
    )


async def _receipts(session: Session, command: ListReceipts) -> None:
    await _require_sight(session, command.room)
    # What moved within the last second is in memory alone.
    await session.engine.marks.flush()
    marks = await session.engine.store.marks(
        command.room, seq=command.seq, after=command.after, limit=command.limit + 1
    )
    session.write(
        ReceiptPage(
            ref=command.ref,
            marks=tuple((mark.user, mark.delivered, mark.read) for mark in marks[: command.limit]),
            more=len(marks) > command.limit,
        )
    )


async def _require_sight(session: Session, name: str) -> None:
    hub = session.engine.hub
    async with hub.pinned(name, session.user) as room:
        if room is None:
            raise Refusal(ErrorCode.NO_SUCH_ROOM)
        seat = await hub.seat(room, session.user)
        role = role_for(session, seat, Action.READ)
        require_sight(room.rights_of(role))


async def _rooms(session: Session, command: ListRooms) -> None:
    with session.engine.marks.reading():
        items = await session.engine.store.inbox(
            session.user, after=command.after, limit=command.limit + 1
        )
        rows = _rows(session, items[: command.limit])
    session.write(Inbox(ref=command.ref, rooms=rows, more=len(items) > command.limit))


async def _sync(session: Session, command: Sync) -> None:
    with session.engine.marks.reading():
        await _compare(session, command)


async def _compare(session: Session, command: Sync) -> None:
    store = session.engine.store
    have = {room: (epoch, seq) for room, epoch, seq in command.have}
    read = _read_marks(command)
    mine = await store.positions(session.user, limit=_SYNC_ROOMS_MAX)
    changed = [
        room
        for room, epoch, head, seq in mine
        if have.get(room) != (epoch, head)
        or (room in read and read[room] != _read_of(session, room, seq))
    ]
    names = dict.fromkeys(room for room, *_ in mine)
    items = await store.inbox_of(session.user, changed[:_SYNC_ROWS_MAX])
    gone = [room for room in have if room not in names and not await _is_mine(session, room)]
    session.write(
        Synced(
            ref=command.ref,
            rooms=_rows(session, items),
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


def _read_of(session: Session, room: str, stored: int) -> int:
    """Return how far the user has read, which may not be written yet."""
    engine = session.engine
    mark, seat = engine.marks.pending(room, session.user), engine.hub.seat_here(room, session.user)
    pending = 0 if mark is None else mark.read
    return max(stored, pending, 0 if seat is None else seat.read)


async def _is_mine(session: Session, name: str) -> bool:
    """Whether the user is a member of a room that was not among those compared."""
    hub = session.engine.hub
    async with hub.pinned(name, session.user) as room:
        return room is not None and (await hub.seat(room, session.user)).role is not None


def _rows(session: Session, items: list[InboxItem]) -> tuple[InboxRow, ...]:
    """Describe rooms; last messages are left out beyond a page's bytes."""
    bytes_left = session.engine.limits.page_bytes_max
    rows: list[InboxRow] = []
    for item in items:
        bytes_left -= _bytes(item.last)
        rows.append(_row(session, item, item.last if bytes_left > 0 else None))
    return tuple(rows)


def _bytes(message: FoldedMessage | None) -> int:
    if message is None or not isinstance(message.body, dict):
        return 0
    return len(encode_body(message.body))


def _row(session: Session, item: InboxItem, last: FoldedMessage | None) -> InboxRow:
    state = item.state
    read, read_n = _marks_of(session, item)
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


def _marks_of(session: Session, item: InboxItem) -> tuple[int, int]:
    """Return how far the user has read: the greatest of what the store and this node know.

    Where one of them knows less, it learns: doorbells get lost, and a node may go before it
    could write.
    """
    engine, membership, room = session.engine, item.membership, item.state.room
    read, read_n = membership.read, membership.read_n
    mark = engine.marks.pending(room, session.user)
    if mark is not None and mark.read >= read:
        read, read_n = mark.read, mark.read_n
    heard = engine.marks.heard(room, item.state.epoch, session.user)
    if heard is not None and read < heard.read <= item.state.head:
        read, read_n = heard.read, heard.read_n
    seat = engine.hub.seat_here(room, session.user)
    if seat is not None and seat.role is not None and seat.read > read:
        engine.marks.moved(seat)
        return seat.read, seat.read_n
    # A room that is on its way in may have been read before the mark was written, by a node
    # that died before it could ring.
    known = Mark(
        room=room, user=session.user, delivered=membership.delivered, read=read, read_n=read_n
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


def _ping(session: Session, command: Ping) -> Job | None:
    session.write(Pong(ref=command.ref, now=session.engine.clock.now_ms()))
    return None


HANDLERS[History] = _history
HANDLERS[ListReceipts] = _receipts
HANDLERS[ListRooms] = _rooms
HANDLERS[Sync] = _sync
HANDLERS[Ping] = _ping
