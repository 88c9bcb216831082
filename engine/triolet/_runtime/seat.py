"""Somebody in a loaded room: their role, their marks, and what keeps them there."""

from typing import TYPE_CHECKING, final

from .._model.entries import Role
from ..ports.store import Mark, Membership

if TYPE_CHECKING:
    from .room import Cursor, Room


@final
class Seat:
    """Somebody in a room: a member, or a visitor of a public room (`role` None)."""

    __slots__ = (
        "are_marks_due",
        "cursors",
        "decided_on",
        "delivered",
        "drafts",
        "known_as_of",
        "pins",
        "read",
        "read_n",
        "role",
        "room",
        "user",
    )

    def __init__(self, room: "Room", user: str, role: Role | None) -> None:
        self.room = room
        self.user = user
        self.role = role
        self.delivered = 0
        self.read = 0
        self.read_n = 0
        # Cursors of this user's sessions here.
        self.cursors: tuple[Cursor, ...] = ()
        # Requests that need the seat to stay, whoever else leaves it.
        self.pins = 0
        # Drafts of this user on their way here, which need it, too; and the first one's `acl_ver`.
        self.drafts = 0
        self.decided_on = 0
        # The version of rights of which the role was read, if that was after the room was.
        self.known_as_of = 0
        # The marks will be written soon, as they are then.
        self.are_marks_due = False

    def acl_ver(self) -> int:
        """The version of rights of which the role is known, for what is decided on it."""
        return max(self.known_as_of, self.room.acl_ver)

    def take(self, marks: Membership | Mark) -> None:
        """Learn how far the user got; who has got further by what is known here, has."""
        self.delivered = max(self.delivered, marks.delivered)
        if marks.read > self.read:
            self.read, self.read_n = marks.read, marks.read_n

    def catch_up(self, seq: int, n: int) -> None:
        """Move all marks to `seq`, where the room had `n` messages."""
        self.delivered = self.read = seq
        self.read_n = n
