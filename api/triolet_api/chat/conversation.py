"""A conversation as one person sees it: a value that events change, and nothing that acts.

The law: what `load` takes from a page of history, changed by the entries after it, is what a
fresh page would give. Entries come in order, once each; `triolet.client` sees to that.
"""

from collections import deque
from typing import Final, TypeAlias, final

from msgspec import UNSET, Struct

from triolet._model.entries import (
    Delete,
    Edit,
    Entry,
    FoldedMessage,
    Member,
    Message,
    Meta,
    React,
)
from triolet._model.events import (
    HistoryPage,
    MarkRow,
    Presence,
    PresenceRow,
    Receipts,
    Subscribed,
    Synced,
    Typing,
    Written,
)
from triolet.client import ClientEvent
from triolet.client.folding import change, message_of

from .changes import (
    Back,
    Change,
    Deleted,
    Edited,
    Lost,
    MarksMoved,
    MemberChanged,
    Noted,
    PresenceChanged,
    Reacted,
    Refused,
    Retitled,
    Said,
    Stored,
    TypingChanged,
)
from .text import clean_line

# Messages and notes remembered; the terminal's own scrollback has the rest.
PIECES_MAX: Final = 500


@final
class Pending(Struct, kw_only=True):
    """A message of mine whose entry has not come yet; `seq`: where it is, once acknowledged."""

    cid: str
    text: str
    reply_to: int | None
    at: int
    seq: int | None = None


@final
class Reach(Struct, frozen=True):
    """How many of the others have got a message, and read it."""

    delivered: int
    read: int
    others: int


# A message by its place, or a note where it was made.
Piece: TypeAlias = int | Noted


@final
class Conversation:
    """One room.

    Attributes:
        room: its name.
        me: who looks at it.
        title: what it is called, empty if nothing.
        messages: by place, oldest first.
        pieces: messages and notes in the order in which they came.
        pending: my messages that are not in the log yet, by `cid`, in the order of saying.
        marks: how far each member got, I too: delivered, read.
        typists: who else is typing.
        presence: people's status and when they were last seen, ms.
        is_online: whether there is a connection.
        members: how many there are, I included.
        received: the place of the latest message of somebody else.
    """

    def __init__(self, room: str, me: str) -> None:
        self.room = room
        self.me = me
        self.title = ""
        self.messages: dict[int, FoldedMessage] = {}
        self.pieces: deque[Piece] = deque()
        self.pending: dict[str, Pending] = {}
        self.marks: dict[str, tuple[int, int]] = {}
        self.typists: tuple[str, ...] = ()
        self.presence: dict[str, tuple[str, int]] = {}
        self.is_online = True
        self.received = 0
        self._position = 0
        self.members = 0
        self._notes = 0
        # From the loss of the connection until what was missed is here: how much that was,
        # and where it ends, once that is known.
        self._caught_up: int | None = None
        self._missed_to: int | None = None

    # --- how it begins -------------------------------------------------------------------

    def open(self, found: Subscribed) -> None:
        """Take in where the subscription starts."""
        self.members = found.members
        self.marks = {}
        self._move_marks(() if found.receipts is UNSET else found.receipts)
        self.typists = self._others(found.typing)

    def load(self, page: HistoryPage, *, read: int | None = None) -> None:
        """Begin with a page of history; messages that were there before are dropped.

        Args:
            page: the page.
            read: up to where I have read; what others wrote after it is marked as new.
        """
        self.messages = {message.seq: message for message in page.messages}
        self.pieces = deque(piece for piece in self.pieces if isinstance(piece, Noted))
        new = [seq for seq in self.messages if read is not None and self._is_new(seq, read)]
        for seq in self.messages:
            if new and seq == new[0]:
                self.note(f"{len(new)} new")
            self.pieces.append(seq)
        self._position = page.as_of[1]
        for message in page.messages:
            self.pending.pop(message.cid, None)
            if message.sender != self.me:
                self.received = message.seq
        self._trim()

    # --- what I do -----------------------------------------------------------------------

    def say(self, cid: str, text: str, *, at: int, reply_to: int | None = None) -> None:
        """Put a message of mine at the end, until its entry comes."""
        self.pending[cid] = Pending(cid=cid, text=text, reply_to=reply_to, at=at)

    def stored(self, cid: str, written: Written) -> list[Change]:
        """Take in that the server has acknowledged a message."""
        pending = self.pending.get(cid)
        if pending is not None:
            pending.seq = written.seq
        return [Stored(cid, written.seq)]

    def refused(self, cid: str, why: str) -> list[Change]:
        """Take in that the server will not have a message."""
        pending = self.pending.pop(cid)
        return [Refused(pending.text, clean_line(why))]

    def note(self, text: str, *, is_error: bool = False) -> list[Change]:
        """Put a note at the end."""
        self._notes += 1
        noted = Noted(text, is_error, self._notes)
        self.pieces.append(noted)
        self._trim()
        return [noted]

    # --- the connection ------------------------------------------------------------------

    def went_offline(self) -> list[Change]:
        """Take in that the connection is gone."""
        if not self.is_online:
            return []
        self.is_online = False
        self.typists = ()
        self._caught_up, self._missed_to = 0, None
        return [Lost()]

    def went_online(self) -> list[Change]:
        """Take in that the connection is back; `Back` comes when nothing is missing any more."""
        self.is_online = True
        return self._back()

    # --- what the server tells -----------------------------------------------------------

    def apply(self, event: ClientEvent) -> list[Change]:
        """Take in an event, and return what it changed."""
        match event:
            case Entry() if event.room == self.room:
                return self._entry(event)
            case Receipts() if event.room == self.room:
                return self._move_marks(event.marks)
            case Typing() if event.room == self.room:
                before, self.typists = self.typists, self._others(event.users)
                return [TypingChanged(self.typists)] if before != self.typists else []
            case Presence():
                return self.see(event.users)
            case Synced():
                heads = [row.head for row in event.rooms if row.room == self.room]
                self._missed_to = heads[0] if heads else self._position
                return self._back()
            case _:
                return []

    def see(self, rows: tuple[PresenceRow, ...]) -> list[Change]:
        """Take in how people are."""
        changes: list[Change] = []
        for user, status, last_seen in rows:
            if self.presence.get(user) != (status, last_seen):
                was = self.presence.get(user, ("", 0))[0]
                self.presence[user] = (status, last_seen)
                if was != status:
                    changes.append(PresenceChanged(user, status, last_seen))
        return changes

    def _entry(self, entry: Entry) -> list[Change]:
        if entry.seq <= self._position:
            return []
        self._position = entry.seq
        return [*self._fact(entry), *self._back()]

    def _fact(self, entry: Entry) -> list[Change]:
        match entry.fact:
            case Message():
                return self._message(entry)
            case Edit(target=target) | Delete(target=target) | React(target=target):
                return self._late(entry, target)
            case Member(user=user, role=role):
                if role is None:
                    self.marks.pop(user, None)
                elif user not in self.marks:
                    self.marks[user] = (entry.seq, entry.seq)
                self.members = len(self.marks)
                return [MemberChanged(user, role, entry.sender)]
            case Meta(title=title) if title is not UNSET:
                self.title = clean_line(title)
                return [Retitled(self.title, entry.sender)]
            case _:
                return []

    def _message(self, entry: Entry) -> list[Change]:
        message = self.messages[entry.seq] = message_of(entry)
        self.pieces.append(entry.seq)
        self._trim()
        if entry.sender == self.me:
            self.pending.pop(entry.cid, None)
        else:
            self.received = entry.seq
            if self._caught_up is not None:
                self._caught_up += 1
        self.typists = tuple(user for user in self.typists if user != entry.sender)
        # Who writes has read what is above: the server counts so, and does not say so again.
        return [Said(message), *self._move_marks(((entry.sender, entry.seq, entry.seq),))]

    def _late(self, entry: Entry, target: int) -> list[Change]:
        message = self.messages.get(target)
        if message is not None:
            message = self.messages[target] = change(message, entry, self.me)
        match entry.fact:
            case Edit():
                return [Edited(target, entry.sender, message)]
            case React(emoji=emoji, on=on):
                return [Reacted(target, entry.sender, clean_line(emoji), on)]
            case _:
                return [Deleted(target, entry.sender)]

    def _back(self) -> list[Change]:
        is_complete = self._missed_to is not None and self._position >= self._missed_to
        if self._caught_up is None or not is_complete or not self.is_online:
            return []
        caught_up, self._caught_up = self._caught_up, None
        return [Back(caught_up)]

    def _move_marks(self, rows: tuple[MarkRow, ...]) -> list[Change]:
        changes: list[Change] = []
        for user, delivered, read in rows:
            before = self.marks.get(user, (0, 0))
            after = (max(before[0], delivered), max(before[1], read))
            self.marks[user] = after
            if user != self.me:
                changes.extend(self._reached(user, before, after))
        return changes

    def _reached(self, user: str, before: tuple[int, int], after: tuple[int, int]) -> list[Change]:
        """Tell the last of my messages that somebody has now read, or else got."""
        mine = [seq for seq, message in self.messages.items() if message.sender == self.me]
        for is_read in (True, False):
            new = [seq for seq in mine if before[is_read] < seq <= after[is_read]]
            if new:
                return [MarksMoved(user, new[-1], is_read)]
        return []

    def _is_new(self, seq: int, read: int) -> bool:
        return seq > read and self.messages[seq].sender != self.me

    def _others(self, users: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(user for user in users if user != self.me)

    def _trim(self) -> None:
        while len(self.pieces) > PIECES_MAX:
            oldest = self.pieces.popleft()
            if isinstance(oldest, int):
                self.messages.pop(oldest, None)

    # --- questions -----------------------------------------------------------------------

    @property
    def others(self) -> list[str]:
        """Members but for me, as far as they are known."""
        return [user for user in self.marks if user != self.me]

    @property
    def partner(self) -> str | None:
        """The other one, in a conversation of two."""
        others = self.others
        return others[0] if self.room.startswith("dm:") and len(others) == 1 else None

    def reach(self, seq: int) -> Reach:
        """Return how far the message at `seq` has got."""
        others = [self.marks[user] for user in self.others]
        return Reach(
            delivered=sum(delivered >= seq for delivered, _ in others),
            read=sum(read >= seq for _, read in others),
            others=max(len(others), self.members - 1),
        )

    def place(self, cid: str) -> int | None:
        """Return where my message of this `cid` is in the log; None: nowhere yet."""
        found = [
            seq
            for seq, message in self.messages.items()
            if message.cid == cid and message.sender == self.me
        ]
        if not found and cid in self.pending:
            return self.pending[cid].seq
        return found[-1] if found else None

    def last(self, *, mine: bool) -> int | None:
        """Return the place of my last message, or of somebody else's; None: there is none."""
        found = [
            seq
            for seq, message in self.messages.items()
            if (message.sender == self.me) == mine and not message.erased
        ]
        return found[-1] if found else None
