"""What one asker has asked and not yet been answered, in the order sent.

Sends, edits, deletions and reactions are pipelined: several drafts of an asker are on their
way at once. Rights may change under them; then the store answers `Stale`. They are decided
again when all others of the asker have come back, one after the other, so that the order
stays even if rights change again meanwhile.
"""

import logging
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final, TypeAlias, final

import trio

from .._model.commands import Command
from .._model.errors import ErrorCode, Refusal, StoreError, StoreUnavailable
from .._model.events import RoomOpened, Written
from ..ports.store import Appended, Draft, Duplicate, Outcome, Rejected, RoomDeleted, Stale
from .asker import Asker
from .seat import Seat
from .sequencer import Pending

if TYPE_CHECKING:
    from .session import Session

logger = logging.getLogger(__name__)

Job: TypeAlias = Coroutine[Any, Any, None]
Handler: TypeAlias = Callable[["Session", Any], Job | None]

# Filled by `ops`: how each command is carried out. A handler answers at once and returns
# None, or returns what remains to be awaited.
HANDLERS: Final[dict[type[Command], Handler]] = {}
# Also filled by `ops`: the same for who has no session; what is not here needs one.
ALONE: Final[dict[type[Command], Callable[[Asker, Any], Job | None]]] = {}
# And how a pipelined command is decided again, stored and answered.
RETRIES: Final[dict[type[Command], Callable[[Asker, Any], Job]]] = {}


@final
class Pipeline:
    """The unanswered requests of one asker.

    Attributes:
        inflight: requests accepted and not yet answered.
        is_deciding_again: some of them were decided on rights that had changed meanwhile.
    """

    __slots__ = (
        "_asker",
        "_jobs",
        "_quiet",
        "_retrying",
        "_stale",
        "inflight",
        "is_deciding_again",
    )

    def __init__(self, asker: Asker) -> None:
        self._asker = asker
        self.inflight = 0
        self.is_deciding_again = False
        # Those of them that are awaited by the connection's task: one at most.
        self._jobs = 0
        # Drafts decided on rights that had changed meanwhile, in their order.
        self._stale: list[Pending] | None = None
        self._retrying = False
        self._quiet: trio.Event | None = None

    @property
    def is_full(self) -> bool:
        """Whether no more may be read: too much is unanswered, or something is decided again."""
        return self.is_deciding_again or self.inflight >= self._asker.engine.limits.inflight_max

    async def wait_quiet(self) -> None:
        """Wait, inside a job, until no other request is without an answer."""
        while self.inflight > 1:
            self._quiet = trio.Event()
            await self._quiet.wait()

    async def finish(self, job: Job, command: Command) -> None:
        """Await what remains of a request, and answer it if it fails."""
        ref = getattr(command, "ref", None)
        self.inflight += 1
        self._jobs += 1
        try:
            await self._carry_out(job, ref)
        finally:
            self._jobs -= 1
            self._answered()

    async def _carry_out(self, job: Job, ref: int | None) -> None:
        try:
            await job
        except Refusal as refusal:
            self._asker.refuse(refusal, ref)
        except StoreError as error:
            self._asker.refuse(store_refusal(error), ref)

    def submit(self, seat: Seat, pending: Pending) -> None:
        """Send a draft that has `seat` to the sequencer; it is answered by `settled`.

        Raises:
            Refusal: too much waits for the store already.
        """
        self._asker.engine.sequencer.submit(pending)
        self.inflight += 1
        if not seat.drafts:
            seat.decided_on = pending.draft.acl_ver
        seat.drafts += 1
        seat.room.pins += 1

    def settled(self, pending: Pending, outcome: Outcome | Refusal) -> None:
        """See `sequencer.Owner`: answer a pipelined draft."""
        seat = pending.seat
        assert isinstance(seat, Seat)
        room = seat.room
        seat.drafts -= 1
        room.pins -= 1
        if not seat.cursors and not (room.complete and seat.role is not None):
            room.retire_seat(seat.user)
        if not room.cursors:
            self._asker.engine.hub.released(room)
        if isinstance(outcome, Stale):
            self._stale = self._stale or []
            self._stale.append(pending)
            self.is_deciding_again = True
            self._retry_when_alone()
            return
        try:
            self._asker.write(written(pending.ref, pending.draft, outcome))
        except Refusal as refusal:
            self._asker.refuse(refusal, pending.ref)
        self._answered()

    def _answered(self) -> None:
        self.inflight -= 1
        self._asker.look_again()
        if self._quiet is not None and self.inflight <= 1:
            self._quiet.set()
            self._quiet = None
        if self._stale:
            self._retry_when_alone()

    def _retry_when_alone(self) -> None:
        if len(self._stale or ()) + self._jobs == self.inflight and not self._retrying:
            self._retrying = True
            self._asker.engine.spawn(self._retry)

    async def _retry(self) -> None:
        asker = self._asker
        while self._stale:
            pending = self._stale.pop(0)
            command: Any = pending.command
            if not asker.is_gone:
                await self._carry_out(RETRIES[type(command)](asker, command), pending.ref)
            self._answered()
        self._retrying = self.is_deciding_again = False
        asker.look_again()


def written(ref: int | None, draft: Draft, outcome: Outcome | Refusal) -> Written | RoomOpened:
    """Return the answer to a durable request.

    Raises:
        Refusal: it was not stored, for the reason the outcome gives.
    """
    if isinstance(outcome, Appended):
        if not outcome.records:
            return RoomOpened(ref=ref, room=draft.room)
        record = outcome.records[0]
        return Written(ref=ref, room=draft.room, seq=record.seq, at=record.at, duplicate=False)
    if isinstance(outcome, RoomDeleted):
        return Written(ref=ref, room=draft.room, seq=outcome.seq, at=outcome.at, duplicate=False)
    if isinstance(outcome, Duplicate):
        return Written(ref=ref, room=draft.room, seq=outcome.seq, at=outcome.at, duplicate=True)
    if isinstance(outcome, Rejected):
        raise Refusal(outcome.code, outcome.message)
    if isinstance(outcome, Stale):
        raise Refusal(ErrorCode.FORBIDDEN, "rights keep changing; try again")
    raise outcome


def store_refusal(error: StoreError) -> Refusal:
    """Return the answer to a request that the store could not carry out."""
    if isinstance(error, StoreUnavailable):
        return Refusal(
            ErrorCode.STORE_UNAVAILABLE, "try again", retry_after_ms=error.retry_after_ms
        )
    logger.error("the store failed: %s", error)
    return Refusal(ErrorCode.INTERNAL)
