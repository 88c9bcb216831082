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
from ..cursor import catch_up, receipts_of
from ..pipeline import HANDLERS, Job
from ..rights import role_for
from ..room import Cursor, Room, Seat
from ..session import Session


@final
class _Prepared:
    """A subscription that needs no more waiting; its room and its seat stay until `let_go`."""

    __slots__ = ("room", "seat", "session", "since")

    def __init__(
        self, session: Session, room: Room, seat: Seat, since: tuple[str, int] | None
    ) -> None:
        self.session = session
        self.room = room
        self.seat = seat
        self.since = since
        room.pins += 1
        seat.pins += 1

    def let_go(self) -> None:
        """Unpin the room and the seat."""
        self.room.pins -= 1
        self.seat.pins -= 1
        self.room.retire_seat(self.seat.user)
        self.session.engine.hub.released(self.room)

    def require_sight(self) -> None:
        """Make sure the user may read here, and that here is still somewhere.

        Raises:
            Refusal: what was granted before the last wait may have been taken since.
        """
        if self.session.engine.hub.rooms.get(self.room.name) is not self.room:
            raise Refusal(ErrorCode.NO_SUCH_ROOM)
        role = role_for(self.session, self.seat, Action.READ)
        require_sight(self.room.rights_of(role))


def _subscribe(session: Session, command: Subscribe) -> Job | None:
    if (command.room is None) == (command.rooms is None):
        raise Refusal(ErrorCode.INVALID_FIELD, "`subscribe` needs either `room` or `rooms`")
    places = _places(command)
    at_hand: list[_Prepared | Refused] = []
    for name, since in places:
        one = _at_hand(session, name, since)
        if one is None:
            for other in at_hand:
                _let_go(other)
            return _subscribe_later(session, command, places)
        at_hand.append(one)
    _answer(session, command, at_hand)
    return None


def _places(command: Subscribe) -> list[tuple[str, tuple[str, int] | None]]:
    if command.room is not None:
        return [(command.room, command.since)]
    return [(name, (epoch, seq)) for name, epoch, seq in command.rooms or []]


async def _subscribe_later(
    session: Session, command: Subscribe, places: list[tuple[str, tuple[str, int] | None]]
) -> None:
    """Load what is not at hand, and then answer."""
    asked: list[_Prepared | Refused] = []
    try:
        session.engine.hub.load([name for name, _ in places])
        for name, since in places:
            try:
                asked.append(await _prepare(session, name, since))
            except Refusal as refusal:
                if command.room is not None:
                    raise
                asked.append(_refused(name, refusal))
    except BaseException:
        for one in asked:
            _let_go(one)
        raise
    _answer(session, command, asked)


def _answer(session: Session, command: Subscribe, asked: list[_Prepared | Refused]) -> None:
    """Answer, and place the cursors. There is no checkpoint here, so nothing comes in between."""
    try:
        rows, granted = _grant(session, asked, alone=command.room is not None)
        for one, _ in granted:
            session.drop_cursor(one.room)
        if command.room is None:
            session.write_in_order(SubscribedMany(ref=command.ref, rooms=tuple(rows)))
        else:
            (_, found) = granted[0]
            session.write_in_order(
                Subscribed(
                    ref=command.ref,
                    **{name: getattr(found, name) for name in found.__struct_fields__},
                )
            )
        # Of a room that was asked twice, the second one stands.
        for one, found in {one.room: (one, found) for one, found in granted}.values():
            _place(session, one, found)
    finally:
        for one_asked in asked:
            _let_go(one_asked)


def _let_go(asked: _Prepared | Refused) -> None:
    if isinstance(asked, _Prepared):
        asked.let_go()


def _grant(
    session: Session, asked: list[_Prepared | Refused], *, alone: bool
) -> tuple[list[Subscription | Refused], list[tuple[_Prepared, Subscription]]]:
    """Return a row for each room asked, and those granted.

    Raises:
        Refusal: there are too many; or, of one that is asked `alone`, it may not be read.
    """
    rows: list[Subscription | Refused] = []
    granted: list[tuple[_Prepared, Subscription]] = []
    for one in asked:
        if isinstance(one, Refused):
            rows.append(one)
            continue
        try:
            one.require_sight()
        except Refusal as refusal:
            if alone:
                raise
            rows.append(_refused(one.room.name, refusal))
            continue
        found = _describe(session, one)
        rows.append(found)
        granted.append((one, found))
    _check_count(session, [one.room.name for one, _ in granted])
    return rows, granted


def _refused(name: str, refusal: Refusal) -> Refused:
    return Refused(room=name, code=refusal.code.value, reason=refusal.code.reason)


def _at_hand(session: Session, name: str, since: tuple[str, int] | None) -> _Prepared | None:
    """Return what `_prepare` would, if it need not wait for anything."""
    room = session.engine.hub.rooms.get(name)
    if room is None or room.members is None or _is_ahead(room, since):
        return None
    seat = room.seats.get(session.user)
    if seat is None:
        if not room.complete:
            return None
        seat = room.sit(session.user, None)
    return _Prepared(session, room, seat, since)


def _is_ahead(room: Room, since: tuple[str, int] | None) -> bool:
    """Whether the client has seen, elsewhere, what this node has not heard of yet."""
    return since is not None and since[1] > room.head and since[0] == room.epoch


async def _prepare(session: Session, name: str, since: tuple[str, int] | None) -> _Prepared:
    """Load a room and a seat, and make sure the node is not behind the client.

    Raises:
        Refusal: the user may not read here.
    """
    hub = session.engine.hub
    async with hub.pinned(name, session.user) as room:
        if room is None:
            raise Refusal(ErrorCode.NO_SUCH_ROOM)
        prepared = _Prepared(session, room, await hub.seat(room, session.user), since)
        try:
            prepared.require_sight()
            await hub.count(room)
            if _is_ahead(room, since):
                await hub.catch_up(room)
        except BaseException:
            prepared.let_go()
            raise
        return prepared


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
    """Insert the cursor, and feed it what is at hand."""
    room = prepared.room
    position = room.head
    if found.recovered and prepared.since is not None:
        position = prepared.since[1] if found.since is UNSET else found.since[1]
    cursor = Cursor(session, room, prepared.seat, position)
    session.cursors[room.name] = cursor
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
