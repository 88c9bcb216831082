"""What a room's log is made of: facts, and the entries that give each its place.

A room is a log.
Everything durable that happens in it is one *fact*, and one entry puts that fact at a `seq`.
On the wire an entry is one flat map: the header's fields and the fact's fields side by side.
"""

from typing import Literal, TypeAlias, final

from msgspec import UNSET, Struct, UnsetType, field

from .ids import Cid, Room, Seq, User
from .json import JsonMap

RoomKind: TypeAlias = Literal["direct", "group", "channel"]
Role: TypeAlias = Literal["owner", "admin", "member", "reader"]


class _Fact(Struct, frozen=True, tag_field="kind", omit_defaults=True):
    """What all facts share: the tag `kind`."""


@final
class Message(_Fact, tag="message", frozen=True, gc=False):
    """Somebody said something. `body` is absent once `erased`."""

    body: JsonMap | UnsetType = UNSET
    reply_to: Seq | UnsetType = UNSET
    mentions: tuple[User, ...] | UnsetType = UNSET
    erased: bool = False


@final
class Edit(_Fact, tag="edit", frozen=True):
    """The message at `target` now reads `body`. `body` is absent once `erased`."""

    target: Seq
    body: JsonMap | UnsetType = UNSET
    erased: bool = False


@final
class Delete(_Fact, tag="delete", frozen=True):
    """The message at `target` was taken back; its body and those of its edits are gone."""

    target: Seq


@final
class React(_Fact, tag="react", frozen=True):
    """The sender put (`on`) or took back an emoji under the message at `target`."""

    target: Seq
    emoji: str
    on: bool


@final
class Member(_Fact, tag="member", frozen=True):
    """`user` now has `role` in the room; None: is no member any more."""

    user: User
    role: Role | None


@final
class Meta(_Fact, tag="meta", frozen=True):
    """The room's title or visibility changed; what is absent stayed as it was."""

    title: str | UnsetType = UNSET
    public: bool | UnsetType = UNSET


Fact: TypeAlias = Message | Edit | Delete | React | Member | Meta
FactKind: TypeAlias = Literal["message", "edit", "delete", "react", "member", "meta"]


@final
class Record(Struct, frozen=True, gc=False):
    """An entry as the store keeps it: the header, and the fact as msgpack.

    `packed` is what `codec.pack_fact` made, so that a page read from disk becomes frames
    without decoding a body.
    """

    room: str
    seq: int
    n: int
    kind: FactKind
    sender: str
    at: int
    cid: str
    packed: bytes


@final
class Entry(Struct, frozen=True):
    """One fact at its place in a room's log.

    Attributes:
        seq: its place, from 1 without a gap.
        n: how many messages the room has had, this one included.
        sender: who did it (`from` on the wire).
        at: when, integer milliseconds since the epoch; never less than the entry's before.
        cid: the idempotency key of the command that made it.
    """

    room: Room
    seq: Seq
    n: Seq
    sender: User
    at: int
    cid: Cid
    fact: Fact


@final
class Reaction(Struct, frozen=True):
    """One emoji under a message: how many put it, whether I did, and up to ten of them."""

    count: int
    mine: bool
    users: tuple[User, ...]


@final
class FoldedMessage(Struct, frozen=True, omit_defaults=True):
    """A message as it reads now: edits, deletion and reactions applied."""

    seq: Seq
    n: Seq
    at: int
    cid: Cid
    sender: User = field(name="from")
    reactions: dict[str, Reaction]
    body: JsonMap | UnsetType = UNSET
    reply_to: Seq | UnsetType = UNSET
    mentions: tuple[User, ...] | UnsetType = UNSET
    edited_at: int | UnsetType = UNSET
    erased: bool = False
