"""What a client wishes to hold across connections: watches, presence, typing, marks, heads.

All of it is state by key, the latest wins: after a reconnection it is said once more,
instead of repeating how it came about.
"""

from collections.abc import Iterable
from typing import final

from msgspec import UNSET

from .._model.commands import Command, Observe, SetPresence, SetReceipt, SetTyping, Status, Sync
from .._model.events import FeedRow, InboxRow
from ._following import Row


@final
class Mark:
    """How far the user got in one room; `is_told` once the server has said ok to it."""

    __slots__ = ("delivered", "is_told", "read")

    def __init__(self) -> None:
        self.delivered = 0
        self.read = 0
        self.is_told = False


@final
class Marks:
    """The client's own marks, which only move forward.

    The server flushes marks each second and does not promise them to survive a crash;
    so they are repeated whenever a subscription's answer is behind them.
    """

    def __init__(self, rooms_max: int) -> None:
        self._rooms_max = rooms_max
        self._marks: dict[str, Mark] = {}

    def move(self, command: SetReceipt) -> None:
        """Remember marks; the room set longest ago goes when there are too many."""
        mark = self._marks.pop(command.room, None) or Mark()
        mark.delivered = max(mark.delivered, command.delivered or 0)
        mark.read = max(mark.read, command.read or 0)
        mark.is_told = False
        self._marks[command.room] = mark
        if len(self._marks) > self._rooms_max:
            del self._marks[next(iter(self._marks))]

    def told(self, command: SetReceipt) -> None:
        """The server has these marks."""
        mark = self._marks.get(command.room)
        if mark is not None:
            is_latest = (command.delivered or 0) >= mark.delivered
            mark.is_told = mark.is_told or (is_latest and (command.read or 0) >= mark.read)

    def forget(self, room: str) -> None:
        """Drop a room's marks: the server refused them."""
        self._marks.pop(room, None)

    def behind(self, row: Row, user: str) -> SetReceipt | None:
        """Return what to repeat after a subscription's answer, if it is behind."""
        mark = self._marks.get(row.room)
        if mark is None:
            return None
        receipts = () if row.receipts is UNSET else row.receipts
        delivered = max((have for who, have, _ in receipts if who == user), default=0)
        if mark.read <= row.read and mark.delivered <= max(delivered, row.read):
            return None
        return _receipt(row.room, mark)

    def untold(self, but: Iterable[str]) -> list[SetReceipt]:
        """Return marks not yet told, but for rooms whose subscription will show them.

        A mark at 0 says nothing, and a `receipt` that says nothing is refused.
        """
        asked = dict.fromkeys(but)
        return [
            _receipt(room, mark)
            for room, mark in self._marks.items()
            if not mark.is_told and room not in asked and (mark.delivered or mark.read)
        ]


def _receipt(room: str, mark: Mark) -> SetReceipt:
    return SetReceipt(room=room, delivered=mark.delivered or None, read=mark.read or None)


@final
class Standing:
    """Watches, presence status, statistics and typing; `watched` is an ordered set of users."""

    def __init__(self, *, typing_s: float, renewal_s: float) -> None:
        self._typing_s = typing_s
        self._renewal_s = renewal_s
        self.watched: dict[str, None] = {}
        self._status: Status | None = None
        self._stats: Observe | None = None
        # Room → when the user was last said to be typing, in seconds.
        self._typing: dict[str, float] = {}

    def watch(self, users: Iterable[str]) -> None:
        """Remember watched people."""
        self.watched.update(dict.fromkeys(users))

    def unwatch(self, users: Iterable[str]) -> None:
        """Forget watched people."""
        for user in users:
            self.watched.pop(user, None)

    def unwatched(self, users: Iterable[str]) -> list[str]:
        """Return those of `users` who are not watched."""
        return [user for user in users if user not in self.watched]

    def show(self, status: Status | None) -> None:
        """Remember how the user is to be seen; None: as the server has it."""
        self._status = status

    def observe(self, command: Observe) -> None:
        """Remember whether statistics are to be told, and how often."""
        self._stats = command if command.on else None

    def stop_observing(self) -> None:
        """Forget statistics: the server refused them."""
        self._stats = None

    def is_renewal(self, command: SetTyping, now: float) -> bool:
        """Remember typing; whether the server was told so recently that it can be spared."""
        if not command.on:
            self._typing.pop(command.room, None)
            return False
        last = self._typing.get(command.room)
        if last is not None and now - last < self._renewal_s:
            return True
        self._typing[command.room] = now
        return False

    def stop_typing(self, room: str) -> None:
        """Forget typing: a message was sent, or the server refused it."""
        self._typing.pop(room, None)

    def again(self, now: float) -> list[Command]:
        """Return what a new connection must be told, but for `watched`."""
        commands: list[Command] = []
        if self._status is not None:
            commands.append(SetPresence(status=self._status))
        if self._stats is not None:
            commands.append(self._stats)
        self._typing = {room: at for room, at in self._typing.items() if now - at < self._typing_s}
        commands.extend(SetTyping(room=room, on=True) for room in self._typing)
        return commands


@final
class Heads:
    """Heads and read marks of the user's rooms as last heard: what `sync` compares."""

    def __init__(self, rooms_max: int) -> None:
        self._rooms_max = rooms_max
        # Epoch, head, read mark.
        self._heads: dict[str, tuple[str, int, int]] = {}

    def heard(self, room: str, epoch: str, head: int, read: int | None = None) -> None:
        """Remember a head; the room heard of longest ago goes when there are too many.

        Args:
            room: its name.
            epoch: of its log.
            head: the last seq heard of.
            read: how far the user has read it; None: as was heard before.
        """
        known = self._heads.pop(room, None)
        if known is not None and known[0] == epoch:
            head = max(head, known[1])
        if read is None:
            read = 0 if known is None else known[2]
        self._heads[room] = (epoch, head, read)
        if len(self._heads) > self._rooms_max:
            del self._heads[next(iter(self._heads))]

    def heard_rows(self, rows: Iterable[InboxRow]) -> None:
        """Remember the heads of an inbox page or a sync."""
        for row in rows:
            self.heard(row.room, row.epoch, row.head, row.read)

    def heard_feed(self, rows: Iterable[FeedRow]) -> None:
        """Remember the heads of a feed."""
        for room, epoch, head, _, read in rows:
            self.heard(room, epoch, head, read)

    def forget(self, rooms: Iterable[str]) -> None:
        """Drop rooms that are the user's no more."""
        for room in rooms:
            self._heads.pop(room, None)

    def sync(self) -> Sync:
        """Return the question of what has changed since."""
        return Sync(
            have=[(room, epoch, head) for room, (epoch, head, _) in self._heads.items()],
            read=[read for _, _, read in self._heads.values()],
        )
