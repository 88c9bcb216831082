"""Faults of what is told of people, and of what is left when they go."""

from collections.abc import Iterable
from typing import Any

import trio

from ..._domain.receipts import Marks
from ..._domain.typists import Typists
from ..._runtime.engine import Engine
from ..._runtime.native import NativeConnection
from ..._runtime.ops import live
from ..._runtime.presence import Presence
from ..._runtime.session import Session
from ..checker import Promise
from ..world import Step
from .planting import Function, Swap, fault
from .scenes import world

_MARKS = world(("send", "read", "read"))
_WATCH = tuple(Step("watch", who=who, pick=0, amount=1.0) for who in range(4))
_TYPING = world(
    ("send", "react"),
    last=(Step("typing", who=0, pick=1, after_s=1), Step("wait", after_s=15)),
)


def _gone_for(pause_s: float, *, how: str = "close") -> tuple[Step, ...]:
    """Ben's two devices are closed, or killed, for so long."""
    return (*_WATCH, Step(how, who=2), Step(how, who=3), Step("wait", after_s=pause_s))


# --- marks ---------------------------------------------------------------------------------


@fault(Promise.FORWARD, _MARKS)
def a_mark_moves_back() -> Iterable[Swap]:
    """The last mark that was asked for counts, also if it is lower."""

    def make(original: Function) -> Function:
        def advance(marks: Marks, *, delivered: int | None, read: int | None, head: int) -> Marks:
            original(marks, delivered=delivered, read=read, head=head)
            got = marks.delivered if delivered is None else min(delivered, head)
            return Marks(got, marks.read if read is None else min(read, head))

        return advance

    yield Swap(live, "advance", make)


# Nobody writes: what is asked for is beyond the end.
@fault(Promise.FORWARD, world(("history",), first=(Step("read", who=0, pick=2),)))
def a_mark_is_beyond_the_head() -> Iterable[Swap]:
    """Marks are not held to what there is."""

    def make(original: Function) -> Function:
        def advance(marks: Marks, *, head: int, **asked: int | None) -> object:
            return original(marks, head=head + 1000, **asked)

        return advance

    yield Swap(live, "advance", make)


# --- presence and typing -------------------------------------------------------------------


@fault(Promise.NO_ORPHAN, world(("send", "read"), last=_gone_for(45)))
def a_ghost_stays() -> Iterable[Swap]:
    """Graces never end."""

    def make(original: Function) -> Function:
        del original

        async def end_graces(self: Presence) -> None:
            del self
            await trio.sleep_forever()

        return end_graces

    yield Swap(Presence, "_end_graces", make)


@fault(Promise.NO_ORPHAN, world(("send", "read"), last=_gone_for(95, how="kill")))
def a_silence_is_not_noticed() -> Iterable[Swap]:
    """A connection on which nothing comes any more is not ended."""

    def make(original: Function) -> Function:
        def beat(self: Any, now: float) -> None:
            self._heard = True
            original(self, now)

        return beat

    yield Swap(NativeConnection, "beat", make)


@fault(Promise.PRESENT, world(("send", "read"), last=_gone_for(5)))
def the_grace_is_forgotten() -> Iterable[Swap]:
    """Whoever goes is shown offline at once."""

    def make(original: Function) -> Function:
        def depart(self: Any, session: Session) -> None:
            original(self, session)
            if session.user in self._graces:
                self._graces[session.user] = trio.current_time()
                self._grace_began.set()

        return depart

    yield Swap(Presence, "depart", make)


@fault(Promise.PRESENT, world(("send", "read"), first=_WATCH, last=(Step("wait", after_s=9),)))
def a_second_device_takes_the_first_one_away() -> Iterable[Swap]:
    """When one of somebody's devices goes, all seem to have gone."""

    def make(original: Function) -> Function:
        def row(self: Any, user: str, *args: object) -> object:
            present = self.present.get(user)
            if present is not None and len(present.sessions) > 1:
                return (user, "offline", 0)
            return original(self, user, *args)

        return row

    yield Swap(Presence, "_row", make)


@fault(Promise.NO_ORPHAN, _TYPING)
def typing_does_not_end() -> Iterable[Swap]:
    """Typing marks do not end by themselves."""

    def make(original: Function) -> Function:
        del original

        def expire(self: Typists, now: float) -> bool:
            del self, now
            return False

        return expire

    yield Swap(Typists, "expire", make)


# --- what is left --------------------------------------------------------------------------


@fault(Promise.NO_ORPHAN, world(("send", "read", "react")))
def a_session_leaves_its_cursors_behind() -> Iterable[Swap]:
    """A session that ends takes no cursor with it."""

    def make(original: Function) -> Function:
        def end(self: Session) -> None:
            self.cursors.clear()
            original(self)

        return end

    yield Swap(Session, "end", make)


@fault(Promise.NO_ORPHAN, world(("send", "read", "react")))
def a_session_is_not_counted_out() -> Iterable[Swap]:
    """The engine does not let go of a session that has ended."""

    def make(original: Function) -> Function:
        del original

        def session_ended(self: Engine, session: Session) -> None:
            del self, session

        return session_ended

    yield Swap(Engine, "session_ended", make)
