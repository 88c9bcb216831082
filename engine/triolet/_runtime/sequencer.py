"""The sequencer: drafts gather while a batch is being committed, and go together.

One batch is in flight at a time, so the log has one order. What came of a draft is told only
after the commit, and the entries enter their rooms through `hub.offer` alone.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Protocol, final

import trio
from msgspec import Struct

from .._model.entries import Record
from .._model.errors import ErrorCode, OutcomeUnknown, Refusal, StoreUnavailable
from .._model.limits import Limits
from ..ports.notifier import Notifier
from ..ports.store import Appended, Draft, Duplicate, Outcome, Rejected, RoomDeleted, Store
from .complaint import Complaint
from .counters import TIMED_ONE_IN, Counters
from .sink import Sink
from .turn import Held

logger = logging.getLogger(__name__)

# Outcomes told between two checkpoints: about a millisecond of work.
_OUTCOMES_PER_TURN = 64
# Between two tries of a batch whose outcome is unknown.
_RETRY_S = 0.1


class Owner(Protocol):
    """Who submitted a draft, and is told what came of it."""

    def settled(self, pending: "Pending", outcome: Outcome | Refusal) -> None:
        """Take the outcome. Called in the engine's thread once; must not raise."""
        ...


@final
class Pending(Struct, eq=False):
    """A draft on its way, with what its owner needs to answer it.

    Attributes:
        size: what it weighs, bytes.
        command: what it was decided on, for owners that may decide it again.
        ref: what the answer repeats.
        seat: the one that stays until it is settled, for owners that keep one.
        settled: whether its owner has been told.
    """

    draft: Draft
    owner: Owner
    size: int
    command: object = None
    ref: int | None = None
    seat: object = None
    settled: bool = False


class Publisher(Protocol):
    """Where other nodes hear of what was committed."""

    def committed(
        self, batch: Sequence[Pending], outcomes: Sequence[Outcome | Refusal], *, is_unsure: bool
    ) -> None:
        """Take what became of drafts; `is_unsure`: duplicates may be of an earlier try."""
        ...


@final
class Sequencer:
    """One lane to the store.

    Args:
        store: where drafts go.
        sink: where records go.
        limits: how much may wait, and go together.
        flusher: writes what owners and the sink have to say.
        now: the monotonic clock, s.
        counters: what is stored adds to.

    Attributes:
        publisher: None where there are no other nodes.
        notifier: None where nobody is told of anything who is not looking.
    """

    def __init__(
        self,
        store: Store,
        sink: Sink,
        limits: Limits,
        *,
        flusher: Held,
        now: Callable[[], float],
        counters: Counters | None = None,
    ) -> None:
        self.publisher: Publisher | None = None
        self.notifier: Notifier | None = None
        self._store = store
        self._sink = sink
        self._limits = limits
        self._flusher = flusher
        self._now = now
        self._counters = counters or Counters()
        self._complaint = Complaint(logger, now=now)
        self._waiting: list[Pending] = []
        self._waiting_bytes = 0
        self._inflight_bytes = 0
        self._wakeup = trio.Event()
        # Between `hold` and `release`: nothing wakes it.
        self._is_held = False
        self._committing: list[Pending] = []
        self._commit_began: float | None = None
        # Who watches the deadline sleeps until then.
        self._has_begun = trio.Event()
        # Whether an earlier try of the batch being committed may have stored it.
        self._is_unsure = False
        # Committed batches whose outcomes are not yet told; at most one waits, see `run`.
        self._told = trio.Event()
        self._told.set()
        self._idle = trio.Event()

    @property
    def is_failing(self) -> bool:
        """Whether the last batch could not be stored."""
        return self._complaint.is_open

    @property
    def pending_bytes(self) -> int:
        """Bytes accepted and not yet committed."""
        return self._waiting_bytes + self._inflight_bytes

    async def wait_idle(self) -> None:
        """Wait until nothing waits and nothing is being committed or told."""
        while self._waiting or self._committing or not self._told.is_set():
            if self._idle.is_set():
                self._idle = trio.Event()
            await self._idle.wait()

    def submit(self, pending: Pending) -> None:
        """Queue a draft.

        Raises:
            Refusal: `STORE_UNAVAILABLE` when too much waits already.
        """
        if self._waiting_bytes + self._inflight_bytes > self._limits.pending_bytes_max:
            raise Refusal(ErrorCode.STORE_UNAVAILABLE, "the store is behind", retry_after_ms=1000)
        self._waiting_bytes += pending.size
        if not (self._waiting or self._is_held):
            self._wakeup.set()
        self._waiting.append(pending)

    def hold(self) -> None:
        """See `turn.Held`."""
        self._is_held = True

    def release(self) -> None:
        """See `turn.Held`: drafts are committed in this turn if the store can do that."""
        self._is_held = False
        if self._waiting and not self._commit_now():
            self._wakeup.set()

    def _commit_now(self) -> bool:
        """Commit all that waits, and tell what came of it; return False if that cannot be."""
        is_idle = not self._committing and self._told.is_set()
        count = min(_OUTCOMES_PER_TURN, self._limits.batch_drafts_max)
        size = self._limits.batch_bytes_max
        if not is_idle or len(self._waiting) > count or self._waiting_bytes > size:
            return False
        outcomes = self._append_now()
        if outcomes is None:
            return False
        batch, self._waiting = self._waiting, []
        self._waiting_bytes = 0
        self._tell_part(batch, outcomes, is_unsure=False)
        self._idle.set()
        return True

    def _append_now(self) -> list[Outcome] | None:
        drafts = [pending.draft for pending in self._waiting]
        counters = self._counters
        is_timed = not counters.batches % TIMED_ONE_IN
        began = self._now() if is_timed else 0.0
        outcomes = self._store.append_now(drafts)
        if outcomes is not None:
            counters.batches += 1
            if is_timed:
                counters.append.record(self._now() - began)
        return outcomes

    async def run(self) -> None:
        """Commit for as long as the engine lives."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._watch_deadline)
                while True:
                    while not self._waiting:
                        self._wakeup = trio.Event()
                        await self._wakeup.wait()
                    batch = self._take()
                    outcomes = await self._commit(batch)
                    if not self._told.is_set():
                        await self._told.wait()
                    self._committing = []
                    self._inflight_bytes = 0
                    if self._waiting or len(batch) > _OUTCOMES_PER_TURN:
                        # The next commit runs while these are told.
                        self._told = trio.Event()
                        nursery.start_soon(self._tell, batch, outcomes, self._told, self._is_unsure)
                    else:
                        # Nothing else is to be done: a task would only add two turns.
                        self._tell_at_once(batch, outcomes)
                        self._idle.set()
        finally:
            self._give_up()

    def _give_up(self) -> None:
        """Answer whoever still waits: there will be no more commits."""
        committing, waiting = self._committing, self._waiting
        self._committing, self._waiting = [], []
        self._waiting_bytes = self._inflight_bytes = 0
        for pending in committing:
            self._settle(pending, _unknown())
        for pending in waiting:
            self._settle(pending, Refusal(ErrorCode.SHUTTING_DOWN, "nothing was stored"))
        self._idle.set()

    def _take(self) -> list[Pending]:
        count, size = len(self._waiting), self._waiting_bytes
        if count > self._limits.batch_drafts_max or size > self._limits.batch_bytes_max:
            count, size = self._fitting()
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        self._waiting_bytes -= size
        self._inflight_bytes = size
        self._committing = batch
        return batch

    def _fitting(self) -> tuple[int, int]:
        """Return how many of the drafts that wait make a full batch, and what they weigh."""
        count, size = 0, 0
        for pending in self._waiting[: self._limits.batch_drafts_max]:
            if count and size + pending.size > self._limits.batch_bytes_max:
                break
            count += 1
            size += pending.size
        return count, size

    async def _commit(self, batch: list[Pending]) -> list[Outcome] | Refusal:
        drafts = [pending.draft for pending in batch]
        self._commit_began = self._now()
        self._has_begun.set()
        self._is_unsure = False
        self._counters.batches += 1
        try:
            while True:
                try:
                    outcomes = await self._store.append(drafts)
                except OutcomeUnknown:
                    self._counters.store_failures += 1
                    self._is_unsure = True
                except StoreUnavailable as error:
                    self._counters.store_failures += 1
                    # Of an earlier try something may have been stored.
                    if not self._is_unsure:
                        self._complaint.again(f"nothing of {len(batch)} drafts was stored: {error}")
                        return _unavailable(error.retry_after_ms)
                    # Of those who wait behind it nothing was: they need not wait for its end.
                    self._refuse_waiting(error.retry_after_ms)
                else:
                    self._complaint.over("the store takes drafts again")
                    self._counters.append.record(self._now() - self._commit_began)
                    return outcomes
                # The identical batch again: what is stored answers as a duplicate.
                if self._now() - self._commit_began > self._limits.append_deadline_s:
                    return _unknown()
                await trio.sleep(_RETRY_S)
        finally:
            self._commit_began = None

    def _tell_at_once(self, batch: list[Pending], outcomes: list[Outcome] | Refusal) -> None:
        """Tell all of it, and have it written in the same turn."""
        self._flusher.hold()
        try:
            self._tell_part(batch, outcomes, is_unsure=self._is_unsure)
        finally:
            self._flusher.release()

    async def _tell(
        self,
        batch: list[Pending],
        outcomes: list[Outcome] | Refusal,
        told: trio.Event,
        is_unsure: bool,
    ) -> None:
        for start in range(0, len(batch), _OUTCOMES_PER_TURN):
            if start:
                # What is known is told, also at the end.
                await trio.lowlevel.cancel_shielded_checkpoint()
            part = slice(start, start + _OUTCOMES_PER_TURN)
            some = outcomes if isinstance(outcomes, Refusal) else outcomes[part]
            self._tell_part(batch[part], some, is_unsure=is_unsure)
        told.set()
        self._idle.set()

    def _tell_part(
        self, batch: list[Pending], outcomes: list[Outcome] | Refusal, *, is_unsure: bool
    ) -> None:
        if isinstance(outcomes, Refusal):
            for pending in batch:
                self._settle(pending, outcomes)
            return
        self._counters.told(outcomes)
        for pending, outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, Appended):
                self._apply(pending.draft, outcome.records)
            elif _is_deletion(pending.draft, outcome):
                self._sink.deleted(pending.draft.room)
            elif isinstance(outcome, Rejected) and outcome.code is ErrorCode.NO_SUCH_ROOM:
                # Deleted by another node, as long as this one has not heard of it.
                self._sink.missed(pending.draft.room)
            elif is_unsure and isinstance(outcome, Duplicate):
                self._sink.missed(pending.draft.room)
            if not pending.settled:
                pending.settled = True
                pending.owner.settled(pending, outcome)
        if self.publisher is not None:
            self.publisher.committed(batch, outcomes, is_unsure=is_unsure)
        if self.notifier is not None:
            _notify(self.notifier, batch, outcomes, is_unsure=is_unsure)

    def _apply(self, draft: Draft, records: tuple[Record, ...]) -> None:
        if draft.revokes:
            self._sink.revoked(draft.room, draft.acl_ver, records[0].seq if records else None)
        for record in records:
            self._sink.offer(record)
        if not draft.logged:
            for fact, _ in draft.facts:
                self._sink.reseat(draft.room, fact)

    def _settle(self, pending: Pending, outcome: Outcome | Refusal) -> None:
        if not pending.settled:
            pending.settled = True
            pending.owner.settled(pending, outcome)

    def _refuse_waiting(self, retry_after_ms: int) -> None:
        """Answer those whose drafts were never handed to the store: it is away."""
        waiting, self._waiting = self._waiting, []
        self._waiting_bytes = 0
        for pending in waiting:
            self._settle(pending, _unavailable(retry_after_ms))

    async def _watch_deadline(self) -> None:
        """Answer those whose commit takes too long, and who waits; the commit itself goes on."""
        limit_s = self._limits.append_deadline_s
        while True:
            if self._commit_began is None:
                # An engine at rest does not wake for it.
                self._has_begun = trio.Event()
                await self._has_begun.wait()
            await trio.sleep(limit_s / 4)
            if self._commit_began is None or self._now() - self._commit_began < limit_s:
                continue
            for pending in self._committing:
                self._settle(pending, _unknown())
            self._refuse_waiting(int(1000 * limit_s / 4))


def _is_deletion(draft: Draft, outcome: Outcome) -> bool:
    """Whether a room is no more by this draft, also by an earlier try whose answer was lost."""
    is_known = draft.deletes and isinstance(outcome, Duplicate)
    return is_known or isinstance(outcome, RoomDeleted)


def _notify(
    notifier: Notifier, batch: Sequence[Pending], outcomes: Sequence[Outcome], *, is_unsure: bool
) -> None:
    for pending, outcome in zip(batch, outcomes, strict=True):
        draft = pending.draft
        if isinstance(outcome, Appended):
            # Where no entry is written there are no records, and nothing to tell.
            for place, record in enumerate(outcome.records):
                fact = draft.facts[place][0]
                notifier.committed(draft.room, draft.sender, fact, record.seq, record.at)
        elif is_unsure and isinstance(outcome, Duplicate):
            for place, (fact, _) in enumerate(draft.facts):
                notifier.committed(draft.room, draft.sender, fact, outcome.seq + place, outcome.at)


def _unknown() -> Refusal:
    return Refusal(ErrorCode.OUTCOME_UNKNOWN, "retry with the same cid")


def _unavailable(retry_after_ms: int) -> Refusal:
    return Refusal(ErrorCode.STORE_UNAVAILABLE, "nothing was stored", retry_after_ms=retry_after_ms)
