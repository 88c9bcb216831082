"""What a client gives to its application, as a history: one cursor through all connections."""

from typing import final

from msgspec import UNSET

from ..._model.commands import Subscribe, Unsubscribe
from ..._model.entries import Entry
from ..._model.events import Closed, Done, Reset, Subscribed, SubscribedMany, Subscription
from ...client._effects import Deliver, Effect, RoomEnded, Settled
from ...client._requests import Request
from .scribe import Cursor, Row, Scribe


@final
class Streams:
    """Writes down what comes out of one client, in the order in which it does."""

    def __init__(self, scribe: Scribe) -> None:
        self._scribe = scribe
        self._cursors: dict[str, Cursor] = {}

    def witness(self, effect: Effect) -> None:
        """Take note of one effect."""
        match effect:
            case Deliver(event=Entry() as entry):
                self._scribe.seen(entry, self._cursors.get(entry.room))
            case Deliver(event=Reset() as reset):
                self._reset(reset)
            case Deliver(event=Closed() as closed):
                seq = 0 if closed.seq is UNSET else closed.seq
                self._ended(closed.room, closed.reason, seq)
            case RoomEnded(room=room):
                self._ended(room, "unsubscribed")
            case Settled(request=request):
                self._settled(request)
            case _:
                pass

    def _settled(self, request: Request) -> None:
        command, reply = request.command, request.outcome
        if isinstance(command, Unsubscribe) and isinstance(reply, Done):
            self._ended(command.room, "unsubscribed")
        elif isinstance(command, Subscribe) and isinstance(reply, Subscribed):
            self._granted(request, reply, command.since)
        elif isinstance(command, Subscribe) and isinstance(reply, SubscribedMany):
            since = {room: (epoch, seq) for room, epoch, seq in command.rooms or ()}
            for row in reply.rooms:
                if isinstance(row, Subscription):
                    self._granted(request, row, since.get(row.room))

    def _granted(self, request: Request, row: Row, since: tuple[str, int] | None) -> None:
        if row.room in self._cursors:
            if not request.is_rebase:
                # It goes on where it stood.
                return
            self._ended(row.room, "replaced")
        self._cursors[row.room] = self._scribe.subscribed(row, since, wire=False)

    def _reset(self, reset: Reset) -> None:
        cursor = self._cursors.get(reset.room)
        if cursor is not None:
            self._scribe.reset(reset, cursor)

    def _ended(self, room: str, reason: str, seq: int = 0) -> None:
        cursor = self._cursors.pop(room, None)
        if cursor is not None:
            self._scribe.closed(room, reason, cursor, seq)
