"""Subscribe and unsubscribe: a cursor is placed between two checkpoints, never across one."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from typing import TypeAlias

from msgspec import UNSET

from ..._domain.inbox import unread
from ..._domain.position import Forked, Lost, Resume, locate
from ..._domain.room import sees
from ..._model.commands import Position, Subscribe, Unsubscribe
from ..._model.errors import ErrorCode, Refusal
from ..._model.events import Done, Refused, Subscribed, SubscribedMany, Subscription
from ..._model.limits import Limits
from ...ports.gate import Action
from ..cursor import catch_up, receipts_of
from ..pipeline import HANDLERS, Job
from ..rights import role_for
from ..room import Cursor, Room
from ..seat import Seat
from ..session import Session

_Place: TypeAlias = tuple[str, Position | None]
# A room that was asked for and is loaded, the asker's seat in it, and from where on. A bare
# tuple: in a storm a hundred thousand of them are asked for within seconds.
_Asked: TypeAlias = tuple[Room, Seat, Position | None]


def _subscribe(session: Session, command: Subscribe) -> Job | None:
    if (command.room is None) == (command.rooms is None):
        raise Refusal(ErrorCode.INVALID_FIELD, "`subscribe` needs either `room` or `rooms`")
    places = _places(command)
    asked = _at_hand(session, places)
    if asked is None:
        return _subscribe_later(session, command, places)
    _answer(session, command, asked)
    return None


def _places(command: Subscribe) -> list[_Place]:
    if command.room is not None:
        return [(command.room, command.since)]
    return [(name, (epoch, seq)) for name, epoch, seq in command.rooms or []]


def _is_ahead(room: Room, since: Position | None) -> bool:
    """Whether the client has seen, elsewhere, what this node has not heard of yet."""
    return since is not None and since[1] > room.head and since[0] == room.epoch


def _at_hand(session: Session, places: list[_Place]) -> list[_Asked] | None:
    """Return what is asked for, None if any of it must be waited for."""
    rooms, user = session.engine.hub.rooms, session.user
    asked: list[_Asked] = []
    for name, since in places:
        room = rooms.get(name)
        if room is None or room.members is None:
            break
        if since is not None and since[1] > room.head and _is_ahead(room, since):
            break
        seat = room.seats.get(user)
        if seat is None:
            if not room.complete:
                break
            seat = room.sit(user, None)
        asked.append((room, seat, since))
    else:
        return asked
    _leave_seats(asked)
    return None


def _leave_seats(asked: Iterable[_Asked | Refused]) -> None:
    """Take back the seats that were given to be asked about, and are not needed."""
    for one in asked:
        if not isinstance(one, Refused) and not one[1].cursors:
            one[0].retire_seat(one[1].user)


async def _subscribe_later(session: Session, command: Subscribe, places: list[_Place]) -> None:
    """Load what is not at hand, keep it until it is all here, and then answer."""
    hub = session.engine.hub
    hub.load([name for name, _ in places])
    kept: list[Room] = []
    try:
        for name, _ in places:
            room = await hub.open(name)
            if room is not None:
                room.pins += 1
                kept.append(room)
        asked = _at_hand(session, places)
        if asked is not None:
            _answer(session, command, asked)
        else:
            await _subscribe_one_by_one(session, command, places)
    finally:
        for room in kept:
            room.pins -= 1
            hub.released(room)


async def _subscribe_one_by_one(session: Session, command: Subscribe, places: list[_Place]) -> None:
    """Answer what loaded rooms do not know: of large ones, and of those that are none."""
    asked: list[_Asked | Refused] = []
    async with AsyncExitStack() as kept:
        for place in places:
            try:
                asked.append(await _prepare(session, place, kept))
            except Refusal as refusal:
                if command.room is not None:
                    raise
                asked.append(_refused(place[0], refusal))
        _answer(session, command, asked)


async def _prepare(session: Session, place: _Place, kept: AsyncExitStack) -> _Asked:
    """Load a room and a seat, and make sure the node is not behind the client.

    Raises:
        Refusal: the user may not read here.
    """
    hub, (name, since) = session.engine.hub, place
    room = await kept.enter_async_context(hub.pinned(name, session.user))
    if room is None:
        raise Refusal(ErrorCode.NO_SUCH_ROOM)
    seat = kept.enter_context(_pinned(await hub.seat(room, session.user)))
    _require_sight(session, room, seat)
    await hub.count(room)
    if _is_ahead(room, since):
        await hub.catch_up(room)
    return room, seat, since


@contextmanager
def _pinned(seat: Seat) -> Iterator[Seat]:
    """Keep a seat, whoever else leaves it."""
    seat.pins += 1
    try:
        yield seat
    finally:
        seat.pins -= 1


def _require_sight(session: Session, room: Room, seat: Seat) -> None:
    """Make sure the user may read here, and that here is still somewhere.

    Raises:
        Refusal: what was granted before the last wait may have been taken since.
    """
    is_here = session.engine.hub.rooms.get(room.name) is room
    if not is_here or not sees(role_for(session, seat, Action.READ), public=room.public):
        raise Refusal(ErrorCode.NO_SUCH_ROOM)


def _answer(session: Session, command: Subscribe, asked: Sequence[_Asked | Refused]) -> None:
    """Answer, and place the cursors. There is no checkpoint here, so nothing comes in between."""
    try:
        rows, granted = _grant(session, asked, alone=command.room is not None)
        if session.cursors:
            # What a subscription that is replaced was told comes before the answer.
            for room, seat, _ in granted:
                # It is the new cursor's, too: nobody else shall be given another one.
                with _pinned(seat):
                    session.drop_cursor(room)
        if command.room is None:
            session.write_in_order(SubscribedMany(ref=command.ref, rooms=tuple(rows)))
        else:
            (found,) = rows
            session.write_in_order(
                Subscribed(
                    ref=command.ref,
                    **{name: getattr(found, name) for name in found.__struct_fields__},
                )
            )
        # Of a room that was asked twice, the second one stands.
        for place in {place[0]: place for place in granted}.values():
            _place(session, *place)
    finally:
        _leave_seats(asked)


def _grant(
    session: Session, asked: Sequence[_Asked | Refused], *, alone: bool
) -> tuple[list[Subscription | Refused], list[tuple[Room, Seat, int]]]:
    """Return a row for each room asked, and those granted, each with where it begins.

    Raises:
        Refusal: there are too many; or, of one that is asked `alone`, it may not be read.
    """
    rows: list[Subscription | Refused] = []
    granted: list[tuple[Room, Seat, int]] = []
    limits = session.engine.limits
    for one in asked:
        if isinstance(one, Refused):
            rows.append(one)
            continue
        room, seat, since = one
        try:
            _require_sight(session, room, seat)
        except Refusal as refusal:
            if alone:
                raise
            rows.append(_refused(room.name, refusal))
            continue
        position, recovered, moved = _begin(room, since)
        rows.append(
            _describe(room, seat, limits, position=position, recovered=recovered, moved=moved)
        )
        granted.append((room, seat, position))
    _check_count(session, [room.name for room, _, _ in granted])
    return rows, granted


def _refused(name: str, refusal: Refusal) -> Refused:
    return Refused(room=name, code=refusal.code.value, reason=refusal.code.reason)


def _check_count(session: Session, names: list[str]) -> None:
    limit = session.engine.limits.subscriptions_max
    if len(session.cursors) + len(names) <= limit:
        return
    new = sum(name not in session.cursors for name in dict.fromkeys(names))
    if len(session.cursors) + new > limit:
        raise Refusal(ErrorCode.TOO_MANY_ROOMS, f"a session follows at most {limit} rooms")


def _begin(room: Room, since: Position | None) -> tuple[int, bool, bool]:
    """Return where a cursor begins, whether that goes on from `since`, and whether it moved."""
    if since is None:
        return room.head, False, False
    epoch, seq = since
    if epoch == room.epoch and room.floor <= seq <= room.head:
        return seq, True, False  # nearly everybody; `locate` would say the same
    match locate(room.lineage, head=room.head, floor=room.floor, epoch=epoch, seq=seq):
        case Resume(after):
            return after, True, epoch != room.epoch
        case Forked(after):
            return after, True, True
        case Lost():
            return room.head, False, False


def _describe(
    room: Room, seat: Seat, limits: Limits, *, position: int, recovered: bool, moved: bool
) -> Subscription:
    receipts = receipts_of(room, limits)
    return Subscription(
        room=room.name,
        epoch=room.epoch,
        head=room.head,
        floor=room.floor,
        role=seat.role,
        recovered=recovered,
        unread=0 if seat.role is None else unread(room.n, read_n=seat.read_n, floor_n=room.floor_n),
        read=seat.read,
        members=room.members or 0,
        since=(room.epoch, position) if moved else UNSET,
        receipts=UNSET if receipts is None else receipts.marks,
        typing=room.typists.shown(limits.typists_max)[0] if room.typists.until else (),
    )


def _place(session: Session, room: Room, seat: Seat, position: int) -> None:
    """Insert the cursor, and feed it what is at hand."""
    cursor = Cursor(session, room, seat, position)
    session.cursors[room.name] = cursor
    session.engine.counters.cursors += 1
    room.enter(cursor)
    if not catch_up(cursor, session.engine.limits):
        session.fall_behind(cursor)


def _unsubscribe(session: Session, command: Unsubscribe) -> None:
    cursor = session.cursors.get(command.room)
    if cursor is not None:
        session.drop_cursor(cursor.room)
    # After the room's last entry in the queue, so that none follows it.
    session.write_in_order(Done(ref=command.ref))


HANDLERS[Subscribe] = _subscribe
HANDLERS[Unsubscribe] = _unsubscribe
