"""What asking and being answered change in the client's memory, by the kind of command.

Three tables: when a command is asked, when it was carried out, when it was refused.
What is in none of them changes nothing.
"""

from collections.abc import Callable
from typing import Final, TypeAlias

from msgspec import UNSET

from .._model.commands import (
    Command,
    ListRooms,
    Observe,
    Ping,
    Position,
    Refresh,
    Send,
    SetPresence,
    SetReceipt,
    SetTyping,
    Subscribe,
    Sync,
    Unsubscribe,
    Unwatch,
    Watch,
)
from .._model.errors import ErrorCode, Refusal
from .._model.events import (
    Closed,
    Failed,
    Inbox,
    Presence,
    PresenceRow,
    Receipts,
    Refreshed,
    Refused,
    Reply,
    Subscribed,
    SubscribedMany,
    Synced,
    Typing,
    Watching,
)
from ._desk import Desk
from ._effects import KeepToken, Noted, RoomEnded
from ._following import Row
from ._requests import OnLoss, Request
from .state import State

# Refusals that pass: repeating the same bytes is harmless, for they carry a cid or only read.
_PASSING: Final = (
    ErrorCode.RATE_LIMITED,
    ErrorCode.STORE_UNAVAILABLE,
    ErrorCode.OUTCOME_UNKNOWN,
)
# What the client itself asks is repeated for these too, and as often as it takes.
_PASSING_INTERNAL: Final = (*_PASSING, ErrorCode.INTERNAL, ErrorCode.SHUTTING_DOWN)
# Their moment passes: never repeated after a refusal.
_MOMENTARY: Final = (Ping, SetTyping)

_OnAsked: TypeAlias = Callable[[Desk, Command], None]
_OnDone: TypeAlias = Callable[[Desk, Request, Reply, float], None]
_OnRefused: TypeAlias = Callable[[Desk, Request, Refusal], None]


def refusal_of(failed: Failed) -> Refusal:
    """Return the exception that an error reply stands for."""
    try:
        code, message = ErrorCode(failed.code), failed.message
    except ValueError:
        # A code of a later version of the protocol keeps its name.
        code = ErrorCode.INTERNAL
        message = f"{failed.code} {failed.reason}: {failed.message}"
    return Refusal(code, message, retry_after_ms=failed.retry_after_ms)


def asked(desk: Desk, command: Command) -> None:
    """Remember what a caller's command wishes, whenever it will be carried out."""
    remember = _ON_ASKED.get(type(command))
    if remember is not None:
        remember(desk, command)


def done(desk: Desk, request: Request, reply: Reply, now: float) -> None:
    """Take in an `ok`."""
    desk.settle(request, reply)
    take = _ON_DONE.get(type(request.command))
    if take is not None:
        take(desk, request, reply, now)


def refused(desk: Desk, request: Request, refusal: Refusal, now: float) -> None:
    """Take in a refusal: ask again later, or let the caller know."""
    if _may_repeat(desk, request, refusal):
        desk.ask_later(request, refusal, now)
        return
    desk.settle(request, refusal)
    take = _ON_REFUSED.get(type(request.command))
    if take is not None:
        take(desk, request, refusal)
    if request.is_internal:
        name = type(request.command).__name__
        desk.effects.append(Noted(f"{name} was refused: {refusal}"))


def _may_repeat(desk: Desk, request: Request, refusal: Refusal) -> bool:
    if request.is_abandoned or isinstance(request.command, _MOMENTARY):
        return False
    if request.is_internal:
        return refusal.code in _PASSING_INTERNAL
    if request.on_loss is OnLoss.DROP or refusal.code not in _PASSING:
        return False
    return request.attempts < desk.limits.retries_max


# --- asked -------------------------------------------------------------------------------


def _asked_send(desk: Desk, command: Command) -> None:
    assert isinstance(command, Send)
    desk.standing.stop_typing(command.room)


def _asked_receipt(desk: Desk, command: Command) -> None:
    assert isinstance(command, SetReceipt)
    desk.marks.move(command)


def _asked_presence(desk: Desk, command: Command) -> None:
    assert isinstance(command, SetPresence)
    if isinstance(command.status, str):
        desk.standing.show(command.status)


def _asked_stats(desk: Desk, command: Command) -> None:
    assert isinstance(command, Observe)
    desk.standing.observe(command)


def _asked_unsubscribe(desk: Desk, command: Command) -> None:
    assert isinstance(command, Unsubscribe)
    desk.following.forget([command.room])
    desk.effects.append(RoomEnded(command.room))


def _asked_unwatch(desk: Desk, command: Command) -> None:
    assert isinstance(command, Unwatch)
    desk.standing.unwatch(command.users)


def _asked_refresh(desk: Desk, command: Command) -> None:
    assert isinstance(command, Refresh)
    if desk.state is not State.ONLINE:
        # The next greeting needs it already: the one before it may have expired.
        desk.effects.append(KeepToken(command.token))


_ON_ASKED: Final[dict[type[Command], _OnAsked]] = {
    Send: _asked_send,
    SetReceipt: _asked_receipt,
    SetPresence: _asked_presence,
    Observe: _asked_stats,
    Unsubscribe: _asked_unsubscribe,
    Unwatch: _asked_unwatch,
    Refresh: _asked_refresh,
}


# --- done --------------------------------------------------------------------------------


def _done_subscribe(desk: Desk, request: Request, reply: Reply, now: float) -> None:
    command = request.command
    assert isinstance(command, Subscribe)
    if isinstance(reply, Subscribed):
        _granted(desk, request, reply, command.since)
        return
    assert isinstance(reply, SubscribedMany)
    since = {room: (epoch, seq) for room, epoch, seq in command.rooms or ()}
    for row in reply.rooms:
        if not isinstance(row, Refused):
            _granted(desk, request, row, since.get(row.room))
    if request.is_internal:
        refusals = [row for row in reply.rooms if isinstance(row, Refused)]
        _rooms_refused(desk, request, refusals, now)


def _granted(desk: Desk, request: Request, row: Row, since: Position | None) -> None:
    is_followed = row.room in desk.following.rooms
    if not is_followed and (request.is_internal or request.is_abandoned):
        # Nobody wants it any more: it was unfollowed, or its caller has gone meanwhile.
        desk.unfollow(row.room)
        return
    reset = desk.following.grant(row, since, is_rebase=request.is_rebase)
    if reset is not None:
        desk.deliver(reset)
    if request.is_internal:
        # State may have changed unseen: an application must not go on showing the old one.
        if row.receipts is not UNSET:
            desk.deliver(Receipts(room=row.room, marks=row.receipts))
        desk.deliver(Typing(room=row.room, users=row.typing, more=False))
    if row.role is not None:
        desk.heads.heard(row.room, row.epoch, desk.following.rooms[row.room].seq, row.read)
    mark = desk.marks.behind(row, desk.user)
    if mark is not None:
        desk.ask(mark)


def _rooms_refused(desk: Desk, request: Request, rows: list[Refused], now: float) -> None:
    for row in rows:
        if row.code not in _PASSING_INTERNAL:
            _closed(desk, row.room, row.reason)
    again = desk.following.places(row.room for row in rows if row.code in _PASSING_INTERNAL)
    if again:
        repeat = desk.requests.make(Subscribe(rooms=again), (SubscribedMany,), is_internal=True)
        repeat.attempts = request.attempts
        desk.ask_later(repeat, None, now)


def _closed(desk: Desk, room: str, reason: str) -> None:
    if room in desk.following.rooms:
        desk.following.forget([room])
        desk.deliver(Closed(room=room, reason=reason))
        desk.effects.append(RoomEnded(room))


def _done_unsubscribe(desk: Desk, request: Request, reply: Reply, now: float) -> None:
    del reply, now
    assert isinstance(request.command, Unsubscribe)
    if not request.is_internal:
        # A subscription that was on its way when this was asked has been granted meanwhile.
        desk.following.forget([request.command.room])


def _done_watch(desk: Desk, request: Request, reply: Reply, now: float) -> None:
    del now
    assert isinstance(request.command, Watch)
    assert isinstance(reply, Watching)
    if request.is_internal:
        desk.deliver(Presence(users=reply.users + _lost_sight(request.command, reply)))
    elif request.is_abandoned:
        users = desk.standing.unwatched(request.command.users)
        if users:
            desk.ask(Unwatch(users=users))
    else:
        desk.standing.watch(request.command.users)


def _lost_sight(command: Watch, reply: Watching | None) -> tuple[PresenceRow, ...]:
    """Return rows for whom a new connection does not tell of: no room is shared any more.

    Nothing more is heard of them, so the last that was must not be shown for ever.
    """
    told = {user for user, _, _ in reply.users} if reply is not None else set[str]()
    return tuple((user, "offline", 0) for user in command.users if user not in told)


def _done_receipt(desk: Desk, request: Request, reply: Reply, now: float) -> None:
    del reply, now
    assert isinstance(request.command, SetReceipt)
    desk.marks.told(request.command)


def _done_rooms(desk: Desk, request: Request, reply: Reply, now: float) -> None:
    del request, now
    assert isinstance(reply, Inbox)
    desk.heads.heard_rows(reply.rooms)


def _done_sync(desk: Desk, request: Request, reply: Reply, now: float) -> None:
    del now
    assert isinstance(reply, Synced)
    desk.heads.heard_rows(reply.rooms)
    desk.heads.forget(reply.gone)
    if request.is_internal:
        desk.deliver(reply)


def _done_refresh(desk: Desk, request: Request, reply: Reply, now: float) -> None:
    del now
    assert isinstance(request.command, Refresh)
    assert isinstance(reply, Refreshed)
    desk.token_lives_until(reply.expires_at)
    desk.effects.append(KeepToken(request.command.token))


_ON_DONE: Final[dict[type[Command], _OnDone]] = {
    Subscribe: _done_subscribe,
    Unsubscribe: _done_unsubscribe,
    Watch: _done_watch,
    SetReceipt: _done_receipt,
    ListRooms: _done_rooms,
    Sync: _done_sync,
    Refresh: _done_refresh,
}


# --- refused -----------------------------------------------------------------------------


def _refused_subscribe(desk: Desk, request: Request, refusal: Refusal) -> None:
    assert isinstance(request.command, Subscribe)
    if request.is_internal:
        for room, _, _ in request.command.rooms or ():
            _closed(desk, room, refusal.code.reason)


def _refused_receipt(desk: Desk, request: Request, refusal: Refusal) -> None:
    del refusal
    assert isinstance(request.command, SetReceipt)
    desk.marks.forget(request.command.room)


def _refused_presence(desk: Desk, request: Request, refusal: Refusal) -> None:
    del refusal
    assert isinstance(request.command, SetPresence)
    if isinstance(request.command.status, str):
        desk.standing.show(None)


def _refused_stats(desk: Desk, request: Request, refusal: Refusal) -> None:
    del request, refusal
    desk.standing.stop_observing()


def _refused_watch(desk: Desk, request: Request, refusal: Refusal) -> None:
    del refusal
    assert isinstance(request.command, Watch)
    if request.is_internal:
        desk.deliver(Presence(users=_lost_sight(request.command, None)))


def _refused_typing(desk: Desk, request: Request, refusal: Refusal) -> None:
    del refusal
    assert isinstance(request.command, SetTyping)
    desk.standing.stop_typing(request.command.room)


_ON_REFUSED: Final[dict[type[Command], _OnRefused]] = {
    Subscribe: _refused_subscribe,
    SetReceipt: _refused_receipt,
    SetPresence: _refused_presence,
    Observe: _refused_stats,
    SetTyping: _refused_typing,
    Watch: _refused_watch,
}
