"""One room through a client's eyes: the operations without its name, and its entries."""

from collections.abc import Iterable
from typing import final

from .._model.commands import Position
from .._model.entries import Entry, Role
from .._model.events import (
    Done,
    HistoryPage,
    ReceiptPage,
    RoomOpened,
    Subscribed,
    Written,
)
from .._model.json import JsonMap
from ._effects import ClientEvent
from ._following import Following
from .operations import Body, Operations
from .streams import EventStream, Streams


@final
class Room:
    """A room by name; it need not exist until something is asked of it.

    `async for entry in room` yields its entries, and follows the room if nobody does yet.
    It ends when the subscription does (unsubscribed, kicked, room deleted).
    Who keeps a copy of the log reads `events()` instead: a `Reset` among them says
    which entries have been taken back, or that history is to be refetched.
    """

    def __init__(
        self, name: str, operations: Operations, streams: Streams, following: Following
    ) -> None:
        self.name = name
        self._operations = operations
        self._streams = streams
        self._following = following

    @property
    def position(self) -> Position | None:
        """The last `(epoch, seq)` given to the streams; None while it is not followed."""
        return self._following.position(self.name)

    # --- reading -----------------------------------------------------------------------

    def __aiter__(self) -> EventStream[Entry]:
        return self.entries()

    def entries(self, *, since: Position | None = None) -> EventStream[Entry]:
        """Return a stream of entries, from now on or after a position that you have."""
        return self._streams.entries(self.name, lambda: self._follow(since))

    def events(self, *, since: Position | None = None) -> EventStream[ClientEvent]:
        """Return a stream of all that happens: entries, resets, receipts, typing, signals."""
        return self._streams.events(self.name, lambda: self._follow(since))

    async def _follow(self, since: Position | None) -> None:
        if since is not None or self._following.position(self.name) is None:
            await self._operations.subscribe(self.name, since=since)

    async def subscribe(self, *, since: Position | None = None) -> Subscribed:
        """Follow it, and return where that starts."""
        return await self._operations.subscribe(self.name, since=since)

    async def unsubscribe(self) -> Done:
        """Stop following it."""
        return await self._operations.unsubscribe(self.name)

    async def history(
        self, *, before: int | None = None, after: int | None = None, limit: int = 50
    ) -> HistoryPage:
        """Return a page of folded messages, oldest first."""
        return await self._operations.history(self.name, before=before, after=after, limit=limit)

    async def receipts(self, seq: int, *, after: str | None = None, limit: int = 50) -> ReceiptPage:
        """Return who has got or read up to `seq`."""
        return await self._operations.receipts(self.name, seq, after=after, limit=limit)

    # --- writing -----------------------------------------------------------------------

    async def send(
        self,
        body: Body,
        *,
        reply_to: int | None = None,
        mentions: Iterable[str] = (),
        cid: str | None = None,
    ) -> Written:
        """Say something: a text, or a map of the JSON data model."""
        return await self._operations.send(
            self.name, body, reply_to=reply_to, mentions=mentions, cid=cid
        )

    async def edit(self, target: int, body: Body, *, cid: str | None = None) -> Written:
        """Replace the body of my message at seq `target`."""
        return await self._operations.edit(self.name, target, body, cid=cid)

    async def delete(self, target: int, *, cid: str | None = None) -> Written:
        """Take the message at seq `target` back."""
        return await self._operations.delete(self.name, target, cid=cid)

    async def react(
        self, target: int, emoji: str, *, on: bool = True, cid: str | None = None
    ) -> Written:
        """Put an emoji under the message at seq `target`, or take it back."""
        return await self._operations.react(self.name, target, emoji, on=on, cid=cid)

    async def receipt(self, *, delivered: int | None = None, read: int | None = None) -> Done:
        """Move my marks forward to a seq."""
        return await self._operations.receipt(self.name, delivered=delivered, read=read)

    async def typing(self, *, on: bool = True) -> Done:
        """Show that I am typing, or have stopped."""
        return await self._operations.typing(self.name, on=on)

    async def signal(
        self,
        kind: str,
        data: JsonMap | None = None,
        *,
        to: str | None = None,
        to_device: str | None = None,
    ) -> bool:
        """Pass something ephemeral; whether the server took it."""
        return await self._operations.signal(self.name, kind, data, to=to, to_device=to_device)

    # --- members -----------------------------------------------------------------------

    async def join(self, *, cid: str | None = None) -> Written | RoomOpened:
        """Become a member."""
        return await self._operations.join(self.name, cid=cid)

    async def leave(self, *, cid: str | None = None) -> Written | RoomOpened:
        """Stop being a member."""
        return await self._operations.leave(self.name, cid=cid)

    async def invite(
        self, user: str, *, role: Role = "member", cid: str | None = None
    ) -> Written | RoomOpened:
        """Make somebody a member."""
        return await self._operations.invite(self.name, user, role=role, cid=cid)

    async def kick(self, user: str, *, cid: str | None = None) -> Written:
        """End somebody's membership."""
        return await self._operations.kick(self.name, user, cid=cid)

    async def set_role(self, user: str, role: Role, *, cid: str | None = None) -> Written:
        """Change a member's role."""
        return await self._operations.set_role(self.name, user, role, cid=cid)

    async def set_meta(
        self, *, title: str | None = None, public: bool | None = None, cid: str | None = None
    ) -> Written:
        """Change the title or the visibility."""
        return await self._operations.set_meta(self.name, title=title, public=public, cid=cid)

    async def delete_room(self, *, cid: str | None = None) -> Written:
        """End the room for everybody; all that was said in it is erased."""
        return await self._operations.delete_room(self.name, cid=cid)
