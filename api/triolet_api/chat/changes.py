"""What happened in a conversation, one frozen Struct for each kind of thing."""

from typing import TypeAlias, final

from msgspec import Struct

from triolet._model.entries import FoldedMessage, Role


@final
class Said(Struct, frozen=True):
    """A message came to its place in the log; my own, too."""

    message: FoldedMessage


@final
class Edited(Struct, frozen=True):
    """A message reads otherwise now; None: it is too old to be had here."""

    seq: int
    user: str
    message: FoldedMessage | None


@final
class Deleted(Struct, frozen=True):
    """A message was taken back."""

    seq: int
    user: str


@final
class Reacted(Struct, frozen=True):
    """Somebody put an emoji under a message, or took it back."""

    seq: int
    user: str
    emoji: str
    on: bool


@final
class MemberChanged(Struct, frozen=True):
    """Somebody has another role; None: is no member any more."""

    user: str
    role: Role | None
    by: str


@final
class Retitled(Struct, frozen=True):
    """The room has another title."""

    title: str
    by: str


@final
class Stored(Struct, frozen=True):
    """The server has acknowledged my message."""

    cid: str
    seq: int


@final
class Refused(Struct, frozen=True):
    """The server will not take my message."""

    text: str
    why: str


@final
class MarksMoved(Struct, frozen=True):
    """Somebody has got, or read, my messages up to `seq`."""

    user: str
    seq: int
    is_read: bool


@final
class TypingChanged(Struct, frozen=True):
    """Who is typing now, but for me."""

    users: tuple[str, ...]


@final
class PresenceChanged(Struct, frozen=True):
    """Somebody came, went, or wishes to be seen otherwise; `last_seen` in ms, 0 unknown."""

    user: str
    status: str
    last_seen: int


@final
class Lost(Struct, frozen=True):
    """The connection is gone; the client comes back by itself."""


@final
class Back(Struct, frozen=True):
    """The connection is back, and so are the messages that others sent meanwhile."""

    caught_up: int


@final
class Noted(Struct, frozen=True):
    """Something to tell that is no part of the log; `number` tells equal ones apart."""

    text: str
    is_error: bool = False
    number: int = 0


# What concerns one message that may have left the screen.
Late: TypeAlias = Edited | Deleted | Reacted
Change: TypeAlias = (
    Said
    | Late
    | MemberChanged
    | Retitled
    | Stored
    | Refused
    | MarksMoved
    | TypingChanged
    | PresenceChanged
    | Lost
    | Back
    | Noted
)
