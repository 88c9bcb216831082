"""What is not durable: receipts, typing, presence, watching, signals; and `refresh`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
from msgspec import UNSET

from ..._domain.receipts import Marks, advance
from ..._domain.room import require_sight, require_writer
from ..._model.commands import (
    Refresh,
    SendSignal,
    SetPresence,
    SetReceipt,
    SetTyping,
    Unwatch,
    Watch,
)
from ..._model.errors import ErrorCode, Refusal
from ..._model.events import Done, Refreshed, Signal, Watching
from ..._wire.body import check_body
from ...ports.gate import Action
from ..asker import Asker
from ..pipeline import ALONE, HANDLERS, Job
from ..relay import receivers
from ..rights import role_for
from ..room import Room
from ..seat import Seat
from ..session import Session
from .messages import body_bytes


def _at_hand(asker: Asker, name: str) -> tuple[Room, Seat] | None:
    room = asker.engine.hub.rooms.get(name)
    seat = room.seats.get(asker.user) if room is not None else None
    return None if room is None or seat is None else (room, seat)


@asynccontextmanager
async def _fetched(asker: Asker, name: str) -> AsyncIterator[tuple[Room, Seat]]:
    """Load the room and the seat. The seat stays until the next checkpoint."""
    hub = asker.engine.hub
    async with hub.pinned(name, asker.user) as room:
        if room is None:
            raise Refusal(ErrorCode.NO_SUCH_ROOM)
        yield room, await hub.seat(room, asker.user)


# --- receipts --------------------------------------------------------------------------


def _receipt(asker: Asker, command: SetReceipt) -> Job | None:
    found = _at_hand(asker, command.room)
    if found is not None and _mark(asker, *found, command):
        return None
    return _receipt_slowly(asker, command)


async def _receipt_slowly(asker: Asker, command: SetReceipt) -> None:
    async with _fetched(asker, command.room) as (room, seat):
        n: int | None = None
        while not _mark(asker, room, seat, command, n=n):
            # The mark lies where only the store knows how many messages came before.
            n = await asker.engine.store.n_at(room.name, command.read or 0)
            seat = await asker.engine.hub.seat(room, asker.user)  # noqa: PLW2901 - read anew


def _mark(
    asker: Asker, room: Room, seat: Seat, command: SetReceipt, *, n: int | None = None
) -> bool:
    """Move the marks and answer; False: how many messages lie before it must be read first."""
    require_sight(room.rights_of(role_for(asker, seat, Action.READ)))
    before = Marks(seat.delivered, seat.read)
    after = advance(before, delivered=command.delivered, read=command.read, head=room.head)
    if after != before and seat.role is not None:
        if after.read != before.read:
            read_n = n if n is not None else _n_at(room, after.read)
            if read_n is None:
                return False
            seat.read, seat.read_n = after.read, read_n
            asker.engine.feeder.read_here(asker.user, room)
        seat.delivered = after.delivered
        # What lies beyond the lower of the marks that moved is news to its authors.
        since = before.delivered if after.read == before.read else before.read
        asker.engine.marks.moved(seat)
        asker.engine.states.marks_moved(seat, since=since)
        if asker.engine.relay is not None:
            asker.engine.relay.marks(seat, since=since)
    asker.write(Done(ref=command.ref))
    return True


def _n_at(room: Room, seq: int) -> int | None:
    return room.n if seq == room.head else room.ring.n_at(seq)


# --- typing ----------------------------------------------------------------------------


def _typing(asker: Asker, command: SetTyping) -> Job | None:
    found = _at_hand(asker, command.room)
    if found is None:
        return _typing_slowly(asker, command)
    _type(asker, *found, command)
    return None


async def _typing_slowly(asker: Asker, command: SetTyping) -> None:
    async with _fetched(asker, command.room) as found:
        _type(asker, *found, command)


def _type(asker: Asker, room: Room, seat: Seat, command: SetTyping) -> None:
    engine = asker.engine
    require_writer(room.rights_of(role_for(asker, seat, Action.WRITE)))
    if len(room.cursors) <= engine.limits.typing_subscribers_max:
        if command.on:
            until = trio.current_time() + engine.limits.typing_s
            moved = room.typists.renew(asker.user, until=until)
            engine.states.typing_in(room)
        else:
            moved = room.typists.stop(asker.user)
        if moved:
            room.typing_moved = True
            engine.states.mark(room)
        if engine.relay is not None and (moved or command.on):
            engine.relay.typing(room, asker.user, on=command.on)
    asker.write(Done(ref=command.ref))


# --- presence --------------------------------------------------------------------------


def _presence(session: Session, command: SetPresence) -> Job | None:
    if command.visible_to is not UNSET:
        return _show(session, command)
    if not isinstance(command.status, str):
        raise _says_nothing()
    session.engine.presence.set_status(session, command.status)
    session.write(Done(ref=command.ref))
    return None


async def _show(session: Session, command: SetPresence) -> None:
    if isinstance(command.visible_to, str):
        await session.engine.sight.show_to(session.user, command.visible_to)
    if isinstance(command.status, str) and not session.is_gone:
        session.engine.presence.set_status(session, command.status)
    session.write(Done(ref=command.ref))


async def _wish(asker: Asker, command: SetPresence) -> None:
    """Take the status of who has no session: only what is the user's own, and is kept."""
    if command.status == "away":
        raise Refusal(ErrorCode.INVALID_FIELD, "`away` is of one session: say it in `/v1/stream`")
    if command.status is UNSET and command.visible_to is UNSET:
        raise _says_nothing()
    if isinstance(command.visible_to, str):
        await asker.engine.sight.show_to(asker.user, command.visible_to)
    if isinstance(command.status, str):
        await asker.engine.presence.wish(asker.user, command.status)
    asker.write(Done(ref=command.ref))


def _says_nothing() -> Refusal:
    return Refusal(ErrorCode.INVALID_FIELD, "`presence` needs `status` or `visible_to`")


async def _watch(session: Session, command: Watch) -> None:
    engine = session.engine
    assert session.identity is not None, "only the admitted ask for anything"
    changes = engine.sight.changes
    new = await engine.sight.seen_by(session.identity, command.users)
    watched = session.watching.users if session.watching else {}
    if len(watched | dict.fromkeys(new)) > engine.limits.watched_max:
        limit = engine.limits.watched_max
        raise Refusal(ErrorCode.INVALID_FIELD, f"a session watches at most {limit} people")
    rows = await engine.presence.watch(session, new)
    if engine.sight.changes != changes:
        # Somebody said meanwhile by whom they are to be seen.
        await engine.sight.review(new)
        still = session.watching.users if session.watching else {}
        rows = tuple(row for row in rows if row[0] in still)
    session.write(Watching(ref=command.ref, users=rows))


def _unwatch(session: Session, command: Unwatch) -> None:
    session.engine.presence.unwatch(session, command.users)
    session.write(Done(ref=command.ref))


# --- signals ---------------------------------------------------------------------------


def _signal(asker: Asker, command: SendSignal) -> Job | None:
    limits = asker.engine.limits
    wait_s = asker.take_signal()
    if wait_s:
        raise Refusal(ErrorCode.RATE_LIMITED, retry_after_ms=int(wait_s * 1000) + 1)
    # The size first: it bounds how much there is to look at.
    if body_bytes(command.data) > limits.signal_bytes_max:
        raise Refusal(ErrorCode.TOO_LARGE, f"a signal has at most {limits.signal_bytes_max} bytes")
    check_body(command.data, depth_max=limits.body_depth_max)
    found = _at_hand(asker, command.room)
    if found is None:
        return _signal_slowly(asker, command)
    _pass_on(asker, *found, command)
    return None


async def _signal_slowly(asker: Asker, command: SendSignal) -> None:
    async with _fetched(asker, command.room) as found:
        _pass_on(asker, *found, command)


def _pass_on(asker: Asker, room: Room, seat: Seat, command: SendSignal) -> None:
    role = role_for(asker, seat, Action.WRITE)
    require_sight(room.rights_of(role))
    if role is None:
        raise Refusal(ErrorCode.NOT_A_MEMBER)
    event = Signal(
        room=room.name,
        sender=asker.user,
        from_device=asker.device,
        kind=command.kind,
        data=command.data,
    )
    others = (
        cursor
        for cursor in receivers(room, command.to, command.to_device)
        if cursor.session is not asker
    )
    room.signal(event, to=others)
    if asker.engine.relay is not None:
        asker.engine.relay.signal(asker, command)
    asker.write(Done(ref=command.ref))


# --- the token -------------------------------------------------------------------------


async def _refresh(session: Session, command: Refresh) -> None:
    identity = await session.engine.admission.admit(command.token, session.opening)
    if identity.user != session.user:
        raise Refusal(ErrorCode.TOKEN_INVALID, "the token is another user's")
    session.admit(identity)
    session.write(Refreshed(ref=command.ref, expires_at=identity.expires_at))


HANDLERS[SetReceipt] = ALONE[SetReceipt] = _receipt
HANDLERS[SetTyping] = ALONE[SetTyping] = _typing
HANDLERS[SetPresence] = _presence
ALONE[SetPresence] = _wish
HANDLERS[Watch] = _watch
HANDLERS[Unwatch] = _unwatch
HANDLERS[SendSignal] = ALONE[SendSignal] = _signal
HANDLERS[Refresh] = _refresh
