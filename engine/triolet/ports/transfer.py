"""Transfer: everything a store holds, as rows, out of one store and into another.

What every adapter promises, and `triolet.testing.contracts` proves: a store that has taken all
rows of another answers each read as that one does. Positions, epochs, marks and rights are the
same, and a cid that was used there is a duplicate here, with its old seq and time.

What follows from rows is no row: inboxes, counts, folded messages and indexes are made again by
who takes the rows. Folded messages can be read as rows all the same, so that they are compared.

A source does not change while it is read: whoever opens one keeps servers away.
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import Protocol, TypeAlias, final

from msgspec import Struct

from .._model.entries import FoldedMessage, Record
from .documents import Document
from .jobs import Job
from .people import Person, Revocation
from .store import Duplicate, Membership, RoomState


class Section(IntEnum):
    """The kinds of rows, in the order in which they are taken."""

    ROOMS = 0
    ENTRIES = 1
    MEMBERS = 2
    PEOPLE = 3
    REVOCATIONS = 4
    CIDS = 5
    TOMBSTONES = 6
    DOCUMENTS = 7
    JOBS = 8
    # Messages that others have changed, as history shows them: compared, never taken.
    FOLDED = 9


TAKEN: tuple[Section, ...] = tuple(section for section in Section if section != Section.FOLDED)


@final
class RoomRow(Struct, frozen=True, array_like=True):
    """Where a room stands.

    Attributes:
        number: names the room in what cids are digested with; kept for ever.
        at: the time of its last entry, or of its making (ms).
    """

    number: int
    at: int
    state: RoomState


@final
class MemberRow(Struct, frozen=True, array_like=True):
    """A member of a room, with their marks."""

    room: str
    membership: Membership


@final
class CidRow(Struct, frozen=True, array_like=True):
    """What a cid became; `key` is the digest of room, sender and cid (`adapters._digests`).

    The entry it names may have been removed long since, and no store needs to know more of it.
    """

    key: bytes
    seq: int
    at: int
    op: str


@final
class TombstoneRow(Struct, frozen=True, array_like=True):
    """A room that was deleted: its name and number are never given again.

    Attributes:
        sender: who deleted it, by the draft `cid`.
        first: what that draft became, for its retries.
    """

    number: int
    room: str
    sender: str
    cid: str
    first: Duplicate


@final
class FoldedRow(Struct, frozen=True, array_like=True):
    """A message that was edited, erased or reacted to, as history shows it to a stranger."""

    room: str
    message: FoldedMessage


Row: TypeAlias = (
    RoomRow
    | Record
    | MemberRow
    | Person
    | Revocation
    | CidRow
    | TombstoneRow
    | Document
    | Job
    | FoldedRow
)


@final
class Page(Struct, frozen=True):
    """Some rows of a section, perhaps none; `after` asks for the next ones, None: no more."""

    rows: Sequence[Row]
    after: str | None


@final
class Place(Struct, frozen=True):
    """How far a transfer is: within a section, after what a source's page said.

    Attributes:
        rows: how many were taken up to here, of all sections.
    """

    section: Section = Section.ROOMS
    after: str = ""
    rows: int = 0

    def following(self, page: Page) -> "Place":
        """Return the place behind a page that begins here."""
        rows = self.rows + len(page.rows)
        if page.after is None:
            return Place(Section(self.section + 1), "", rows)
        return Place(self.section, page.after, rows)


@final
class Origin(Struct, frozen=True, kw_only=True):
    """What a store is, whoever holds its rows.

    Attributes:
        salt: of the digests of cids, a secret; it names the store, too.
        epochs: all there were, oldest first, the present one last.
        version: the last that was given to a document, also to one that was removed.
        last_job: the last id that was given to a job, also to one that is gone.
        state: moves with each entry, document and job that is written.
        counts: how many rows there are of each section but the last, about.
    """

    salt: str
    epochs: tuple[str, ...]
    version: int
    last_job: int
    state: str
    counts: tuple[int, ...]


class Source(Protocol):
    """A store whose rows are read."""

    async def origin(self) -> Origin:
        """Return what the store is."""
        ...

    async def rows(self, section: Section, *, after: str, rows_max: int, bytes_max: int) -> Page:
        """Return rows of a section in an order that stays, those after `after` ("": the first).

        Rooms come by number, entries by room and seq, jobs by id; documents come that have
        expired, too.

        Args:
            section: which rows.
            after: what the page before has said.
            rows_max: at most so many.
            bytes_max: bounds the sum of packed facts, values or payloads; one row is returned
                anyway.

        Raises:
            StoreUnavailable: they could not be read.
        """
        ...


class Target(Protocol):
    """A store that takes another one's rows; no server may open it before it is finished."""

    async def begin(self, origin: Origin) -> Place:
        """Become the store that `origin` is, if empty; return the place to go on from.

        Raises:
            ConfigurationError: it holds something else: other data, a copy of another store,
                a finished copy, or one of an earlier state of this store.
            StoreUnavailable: it could not be written.
        """
        ...

    async def take(self, rows: Sequence[Row], *, after: Place, upto: Place) -> None:
        """Take the rows between two places, and know the second one, in one transaction.

        Done again, with the same places, it changes nothing. The rows of one call are of the
        section of `after`, in the order in which a source gives them.

        Raises:
            StoreUnavailable: nothing of them was taken.
            OutcomeUnknown: they may have been.
        """
        ...

    async def settle(self) -> None:
        """Make what follows from the rows, once all were taken; may be done again."""
        ...

    async def finish(self) -> None:
        """Be a store like any other from now on: all there is, is safe on the disk."""
        ...
