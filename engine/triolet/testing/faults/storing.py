"""Faults of the way into the store: acknowledgements, retries, deletions, the counting."""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from ..._model.entries import Delete, Record
from ..._model.errors import ErrorCode, Refusal
from ..._runtime import feed, pipeline
from ..._runtime import sequencer as sequencing
from ..._runtime.ops import messages, subscriptions
from ..._runtime.ring import Ring
from ..._runtime.sequencer import Pending, Sequencer
from ...adapters.memory.room import Room as StoredRoom
from ...adapters.memory.store import MemoryStore
from ...ports.store import Appended, Draft, Duplicate
from ..checker import Promise
from ..world import Step
from .planting import Function, Swap, fault
from .scenes import world

_RESTART = (
    Step("crash", after_s=0.5, pick=2),
    Step("send", who=1),
    Step("send", who=0, after_s=0.1),
    Step("restart", after_s=3),
)
_REPEAT = world(("repeat", "send"))
_AWAY = (
    Step("partition", who=3, pick=0, after_s=0.5),
    Step("reset", who=3),
    Step("send", who=0, after_s=0.5),
    Step("send", who=0, after_s=0.5),
    *(Step("delete", who=0, pick=pick, after_s=0.5) for pick in (0, 1)),
    Step("heal", after_s=1),
)
_DELETE = world(("send", "edit", "delete"), last=_AWAY)


def _imagined(sequencer: Any, batch: Iterable[Pending]) -> Iterator[tuple[Pending, Appended]]:
    """Yield what the store would most likely say, for messages in loaded rooms."""
    heads: dict[str, int] = {}
    for pending in batch:
        draft = pending.draft
        room = sequencer._sink.rooms.get(draft.room)  # noqa: SLF001 - a fault knows no shame
        if room is None or draft.op != "send":
            continue
        seq = heads[draft.room] = heads.get(draft.room, room.head) + 1
        packed = draft.facts[0][1]
        record = Record(draft.room, seq, room.n + 1, "message", draft.sender, 0, draft.cid, packed)
        yield pending, Appended((record,))


@fault(Promise.STORED, world(("send", "send", "read"), last=_RESTART))
def ack_before_commit() -> Iterable[Swap]:
    """Messages are acknowledged when they are about to be stored."""

    def make(original: Function) -> Function:
        async def commit(self: Any, batch: list[Pending]) -> object:
            for pending, outcome in _imagined(self, batch):
                self._settle(pending, outcome)
            return await original(self, batch)

        return commit

    yield Swap(Sequencer, "_commit", make)


@fault(
    Promise.STORED,
    world(
        ("send", "send", "read"),
        last=(
            Step("full_disk", after_s=0.5),
            *(Step("send", who=who, after_s=0.1) for who in range(4)),
            Step("mend", after_s=1),
        ),
    ),
)
def ack_though_the_store_failed() -> Iterable[Swap]:
    """A batch that the store did not take is acknowledged all the same."""

    def make(original: Function) -> Function:
        async def commit(self: Any, batch: list[Pending]) -> object:
            outcomes = await original(self, batch)
            if isinstance(outcomes, Refusal):
                for pending, outcome in _imagined(self, batch):
                    self._settle(pending, outcome)
            return outcomes

        return commit

    yield Swap(Sequencer, "_commit", make)


@fault(
    Promise.STORED,
    world(
        ("send", "read"),
        last=(
            Step("hold", after_s=0.5),
            Step("send", who=0),
            Step("send", who=2),
            Step("release", after_s=14),
        ),
    ),
)
def unknown_is_told_as_refused() -> Iterable[Swap]:
    """Whoever waits too long for the store hears that nothing was stored, and then it is."""

    def make(original: Function) -> Function:
        del original
        return lambda: Refusal(ErrorCode.FORBIDDEN, "nothing was stored")

    yield Swap(sequencing, "_unknown", make)


# --- once ----------------------------------------------------------------------------------


@fault(Promise.ONCE, _REPEAT)
def dedupe_forgotten_at_a_retry() -> Iterable[Swap]:
    """The store does not know a cid again."""

    def make(original: Function) -> Function:
        def append(self: Any, draft: Draft, now_ms: int) -> object:
            room = self.held.rooms.get(draft.room)
            if room is not None and draft.op != "direct":
                room.cids.pop((draft.sender, draft.cid), None)
            return original(self, draft, now_ms)

        return append

    yield Swap(MemoryStore, "_append", make)


@fault(Promise.ONCE, _REPEAT)
def a_retry_gets_another_seq() -> Iterable[Swap]:
    """A duplicate is answered with the room's next place, and not with the first one's."""

    def make(original: Function) -> Function:
        def written(ref: int | None, draft: Draft, outcome: object) -> object:
            if isinstance(outcome, Duplicate):
                outcome = msgspec.structs.replace(outcome, seq=outcome.seq + 1)
            return original(ref, draft, outcome)

        return written

    yield Swap(pipeline, "written", make)


@fault(Promise.ONCE, _REPEAT)
def a_retry_is_taken_for_new() -> Iterable[Swap]:
    """A duplicate is answered as if it had not been there before."""

    def make(original: Function) -> Function:
        def written(ref: int | None, draft: Draft, outcome: object) -> object:
            answer = original(ref, draft, outcome)
            return msgspec.structs.replace(answer, duplicate=False) if answer.seq else answer

        return written

    yield Swap(pipeline, "written", make)


# --- deletions -----------------------------------------------------------------------------


@fault(Promise.ERASED, _DELETE)
def a_deletion_stays_out_of_the_ring() -> Iterable[Swap]:
    """Frames at hand keep the body of a message that was deleted."""

    def make(original: Function) -> Function:
        del original

        def erase(self: Ring, target: int) -> None:
            del self, target

        return erase

    yield Swap(Ring, "erase", make)


@fault(Promise.ERASED, _DELETE)
def a_deletion_does_not_erase() -> Iterable[Swap]:
    """The store keeps the body of a message that was deleted."""

    def make(original: Function) -> Function:
        del original

        def erase(self: StoredRoom, seq: int) -> None:
            del self, seq

        return erase

    yield Swap(StoredRoom, "_erase", make)


# --- derived counts ------------------------------------------------------------------------


@fault(Promise.DERIVED, world(("send", "react", "rooms")))
def unread_is_counted_up_by_whatever_comes() -> Iterable[Swap]:
    """Unread counts one too many as soon as there is something to read."""

    def make(original: Function) -> Function:
        def unread(n: int, *, read_n: int, floor_n: int) -> int:
            found: int = original(n, read_n=read_n, floor_n=floor_n)
            return found + bool(found)

        return unread

    yield Swap(subscriptions, "unread", make)
    yield Swap(feed, "unread", make)


@fault(Promise.DERIVED, world(("send", "edit", "delete")))
def a_deletion_lowers_the_count() -> Iterable[Swap]:
    """A room counts its messages down when one is deleted."""

    def make(original: Function) -> Function:
        def log(self: StoredRoom, draft: Draft, fact: object, packed: bytes) -> object:
            if isinstance(fact, Delete):
                self.n -= 1
            return original(self, draft, fact, packed)

        return log

    yield Swap(StoredRoom, "_log", make)


# --- rights --------------------------------------------------------------------------------


@fault(
    Promise.RIGHTS,
    world(
        ("send", "read"),
        last=(
            Step("kick", who=0, pick=1, after_s=1),
            *(Step("send", who=2, after_s=0.5) for _ in range(3)),
        ),
    ),
)
def nobody_asks_who_may_write() -> Iterable[Swap]:
    """Whoever writes counts as a member."""

    def make(original: Function) -> Function:
        def decide(rights: Any, *args: object, **kwargs: object) -> object:
            if rights.role is None:
                rights = msgspec.structs.replace(rights, role="member")
            return original(rights, *args, **kwargs)

        return decide

    yield Swap(messages, "decide", make)
