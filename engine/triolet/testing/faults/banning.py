"""Faults of bans: who is let in, who stays, who is heard and told, and who is taken for another."""

from collections.abc import Awaitable, Iterable
from functools import partial
from typing import Final, cast

from ..._domain.bans import Ban
from ..._model.commands import Command, History
from ..._model.entries import Member
from ..._model.errors import CloseCode, ErrorCode, Refusal
from ..._model.ids import DIRECT_PREFIX
from ..._runtime import session as sessions
from ..._runtime.bans import Bans
from ..._runtime.engine import Engine
from ..._runtime.session import Session
from ..._wire.codec import decode_command, pack_fact
from ...ports.store import Draft
from ..checker import Promise
from ..world import Step
from .planting import Function, Swap, fault
from .scenes import world

# An administrator bans ben by way of the first node, for good.
_BAN: Final = Step("ban", pick=9, after_s=1)
_GONE: Final = (Step("close", who=2, after_s=1), Step("close", who=3), _BAN)
_KNOCK: Final = Step("knock", after_s=2)
# Nodes that were broken have asked the store again by then.
_KNOCK_LATE: Final = Step("knock", after_s=20)
_COMES: Final = world(("send", "react"), last=(*_GONE, _KNOCK))
_COMES_ELSEWHERE: Final = world(("send", "react"), last=(*_GONE, _KNOCK), nodes=2)
_COMES_LATER: Final = world(
    ("send", "react"),
    last=(*_GONE, Step("crash", after_s=1), Step("restart", after_s=1), _KNOCK_LATE),
)
# The store does not answer for longer than a node waits for it; then it asks again in a second.
_COMES_EARLY: Final = world(
    ("send", "react"),
    last=(
        *_GONE,
        Step("crash", after_s=1),
        Step("restart", after_s=1),
        Step("hold"),
        Step("knock", after_s=1),
        Step("release", after_s=2),
    ),
)
# Nobody says anything, for longer than a silent connection is believed in.
_STAYS: Final = world(("send", "react"), last=(_BAN, Step("wait", after_s=80)))
_STAYS_ELSEWHERE: Final = world(
    ("send", "react"),
    last=(Step("ban", pick=8, after_s=1), _BAN, Step("wait", after_s=80)),
    nodes=2,
)
_SPEAKS: Final = world(
    ("send", "react"), last=(_BAN, Step("send", who=2, after_s=2), Step("send", who=3))
)
_LISTENS: Final = world(("send", "react"), last=(_BAN, Step("send", after_s=2)))
_READS: Final = world(("send", "react"), last=(_BAN, Step("history", who=2, after_s=2)))
_LOSES: Final = world(("send", "react"), last=(_BAN, Step("lift", after_s=2)))
_RETURNS: Final = world(
    ("send", "react"),
    last=(_BAN, Step("lift", after_s=2), *(Step("open", who=who, after_s=1) for who in (2, 3))),
    nodes=3,
)


# --- who comes in --------------------------------------------------------------------------


@fault(Promise.BANNED, _COMES)
def who_is_banned_is_let_in() -> Iterable[Swap]:
    """Sessions are ended, and whoever comes again may."""

    def make(original: Function) -> Function:
        del original

        def check(self: Bans, user: str | None, address: str) -> None:
            del self, user, address

        return check

    yield Swap(Bans, "check", make)


@fault(Promise.BANNED, _COMES_ELSEWHERE)
def another_node_does_not_hear_of_a_ban() -> Iterable[Swap]:
    """What the store had when a node began is all that it ever knows of others' bans."""

    def make(original: Function) -> Function:
        async def sweep(self: Bans) -> None:
            if self._is_loaded:
                self._moved.clear()
            await original(self)

        return sweep

    def never_again(original: Function) -> Function:
        async def counted(self: Bans) -> int:
            count: int = self._count if self._is_loaded else await original(self)
            return count

        return counted

    yield Swap(Bans, "sweep", make)
    yield Swap(Bans, "_counted", never_again)


@fault(Promise.BANNED, _COMES_LATER)
def a_node_that_begins_knows_no_ban() -> Iterable[Swap]:
    """Bans are in force until the node is started again."""

    def make(original: Function) -> Function:
        async def scan(self: Bans) -> list[Ban]:
            await original(self)
            return []

        return scan

    yield Swap(Bans, "_scan", make)


@fault(Promise.BANNED, _COMES_EARLY)
def who_comes_before_bans_are_known_is_let_in() -> Iterable[Swap]:
    """A node that begins, and that the store has told nothing yet, takes nobody for banned."""

    def make(original: Function) -> Function:
        def check(self: Bans, user: str | None, address: str) -> None:
            if self._is_loaded:
                original(self, user, address)

        return check

    yield Swap(Bans, "check", make)


# --- who stays -----------------------------------------------------------------------------


def _ends_nothing(original: Function) -> Function:
    del original

    def end(self: Bans, session: Session) -> None:
        del self, session

    return end


@fault(Promise.BANNED, _STAYS)
def who_is_banned_stays() -> Iterable[Swap]:
    """Nobody is let in, and whoever is in is left there."""
    yield Swap(Bans, "_end", _ends_nothing)


@fault(Promise.BANNED, _STAYS_ELSEWHERE)
def who_is_banned_elsewhere_stays() -> Iterable[Swap]:
    """A node that hears of a ban lets nobody in, and ends nothing."""

    def make(original: Function) -> Function:
        async def read(self: Bans, moved: dict[int, str]) -> None:
            await original(self, moved)
            self._due.clear()

        return read

    yield Swap(Bans, "_read", make)


# --- who is heard --------------------------------------------------------------------------


@fault(Promise.BANNED, _SPEAKS)
def one_session_of_who_is_banned_is_ended() -> Iterable[Swap]:
    """Somebody who has two devices talks on with the other one."""

    def make(original: Function) -> Function:
        def end(self: Bans, session: Session) -> None:
            if session.device.endswith("0"):
                original(self, session)

        return end

    yield Swap(Bans, "_end", make)


@fault(Promise.BANNED, _SPEAKS)
def sessions_of_one_format_are_left() -> Iterable[Swap]:
    """Who speaks JSON talks on."""

    def make(original: Function) -> Function:
        def end(self: Bans, session: Session) -> None:
            if not session.text:
                original(self, session)

        return end

    yield Swap(Bans, "_end", make)


# --- who is told ---------------------------------------------------------------------------


def _left_in(*heard: type[Command]) -> Iterable[Swap]:
    """End nobody's session, and of who is banned hear these commands alone."""

    def make(original: Function) -> Function:
        def receive(self: Session, payload: bytes) -> Awaitable[None] | None:
            if self.user and self.engine.bans.of(user=self.user) is not None:
                command = decode_command(payload, "json" if self.text else "msgpack")
                if not isinstance(command, heard):
                    return None
            done: Awaitable[None] | None = original(self, payload)
            return done

        return receive

    yield Swap(Bans, "_end", _ends_nothing)
    yield Swap(Session, "receive", make)


@fault(Promise.BANNED, _LISTENS)
def who_is_banned_is_muted() -> Iterable[Swap]:
    """Nothing is taken from them any more, and all is told."""
    return _left_in()


@fault(Promise.BANNED, _READS)
def who_is_banned_may_read_on() -> Iterable[Swap]:
    """Nothing is told by itself, and pages of history are."""
    return _left_in(History)


# --- why, and whether ----------------------------------------------------------------------


@fault(Promise.BANNED, _COMES)
def who_is_banned_is_called_a_stranger() -> Iterable[Swap]:
    """The connection is closed as that of somebody without a token."""

    def make(original: Function) -> Function:
        # It is a table, not a function.
        closes = dict(cast(dict[ErrorCode, CloseCode], original))
        del closes[ErrorCode.BANNED]
        return cast(Function, closes)

    yield Swap(sessions, "CLOSE_OF_REFUSED_HELLO", make)


@fault(Promise.BANNED, _COMES)
def the_token_of_who_is_banned_is_called_bad() -> Iterable[Swap]:
    """Whoever is refused asks for another token, and comes again."""

    def make(original: Function) -> Function:
        def check(self: Bans, user: str | None, address: str) -> None:
            try:
                original(self, user, address)
            except Refusal:
                raise Refusal(ErrorCode.TOKEN_INVALID) from None

        return check

    yield Swap(Bans, "check", make)


@fault(Promise.BANNED, _RETURNS)
def a_lifted_ban_stays_elsewhere() -> Iterable[Swap]:
    """A node that hears of the end of a ban keeps it."""

    def make(original: Function) -> Function:
        async def read(self: Bans, moved: dict[int, str]) -> None:
            kept = self._table.of_user("ben", now=0)
            await original(self, moved)
            if kept is not None:
                self._table.put(kept)

        return read

    yield Swap(Bans, "_read", make)


@fault(Promise.BANNED, _SPEAKS)
def a_ban_ends_everybody_s_sessions() -> Iterable[Swap]:
    """Whoever is there is sent away with who is banned."""

    def make(original: Function) -> Function:
        async def enforce(self: Bans) -> None:
            for present in list(self._presence.present.values()) if self._due else ():
                for session in list(present.sessions.values()):
                    self._end(session)
            await original(self)

        return enforce

    yield Swap(Bans, "_enforce", make)


# --- what they come back to ----------------------------------------------------------------


async def _leave(engine: Engine, user: str, *, prefix: str = "") -> None:
    """Have a user leave rooms, of which no entry tells."""
    fact = Member(user, None)
    for room in await engine.store.room_names(after=None, limit=100):
        state = await engine.store.room(room)
        if state is None or not room.startswith(prefix):
            continue
        draft = Draft(
            room=room,
            sender=user,
            cid=engine.entropy.token(),
            op="leave",
            facts=((fact, pack_fact(fact)),),
            acl_ver=state.acl_ver,
            revokes=True,
            logged=False,
        )
        await engine.writer.write(draft)


@fault(Promise.BANNED, _LOSES)
def a_ban_ends_memberships() -> Iterable[Swap]:
    """Whoever is sent away is a member of nothing any more."""

    def make(original: Function) -> Function:
        def end(self: Bans, session: Session) -> None:
            original(self, session)
            session.engine.spawn(partial(_leave, session.engine, session.user))

        return end

    yield Swap(Bans, "_end", make)


@fault(Promise.BANNED, _LOSES)
def a_ban_ends_conversations_of_two() -> Iterable[Swap]:
    """Whoever is sent away has no direct room any more."""

    def make(original: Function) -> Function:
        def end(self: Bans, session: Session) -> None:
            original(self, session)
            leave = partial(_leave, session.engine, session.user, prefix=DIRECT_PREFIX)
            session.engine.spawn(leave)

        return end

    yield Swap(Bans, "_end", make)
