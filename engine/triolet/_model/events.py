"""What the server tells: replies, events and notices, one frozen Struct for each, tagged by `op`.

`Entry` is not here: it is two maps written as one, see `entries` and `codec`.
"""

from typing import Literal, TypeAlias, final

from msgspec import UNSET, Struct, UnsetType, field

from .entries import FoldedMessage, Role, RoomKind
from .ids import Room, Seq, User
from .json import JsonMap
from .observation import JobsRow, NodeStatistics

# One row: user, delivered, read.
MarkRow: TypeAlias = tuple[str, int, int]
# One row: user, status, last_seen in ms (0 when never seen, or not to be told).
PresenceRow: TypeAlias = tuple[str, str, int]
# One row: room, epoch, head, unread, read.
FeedRow: TypeAlias = tuple[str, str, int, int, int]
VisibleStatus: TypeAlias = Literal["online", "away", "dnd", "offline"]


class _Event(Struct, frozen=True, tag_field="op", omit_defaults=True, kw_only=True):
    """What all events share: the tag `op`."""


@final
class Welcome(_Event, tag="welcome", frozen=True):
    """The answer to a good `hello`."""

    session: str
    user: User
    device: str
    now: int
    heartbeat_s: float
    limits: dict[str, int | float]
    expires_at: int


@final
class Failed(_Event, tag="error", frozen=True):
    """A request that was refused; without `ref` when it had none or none could be read."""

    code: int
    reason: str
    message: str
    ref: int | None = None
    retry_after_ms: int | None = None


class _Ok(_Event, tag="ok", frozen=True, kw_only=True):
    """A request that was carried out."""

    ref: int | None = None


@final
class Done(_Ok, tag="ok", frozen=True):
    """Carried out, nothing to say."""


@final
class Written(_Ok, tag="ok", frozen=True):
    """A durable request is stored at `seq`; `duplicate`: it was already, at that place."""

    room: Room
    seq: Seq
    at: int
    duplicate: bool
    epoch: str | UnsetType = UNSET


@final
class RoomOpened(_Ok, tag="ok", frozen=True):
    """The answer to `direct`, and to a `join` or `leave` that made no entry."""

    room: Room


@final
class Subscription(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Where a subscription stands at its start."""

    room: Room
    epoch: str
    head: Seq
    floor: Seq
    role: Role | None
    recovered: bool
    unread: int
    read: Seq
    members: int
    typing: tuple[User, ...]
    since: tuple[str, int] | UnsetType = UNSET
    receipts: tuple[MarkRow, ...] | UnsetType = UNSET


@final
class Refused(Struct, frozen=True, kw_only=True):
    """One room of a subscription to several that was not granted."""

    room: str
    code: int
    reason: str


@final
class Subscribed(_Ok, tag="ok", frozen=True):
    """The answer to `subscribe` of one room: the subscription's fields, side by side."""

    room: Room
    epoch: str
    head: Seq
    floor: Seq
    role: Role | None
    recovered: bool
    unread: int
    read: Seq
    members: int
    typing: tuple[User, ...]
    since: tuple[str, int] | UnsetType = UNSET
    receipts: tuple[MarkRow, ...] | UnsetType = UNSET


@final
class SubscribedMany(_Ok, tag="ok", frozen=True):
    """The answer to `subscribe` of several rooms, in the order asked."""

    rooms: tuple[Subscription | Refused, ...]


@final
class HistoryPage(_Ok, tag="ok", frozen=True):
    """Folded messages, oldest first; apply only entries later than `as_of` to them."""

    messages: tuple[FoldedMessage, ...]
    more: bool
    as_of: tuple[str, int]


@final
class ReceiptPage(_Ok, tag="ok", frozen=True):
    """Marks at or beyond the asked seq, by user."""

    marks: tuple[MarkRow, ...]
    more: bool


@final
class Watching(_Ok, tag="ok", frozen=True):
    """How the watched people are; who may not be watched is left out."""

    users: tuple[PresenceRow, ...]


@final
class InboxRow(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One room of mine: where it stands, how much is unread, and its last message."""

    room: Room
    kind: RoomKind
    epoch: str
    head: Seq
    unread: int
    read: Seq
    role: Role
    title: str
    last: FoldedMessage | None


@final
class Inbox(_Ok, tag="ok", frozen=True):
    """A page of my rooms, by name."""

    rooms: tuple[InboxRow, ...]
    more: bool


@final
class Synced(_Ok, tag="ok", frozen=True):
    """Rooms that are new or have moved, and rooms that are mine no more."""

    rooms: tuple[InboxRow, ...]
    gone: tuple[Room, ...]


@final
class Refreshed(_Ok, tag="ok", frozen=True):
    """The session lives until `expires_at`."""

    expires_at: int


@final
class Pong(_Ok, tag="ok", frozen=True):
    """The server's wall clock, ms."""

    now: int


@final
class Reset(_Event, tag="reset", frozen=True):
    """A cursor had to move: back to a fork (`since`) or past the retention (`floor`)."""

    room: Room
    epoch: str
    head: Seq
    since: tuple[str, int] | UnsetType = UNSET
    floor: Seq | UnsetType = UNSET


@final
class Closed(_Event, tag="closed", frozen=True):
    """A subscription has ended by somebody else's hand."""

    room: Room
    reason: str
    seq: Seq | UnsetType = UNSET


@final
class Feed(_Event, tag="feed", frozen=True):
    """My rooms that moved, and rooms gained or lost, whether subscribed or not."""

    rooms: tuple[FeedRow, ...]
    added: tuple[Room, ...] = ()
    removed: tuple[Room, ...] = ()


@final
class Receipts(_Event, tag="receipts", frozen=True):
    """Marks that moved; the latest wins."""

    room: Room
    marks: tuple[MarkRow, ...]


@final
class Typing(_Event, tag="typing", frozen=True):
    """Who is typing now: at most five, `more` when there are others."""

    room: Room
    users: tuple[User, ...]
    more: bool


@final
class Presence(_Event, tag="presence", frozen=True):
    """Watched people whose presence changed; the latest wins."""

    users: tuple[PresenceRow, ...]


@final
class Signal(_Event, tag="signal", frozen=True):
    """Something ephemeral from a member, at most once."""

    room: Room
    kind: str
    data: JsonMap
    from_device: str
    sender: User = field(name="from")


@final
class Notice(_Event, tag="notice", frozen=True):
    """Something every session is told: `draining`, `token_expiring`, `announcement`."""

    kind: Literal["draining", "token_expiring", "announcement"]
    retry_after_ms: int | UnsetType = UNSET
    expires_at: int | UnsetType = UNSET
    body: JsonMap | UnsetType = UNSET


@final
class Observed(_Event, tag="stats", frozen=True):
    """What the servers count, node by node and together; the latest wins.

    Attributes:
        interval_ms: what rates and durations are of; 0: of all time.
        silent: nodes that are known and did not answer in time.
    """

    at: int
    interval_ms: int
    nodes: tuple[NodeStatistics, ...]
    total: NodeStatistics
    silent: tuple[str, ...] = ()
    jobs: tuple[JobsRow, ...] = ()


Reply: TypeAlias = (
    Done
    | Written
    | RoomOpened
    | Subscribed
    | SubscribedMany
    | HistoryPage
    | ReceiptPage
    | Watching
    | Inbox
    | Synced
    | Refreshed
    | Pong
)
Event: TypeAlias = Reset | Closed | Feed | Receipts | Typing | Presence | Signal | Notice | Observed
Outgoing: TypeAlias = Welcome | Failed | Reply | Event
