"""What the chat says, in words: one sentence or less for each thing, without colour or place."""

from datetime import UTC, datetime, tzinfo
from typing import Final, final

from triolet._model.entries import FoldedMessage
from triolet._model.events import InboxRow
from triolet._model.ids import DIRECT_PREFIX

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
from .conversation import Conversation, Reach
from .text import clean_line, shorten, text_of

WAITING: Final = "◷"
SENT: Final = "✓"
DELIVERED: Final = "✓✓"
READ: Final = "✓✓ read"

# Names told one by one; more are counted.
_NAMES_MAX: Final = 3
_QUOTE_CELLS: Final = 40
_WAY_CELLS: Final = 30

_STATUS: Final = {"online": "online", "away": "away", "dnd": "not to be disturbed"}
_DOTS: Final = {"online": "●", "away": "◐", "dnd": "⊖"}
_ROLES: Final = {
    "owner": "an owner",
    "admin": "an admin",
    "member": "a member",
    "reader": "a reader",
}


@final
class Calendar:
    """Tells times as the person's own clock shows them.

    >>> Calendar(UTC).hour(0), Calendar(UTC).day(0)
    ('00:00', 'Thursday 1 January 1970')
    """

    def __init__(self, zone: tzinfo | None = None) -> None:
        self._zone = zone

    def _at(self, at_ms: int) -> datetime:
        return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(self._zone)

    def hour(self, at_ms: int) -> str:
        """Return hour and minute."""
        return f"{self._at(at_ms):%H:%M}"

    def day(self, at_ms: int) -> str:
        """Return the date in full."""
        at = self._at(at_ms)
        return f"{at:%A} {at.day} {at:%B} {at.year}"

    def last_seen(self, at_ms: int, *, now_ms: int) -> str:
        """Return when somebody was here, as short as can be told apart.

        >>> Calendar(UTC).last_seen(0, now_ms=86_400_000), Calendar(UTC).last_seen(60000, now_ms=0)
        ('last seen yesterday 00:00', 'last seen 00:01')
        """
        at, now = self._at(at_ms), self._at(now_ms)
        days = (now.date() - at.date()).days
        if days <= 0:
            return f"last seen {at:%H:%M}"
        if days == 1:
            return f"last seen yesterday {at:%H:%M}"
        return f"last seen {at.day} {at:%b %Y}"


def names(users: tuple[str, ...] | list[str]) -> str:
    """Return some people in one phrase.

    >>> names(["anna"]), names(["anna", "ben"]), names(["a", "b", "c", "d", "e"])
    ('anna', 'anna and ben', 'a, b, c and 2 others')
    """
    if len(users) > _NAMES_MAX + 1:
        return f"{', '.join(users[:_NAMES_MAX])} and {len(users) - _NAMES_MAX} others"
    return " and ".join([", ".join(users[:-1]), users[-1]]) if len(users) > 1 else "".join(users)


def tick(reach: Reach) -> str:
    """Return the mark behind a message of mine that is in the log.

    >>> tick(Reach(0, 0, 1)), tick(Reach(1, 0, 1)), tick(Reach(1, 1, 1)), tick(Reach(3, 2, 4))
    ('✓', '✓✓', '✓✓ read', '✓✓ read by 2')
    """
    if reach.read:
        return READ if reach.read >= reach.others else f"{READ} by {reach.read}"
    is_delivered = reach.delivered and reach.delivered >= reach.others
    return DELIVERED if is_delivered else SENT


def dot(status: str) -> str:
    """Return a status as one sign."""
    return _DOTS.get(status, "○")


def presence(status: str, last_seen: int, *, calendar: Calendar, now_ms: int) -> str:
    """Return how somebody is."""
    if status in _STATUS:
        return _STATUS[status]
    return calendar.last_seen(last_seen, now_ms=now_ms) if last_seen else "offline"


def status(own: str) -> str:
    """Return how others see somebody with a status of their own choice.

    >>> status("dnd"), status("invisible")
    ('as not to be disturbed', 'as offline')
    """
    return f"as {_STATUS.get(own, 'offline')}"


def here(users: list[str], *, of: int) -> str:
    """Return who of a group is here.

    >>> here([], of=3), here(["ben"], of=3), here(["ben", "carl"], of=3)
    ('nobody else is here', 'ben is here', 'ben and carl are here')
    >>> here(["ben", "carl", "dora", "emil"], of=9)
    '4 of 9 others are here'
    """
    if len(users) > _NAMES_MAX:
        return f"{len(users)} of {of} others are here"
    return f"{names(users) or 'nobody else'} {'are' if len(users) > 1 else 'is'} here"


def typing(users: tuple[str, ...]) -> str:
    """Return who is typing, empty if nobody.

    >>> typing(("anna",)), typing(("anna", "ben"))
    ('anna is typing …', 'anna and ben are typing …')
    """
    return f"{names(users)} {'is' if len(users) == 1 else 'are'} typing …" if users else ""


def quote(message: FoldedMessage | None) -> str:
    """Return the start of a message, to point at it."""
    if message is None:
        return "an earlier message"
    if message.erased:
        return "a deleted message"
    return f"“{shorten(clean_line(text_of(message.body)), _QUOTE_CELLS)}”"


def back(caught_up: int) -> str:
    """Return what to say on the connection's return.

    >>> back(0), back(1), back(3)
    ('back', 'back; 1 message caught up', 'back; 3 messages caught up')
    """
    return f"back; {count(caught_up, 'message')} caught up" if caught_up else "back"


def count(number: int, noun: str) -> str:
    """Return a number of things.

    >>> count(1, "message"), count(2, "message")
    ('1 message', '2 messages')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def partner(room: str, me: str) -> str | None:
    """Return whom a direct room is shared with; None: it is no direct room of mine.

    >>> partner("dm:anna:ben", "anna"), partner("tea", "anna")
    ('ben', None)
    """
    pair = room.removeprefix(DIRECT_PREFIX).split(":")
    is_direct = room.startswith(DIRECT_PREFIX) and len(pair) == 2 and me in pair
    return pair[pair[0] == me] if is_direct else None


def elsewhere(room: str, me: str) -> str:
    """Return that something was written in another room, and how to get there."""
    other = partner(room, me)
    return (
        f"there is something new in {room}: /join {room}"
        if other is None
        else (f"{other} wrote to you: /with {other}")
    )


def heading(conversation: Conversation) -> str:
    """Return what a conversation is called."""
    if not conversation.room:
        return "triolet"
    other = partner(conversation.room, conversation.me)
    return other or conversation.title or conversation.room


def invitation(conversation: Conversation) -> str:
    """Return what an empty line invites to."""
    if not conversation.room:
        return "/with USER, /join ROOM or /help"
    return f"write to {heading(conversation)}"


def kind(conversation: Conversation) -> str:
    """Return what kind of conversation it is."""
    if not conversation.room:
        return "messages in the terminal"
    if partner(conversation.room, conversation.me) is not None:
        return "direct"
    members = count(conversation.members, "member")
    return f"{conversation.room} · {members}" if conversation.title else members


def who(conversation: Conversation, *, calendar: Calendar, now_ms: int) -> str:
    """Return everybody of a conversation with their presence, one a line."""
    rows = []
    for user in sorted(conversation.others):
        state, last_seen = conversation.presence.get(user, ("offline", 0))
        told = presence(state, last_seen, calendar=calendar, now_ms=now_ms)
        rows.append((dot(state), user, told))
    if not rows:
        return "nobody else is here"
    width = max(len(user) for _, user, _ in rows)
    return "\n".join(f"{sign} {user:<{width}}  {told}" for sign, user, told in rows)


def rooms(rows: list[InboxRow], me: str) -> str:
    """Return a list of rooms, one a line: how to get there, what is unread, what was last."""
    if not rows:
        return "you are in no room yet; /with USER or /create ROOM"
    found = []
    for row in rows:
        other = partner(row.room, me)
        way = f"/join {row.room}" if other is None else f"/with {other}"
        last = "" if row.last is None else f"{row.last.sender}: {quote(row.last)}"
        found.append((way, f"{row.unread} new" if row.unread else "", last))
    ways = min(max(len(way) for way, _, _ in found), _WAY_CELLS)
    return "\n".join(f"{way:<{ways}}  {new:>8}  {last}".rstrip() for way, new, last in found)


def is_error(change: Change) -> bool:
    """Whether a change is one that nobody hoped for."""
    return isinstance(change, Refused) or (isinstance(change, Noted) and change.is_error)


def tell(change: Change) -> str:
    """Return a change as a sentence; of a message, its number and not its text."""
    match change:
        case Said(message):
            return f"{message.sender} wrote [{message.seq}]"
        case Edited(seq, user, message):
            return f"{user} edited [{seq}]" + (f" to {quote(message)}" if message else "")
        case Deleted(seq, user):
            return f"{user} deleted [{seq}]"
        case Reacted(seq, user, emoji, on):
            return f"{user} put {emoji} to [{seq}]" if on else f"{user} took {emoji} from [{seq}]"
        case Retitled(title, by):
            return f"{by} called this room “{title}”"
        case MemberChanged():
            return _member(change)
        case _:
            return _tell_state(change)


def _tell_state(change: Change) -> str:
    match change:
        case Stored(_, seq):
            return f"[{seq}] {SENT} sent"
        case Refused(text, why):
            return f"not sent: “{shorten(clean_line(text), _QUOTE_CELLS)}” ({why})"
        case MarksMoved(user, seq, is_read):
            return (
                f"[{seq}] {READ} by {user}"
                if is_read
                else f"[{seq}] {DELIVERED} delivered to {user}"
            )
        case TypingChanged(users):
            return typing(users) or "nobody is typing"
        case PresenceChanged(user, status, _):
            return f"{user} is {_STATUS.get(status, 'offline')}"
        case Lost():
            return "the connection is lost; what you write waits"
        case Back(caught_up):
            return back(caught_up)
        case Noted(text):
            return text
        case _:
            raise AssertionError(change)


def _member(change: MemberChanged) -> str:
    user, role, by = change.user, change.role, change.by
    if role is None:
        return f"{user} left" if user == by else f"{by} removed {user}"
    if user == by:
        return f"{user} joined"
    return f"{by} made {user} {_ROLES[role]}"
