"""What goes over connections of one client, as a history: the engine's part of every promise."""

from typing import Final, TypeAlias, final

from msgspec import UNSET

from ..._model.commands import (
    Command,
    Create,
    DeleteMessage,
    DeleteRoom,
    EditMessage,
    History,
    Invite,
    Join,
    Kick,
    Leave,
    ListReceipts,
    ListRooms,
    ReactTo,
    Send,
    SetMeta,
    SetPresence,
    SetReceipt,
    SetRole,
    SetTyping,
    Subscribe,
    Sync,
    Unsubscribe,
    Unwatch,
    Watch,
)
from ..._model.entries import Delete, Edit, Entry, Fact, Member, Message, Meta, React
from ..._model.errors import ErrorCode
from ..._model.events import (
    Closed,
    Failed,
    Feed,
    FeedRow,
    HistoryPage,
    Inbox,
    InboxRow,
    Presence,
    ReceiptPage,
    Receipts,
    Reset,
    RoomOpened,
    Subscribed,
    SubscribedMany,
    Subscription,
    Synced,
    Typing,
    Watching,
    Welcome,
    Written,
)
from ..._wire.codec import Format, OkReply, decode_command, decode_event, decode_reply
from ...client.state import ABNORMAL
from .. import history
from .scribe import Cursor, Row, Scribe

_Durable: TypeAlias = (
    Create
    | Join
    | Leave
    | Invite
    | Kick
    | SetRole
    | SetMeta
    | DeleteRoom
    | Send
    | EditMessage
    | DeleteMessage
    | ReactTo
)
# What a refusal with these codes says: it may be stored.
_UNKNOWN: Final = frozenset({ErrorCode.OUTCOME_UNKNOWN, ErrorCode.INTERNAL})


@final
class Tap:
    """Notes what leaves and what arrives on one connection, message by message."""

    def __init__(self, scribe: Scribe, form: Format) -> None:
        self._scribe = scribe
        self._form: Format = form
        # The server may believe in the connection from its hello on, which is before its welcome.
        self._has_greeted = False
        self._is_connected = False
        # Without an answer yet, by ref, and when that was asked.
        self._asked: dict[int, tuple[Command, float]] = {}
        self._cursors: dict[str, Cursor] = {}

    def leaves(self, payload: bytes) -> None:
        """Note a message of the client, before it can have arrived."""
        if not self._has_greeted:
            self._has_greeted = True
            self._scribe.write(history.Greeted(*self._scribe.here, node=self._scribe.node))
        if self._is_connected:
            self._leaves(decode_command(payload, self._form))

    def arrives(self, payload: bytes) -> None:
        """Note a message of the server."""
        try:
            message = decode_event(payload, self._form)
        except ValueError:
            # The client hangs up on that, which is what there is to be seen of it.
            return
        self._arrives(message, payload)

    def ended(self, code: int) -> None:
        """Note that the connection has ended, the first time this is said."""
        if self._has_greeted:
            self._has_greeted = self._is_connected = False
            told = code != ABNORMAL and not self._scribe.is_cut_off
            self._scribe.write(history.Disconnected(*self._scribe.here, code=int(code), told=told))

    # --- what leaves -------------------------------------------------------------------

    def _leaves(self, command: Command) -> None:
        ref: int | None = getattr(command, "ref", None)
        here = self._scribe.here
        if ref is not None:
            self._asked[ref] = (command, here[0])
        match command:
            case SetReceipt(room=room, delivered=delivered, read=read):
                self._scribe.write(
                    history.Asked(
                        *here, op="receipt", room=room, delivered=delivered or 0, read=read or 0
                    )
                )
            case SetTyping(room=room, on=on):
                self._scribe.write(history.Asked(*here, op="typing", room=room, on=on))
            case SetPresence(status=str(status)):
                self._scribe.write(history.Asked(*here, op="presence", status=status))
            case _ if isinstance(command, _Durable):
                self._sent(command)

    def _sent(self, command: _Durable) -> None:
        fact = _fact_of(command, self._scribe.user)
        self._scribe.write(
            history.Sent(
                *self._scribe.here,
                op=str(command.__struct_config__.tag),
                room=command.room or "",
                cid=command.cid or "",
                fact=None if fact is None else history.trace(fact),
            )
        )

    # --- what arrives ------------------------------------------------------------------

    def _arrives(self, message: object, payload: bytes) -> None:
        scribe = self._scribe
        match message:
            case Entry():
                scribe.seen(message, self._cursors.get(message.room))
            case OkReply(ref=ref) if ref in self._asked:
                self._answered(*self._asked.pop(ref), payload)
            case Failed(ref=ref, code=code) if ref in self._asked:
                self._refused(self._asked.pop(ref)[0], code)
            case Welcome():
                scribe.conn += 1
                self._has_greeted = self._is_connected = True
                scribe.write(history.Connected(*scribe.here, session=message.session))
            case Reset(room=room) if room in self._cursors:
                scribe.reset(message, self._cursors[room])
            case Closed(room=room) if room in self._cursors:
                seq = 0 if message.seq is UNSET else message.seq
                scribe.closed(room, message.reason, self._cursors.pop(room), seq)
            case Feed() | Receipts() | Typing() | Presence():
                self._told(message)

    def _told(self, event: Feed | Receipts | Typing | Presence) -> None:
        here = self._scribe.here
        match event:
            case Feed():
                for row in event.rooms:
                    self._unread(row)
            case Receipts():
                self._scribe.write(history.Receipts(*here, room=event.room, marks=event.marks))
            case Typing():
                self._scribe.write(
                    history.Typing(*here, room=event.room, users=event.users, more=event.more)
                )
            case Presence():
                self._scribe.write(history.Presence(*here, users=event.users))

    def _unread(self, row: FeedRow, asked: float | None = None) -> None:
        room, epoch, head, unread, read = row
        self._scribe.write(
            history.Unread(
                *self._scribe.here,
                room=room,
                epoch=epoch,
                head=head,
                unread=unread,
                read=read,
                asked=asked,
            )
        )

    # --- answers -----------------------------------------------------------------------

    def _refused(self, command: Command, code: int) -> None:
        if not isinstance(command, _Durable):
            return
        room, cid = command.room or "", command.cid or ""
        if code in _UNKNOWN:
            self._scribe.write(history.Unknown(*self._scribe.here, room=room, cid=cid))
        else:
            self._scribe.write(history.Refused(*self._scribe.here, room=room, cid=cid, code=code))

    def _answered(self, command: Command, asked: float, payload: bytes) -> None:
        form = self._form
        match command:
            case Subscribe(room=None):
                self._granted(command, decode_reply(payload, form, SubscribedMany))
            case Subscribe(since=since):
                self._stands(decode_reply(payload, form, Subscribed), since)
            case Unsubscribe(room=room):
                cursor = self._cursors.pop(room, None)
                if cursor is not None:
                    self._scribe.closed(room, "unsubscribed", cursor)
            case Watch():
                self._told(Presence(users=decode_reply(payload, form, Watching).users))
            case Unwatch(users=users):
                self._scribe.write(history.Unwatched(*self._scribe.here, users=tuple(users)))
            case ListReceipts(room=room):
                marks = decode_reply(payload, form, ReceiptPage).marks
                here = self._scribe.here
                self._scribe.write(history.Receipts(*here, room=room, marks=marks, asked=asked))
            case ListRooms():
                self._rows(decode_reply(payload, form, Inbox).rooms, asked)
            case Sync():
                self._rows(decode_reply(payload, form, Synced).rooms, asked)
            case History():
                self._folded(command, decode_reply(payload, form, HistoryPage), asked)
            case _ if isinstance(command, _Durable):
                self._acked(command, payload)

    def _acked(self, command: _Durable, payload: bytes) -> None:
        cid, here = command.cid or "", self._scribe.here
        try:
            reply = decode_reply(payload, self._form, Written)
        except ValueError:
            opened = decode_reply(payload, self._form, RoomOpened)
            self._scribe.write(history.Acked(*here, room=opened.room, cid=cid, seq=0))
            return
        self._scribe.write(
            history.Acked(
                *here,
                room=reply.room,
                cid=cid,
                seq=reply.seq,
                at=reply.at,
                duplicate=reply.duplicate,
            )
        )

    def _granted(self, command: Subscribe, reply: SubscribedMany) -> None:
        since = {room: (epoch, seq) for room, epoch, seq in command.rooms or ()}
        for row in reply.rooms:
            if isinstance(row, Subscription):
                self._stands(row, since.get(row.room))

    def _stands(self, row: Row, since: tuple[str, int] | None) -> None:
        former = self._cursors.pop(row.room, None)
        if former is not None:
            self._scribe.closed(row.room, "replaced", former)
        self._cursors[row.room] = self._scribe.subscribed(row, since, wire=True)
        if row.role is not None:
            # A guest has no marks, hence nothing to derive from.
            self._unread((row.room, row.epoch, row.head, row.unread, row.read))
        if row.receipts is not UNSET:
            self._told(Receipts(room=row.room, marks=row.receipts))
        self._told(Typing(room=row.room, users=row.typing, more=False))

    def _rows(self, rows: tuple[InboxRow, ...], asked: float) -> None:
        for row in rows:
            self._unread((row.room, row.epoch, row.head, row.unread, row.read), asked)

    def _folded(self, command: History, reply: HistoryPage, asked: float) -> None:
        epoch, head = reply.as_of
        after, upto = _span(command, reply)
        self._scribe.write(
            history.Folded(
                *self._scribe.here,
                room=command.room,
                epoch=epoch,
                head=head,
                after=after,
                upto=upto,
                messages=tuple(history.folded_row(message) for message in reply.messages),
                asked=asked,
            )
        )


def _span(command: History, reply: HistoryPage) -> tuple[int, int]:
    """Return the seqs between which a page has every message there is."""
    head, messages = reply.as_of[1], reply.messages
    if command.before is None and command.after is not None:
        return command.after, messages[-1].seq if reply.more and messages else head
    upto = head if command.before is None else command.before - 1
    return messages[0].seq - 1 if reply.more and messages else 0, upto


def _fact_of(command: _Durable, user: str) -> Fact | None:
    """Return the fact that a command asks for; None: several, or one that the engine decides."""
    match command:
        case Send(body=body, reply_to=reply_to, mentions=mentions):
            return Message(body, reply_to, mentions)
        case EditMessage(target=target, body=body):
            return Edit(target, body)
        case DeleteMessage(target=target):
            return Delete(target)
        case ReactTo(target=target, emoji=emoji, on=on):
            return React(target, emoji, on)
        case Invite(user=who, role=role) | SetRole(user=who, role=role):
            return Member(who, role)
        case Kick(user=who):
            return Member(who, None)
        case Leave():
            return Member(user, None)
        case SetMeta(title=title, public=public):
            return Meta(title, public)
        case _:
            return None
