"""The store: where rooms, memberships, marks and people are kept.

What every adapter promises, and `triolet.testing.contracts` proves:

- *Durable.* When `append` returns, what it reports as appended survives a crash.
- *Atomic.* A call either happened or did not; a draft's facts are stored all or none.
- *One order.* `seq` runs 1, 2, 3 … in each room without a gap, whoever writes.
- *Once.* `(room, sender, cid)` names one draft for as long as cids are kept.
- *Snapshots.* Each read sees one state of the whole store, never half a batch.
- *Foreign exceptions stop here.* Only `StoreError`s leave an adapter.

Reads do not wait for writes. All methods are called in the engine's thread and may be
cancelled, except `append`: the engine lets a batch finish whatever happens to its senders.
"""

from collections.abc import Sequence
from typing import Protocol, TypeAlias, final

from msgspec import Struct

from .._model.entries import Fact, FoldedMessage, Record, Role, RoomKind
from .._model.errors import ErrorCode
from .documents import Documents
from .jobs import JobStore
from .people import People


@final
class RoomSpec(Struct, frozen=True, kw_only=True):
    """A room to be made together with its first entries."""

    kind: RoomKind
    title: str = ""
    public: bool = False


@final
class Draft(Struct, frozen=True, kw_only=True, gc=False):
    """What somebody wants to write, decided but not yet stored.

    Attributes:
        op: the command's name; the same cid for another op is refused.
        facts: what to write, each beside its msgpack bytes (`codec.pack_fact`).
        acl_ver: the room's version of rights it was decided on; 0 with `create`, where it begins.
        author: only a message by this user may be the target; None: anybody's.
        revokes: somebody loses a right by it, so the room's `acl_ver` moves, by one.
        logged: False: memberships change, but no entry is written (large rooms).
        create: make the room first; refused with `ALREADY_EXISTS` when it is there, or was.
        deletes: the room ends with it; there are no facts then.
    """

    room: str
    sender: str
    cid: str
    op: str
    facts: tuple[tuple[Fact, bytes], ...]
    acl_ver: int = 0
    author: str | None = None
    revokes: bool = False
    logged: bool = True
    create: RoomSpec | None = None
    deletes: bool = False


@final
class Appended(Struct, frozen=True, gc=False):
    """The draft is stored; its records in order, none if it was not `logged`."""

    records: tuple[Record, ...]


@final
class Duplicate(Struct, frozen=True, gc=False):
    """The same `(room, sender, cid)` was stored before, with its first record here.

    Records without a place (`logged=False` and `facts=()`) leave no cid behind.
    """

    seq: int
    at: int
    op: str


@final
class RoomDeleted(Struct, frozen=True):
    """The room is no more: `seq` was its last, `at` is when it was deleted."""

    seq: int
    at: int


@final
class Stale(Struct, frozen=True):
    """Rights have changed since the draft was decided; decide again."""


@final
class Rejected(Struct, frozen=True):
    """The draft cannot be stored, for a reason that trying again will not change."""

    code: ErrorCode
    message: str


Outcome: TypeAlias = Appended | RoomDeleted | Duplicate | Stale | Rejected


@final
class RoomState(Struct, frozen=True, kw_only=True):
    """Where a room stands.

    Attributes:
        epoch: the name of the log's present generation.
        lineage: `(epoch, first_seq)` of each generation, oldest first, the present one last.
        head: the last seq, 0 when there is none.
        n: messages so far.
        floor: the last seq that retention removed, 0 when none was.
        floor_n: messages up to `floor`.
        acl_ver: moves whenever somebody loses a right.
        members: how many there are.
    """

    room: str
    kind: RoomKind
    title: str
    public: bool
    epoch: str
    lineage: tuple[tuple[str, int], ...]
    head: int
    n: int
    floor: int
    floor_n: int
    acl_ver: int
    members: int


@final
class Membership(Struct, frozen=True, kw_only=True, array_like=True):
    """One member of a room, and their marks (`read_n`: messages up to `read`)."""

    user: str
    role: Role
    delivered: int = 0
    read: int = 0
    read_n: int = 0


@final
class StoredRoom(Struct, frozen=True):
    """Where a room stands and who is in it, by user name, at one moment; None: too many."""

    state: RoomState
    members: list[Membership] | None


@final
class Mark(Struct, frozen=True, kw_only=True):
    """How far one member got in one room."""

    room: str
    user: str
    delivered: int
    read: int
    read_n: int


@final
class HistorySlice(Struct, frozen=True):
    """Folded messages, oldest first, as of one position of the log."""

    messages: tuple[FoldedMessage, ...]
    more: bool
    epoch: str
    head: int


@final
class SearchSlice(Struct, frozen=True):
    """What was found, newest first, as of one position of the log.

    `next_before`: what `before` has to be to go on; None: all that is kept has been looked at.
    """

    messages: tuple[FoldedMessage, ...]
    next_before: int | None
    epoch: str
    head: int


@final
class InboxItem(Struct, frozen=True):
    """One room of a user: its state, the membership, and its last message, folded."""

    state: RoomState
    membership: Membership
    last: FoldedMessage | None


class Store(People, Protocol):
    """Everything the engine keeps. See the module for what an adapter promises.

    Attributes:
        documents: what is kept beside rooms.
        jobs: what is to be done later.
    """

    documents: Documents
    jobs: JobStore

    async def append(self, batch: Sequence[Draft]) -> list[Outcome]:
        """Store a batch in order, in one transaction, and say what became of each draft.

        A draft is judged on the state its predecessors in the batch left:
        known cid → `Duplicate` (of the same op; else `Rejected(INVALID_FIELD)`);
        `create` of a room that exists → `Rejected(ALREADY_EXISTS)`;
        no such room → `Rejected(NO_SUCH_ROOM)`; other `acl_ver` → `Stale`;
        the target of an edit, delete or reaction is no message, or erased →
        `Rejected(NO_SUCH_ENTRY)`; it is not by `author` → `Rejected(FORBIDDEN)`;
        a fact that is no `Member` without an entry (`logged`) → `Rejected(INVALID_FIELD)`;
        what the adapter cannot keep at all → `Rejected(INTERNAL)`.
        A draft's own earlier facts count, too.
        A draft that `deletes` → `RoomDeleted`: from then on no read finds the room, nobody is a
        member, and its name is never given again; of all its cids only this one is known, and
        what it has left behind is for `clear_deleted`.
        A draft that fails leaves no trace; the others of its batch are stored.

        Applying facts: `Member` sets or ends a membership (a new member's marks start at
        the head, this entry included, and with `create` at its end; a member's marks stay);
        `Meta` changes the room; `Edit` changes the folded body; `Delete` erases the bodies of
        the target and of its edits, here and at once; `React` puts or takes back.
        `at` is the greater of the clock and the room's last.

        Raises:
            StoreUnavailable: nothing of the batch was stored.
            OutcomeUnknown: it may have been; the same batch again finds out.
        """
        ...

    def append_now(self, batch: Sequence[Draft]) -> list[Outcome] | None:
        """Do what `append` does, if nothing has to be waited for; else do nothing: None.

        What it returns is as durable as what `append` returns. A store that waits for a disk
        or a network leaves this as it is.
        """
        del batch
        return None

    async def room(self, room: str) -> RoomState | None:
        """Return where a room stands, or None."""
        ...

    async def rooms(self, rooms: Sequence[str], *, members_max: int) -> dict[str, StoredRoom]:
        """Return those that exist, by name; at most 256 asked at once.

        Each with its members, unless there are more than `members_max`.
        """
        ...

    async def room_names(self, *, after: str | None, limit: int) -> list[str]:
        """Return the names of rooms in order, those after `after`, at most 1,000."""
        ...

    async def heads(self, rooms: Sequence[str]) -> dict[str, tuple[str, int]]:
        """Return `{room: (epoch, head)}` of those that exist, at most 1,000 asked at once."""
        ...

    async def active_rooms(self, *, since: int, after: str | None, limit: int) -> list[str]:
        """Return rooms whose last entry is of `since` (ms) or later, by name, those after `after`.

        It may look at every room there is, seconds for a million: for who has come back, or
        has found that another has died, and wants to know what was committed about then.
        """
        ...

    async def members(self, room: str, *, after: str | None, limit: int) -> list[Membership]:
        """Return members by user name, those after `after`."""
        ...

    async def membership(self, room: str, user: str) -> Membership | None:
        """Return one membership, or None."""
        ...

    async def page(
        self, room: str, *, after: int, upto: int, limit: int, bytes_max: int
    ) -> list[Record]:
        """Return records with `after < seq <= upto`, ascending: at least one if there is any.

        Erased messages and edits come with `erased` and without a body; all else of them stays.
        `bytes_max` bounds the sum of their packed facts.
        Below the floor there is nothing: the first record then is not `after + 1`.
        """
        ...

    async def history(
        self,
        room: str,
        user: str,
        *,
        before: int | None,
        after: int | None,
        limit: int,
        bytes_max: int,
    ) -> HistorySlice | None:
        """Return folded messages as `user` sees them, oldest first; None: no such room.

        `before`: the last ones with a smaller seq; else `after`: the first ones with a greater
        one; else the last ones of all. `more`: there are others in the same direction.
        `bytes_max` bounds the packed facts that hold the present bodies; one message is
        returned in any case. `_domain.fold` says what folding is.
        """
        ...

    async def search(
        self,
        room: str,
        user: str,
        words: str,
        *,
        before: int | None,
        limit: int,
        scan_max: int,
    ) -> SearchSlice | None:
        """Return messages that hold all of `words`, newest first; None: no such room.

        Each is folded as `user` sees it, and found by its present text (`text` of its body,
        where that is a string); erased ones have none. `_domain.words` says what words are.
        `before`: only those with a smaller seq. At most `limit` are returned, and at most
        `scan_max` messages looked at, fewer when they are long or when entries arrive meanwhile:
        a slice may be empty though there are others, so go on until `next_before` is None.
        A store may know of messages, without looking at them, that they do not hold the words.

        Raises:
            ValueError: no word, more than 8, one of more than 64 characters, or in all more
                than 1,024; `limit` or `scan_max` below 1.
        """
        ...

    async def find(self, room: str, sender: str, cid: str) -> Duplicate | None:
        """Return what a cid became, or None."""
        ...

    async def n_at(self, room: str, seq: int) -> int:
        """Return how many messages the room had at `seq` (at the floor, if that is later)."""
        ...

    async def inbox(self, user: str, *, after: str | None, limit: int) -> list[InboxItem]:
        """Return the user's rooms by name, those after `after`."""
        ...

    async def inbox_of(self, user: str, rooms: Sequence[str]) -> list[InboxItem]:
        """Return those of `rooms` the user is a member of, by name; at most 1,000 asked."""
        ...

    async def positions(self, user: str, *, limit: int) -> list[tuple[str, str, int, int]]:
        """Return `(room, epoch, head, read)` of the user's rooms by name, at most `limit`."""
        ...

    async def marks(self, room: str, *, seq: int, after: str | None, limit: int) -> list[Mark]:
        """Return marks with `delivered >= seq` or `read >= seq`, by user, those after `after`."""
        ...

    async def put_marks(self, marks: Sequence[Mark]) -> None:
        """Move marks forward; a smaller one changes nothing, and who is no member has none."""
        ...

    async def prune(
        self, *, older_than: int, entries_max: int, limit: int
    ) -> list[tuple[str, int, int]]:
        """Remove the oldest entries, about `limit` at most; return `(room, floor, floor_n)` rows.

        Only prefixes go: entries with `at < older_than` (0: none by age), and those beyond the
        newest `entries_max` of a room (0: no bound). Call again until it returns nothing.
        A call may be several transactions, so that no write waits long for it.
        """
        ...

    async def prune_cids(self, *, older_than: int, limit: int) -> int:
        """Forget cids of drafts older than `older_than` (ms), at most `limit`; return how many."""
        ...

    async def clear_deleted(self, *, limit: int) -> list[tuple[str, str]] | None:
        """Remove, bodies and all, what deleted rooms have left behind, about `limit` rows of it.

        Memberships go first. A call may be several transactions, so that no write waits long for
        it; several nodes may call at once. What a crash interrupts is found by the next call.

        Returns:
            `(room, user)` of each membership that went; None: there is nothing left.
        """
        ...

    async def new_generation(self) -> str:
        """Begin a new epoch in every room, from its head + 1, and return its name.

        For a store whose past may have been lost: a restored backup, a failover.
        """
        ...
