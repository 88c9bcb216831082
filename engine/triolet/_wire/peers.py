"""What nodes tell each other: one message a frame, in msgpack, under a version.

A frame is the array `[version, node, message]`, a message the array `[tag, field, …]`.
Nodes of different versions may run side by side while a deployment is renewed: what a node
cannot read it drops, and the store tells it in time. So a field may be added at a message's
end, with a default, and a message under a new tag; whatever else changes moves `VERSION`.
"""

from typing import Final, TypeAlias, final

import msgspec
from msgspec import Struct

from .._model.entries import FactKind, Record, Role
from .._model.events import FeedRow
from .._model.json import JsonMap
from .codec import unpack_fact
from .questions import Answer, Question

VERSION: Final = 1

# Where it is not known of which kinds jobs wait.
ANY_KIND: Final = ""


@final
class Entries(Struct, frozen=True, array_like=True, tag="entries"):
    """Records that were committed, of one room and epoch, in their order.

    Attributes:
        revoking: `(seq, acl_ver)` of those that took a right from somebody: the room's version
            of rights was `acl_ver`, and moved by one.
    """

    room: str
    epoch: str
    records: tuple[Record, ...]
    revoking: tuple[tuple[int, int], ...] = ()


@final
class Grown(Struct, frozen=True, array_like=True, tag="grown"):
    """The room's log reaches to `head`: what it holds was too much for a frame."""

    room: str
    epoch: str
    head: int


@final
class Seated(Struct, frozen=True, array_like=True, tag="seated"):
    """A membership changed without an entry."""

    room: str
    user: str
    role: Role | None


@final
class Floor(Struct, frozen=True, array_like=True, tag="floor"):
    """Retention removed what was up to `floor`."""

    room: str
    floor: int
    floor_n: int


@final
class RoomGone(Struct, frozen=True, array_like=True, tag="gone"):
    """The room was deleted."""

    room: str


@final
class RoomStates(Struct, frozen=True, array_like=True, tag="states"):
    """What moved of a room's states, by user.

    Attributes:
        typing: who types, and who has stopped.
        marks: `(delivered, read, read_n, since)`: what lies beyond `since` is news.
    """

    room: str
    typing: dict[str, bool]
    marks: dict[str, tuple[int, int, int, int]]


@final
class MarksWritten(Struct, frozen=True, array_like=True, tag="marks"):
    """Marks that the store has now: `(delivered, read, read_n)` by user.

    Who has read the room since they moved, and before they were written, knows them by nothing
    else.
    """

    room: str
    marks: dict[str, tuple[int, int, int]]


@final
class Signalled(Struct, frozen=True, array_like=True, tag="signal"):
    """A signal to who follows the room elsewhere; `to` and `to_device` as it was sent."""

    room: str
    sender: str
    from_device: str
    kind: str
    data: JsonMap
    to: str | None = None
    to_device: str | None = None


@final
class UserNews(Struct, frozen=True, array_like=True, tag="news"):
    """What a user's feeds shall tell; `read_ns`: the count at the read mark, row by row."""

    user: str
    rooms: tuple[FeedRow, ...] = ()
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    read_ns: tuple[int, ...] = ()


@final
class TokensRevoked(Struct, frozen=True, array_like=True, tag="revoked"):
    """Tokens of `subject` issued before `not_before` (ms) count no more."""

    subject: str
    not_before: int


@final
class BansMoved(Struct, frozen=True, array_like=True, tag="bans"):
    """The ban kept by `key` has changed, by the change of bans that is counted `count`."""

    key: str
    count: int


@final
class Missed(Struct, frozen=True, array_like=True, tag="missed"):
    """The sender could not ring for what it committed: compare all heads with the store."""


@final
class Echo(Struct, frozen=True, array_like=True, tag="echo"):
    """The canary: a node rings itself, to know that it hears."""

    count: int


@final
class PresenceMoved(Struct, frozen=True, array_like=True, tag="presence"):
    """What the sender tells of a user under its lease has changed: read it."""

    user: str


@final
class PresenceReset(Struct, frozen=True, array_like=True, tag="lease"):
    """The sender tells of its users under a new lease: read again what is known of all."""


@final
class Asked(Struct, frozen=True, array_like=True, tag="asked"):
    """A question to all nodes, to be answered on the asker's own `channel`, under its number."""

    number: int
    channel: str
    question: Question


@final
class Answered(Struct, frozen=True, array_like=True, tag="answered"):
    """The sender's answer to question `number` of the node whose channel it is rung on."""

    number: int
    answer: Answer


@final
class Announced(Struct, frozen=True, array_like=True, tag="announced"):
    """Tell your sessions: those of `users`, or who follow `room`; where both are None, all."""

    body: JsonMap
    users: tuple[str, ...] | None = None
    room: str | None = None


@final
class Forwarded(Struct, frozen=True, array_like=True, tag="forwarded"):
    """What a client says of one of its sessions, beside it: a command, in JSON."""

    user: str
    session: str
    payload: bytes


@final
class JobsAdded(Struct, frozen=True, array_like=True, tag="jobs"):
    """Jobs of these kinds wait, and are due soon: claim them. `ANY_KIND`: of whatever kind."""

    kinds: tuple[str, ...]


@final
class VisibilityMoved(Struct, frozen=True, array_like=True, tag="visibility"):
    """Others may see a user now, or may no longer: read who."""

    user: str


PeerMessage: TypeAlias = (
    Entries
    | Grown
    | Seated
    | Floor
    | RoomGone
    | RoomStates
    | MarksWritten
    | Signalled
    | UserNews
    | TokensRevoked
    | BansMoved
    | Missed
    | Echo
    | PresenceMoved
    | PresenceReset
    | VisibilityMoved
    | Asked
    | Answered
    | Announced
    | Forwarded
    | JobsAdded
)


@final
class _Frame(Struct, frozen=True, array_like=True):
    version: int
    node: str
    message: PeerMessage


@final
class _Head(Struct, frozen=True, array_like=True):
    version: int


_encoder = msgspec.msgpack.Encoder()
_frame = msgspec.msgpack.Decoder(_Frame)
_head = msgspec.msgpack.Decoder(_Head)
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


@final
class BadFrame(Exception):
    """Bytes that no node of this version has sent."""


def encode_peer(node: str, message: PeerMessage) -> bytes:
    """Return a message as a frame."""
    return _encoder.encode(_Frame(VERSION, node, message))


def prefix_of(node: str) -> bytes:
    """Return what every frame of a node begins with, so that one's own need not be decoded.

    >>> encode_peer("a", Echo(1)).startswith(prefix_of("a"))
    True
    """
    # An array of three: the version, the node.
    return b"\x93" + _encoder.encode(VERSION) + _encoder.encode(node)


def decode_peer(frame: bytes) -> tuple[str, PeerMessage]:
    """Return who sent a frame, and the message.

    Raises:
        BadFrame: it is none, or of another version.
    """
    try:
        found = _frame.decode(frame)
        if found.version != VERSION:
            raise BadFrame(f"version {found.version} is not {VERSION}")
        if isinstance(found.message, Entries):
            for record in found.message.records:
                _check(found.message, record)
    except _UNREADABLE as error:
        raise BadFrame(_explain(frame, error)) from None
    return found.node, found.message


def _check(message: Entries, record: Record) -> None:
    """Make sure that a record can be applied: its fact is what its header says.

    Raises:
        BadFrame: it is of another room, or another kind.
    """
    kind: FactKind = unpack_fact(record.packed).__struct_config__.tag  # type: ignore[assignment]
    if record.room != message.room or record.kind != kind:
        raise BadFrame(f"an entry of {record.room!r} is not what its header says")


def _explain(frame: bytes, error: Exception) -> str:
    try:
        version = _head.decode(frame).version
    except _UNREADABLE:
        return str(error)
    return str(error) if version == VERSION else f"version {version} is not {VERSION}"
