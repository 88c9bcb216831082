"""Deleted rooms: from its deletion on a room takes nothing, is not told of, and never comes back.

Two clocks tell who has to know. The store decides about whatever is written: what was sent
after the deletion was committed is never acknowledged, wherever that was sent to. A node has to
know what it has said itself: on a connection that was told of the deletion, nothing of the room
comes any more, and what is asked of it is refused for that reason. When all is quiet, everybody
has to know. Feeds alone come from any node, and what those have said of the room just before may
be on its way, for longer while something is broken.
"""

from typing import Final, TypeAlias, final

from ..._model.errors import ErrorCode
from ..history import (
    Acked,
    Closed,
    Connected,
    Deleted,
    Disconnected,
    Event,
    Folded,
    Left,
    Receipts,
    Refused,
    Sent,
    Settled,
    Stored,
    Subscribed,
    Typing,
    Unknown,
    Unread,
)
from .people import Troubles
from .promises import Bounds, Findings, Rule

_Told: TypeAlias = Subscribed | Folded | Unread | Receipts | Typing

DELETING: Final = "delete_room"
# Reasons that say nothing of the room: the same request may be asked again later.
_FOR_NOW: Final = frozenset(
    {ErrorCode.RATE_LIMITED, ErrorCode.STORE_UNAVAILABLE, ErrorCode.SHUTTING_DOWN}
)


@final
class _Asked:
    """Tries of one request without an answer.

    Attributes:
        sent: the first of them.
        known: by what the client knew then that the room is deleted; None: it did not.
        is_late: whether it was.
    """

    __slots__ = ("is_late", "known", "sent", "tries")

    def __init__(self, sent: Sent, known: Event | None, *, is_late: bool) -> None:
        self.sent = sent
        self.known = known
        self.is_late = is_late
        self.tries = 1


@final
class Deleting:
    """Remembers which rooms are deleted, and who was told so."""

    def __init__(self, findings: Findings, bounds: Bounds, troubles: Troubles) -> None:
        self._findings = findings
        self._bounds = bounds
        self._troubles = troubles
        self._deleted: dict[str, Deleted] = {}
        # Client → room → what told it, on its present connection.
        self._known: dict[str, dict[str, Event]] = {}
        # When all was quiet, those rooms that were deleted by then.
        self._quiet: dict[str, Settled] = {}
        # Client → room and cid → what was asked on its present connection, and not answered.
        self._asked: dict[str, dict[tuple[str, str], _Asked]] = {}

    def deleted(self, event: Deleted) -> None:
        """A room is deleted."""
        self._deleted[event.room] = event

    def stored(self, event: Stored) -> None:
        """The store has a room."""
        deleted = self._deleted.get(event.room)
        if deleted is not None:
            self._findings.add(
                Rule.GONE_FOR_EVER,
                (event.room,),
                f"{event.room} was deleted at {deleted.t:.3f} s, and is there",
                deleted,
                event,
            )

    # --- who knows -----------------------------------------------------------------------

    def connected(self, event: Connected | Disconnected | Left) -> None:
        """Another connection may be to a node that has yet to hear of it."""
        self._known.pop(event.client, None)
        self._asked.pop(event.client, None)

    def closed(self, event: Closed) -> None:
        """A cursor has ended; of a room that is deleted, the client is told so."""
        if event.reason == "deleted":
            self._known.setdefault(event.client, {}).setdefault(event.room, event)

    def settled(self, event: Settled) -> None:
        """Everybody has heard of everything."""
        for room in self._deleted:
            self._quiet.setdefault(room, event)

    def _knows(self, client: str, room: str) -> Event | None:
        """Return by what a client, and the node that it is connected to, know of a deletion."""
        return self._known.get(client, {}).get(room) or self._quiet.get(room)

    # --- what is asked -------------------------------------------------------------------

    def sent(self, event: Sent) -> None:
        """Somebody asks for something, perhaps again before there is an answer."""
        asked = self._asked.setdefault(event.client, {})
        found = asked.get((event.room, event.cid))
        if found is not None:
            # Which of them is answered first is not to be seen: judged as the first of them.
            found.tries += 1
            return
        known = self._knows(event.client, event.room)
        is_late = event.room in self._deleted
        asked[event.room, event.cid] = _Asked(event, known, is_late=is_late)

    def _answered(self, event: Acked | Refused | Unknown) -> "_Asked | None":
        """Return what is answered, if that was late."""
        asked = self._asked.get(event.client, {})
        found = asked.get((event.room, event.cid))
        if found is None:
            return None
        found.tries -= 1
        if not found.tries:
            del asked[event.room, event.cid]
        return found if found.is_late else None

    def unknown(self, event: Unknown) -> None:
        """Nobody knows what came of something."""
        self._answered(event)

    def acked(self, event: Acked) -> None:
        """Something was acknowledged."""
        late = self._answered(event)
        if late is None or late.sent.op == DELETING:
            return
        if event.seq == 0 and late.known is None:
            # Without an entry the store was not asked: its node may not have heard of it yet.
            return
        self._findings.judge(Rule.GONE_TAKES_NOTHING)
        self._findings.add(
            Rule.GONE_TAKES_NOTHING,
            (event.client, event.room, event.cid),
            f"{event.client}'s {event.cid!r} was sent to {event.room} when that was deleted, "
            f"and is acknowledged at {event.seq}",
            self._deleted[event.room],
            late.known,
            late.sent,
            event,
        )

    def refused(self, event: Refused) -> None:
        """Something was refused."""
        late = self._answered(event)
        if late is None:
            return
        self._findings.judge(Rule.GONE_TAKES_NOTHING)
        if late.known is None or event.code in _FOR_NOW:
            return
        self._findings.judge(Rule.GONE_IS_SAID)
        op = late.sent.op
        expected = ErrorCode.ALREADY_EXISTS if op == "create" else ErrorCode.NO_SUCH_ROOM
        if event.code != expected:
            self._findings.add(
                Rule.GONE_IS_SAID,
                (event.client, event.room, event.cid),
                f"{event.client} was told that {event.room} is deleted; its {op} was "
                f"refused with {event.code}, not {int(expected)}",
                late.known,
                late.sent,
                event,
            )

    # --- what is told --------------------------------------------------------------------

    def told(self, event: _Told) -> None:
        """A client is told something of a room."""
        known = self._knows(event.client, event.room) if self._deleted else None
        if known is None:
            return
        asked = getattr(event, "asked", None)
        if asked is not None and asked <= known.t:
            # The question was on its way when that was told.
            return
        if isinstance(event, Unread) and asked is None and self._may_be_late(known.t, event.t):
            return
        self._findings.add(
            Rule.GONE_IS_NOT_TOLD,
            (event.client, event.room, type(event).__name__, f"{event.t:.6f}"),
            f"{event.client} was told of {event.room} at {event.t:.3f} s, which was known to be "
            f"deleted at {known.t:.3f} s",
            self._deleted.get(event.room),
            known,
            event,
        )

    def _may_be_late(self, since: float, now: float) -> bool:
        """Whether a feed may be told yet by a node that has not heard of the deletion."""
        bounds = self._bounds
        mended = self._troubles.mended(since - bounds.silence_s, now)
        return now <= max(since, mended) + bounds.slack_s

    def finish(self) -> None:
        """Count what was watched from beginning to end."""
        self._findings.judge(Rule.GONE_FOR_EVER, len(self._deleted))
        self._findings.judge(Rule.GONE_IS_NOT_TOLD, len(self._deleted))
