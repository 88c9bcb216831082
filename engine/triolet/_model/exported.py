"""What is handed to a user of what is kept of them: one frozen Struct for each kind, by `kind`.

Nothing of it is other people's: of what a message answers, only its place is told.
"""

from typing import TypeAlias, final

from msgspec import UNSET, Struct, UnsetType

from .commands import VisibleTo
from .entries import Role, RoomKind
from .json import JsonMap


class _Exported(Struct, frozen=True, tag_field="kind", omit_defaults=True, kw_only=True):
    """What all share: the tag `kind`."""


@final
class ExportedPerson(_Exported, tag="person", frozen=True):
    """How they wish to be seen, by whom, and when they were last (ms)."""

    user: str
    status: str = ""
    visible_to: VisibleTo = "shared"
    last_seen: int = 0
    # Tokens issued before it count no more (ms).
    revoked: int = 0


@final
class ExportedRoom(_Exported, tag="room", frozen=True):
    """A room they are a member of, with their marks; what they said in it follows.

    Of a room they have left, and have said something in, `role` is None.
    """

    room: str
    room_kind: RoomKind
    title: str
    role: Role | None
    delivered: int = 0
    read: int = 0


@final
class ExportedMessage(_Exported, tag="message", frozen=True):
    """A message of theirs as it reads now; erased ones are not told."""

    room: str
    seq: int
    at: int
    body: JsonMap
    edited_at: int | UnsetType = UNSET
    reply_to: int | UnsetType = UNSET
    mentions: tuple[str, ...] | UnsetType = UNSET


@final
class ExportedReaction(_Exported, tag="reaction", frozen=True):
    """An emoji of theirs under the message at `target`."""

    room: str
    target: int
    emoji: str
    at: int


@final
class ExportedDocument(_Exported, tag="document", frozen=True):
    """A document that was asked for with the rest."""

    key: str
    value: bytes


Exported: TypeAlias = (
    ExportedPerson | ExportedRoom | ExportedMessage | ExportedReaction | ExportedDocument
)
