"""What a history is made of: one Struct for each kind of event.

The fields that all have come first: `Acked(t, client, conn, room=…, …)`.
"""

from typing import Final, Literal, TypeAlias, final

from msgspec import Struct

from ..._model.entries import Role
from ..._model.events import MarkRow, PresenceRow
from .traces import FoldedRow, Logged, Trace

VERSION: Final = 1


# --- what a client did and saw -----------------------------------------------------------


class _Event(Struct, frozen=True, tag_field="event", omit_defaults=True, gc=False):
    """What all events share.

    Attributes:
        t: seconds, on one clock for the whole history: virtual, or monotonic.
        client: the name of the client it happened to, one for each client object; empty for
            what the world did.
        conn: the ordinal of the client's connection, from 1; 0 where there is none.
    """

    t: float
    client: str = ""
    conn: int = 0


@final
class Opened(_Event, tag="opened", frozen=True, kw_only=True):
    """A client is there; its first event.

    Attributes:
        user: for whom it acts.
        origin: what to tell of the run: the command, the seed.
    """

    user: str
    origin: str = ""
    version: int = VERSION


@final
class Greeted(_Event, tag="greeted", frozen=True, kw_only=True):
    """Its hello leaves; `conn` is that of the connection before.

    Attributes:
        node: to which life of which node, where that is known.
    """

    node: str = ""


@final
class Connected(_Event, tag="connected", frozen=True, kw_only=True):
    """The server has welcomed it; `node` where there are several and it is known."""

    session: str = ""
    node: str = ""


@final
class Disconnected(_Event, tag="disconnected", frozen=True, kw_only=True):
    """The connection has ended, be it before the server's welcome.

    Attributes:
        told: with a goodbye, so that the server knows, too.
    """

    code: int = 1006
    told: bool = False


@final
class Left(_Event, tag="left", frozen=True, kw_only=True):
    """The client was ended for good by whoever owned it."""


@final
class Sent(_Event, tag="sent", frozen=True, kw_only=True):
    """It asks for something durable; again, with the same cid, on each retry.

    Attributes:
        op: the command's tag, as `send`.
        fact: what it asks to be stored; None where one command makes several facts.
    """

    op: str
    room: str
    cid: str
    fact: Trace | None = None


@final
class Acked(_Event, tag="acked", frozen=True, kw_only=True):
    """It was told that what it sent under `cid` is stored at `seq` (0: without an entry)."""

    room: str
    cid: str
    seq: int
    at: int = 0
    duplicate: bool = False


@final
class Refused(_Event, tag="refused", frozen=True, kw_only=True):
    """It was told that what it sent under `cid` is not stored, and why."""

    room: str
    cid: str
    code: int


@final
class Unknown(_Event, tag="unknown", frozen=True, kw_only=True):
    """It gave up waiting for what became of `cid`: stored once, or not at all."""

    room: str
    cid: str


@final
class Subscribed(_Event, tag="subscribed", frozen=True, kw_only=True):
    """A cursor stands in a room.

    Attributes:
        sub: the cursor's ordinal, never used twice by one client.
        epoch: the log's generation.
        pos: where it stands: the first entry to come has seq `pos + 1`.
        head: the room's head when it was granted.
        floor: the last seq that retention has removed.
        role: the user's in the room; None for a guest of a public one.
        since: the position that was asked for; None: from the head.
        recovered: whether it goes on from there.
        wire: whether it ends with its connection; else the client resumes it.
    """

    sub: int
    room: str
    epoch: str
    pos: int
    head: int
    floor: int = 0
    role: Role | None = None
    since: tuple[str, int] | None = None
    recovered: bool = True
    wire: bool = False


@final
class Seen(_Event, tag="seen", frozen=True, kw_only=True):
    """An entry came on a cursor."""

    sub: int
    room: str
    entry: Logged


@final
class Reset(_Event, tag="reset", frozen=True, kw_only=True):
    """A cursor was moved: entries above `pos` that it had are void, or those up to it are missed.

    `fork`: the former, for the log has lost its end; else the latter, for they are removed
    (`floor`), or the position's epoch is not of this log.
    """

    sub: int
    room: str
    epoch: str
    pos: int
    head: int
    floor: int = 0
    fork: bool = False


@final
class Closed(_Event, tag="closed", frozen=True, kw_only=True):
    """A cursor has ended; `reason` is the server's, or `unsubscribed` when the client asked."""

    sub: int
    room: str
    reason: str
    seq: int = 0


@final
class Asked(_Event, tag="asked", frozen=True, kw_only=True):
    """It said something that is no entry; of the fields, those of `op` count.

    Attributes:
        op: `receipt` (room, delivered, read), `typing` (room, on), `presence` (status).
    """

    op: Literal["receipt", "typing", "presence"]
    room: str = ""
    delivered: int = 0
    read: int = 0
    on: bool = False
    status: str = ""


@final
class Receipts(_Event, tag="receipts", frozen=True, kw_only=True):
    """It was told how far people got: `(user, delivered, read)` rows.

    `asked`: when it asked for that; None: it was told by itself.
    """

    room: str
    marks: tuple[MarkRow, ...]
    asked: float | None = None


@final
class Typing(_Event, tag="typing", frozen=True, kw_only=True):
    """It was told who is typing now: all of them, unless `more`."""

    room: str
    users: tuple[str, ...]
    more: bool = False


@final
class Presence(_Event, tag="presence", frozen=True, kw_only=True):
    """It was told how people are: `(user, status, last_seen)` rows."""

    users: tuple[PresenceRow, ...]


@final
class Unwatched(_Event, tag="unwatched", frozen=True, kw_only=True):
    """By its own wish, it is not told any more how these people are."""

    users: tuple[str, ...]


@final
class Unread(_Event, tag="unread", frozen=True, kw_only=True):
    """It was told how much it has to read, in the reply to `subscribe`, the inbox or the feed.

    Attributes:
        asked: when it asked for that; None: it was told by itself.
    """

    room: str
    epoch: str
    head: int
    unread: int
    read: int
    asked: float | None = None


@final
class Folded(_Event, tag="folded", frozen=True, kw_only=True):
    """It read messages with seqs in `(after, upto]`, as they were when the head was `head`.

    `asked`: when it asked for them; None: nobody knows.
    """

    room: str
    epoch: str
    head: int
    after: int
    upto: int
    messages: tuple[FoldedRow, ...]
    asked: float | None = None


# --- what the world knows ----------------------------------------------------------------


@final
class Fault(_Event, tag="fault", frozen=True, kw_only=True):
    """Something was broken or mended.

    Attributes:
        verb: `crash`, `restart`, `partition`, `heal`, `drop_bus`, `skew` …; `fork` where the
            store may have lost what it had acknowledged, and says so by a new epoch.
        what: whom it befell.
        phase: whether it goes on until an event of the same `what` ends it.
    """

    verb: str
    what: str = ""
    phase: Literal["begins", "ends", "once"] = "once"


@final
class Stored(_Event, tag="stored", frozen=True, kw_only=True):
    """The log of a room in the end, or a part of it: several of them make one log.

    The end of a room that is deleted is its deletion.

    Attributes:
        epoch: the present generation.
        head: the last seq.
        floor: the last seq that retention has removed.
        floor_n: how many messages there were up to it.
        public: whether guests may read.
        lineage: `(epoch, first_seq)` of each generation, oldest first.
    """

    room: str
    epoch: str
    head: int
    entries: tuple[Logged, ...]
    floor: int = 0
    floor_n: int = 0
    public: bool = False
    lineage: tuple[tuple[str, int], ...] = ()


@final
class Deleted(_Event, tag="deleted", frozen=True, kw_only=True):
    """A room was deleted, in the store; what it was until then is told before, by `Stored`.

    Attributes:
        seq: its last entry's.
        user: who deleted it, by the request `cid`.
    """

    room: str
    seq: int
    user: str
    cid: str


@final
class Started(_Event, tag="started", frozen=True, kw_only=True):
    """A node begins: `node` is this life of it."""

    node: str


@final
class Banned(_Event, tag="banned", frozen=True, kw_only=True):
    """The store has a ban of a user, in place of an earlier one.

    Attributes:
        until: when it ends, on the history's clock; 0: never.
        node: which life of which node says that it is in force there; empty: none does yet.
    """

    user: str
    until: float = 0
    node: str = ""


@final
class Pardoned(_Event, tag="pardoned", frozen=True, kw_only=True):
    """The store has no ban of a user any more; `node` as in `Banned`."""

    user: str
    node: str = ""


@final
class Settled(_Event, tag="settled", frozen=True, kw_only=True):
    """Nothing is broken, nobody writes, and all had the time to hear of everything."""


Event: TypeAlias = (
    Opened
    | Greeted
    | Connected
    | Disconnected
    | Left
    | Sent
    | Acked
    | Refused
    | Unknown
    | Subscribed
    | Seen
    | Reset
    | Closed
    | Asked
    | Receipts
    | Typing
    | Presence
    | Unwatched
    | Unread
    | Folded
    | Fault
    | Stored
    | Deleted
    | Started
    | Banned
    | Pardoned
    | Settled
)
