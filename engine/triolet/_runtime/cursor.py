"""The pump: brings cursors that are behind to the head, as fast as their socket drains.

Resuming after a disconnect, a slow reader, a lost doorbell and a fresh subscription from an
old position are this one mechanism.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol, final

import trio

from .._domain.cursor import CursorState
from .._model.errors import StoreError
from .._model.events import Event, Receipts, Reset, Typing
from .._model.limits import Limits
from .outbox import Outbox
from .pages import Pages
from .ring import Item
from .room import Cursor, Room, event_frame

logger = logging.getLogger(__name__)

# Between two tries when the store cannot be read.
_RETRY_S = 1.0


class PumpOwner(Protocol):
    """The session whose cursors are pumped."""

    outbox: Outbox

    async def wait_low(self) -> None:
        """Wait until the outbox has fallen to its low mark."""
        ...


def receipts_of(room: Room, limits: Limits) -> Receipts | None:
    """Return all marks of a small room, None where they are not told to everybody."""
    if not room.complete or (room.members or 0) > limits.receipts_members_max:
        return None
    return Receipts(
        room=room.name,
        marks=tuple((seat.user, seat.delivered, seat.read) for seat in room.member_seats.values()),
    )


def typing_of(room: Room, limits: Limits) -> Typing:
    """Return who is typing in a room."""
    users, more = room.typists.shown(limits.typists_max)
    return Typing(room=room.name, users=users, more=more)


def catch_up(cursor: Cursor, limits: Limits) -> bool:
    """Feed a cursor that is behind from the ring what fits; return True once it is live."""
    room = cursor.room
    if cursor.position < room.head:
        items = room.ring.after(cursor.position)
        if items is None:
            return False
        _feed(cursor, items, limits)
    if cursor.position != room.head:
        return False
    if cursor.tellings != room.tellings:
        _snapshot(cursor, limits)
    room.go_live(cursor)
    return True


def _feed(cursor: Cursor, items: Iterable[Item], limits: Limits) -> None:
    outbox, high = cursor.outbox, limits.outbox_bytes_high
    text = outbox.text
    for item in items:
        if outbox.size > high:
            break
        outbox.post(item.frame(text))
        cursor.position = item.record.seq


def _snapshot(cursor: Cursor, limits: Limits) -> None:
    """Tell the states that were told to others while the cursor was behind."""
    room, outbox = cursor.room, cursor.outbox
    events: list[Event] = []
    receipts = receipts_of(room, limits)
    if receipts is not None and receipts.marks:
        events.append(receipts)
    # Nobody typing is news too, to who was told of somebody before falling behind.
    if len(room.cursors) <= limits.typing_subscribers_max:
        events.append(typing_of(room, limits))
    for event in events:
        outbox.post(event_frame(event, text=outbox.text))


@final
class Pump:
    """One task for a session that has cursors behind; none for a session that has not."""

    def __init__(
        self,
        owner: PumpOwner,
        pages: Pages,
        limits: Limits,
        spawn: Callable[[Callable[[], Awaitable[object]]], None],
    ) -> None:
        self._owner = owner
        self._pages = pages
        self._limits = limits
        self._spawn = spawn
        self._behind: dict[Cursor, None] = {}
        self._scope: trio.CancelScope | None = None

    def add(self, cursor: Cursor) -> None:
        """Bring a cursor to the head."""
        self._behind[cursor] = None
        if self._scope is None:
            self._scope = trio.CancelScope()
            self._spawn(self._run)

    def stop(self) -> None:
        """End: the session is over."""
        self._behind.clear()
        if self._scope is not None:
            self._scope.cancel()

    async def _run(self) -> None:
        assert self._scope is not None
        with self._scope:
            while self._behind:
                await trio.lowlevel.checkpoint()
                await self._owner.wait_low()
                cursor = next(iter(self._behind), None)
                if cursor is None:
                    break
                # To the end of the line: cursors take turns, a page each.
                del self._behind[cursor]
                if not await self._advance(cursor):
                    self._behind[cursor] = None
        self._scope = None

    async def _advance(self, cursor: Cursor) -> bool:
        """Feed one cursor a little; return whether it needs no more."""
        room = cursor.room
        if cursor.state is not CursorState.BEHIND or catch_up(cursor, self._limits):
            return True
        if self._owner.outbox.size > self._limits.outbox_bytes_low:
            return False
        epoch = room.epoch
        try:
            items = await self._pages.read(room, cursor.position)
        except StoreError as error:
            logger.warning("%s cannot be read, trying again: %s", room.name, error)
            await trio.sleep(_RETRY_S)
            return False
        if cursor.state is not CursorState.BEHIND:
            return True
        if room.epoch != epoch:
            return False  # the cursor has been moved to the new epoch; the page is of the old
        if not items or items[0].record.seq != cursor.position + 1:
            self._reset(cursor)
            return False
        # A page is bounded in stored bytes, and frames are longer: the rest is read again.
        _feed(cursor, items, self._limits)
        return catch_up(cursor, self._limits)

    def _reset(self, cursor: Cursor) -> None:
        """Retention has passed the cursor: the client refetches, and follows from the head."""
        room = cursor.room
        event = Reset(room=room.name, epoch=room.epoch, head=room.head, floor=room.floor)
        cursor.outbox.post(event_frame(event, text=cursor.outbox.text))
        cursor.position = room.head
