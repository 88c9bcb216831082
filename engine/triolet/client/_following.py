"""The rooms a client follows, and its position in each: what makes each entry come once.

Only entries move a position.
Whatever goes wrong (a lost connection, a gap, a consumer that does not keep up) ends the same
way: the room is asked for again from its position, and the server sends what came after it.
"""

from collections.abc import Iterable
from enum import Enum
from typing import Final, TypeAlias, final

from msgspec import UNSET

from .._model.commands import Place, Position
from .._model.events import Reset, Subscribed, Subscription

Row: TypeAlias = Subscribed | Subscription


@final
class Phase(Enum):
    """Where a followed room stands."""

    # To be asked for as soon as there is a connection.
    WANTED = "wanted"
    # Asked for, not yet granted: entries that still come belong to an older cursor.
    ASKED = "asked"
    # The next entry is position + 1.
    LIVE = "live"
    # Whoever listens is full, or nobody listens: the position waits.
    HELD = "held"


@final
class Step(Enum):
    """What moves a followed room."""

    ASK = "ask"
    GRANTED = "granted"
    GAP = "gap"
    FULL = "full"
    DRAINED = "drained"
    LOST = "lost"


# Total: each phase answers each step.
TRANSITIONS: Final[dict[Phase, dict[Step, Phase]]] = {
    Phase.WANTED: {
        Step.ASK: Phase.ASKED,
        Step.GRANTED: Phase.LIVE,
        Step.GAP: Phase.WANTED,
        Step.FULL: Phase.WANTED,
        Step.DRAINED: Phase.WANTED,
        Step.LOST: Phase.WANTED,
    },
    Phase.ASKED: {
        Step.ASK: Phase.ASKED,
        Step.GRANTED: Phase.LIVE,
        Step.GAP: Phase.ASKED,
        Step.FULL: Phase.ASKED,
        Step.DRAINED: Phase.ASKED,
        Step.LOST: Phase.WANTED,
    },
    Phase.LIVE: {
        Step.ASK: Phase.LIVE,
        Step.GRANTED: Phase.LIVE,
        Step.GAP: Phase.WANTED,
        Step.FULL: Phase.HELD,
        Step.DRAINED: Phase.LIVE,
        Step.LOST: Phase.WANTED,
    },
    # A held room stays held through a reconnection: it is asked for when there is space.
    Phase.HELD: {
        Step.ASK: Phase.HELD,
        Step.GRANTED: Phase.LIVE,
        Step.GAP: Phase.HELD,
        Step.FULL: Phase.HELD,
        Step.DRAINED: Phase.WANTED,
        Step.LOST: Phase.HELD,
    },
}


@final
class Verdict(Enum):
    """What to do with an entry."""

    # Deliver it; the position has moved to it.
    NEXT = "next"
    # Had before.
    DUPLICATE = "duplicate"
    # Something before it is missing: ask again from the position.
    GAP = "gap"
    # Missing again, with nothing gained in between: the connection cannot be trusted.
    STUCK = "stuck"
    # No space for it: the room is on hold now.
    HELD = "held"
    # Of a room not followed, or of a cursor that has been replaced.
    STRAY = "stray"


@final
class Followed:
    """One room: the client's position in it, and its phase.

    `role` is None for a guest of a public room; `is_suspect` from a gap to the next entry.
    """

    __slots__ = ("epoch", "is_suspect", "phase", "role", "room", "seq")

    def __init__(self, room: str) -> None:
        self.room = room
        self.epoch = ""
        self.seq = 0
        self.role: str | None = None
        self.phase = Phase.WANTED
        self.is_suspect = False

    def step(self, step: Step) -> None:
        """Move to the phase that the table names."""
        self.phase = TRANSITIONS[self.phase][step]


@final
class Following:
    """All followed rooms of one client."""

    def __init__(self) -> None:
        self.rooms: dict[str, Followed] = {}

    def position(self, room: str) -> Position | None:
        """Return the position in a followed room; None: it is not followed."""
        followed = self.rooms.get(room)
        return None if followed is None else (followed.epoch, followed.seq)

    def places(self, rooms: Iterable[str]) -> list[Place]:
        """Return the positions in those of `rooms` that are followed."""
        found = [self.rooms[room] for room in rooms if room in self.rooms]
        return [(followed.room, followed.epoch, followed.seq) for followed in found]

    def ask(self) -> list[Place]:
        """Return the positions of all wanted rooms, which now count as asked for."""
        wanted = [followed for followed in self.rooms.values() if followed.phase is Phase.WANTED]
        for followed in wanted:
            followed.step(Step.ASK)
        return [(followed.room, followed.epoch, followed.seq) for followed in wanted]

    def grant(self, row: Row, since: Position | None, *, is_rebase: bool) -> Reset | None:
        """Take the server's word on where a subscription starts.

        Args:
            row: its answer.
            since: the position that was asked for; None: from the head.
            is_rebase: the caller chose `since`, so the position moves there even if it is
                behind what was delivered; else a position never moves back but for a fork.

        Returns:
            What a consumer must be told: that it must drop or refetch something.
        """
        had = None if since is None else since[1]
        followed = self.rooms.get(row.room)
        if followed is None:
            followed = self.rooms[row.room] = Followed(row.room)
        elif not is_rebase:
            had = followed.seq
        followed.epoch, followed.role = row.epoch, row.role
        followed.step(Step.GRANTED)
        if had is None:
            followed.seq = row.head
        elif row.since is not UNSET:
            followed.seq = min(had, row.since[1])
        elif since is not None and not row.recovered:
            followed.seq = row.head
        else:
            followed.seq = had
        return _reset_of(row, since, had)

    def reset(self, event: Reset) -> None:
        """Move a position as the server says: back to a fork, or to the head."""
        followed = self.rooms.get(event.room)
        if followed is None:
            return
        followed.epoch = event.epoch
        followed.seq = event.head if event.since is UNSET else min(followed.seq, event.since[1])

    def judge(self, room: str, seq: int, *, has_space: bool) -> Verdict:
        """Say what to do with an entry, and move the position if it is the next one."""
        followed = self.rooms.get(room)
        if followed is None or followed.phase is not Phase.LIVE:
            return Verdict.STRAY
        if seq <= followed.seq:
            return Verdict.DUPLICATE
        if seq > followed.seq + 1:
            verdict = Verdict.STUCK if followed.is_suspect else Verdict.GAP
            followed.is_suspect = True
            followed.step(Step.GAP)
            return verdict
        if not has_space:
            followed.step(Step.FULL)
            return Verdict.HELD
        followed.is_suspect = False
        followed.seq = seq
        return Verdict.NEXT

    def held(self) -> list[Followed]:
        """Return the rooms on hold."""
        return [followed for followed in self.rooms.values() if followed.phase is Phase.HELD]

    def lost(self) -> None:
        """The connection is gone, and every subscription with it."""
        for followed in self.rooms.values():
            followed.step(Step.LOST)
            followed.is_suspect = False

    def forget(self, rooms: Iterable[str]) -> None:
        """Stop following."""
        for room in rooms:
            self.rooms.pop(room, None)


def _reset_of(row: Row, since: Position | None, had: int | None) -> Reset | None:
    if since is None:
        return None
    if row.since is not UNSET:
        is_fork = had is not None and row.since[1] < had
        return (
            Reset(room=row.room, epoch=row.epoch, head=row.head, since=row.since)
            if is_fork
            else None
        )
    if not row.recovered:
        return Reset(room=row.room, epoch=row.epoch, head=row.head, floor=row.floor)
    return None
