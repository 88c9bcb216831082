"""Messages of a room: said, changed, taken back, read, looked for."""

from typing import Annotated, Final, final

from msgspec import UNSET, Meta, Struct, UnsetType

from triolet._model.commands import (
    DeleteMessage,
    EditMessage,
    Emoji,
    History,
    Page,
    ReactTo,
    Send,
)
from triolet._model.entries import FoldedMessage
from triolet._model.errors import ErrorCode
from triolet._model.events import HistoryPage
from triolet._model.ids import Room, Seq, User
from triolet._model.json import JsonMap
from triolet._runtime.engine import Engine

from ..endpoints import Access, Call, endpoint
from .asking import ROOM_REFUSALS, WRITE_REFUSALS, Stored, ask, asker, key_of, store

_MESSAGE_REFUSALS: Final = (*WRITE_REFUSALS, ErrorCode.NO_SUCH_ENTRY)


@final
class HistoryQuery(Struct, frozen=True):
    """Which messages: the last before `before`, the first after `after`, or the last of all."""

    before: Seq | None = None
    after: Seq | None = None
    limit: Page = 50


@final
class MessagesPage(Struct, frozen=True):
    """Messages as they read now, oldest first.

    Attributes:
        more: there are others in the same direction.
        as_of: `[epoch, seq]`: whoever follows the room applies only later entries to them.
    """

    messages: tuple[FoldedMessage, ...]
    more: bool
    as_of: tuple[str, int]


@final
class NewMessage(Struct, frozen=True):
    """Something to be said; `{"text": …}` is what `body` is by convention."""

    body: JsonMap
    reply_to: Seq | UnsetType = UNSET
    mentions: Annotated[tuple[User, ...], Meta(max_length=50)] | UnsetType = UNSET


@final
class NewBody(Struct, frozen=True):
    """What a message is to say instead."""

    body: JsonMap


@final
class SearchQuery(Struct, frozen=True):
    """What is looked for: messages that hold all words of `q`, at most 8 of 64 characters."""

    q: Annotated[str, Meta(min_length=1, max_length=1024, pattern=r"^[^\x00]*\Z")]
    before: Seq | None = None
    limit: Annotated[int, Meta(ge=1, le=50)] = 20


@final
class SearchPage(Struct, frozen=True):
    """What was found, newest first.

    Attributes:
        next_before: what `before` has to be to go on; None: everything has been looked at. A
            page may be empty though there are others.
        as_of: `[epoch, seq]`: whoever follows the room applies only later entries to them.
    """

    messages: tuple[FoldedMessage, ...]
    next_before: Seq | None
    as_of: tuple[str, int]


@final
class Messages:
    """Endpoints of messages."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @endpoint(
        "GET", "/v1/rooms/{room}/messages", access=Access.USER, rate="read", refuses=ROOM_REFUSALS
    )
    async def history(self, call: Call, room: Room, query: HistoryQuery) -> MessagesPage:
        """Read a page of messages: with their present text, reactions, and without what is erased.

        The oldest one's `seq` as `before` is the page before it.
        """
        command = History(room=room, before=query.before, after=query.after, limit=query.limit)
        found = await ask(self._engine, call, command, HistoryPage)
        return MessagesPage(found.messages, found.more, found.as_of)

    @endpoint(
        "POST",
        "/v1/rooms/{room}/messages",
        access=Access.USER,
        rate="write",
        status=201,
        refuses=(*_MESSAGE_REFUSALS, ErrorCode.TOO_LARGE),
    )
    async def post(self, call: Call, room: Room, body: NewMessage) -> Stored:
        """Say something.

        `Idempotency-Key` is the message's `cid`: the same one again answers with the first
        place, `duplicate`, and the header `Idempotent-Replayed: true`.
        """
        command = Send(
            room=room,
            cid=key_of(call),
            body=body.body,
            reply_to=body.reply_to,
            mentions=body.mentions,
        )
        return await store(self._engine, call, command)

    @endpoint(
        "PATCH",
        "/v1/rooms/{room}/messages/{seq}",
        access=Access.USER,
        rate="write",
        refuses=(*_MESSAGE_REFUSALS, ErrorCode.TOO_LARGE),
    )
    async def edit(self, call: Call, room: Room, seq: Seq, body: NewBody) -> Stored:
        """Replace the body of one's own message."""
        command = EditMessage(room=room, cid=key_of(call), target=seq, body=body.body)
        return await store(self._engine, call, command)

    @endpoint(
        "DELETE",
        "/v1/rooms/{room}/messages/{seq}",
        access=Access.USER,
        rate="write",
        refuses=_MESSAGE_REFUSALS,
    )
    async def delete(self, call: Call, room: Room, seq: Seq) -> Stored:
        """Erase a message for everybody: one's own, or as an admin or the owner."""
        command = DeleteMessage(room=room, cid=key_of(call), target=seq)
        return await store(self._engine, call, command)

    @endpoint(
        "PUT",
        "/v1/rooms/{room}/messages/{seq}/reactions/{emoji}",
        access=Access.USER,
        rate="write",
        refuses=_MESSAGE_REFUSALS,
    )
    async def react(self, call: Call, room: Room, seq: Seq, emoji: Emoji) -> Stored:
        """Put an emoji under a message."""
        return await self._react(call, room, seq, emoji, on=True)

    @endpoint(
        "DELETE",
        "/v1/rooms/{room}/messages/{seq}/reactions/{emoji}",
        access=Access.USER,
        rate="write",
        refuses=_MESSAGE_REFUSALS,
    )
    async def unreact(self, call: Call, room: Room, seq: Seq, emoji: Emoji) -> Stored:
        """Take an emoji back."""
        return await self._react(call, room, seq, emoji, on=False)

    async def _react(self, call: Call, room: str, seq: int, emoji: str, *, on: bool) -> Stored:
        command = ReactTo(room=room, cid=key_of(call), target=seq, emoji=emoji, on=on)
        return await store(self._engine, call, command)

    @endpoint(
        "GET", "/v1/rooms/{room}/search", access=Access.USER, rate="read", refuses=ROOM_REFUSALS
    )
    async def search(self, call: Call, room: Room, query: SearchQuery) -> SearchPage:
        """Find messages by their words, newest first."""
        found = await self._engine.search(
            asker(self._engine, call), room, query.q, before=query.before, limit=query.limit
        )
        return SearchPage(found.messages, found.next_before, (found.epoch, found.head))
