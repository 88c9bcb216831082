"""What a client may ask: one frozen Struct for each op of the protocol, tagged by `op`.

msgspec decodes and validates in one pass, so a command that exists is well-formed;
whether it is allowed is the domain's to say.
Every command but `Hello` may carry `ref`, which the reply repeats.
"""

from typing import Annotated, Literal, TypeAlias, final

from msgspec import UNSET, Meta, Struct, UnsetType, field

from .entries import Role
from .ids import Cid, Room, Seq, User
from .json import JsonMap

Ref: TypeAlias = Annotated[int, Meta(ge=0, lt=2**53)]
# Text that reaches a column of a store has no U+0000, which PostgreSQL's text cannot hold.
Title: TypeAlias = Annotated[str, Meta(max_length=200, pattern=r"^[^\x00]*\Z")]
# One grapheme can be many code points (a family with skin tones has 11); 32 hold any of them.
Emoji: TypeAlias = Annotated[str, Meta(min_length=1, max_length=32, pattern=r"^[^\x00]*\Z")]
Device: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.@:-]{1,64}\Z")]
Token: TypeAlias = Annotated[str, Meta(max_length=8192)]
Page: TypeAlias = Annotated[int, Meta(ge=1, le=200)]
Position: TypeAlias = tuple[str, Seq]
Place: TypeAlias = tuple[Room, str, Seq]
Status: TypeAlias = Literal["online", "away", "dnd", "invisible"]
# Who may see whether somebody is here: `shared`, those of a common room that is not public.
VisibleTo: TypeAlias = Literal["everyone", "shared", "nobody"]


class _Op(Struct, frozen=True, tag_field="op", omit_defaults=True, kw_only=True):
    """What all commands share: the tag `op`."""


class _Request(_Op, frozen=True, kw_only=True):
    """A command that is answered with `ok` or `error`."""

    ref: Ref | None = None


class _Durable(_Request, frozen=True, kw_only=True):
    """A request that becomes an entry; `cid` makes a retry harmless."""

    room: Room
    cid: Cid | None = None


@final
class Hello(_Op, tag="hello", frozen=True):
    """The first message of a connection: who I am."""

    token: Token | None = None
    device: Device | None = None
    agent: Annotated[str, Meta(max_length=200)] | None = None


@final
class Create(_Request, tag="create", frozen=True):
    """Make a room; its creator becomes the owner."""

    kind: Literal["group", "channel"]
    cid: Cid | None = None
    room: Room | None = None
    title: Title | None = None
    members: Annotated[list[User], Meta(max_length=200)] = field(default_factory=list)
    public: bool = False


@final
class Direct(_Request, tag="direct", frozen=True):
    """Give me the direct room with `user`, made on first use."""

    user: User


@final
class Join(_Durable, tag="join", frozen=True):
    """Become a member of a public room."""


@final
class Leave(_Durable, tag="leave", frozen=True):
    """Stop being a member."""


@final
class Invite(_Durable, tag="invite", frozen=True):
    """Make somebody a member."""

    user: User
    role: Role = "member"


@final
class Kick(_Durable, tag="kick", frozen=True):
    """End somebody's membership."""

    user: User


@final
class SetRole(_Durable, tag="role", frozen=True):
    """Change a member's role."""

    user: User
    role: Role


@final
class SetMeta(_Durable, tag="meta", frozen=True):
    """Change the room's title or visibility; what is absent stays."""

    title: Title | UnsetType = UNSET
    public: bool | UnsetType = UNSET


@final
class DeleteRoom(_Durable, tag="delete_room", frozen=True):
    """End the room for everybody; its name is never given again."""


@final
class Subscribe(_Request, tag="subscribe", frozen=True):
    """Follow a room, or up to 200 at once, from a position or from now on."""

    room: Room | None = None
    since: Position | None = None
    rooms: Annotated[list[Place], Meta(max_length=200)] | None = None


@final
class Unsubscribe(_Request, tag="unsubscribe", frozen=True):
    """Stop following a room."""

    room: Room


@final
class Send(_Durable, tag="send", frozen=True):
    """Say something."""

    body: JsonMap
    reply_to: Seq | UnsetType = UNSET
    mentions: Annotated[tuple[User, ...], Meta(max_length=50)] | UnsetType = UNSET


@final
class EditMessage(_Durable, tag="edit", frozen=True):
    """Replace the body of one's own message."""

    target: Seq
    body: JsonMap


@final
class DeleteMessage(_Durable, tag="delete", frozen=True):
    """Take a message back, for everybody."""

    target: Seq


@final
class ReactTo(_Durable, tag="react", frozen=True):
    """Put an emoji under a message, or take it back."""

    target: Seq
    emoji: Emoji
    on: bool = True


@final
class History(_Request, tag="history", frozen=True):
    """A page of folded messages before, after, or at the end."""

    room: Room
    before: Seq | None = None
    after: Seq | None = None
    limit: Page = 50


@final
class SetReceipt(_Request, tag="receipt", frozen=True):
    """Move my marks forward."""

    room: Room
    delivered: Seq | None = None
    read: Seq | None = None


@final
class ListReceipts(_Request, tag="receipts", frozen=True):
    """Who has got or read up to `seq`, page by page."""

    room: Room
    seq: Seq
    after: User | None = None
    limit: Page = 50


@final
class SetTyping(_Request, tag="typing", frozen=True):
    """I am typing, or have stopped."""

    room: Room
    on: bool


@final
class SetPresence(_Request, tag="presence", frozen=True):
    """How I am to be seen, and by whom; what is absent stays."""

    status: Status | UnsetType = UNSET
    visible_to: VisibleTo | UnsetType = UNSET


@final
class Watch(_Request, tag="watch", frozen=True):
    """Tell me how these people are, now and when it changes."""

    users: Annotated[list[User], Meta(max_length=500)]


@final
class Unwatch(_Request, tag="unwatch", frozen=True):
    """Stop telling me about these people."""

    users: Annotated[list[User], Meta(max_length=500)]


@final
class SendSignal(_Request, tag="signal", frozen=True):
    """Pass something ephemeral to a room, a member or one device of a member."""

    room: Room
    kind: Annotated[str, Meta(min_length=1, max_length=64)]
    data: JsonMap = field(default_factory=dict)
    to: User | None = None
    to_device: Device | None = None


@final
class ListRooms(_Request, tag="rooms", frozen=True):
    """My inbox, by room name, page by page."""

    after: Room | None = None
    limit: Page = 50


@final
class Sync(_Request, tag="sync", frozen=True):
    """What has changed since these positions: one question after a reconnect.

    `read` has, for each of `have` and in its order, the read mark that is known of it.
    """

    have: Annotated[list[Place], Meta(max_length=1000)]
    read: Annotated[list[Seq], Meta(max_length=1000)] | None = None


@final
class Refresh(_Request, tag="refresh", frozen=True):
    """Go on with a newer token of the same user."""

    token: Token


@final
class Observe(_Request, tag="stats", frozen=True):
    """Tell me what the servers count, from now on or no more; for role `admin`."""

    on: bool
    interval_ms: Annotated[int, Meta(ge=250, le=60_000)] = 1000


@final
class Ping(_Request, tag="ping", frozen=True):
    """Are you there?"""


Durable: TypeAlias = (
    Join
    | Leave
    | Invite
    | Kick
    | SetRole
    | SetMeta
    | DeleteRoom
    | Send
    | EditMessage
    | DeleteMessage
    | ReactTo
)
Command: TypeAlias = (
    Hello
    | Create
    | Direct
    | Durable
    | Subscribe
    | Unsubscribe
    | History
    | SetReceipt
    | ListReceipts
    | SetTyping
    | SetPresence
    | Watch
    | Unwatch
    | SendSignal
    | ListRooms
    | Sync
    | Refresh
    | Observe
    | Ping
)
