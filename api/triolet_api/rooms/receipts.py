"""Receipts: how far somebody has got in a room, and who else has."""

from typing import final

from msgspec import Struct

from triolet._model.commands import ListReceipts, Page, SetReceipt
from triolet._model.errors import ErrorCode
from triolet._model.events import Done, MarkRow, ReceiptPage
from triolet._model.ids import Room, Seq, User
from triolet._runtime.engine import Engine

from ..endpoints import Access, Call, endpoint
from .asking import ROOM_REFUSALS, ask


@final
class NewMarks(Struct, frozen=True):
    """How far I have got; marks only move forward, and not beyond the head."""

    delivered: Seq | None = None
    read: Seq | None = None


@final
class ReceiptsQuery(Struct, frozen=True):
    """Of which message; of those users whose names come after `after`."""

    seq: Seq
    after: User | None = None
    limit: Page = 50


@final
class MarksPage(Struct, frozen=True):
    """Marks at or beyond the message, each `[user, delivered, read]`, by user."""

    marks: tuple[MarkRow, ...]
    more: bool


@final
class Receipts:
    """Endpoints of receipts."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @endpoint(
        "POST",
        "/v1/rooms/{room}/receipt",
        access=Access.USER,
        rate="write",
        refuses=(*ROOM_REFUSALS, ErrorCode.NOT_A_MEMBER),
    )
    async def mark(self, call: Call, room: Room, body: NewMarks) -> None:
        """Say how far I have got."""
        command = SetReceipt(room=room, delivered=body.delivered, read=body.read)
        await ask(self._engine, call, command, Done)

    @endpoint(
        "GET", "/v1/rooms/{room}/receipts", access=Access.USER, rate="read", refuses=ROOM_REFUSALS
    )
    async def list_marks(self, call: Call, room: Room, query: ReceiptsQuery) -> MarksPage:
        """List who has got or read a message."""
        command = ListReceipts(room=room, seq=query.seq, after=query.after, limit=query.limit)
        found = await ask(self._engine, call, command, ReceiptPage)
        return MarksPage(found.marks, found.more)
