"""One method for each op of the protocol, typed."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Final, Literal, TypeAlias, TypeVar

from msgspec import UNSET

from .._model.commands import (
    Command,
    Create,
    DeleteMessage,
    DeleteRoom,
    Direct,
    EditMessage,
    History,
    Invite,
    Join,
    Kick,
    Leave,
    ListReceipts,
    ListRooms,
    Observe,
    Ping,
    Place,
    Position,
    ReactTo,
    Refresh,
    Send,
    SendSignal,
    SetMeta,
    SetPresence,
    SetReceipt,
    SetRole,
    SetTyping,
    Status,
    Subscribe,
    Sync,
    Unsubscribe,
    Unwatch,
    VisibleTo,
    Watch,
)
from .._model.entries import Role
from .._model.events import (
    Done,
    HistoryPage,
    Inbox,
    Pong,
    ReceiptPage,
    Refreshed,
    Reply,
    RoomOpened,
    Subscribed,
    SubscribedMany,
    Synced,
    Watching,
    Written,
)
from .._model.json import JsonMap
from .._model.limits import Limits
from .._wire.body import check_body
from ._requests import Dropped

# A body, or the text of the conventional body `{"text": …}`.
Body: TypeAlias = JsonMap | str

_DEPTH_MAX: Final = Limits().body_depth_max

_T = TypeVar("_T", bound=Reply)


def body_of(body: Body) -> JsonMap:
    """Return the map that `body` means.

    Raises:
        Refusal: `INVALID_FIELD`: it is not of the JSON data model.

    >>> body_of("hello")
    {'text': 'hello'}
    """
    found: JsonMap = {"text": body} if isinstance(body, str) else body
    # JSON would write NaN as null and bytes as base64, unseen.
    check_body(found, depth_max=_DEPTH_MAX)
    return found


class Operations(ABC):
    """What a client can ask.

    Every method waits for the server's answer, through as many connections as it takes,
    and may be cancelled; what was sent may then still be carried out.
    Durable ones take a `cid`, the idempotency key: if absent, the client makes one,
    so that its own repetitions are harmless; pass one to make your own harmless, too.

    All of them raise:

    - `Refusal`: the server refused, or the command cannot be sent at all;
    - `QueueFull`: there is no connection, and too much waits for one;
    - `ConnectionClosed`: the client is over, or ends meanwhile.
    """

    @abstractmethod
    async def _ask(self, command: Command, *kinds: type[_T]) -> _T:
        """Return the reply, of one of `kinds`."""

    # --- rooms and their members -------------------------------------------------------

    async def create(
        self,
        kind: Literal["group", "channel"] = "group",
        *,
        room: str | None = None,
        title: str | None = None,
        members: Iterable[str] = (),
        public: bool = False,
        cid: str | None = None,
    ) -> Written:
        """Make a room with these members and be its owner; the reply has its name and epoch."""
        command = Create(
            kind=kind, room=room, title=title, members=list(members), public=public, cid=cid
        )
        return await self._ask(command, Written)

    async def direct(self, user: str) -> RoomOpened:
        """Return the direct room with `user`, made on first use."""
        return await self._ask(Direct(user=user), RoomOpened)

    async def join(self, room: str, *, cid: str | None = None) -> Written | RoomOpened:
        """Become a member of a public room; in large ones that makes no entry, hence no seq."""
        return await self._ask(Join(room=room, cid=cid), Written, RoomOpened)

    async def leave(self, room: str, *, cid: str | None = None) -> Written | RoomOpened:
        """Stop being a member; in large rooms that makes no entry, hence no seq."""
        return await self._ask(Leave(room=room, cid=cid), Written, RoomOpened)

    async def invite(
        self, room: str, user: str, *, role: Role = "member", cid: str | None = None
    ) -> Written | RoomOpened:
        """Make somebody a member."""
        command = Invite(room=room, user=user, role=role, cid=cid)
        return await self._ask(command, Written, RoomOpened)

    async def kick(self, room: str, user: str, *, cid: str | None = None) -> Written:
        """End somebody's membership."""
        return await self._ask(Kick(room=room, user=user, cid=cid), Written)

    async def set_role(
        self, room: str, user: str, role: Role, *, cid: str | None = None
    ) -> Written:
        """Change a member's role."""
        return await self._ask(SetRole(room=room, user=user, role=role, cid=cid), Written)

    async def set_meta(
        self,
        room: str,
        *,
        title: str | None = None,
        public: bool | None = None,
        cid: str | None = None,
    ) -> Written:
        """Change a room's title or visibility; what is None stays."""
        command = SetMeta(
            room=room,
            title=UNSET if title is None else title,
            public=UNSET if public is None else public,
            cid=cid,
        )
        return await self._ask(command, Written)

    async def delete_room(self, room: str, *, cid: str | None = None) -> Written:
        """End a room of mine for everybody: all that was said in it is erased.

        Its name is never given again; the reply has the seq of its last entry.
        """
        return await self._ask(DeleteRoom(room=room, cid=cid), Written)

    async def rooms(self, *, after: str | None = None, limit: int = 50) -> Inbox:
        """Return a page of my rooms by name, those after `after`, at most `limit` (200)."""
        return await self._ask(ListRooms(after=after, limit=limit), Inbox)

    async def sync(
        self, have: Iterable[Place] = (), *, read: Iterable[int] | None = None
    ) -> Synced:
        """Return what differs from these positions; the client asks by itself on reconnecting.

        Args:
            have: `(room, epoch, head)` of rooms that are known.
            read: the read mark known of each of them, in the same order; None: marks that
                moved do not count.
        """
        marks = None if read is None else list(read)
        return await self._ask(Sync(have=list(have), read=marks), Synced)

    # --- following ---------------------------------------------------------------------

    async def subscribe(self, room: str, *, since: Position | None = None) -> Subscribed:
        """Follow a room: entries come to every stream that listens to it.

        Args:
            room: its name.
            since: the last position you have; None: from now on, or, if the client follows
                the room already, from where it stands.

        Returns:
            Where it starts. With `recovered` false, refetch `history`; streams get a `Reset`.
        """
        return await self._ask(Subscribe(room=room, since=since), Subscribed)

    async def subscribe_many(self, places: Iterable[Place]) -> SubscribedMany:
        """Follow up to 200 rooms from `(room, epoch, seq)`; some may be refused, row by row."""
        return await self._ask(Subscribe(rooms=list(places)), SubscribedMany)

    async def unsubscribe(self, room: str) -> Done:
        """Stop following a room: its streams end, and its entries come no more."""
        return await self._ask(Unsubscribe(room=room), Done)

    # --- messages ----------------------------------------------------------------------

    async def send(
        self,
        room: str,
        body: Body,
        *,
        reply_to: int | None = None,
        mentions: Iterable[str] = (),
        cid: str | None = None,
    ) -> Written:
        """Say something; when this returns, it is stored.

        Args:
            room: where.
            body: a map of the JSON data model, or a text, which means `{"text": …}`.
            reply_to: the seq of the message this answers.
            mentions: users to point it out to.
            cid: see the class.
        """
        command = Send(
            room=room,
            body=body_of(body),
            reply_to=UNSET if reply_to is None else reply_to,
            mentions=tuple(mentions) or UNSET,
            cid=cid,
        )
        return await self._ask(command, Written)

    async def edit(self, room: str, target: int, body: Body, *, cid: str | None = None) -> Written:
        """Replace the body of my message at seq `target`."""
        command = EditMessage(room=room, target=target, body=body_of(body), cid=cid)
        return await self._ask(command, Written)

    async def delete(self, room: str, target: int, *, cid: str | None = None) -> Written:
        """Take the message at seq `target` back, for everybody."""
        return await self._ask(DeleteMessage(room=room, target=target, cid=cid), Written)

    async def react(
        self, room: str, target: int, emoji: str, *, on: bool = True, cid: str | None = None
    ) -> Written:
        """Put an emoji under the message at seq `target`, or take it back."""
        command = ReactTo(room=room, target=target, emoji=emoji, on=on, cid=cid)
        return await self._ask(command, Written)

    async def history(
        self, room: str, *, before: int | None = None, after: int | None = None, limit: int = 50
    ) -> HistoryPage:
        """Return a page of folded messages, oldest first: before or after a seq, or the last."""
        command = History(room=room, before=before, after=after, limit=limit)
        return await self._ask(command, HistoryPage)

    # --- state -------------------------------------------------------------------------

    async def receipt(
        self, room: str, *, delivered: int | None = None, read: int | None = None
    ) -> Done:
        """Move my marks forward to a seq; without a connection they are kept, and told later."""
        return await self._ask(SetReceipt(room=room, delivered=delivered, read=read), Done)

    async def receipts(
        self, room: str, seq: int, *, after: str | None = None, limit: int = 50
    ) -> ReceiptPage:
        """Return who has got or read up to `seq`, by user, those after `after`."""
        return await self._ask(
            ListReceipts(room=room, seq=seq, after=after, limit=limit), ReceiptPage
        )

    async def typing(self, room: str, *, on: bool = True) -> Done:
        """Show that I am typing, or have stopped; call it at every key, 2 s apart one leaves."""
        return await self._ask(SetTyping(room=room, on=on), Done)

    async def presence(
        self, status: Status | None = None, *, visible_to: VisibleTo | None = None
    ) -> Done:
        """Set how I am to be seen, and by whom; what is None stays.

        Args:
            status: kept across reconnections.
            visible_to: `everyone`, those who share a room with me that is not public (`shared`,
                unless said otherwise), or `nobody`; the server keeps it for all my devices.
        """
        command = SetPresence(
            status=UNSET if status is None else status,
            visible_to=UNSET if visible_to is None else visible_to,
        )
        return await self._ask(command, Done)

    async def watch(self, users: Iterable[str]) -> Watching:
        """Return how these people are, and have changes told; kept across reconnections.

        Who may not be watched is left out; who may not be any more, after a reconnection, is
        told as `offline`.
        """
        return await self._ask(Watch(users=list(users)), Watching)

    async def unwatch(self, users: Iterable[str]) -> Done:
        """Stop having these people's presence told."""
        return await self._ask(Unwatch(users=list(users)), Done)

    async def signal(
        self,
        room: str,
        kind: str,
        data: JsonMap | None = None,
        *,
        to: str | None = None,
        to_device: str | None = None,
    ) -> bool:
        """Pass something ephemeral to a room, a member or one device of a member.

        Returns:
            Whether the server took it. False: there was no connection, or it broke; a signal
            is never repeated, for its moment has passed.
        """
        found = body_of(data or {})
        command = SendSignal(room=room, kind=kind, data=found, to=to, to_device=to_device)
        try:
            await self._ask(command, Done)
        except Dropped:
            return False
        return True

    # --- the session -------------------------------------------------------------------

    async def refresh(self, token: str) -> Refreshed:
        """Go on with a newer token; with a token provider the client does so by itself."""
        return await self._ask(Refresh(token=token), Refreshed)

    async def stats(self, *, on: bool = True, interval_ms: int = 1000) -> Done:
        """Have what the servers count told, so often, or no more; kept across reconnections.

        For role `admin`. It comes to streams of all events as `Observed`, the latest wins.
        """
        return await self._ask(Observe(on=on, interval_ms=interval_ms), Done)

    async def ping(self) -> Pong:
        """Return the server's wall clock, in ms."""
        return await self._ask(Ping(), Pong)
