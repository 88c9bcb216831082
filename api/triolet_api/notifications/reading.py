"""What a user has not read: of one room, with the facts to decide on, and of all of them."""

from collections.abc import AsyncIterator
from typing import Final, final

from msgspec import Struct

from triolet._domain.inbox import unread
from triolet._model.entries import FoldedMessage
from triolet._runtime.engine import Engine
from triolet._runtime.standing import present_among, read_by
from triolet.ports.store import InboxItem

from .deciding import Facts, hold, wants
from .preferences import Kind, Preferences
from .rings import RoomRing

# The last messages of a room, among which the last one of others is looked for.
_MESSAGES: Final = 50
_BYTES_MAX: Final = 256 * 1024
# Rooms of one page of an inbox, and all that are counted: who has more sees that there are many.
_ROOMS_PER_PAGE: Final = 200
ROOMS_MAX: Final = 2000


@final
class Standing(Struct, frozen=True, kw_only=True):
    """How a user stands to a room.

    Attributes:
        facts: to decide on.
        title: what the room is called.
        newest: the last message of others that is unread; None: there is none.
        unread: messages of the room that are unread.
    """

    facts: Facts
    title: str
    newest: FoldedMessage | None
    unread: int


@final
class UnreadRoom(Struct, frozen=True, kw_only=True):
    """A room with something unread: how much, and the last message (None: it is gone)."""

    room: str
    title: str
    is_direct: bool
    unread: int
    last: FoldedMessage | None


@final
class Badge(Struct, frozen=True):
    """What is unread in rooms that are not muted: messages, and rooms."""

    unread: int
    rooms: int


@final
class Reader:
    """See the module. `engine`: whose rooms these are."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def stand(self, ring: RoomRing, *, notified: int) -> Standing | None:
        """Return how a user stands to a room; None: they are no member of it.

        Args:
            ring: who, where, since when, and a mention that is known of.
            notified: how far they were told.

        Raises:
            StoreUnavailable: it could not be read.
        """
        engine, user = self._engine, ring.user
        with engine.marks.reading():
            items = await engine.store.inbox_of(user, [ring.room])
            if not items:
                return None
            read = read_by(engine.hub, engine.marks, items[0])
        page = await engine.store.history(
            ring.room, user, before=None, after=None, limit=_MESSAGES, bytes_max=_BYTES_MAX
        )
        messages = () if page is None else page.messages
        others = [one for one in messages if is_news(one, user) and one.seq > read]
        mentions = [one.seq for one in others if mentions_of(one, user)]
        known = ring.mention if others and read < ring.mention <= others[-1].seq else 0
        (person,) = await engine.store.people([user])
        facts = Facts(
            is_direct=items[0].state.kind == "direct",
            newest=others[-1].seq if others else 0,
            mention=max([known, *mentions]),
            read=read,
            notified=notified,
            since=ring.since,
            is_live=bool(await present_among(engine.presence, [user])),
            is_dnd=person.status == "dnd",
        )
        return Standing(
            facts=facts,
            title=items[0].state.title,
            newest=others[-1] if others else None,
            unread=await self._unread(items[0], read),
        )

    async def has_read(self, user: str, room: str, seq: int) -> bool:
        """Whether a user has read a message, or cannot any more.

        Raises:
            StoreUnavailable: it could not be read.
        """
        engine = self._engine
        with engine.marks.reading():
            items = await engine.store.inbox_of(user, [room])
            return not items or read_by(engine.hub, engine.marks, items[0]) >= seq

    async def _unread(self, item: InboxItem, read: int) -> int:
        state, membership = item.state, item.membership
        read_n = membership.read_n
        if read > membership.read:
            # It is known here, and not written yet.
            read_n = await self._engine.store.n_at(state.room, read)
        return unread(state.n, read_n=read_n, floor_n=state.floor_n)

    async def unread_rooms(self, user: str) -> AsyncIterator[UnreadRoom]:
        """Yield rooms of a user with something unread, by name, of the first 2,000 there are.

        Raises:
            StoreUnavailable: they could not be read.
        """
        engine = self._engine
        after: str | None = None
        for _ in range(ROOMS_MAX // _ROOMS_PER_PAGE):
            with engine.marks.reading():
                items = await engine.store.inbox(user, after=after, limit=_ROOMS_PER_PAGE)
                reads = [read_by(engine.hub, engine.marks, item) for item in items]
            for item, read in zip(items, reads, strict=True):
                count = await self._unread(item, read)
                if count:
                    yield UnreadRoom(
                        room=item.state.room,
                        title=item.state.title,
                        is_direct=item.state.kind == "direct",
                        unread=count,
                        last=item.last,
                    )
            if len(items) < _ROOMS_PER_PAGE:
                return
            after = items[-1].state.room

    async def badge(self, user: str, wishes: Preferences) -> Badge:
        """Return what is unread in rooms that are not muted.

        Raises:
            StoreUnavailable: it could not be read.
        """
        now, messages, rooms = self._engine.clock.now_ms(), 0, 0
        async for one in self.unread_rooms(user):
            if is_counted(one, wishes, now=now):
                messages += one.unread
                rooms += 1
        return Badge(messages, rooms)


def is_counted(one: UnreadRoom, wishes: Preferences, *, now: int) -> bool:
    """Whether a room counts for the badge: mentions in it would be told of."""
    return wants(wishes, one.room, "direct" if one.is_direct else "mention", now=now)


def is_told(one: UnreadRoom, wishes: Preferences, user: str, *, is_dnd: bool, now: int) -> bool:
    """Whether a user is to be notified of a room's last message now, where they look elsewhere."""
    if one.last is None:
        return False
    is_mention = mentions_of(one.last, user)
    kind: Kind = "direct" if one.is_direct else "mention" if is_mention else "message"
    return (
        wants(wishes, one.room, kind, now=now)
        and hold(wishes, kind, is_dnd=is_dnd, now=now) is None
    )


def is_news(message: FoldedMessage, user: str) -> bool:
    """Whether a message is another's, and still there."""
    return message.sender != user and not message.erased


def mentions_of(message: FoldedMessage, user: str) -> bool:
    """Whether a message mentions somebody."""
    return isinstance(message.mentions, tuple) and user in message.mentions


def text_of(message: FoldedMessage, *, characters_max: int) -> str:
    """Return what a message says, cut where it is long; empty: its body is no text."""
    text = message.body.get("text") if isinstance(message.body, dict) else None
    if not isinstance(text, str):
        return ""
    return text if len(text) <= characters_max else text[: characters_max - 1] + "…"
