"""Subscribe and unsubscribe: a cursor is placed between two checkpoints, never across one."""

from typing import final

from msgspec import UNSET

from ..._domain.inbox import unread
from ..._domain.position import Forked, Lost, Resume, locate
from ..._domain.room import require_sight
from ..._model.commands import Subscribe, Unsubscribe
from ..._model.errors import ErrorCode, Refusal
from ..._model.events import Done, Refused, Subscribed, SubscribedMany, Subscription
from ...ports.gate import Action
from ..cursor import receipts_of
from ..pipeline import HANDLERS, Job
from ..rights import role_for
from ..room import Cursor, Room, Seat
from ..session import Session


@final
class _Prepared:
    """A subscription that needs no more waiting; its room is pinned."""

    __slots__ = ("room", "seat", "since")

    def __init__(self, room: Room, seat: Seat, since: tuple[str, int] | None) -> None:
        self.room = room
        self.seat = seat
        self.since = since


def _subscribe(session: Session, command: Subscribe) -> Job:
    if (command.room is None) == (command.rooms is None):
        raise Refusal(ErrorCode.INVALID_FIELD, "`subscribe` needs either `room` or `rooms`")
    if command.room is not None:
        return _subscribe_one(session, command, command.room)
    return _subscribe_many(session, command)


async def _subscribe_one(session: Session, command: Subscribe, name: str) -> None:
    prepared = await _prepare(session, name, command.since)
    try:
        _check_count(session, [name])
        # No checkpoint from here until the cursor stands: nothing comes in between.
        found = _describe(session, prepared)
        session.write_in_order(
            Subscribed(
                ref=command.ref,
                **{name: getattr(found, name) for name in found.__struct_fields__},
            )
        )
        _place(session, prepared, found)
    finally:
        _unpin(session, prepared)


async def _subscribe_many(session: Session, command: Subscribe) -> None:
    prepared: list[_Prepared] = []
    refused: dict[int, Refused] = {}
    places = command.rooms or []
    try:
        for index, (name, epoch, seq) in enumerate(places):
            try:
                prepared.append(await _prepare(session, name, (epoch, seq)))
            except Refusal as refusal:
                refused[index] = Refused(
                    room=name, code=refusal.code.value, reason=refusal.code.reason
                )
        _check_count(session, [one.room.name for one in prepared])
        granted = [(one, _describe(session, one)) for one in prepared]
        rows: list[Subscription | Refused] = [found for _, found in granted]
        for index, refusal_row in sorted(refused.items()):
            rows.insert(index, refusal_row)
        session.write_in_order(SubscribedMany(ref=command.ref, rooms=tuple(rows)))
        for one, found in granted:
            _place(session, one, found)
    finally:
        for one in prepared:
            _unpin(session, one)


async def _prepare(session: Session, name: str, since: tuple[str, int] | None) -> _Prepared:
    """Load a room and a seat, and make sure the node is not behind the client.

    Returns with the room pinned; `_unpin` lets it go.

    Raises:
        Refusal: the user may not read here.
    """
    hub = session.engine.hub
    async with hub.pinned(name) as room:
        if room is None:
            raise Refusal(ErrorCode.NO_SUCH_ROOM)
        seat = await hub.seat(room, session.user)
        require_sight(room.rights_of(role_for(session, seat, Action.READ)))
        await hub.count(room)
        if since is not None and since[1] > room.head and since[0] == room.epoch:
            # The client may have seen, elsewhere, what this node has not heard of yet.
            await hub.catch_up(room)
        room.pins += 1
        return _Prepared(room, seat, since)


def _unpin(session: Session, prepared: _Prepared) -> None:
    prepared.room.pins -= 1
    session.engine.hub.released(prepared.room)


def _check_count(session: Session, names: list[str]) -> None:
    new = sum(name not in session.cursors for name in dict.fromkeys(names))
    limit = session.engine.limits.subscriptions_max
    if len(session.cursors) + new > limit:
        raise Refusal(ErrorCode.TOO_MANY_ROOMS, f"a session follows at most {limit} rooms")


def _describe(session: Session, prepared: _Prepared) -> Subscription:
    room, seat = prepared.room, prepared.seat
    recovered, since = True, None
    if prepared.since is not None:
        epoch, seq = prepared.since
        match locate(room.lineage, head=room.head, floor=room.floor, epoch=epoch, seq=seq):
            case Resume(after):
                since = (room.epoch, after) if epoch != room.epoch else None
            case Forked(after):
                since = (room.epoch, after)
            case Lost():
                recovered = False
    is_member = seat.role is not None
    receipts = receipts_of(room, session.engine.limits)
    return Subscription(
        room=room.name,
        epoch=room.epoch,
        head=room.head,
        floor=room.floor,
        role=seat.role,
        recovered=recovered and prepared.since is not None,
        unread=unread(room.n, read_n=seat.read_n, floor_n=room.floor_n) if is_member else 0,
        read=seat.read,
        members=room.members or 0,
        since=UNSET if since is None else since,
        receipts=UNSET if receipts is None else receipts.marks,
        typing=room.typists.shown(session.engine.limits.typists_max)[0],
    )


def _place(session: Session, prepared: _Prepared, found: Subscription) -> None:
    """Insert the cursor; one that was there before is replaced."""
    room = prepared.room
    session.drop_cursor(room)
    position = room.head
    if found.recovered and prepared.since is not None:
        position = prepared.since[1] if found.since is UNSET else found.since[1]
    # Dropping the old cursor may have retired the seat it sat on.
    seat = room.seats.setdefault(session.user, prepared.seat)
    cursor = Cursor(session, room, seat, position)
    session.cursors[room.name] = cursor
    room.enter(cursor)
    if position == room.head:
        room.go_live(cursor)
    else:
        session.fall_behind(cursor)


def _unsubscribe(session: Session, command: Unsubscribe) -> None:
    cursor = session.cursors.get(command.room)
    if cursor is not None:
        session.drop_cursor(cursor.room)
    # After the room's last entry in the queue, so that none follows it.
    session.write_in_order(Done(ref=command.ref))


HANDLERS[Subscribe] = _subscribe
HANDLERS[Unsubscribe] = _unsubscribe
