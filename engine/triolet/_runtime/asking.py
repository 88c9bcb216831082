"""One command, or several in a row, without a connection: the same handlers, and nothing stays.

Who asks this way is not present, follows nothing and is told nothing but the answers.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar, cast, final

import trio
from msgspec.structs import replace

from .._domain.rates import Bucket
from .._model.commands import Command, Hello, History
from .._model.errors import ErrorCode, Refusal, StoreError
from .._model.events import Outgoing, Reply
from .._model.limits import Limits
from ..ports.gate import Identity, Opening
from ..ports.store import SearchSlice
from .looking import MembersPage, RoomView, members, search, view
from .pipeline import ALONE, Pipeline, store_refusal
from .rates import Kind, UserRates, factor_of, require

if TYPE_CHECKING:
    from .engine import Engine

Answer: TypeAlias = Reply | Refusal
T = TypeVar("T")

# Rates looked at for each that is asked of: they go faster than they come.
_LOOKED_AT: Final = 2


@final
class _Allowance:
    """What one user without a session may still ask for."""

    __slots__ = ("commands", "signals")

    def __init__(self, limits: Limits) -> None:
        self.commands = UserRates(limits, nodes=1)
        self.signals: Bucket | None = None

    def is_whole(self, now: float) -> bool:
        return self.commands.is_whole(now) and (self.signals is None or self.signals.is_whole(now))


@final
class Allowances:
    """The rates of users without a session; each is forgotten once it is whole again."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        # The one asked of longest ago first; bounded by users who ask within a few seconds.
        self.by_user: dict[str, _Allowance] = {}

    def take_command(self, user: str, kind: Kind, factor: float) -> float:
        """Admit one command and return 0.0, or return how long to wait, s: see `UserRates`."""
        return self._of(user).commands.take(kind, factor, trio.current_time())

    def take_signal(self, user: str) -> float:
        """Admit one signal and return 0.0, or return how long to wait, s."""
        allowance, limits = self._of(user), self._limits
        if allowance.signals is None:
            allowance.signals = Bucket(rate=limits.signals_rate, burst=limits.signals_burst)
        return allowance.signals.admit(trio.current_time())

    def _of(self, user: str) -> _Allowance:
        allowance = self.by_user.pop(user, None) or _Allowance(self._limits)
        for _ in range(_LOOKED_AT):
            oldest = next(iter(self.by_user.items()), None)
            if oldest is None or not oldest[1].is_whole(trio.current_time()):
                break
            del self.by_user[oldest[0]]
        self.by_user[user] = allowance
        return allowance


@final
class Visit:
    """Somebody who asks without a session, for as long as it takes: see `Asker`."""

    __slots__ = (
        "_allowances",
        "_looked",
        "answers",
        "device",
        "engine",
        "identity",
        "is_gone",
        "pipeline",
        "user",
    )

    def __init__(self, engine: "Engine", identity: Identity, allowances: Allowances) -> None:
        self.engine = engine
        self.identity: Identity | None = identity
        self.user = identity.user
        self.device = identity.device
        self.is_gone = False
        self.pipeline = Pipeline(self)
        # By `ref`.
        self.answers: dict[int | None, Answer] = {}
        self._allowances = allowances
        self._looked: trio.Event | None = None

    async def take(self, command: Any) -> None:
        """Carry out one command, as far as the next one has to wait for it."""
        try:
            self.check_running()
            self.check_rate(type(command), command)
            handler = ALONE.get(type(command))
            if handler is None:
                raise _needs_session(command)
            job = handler(self, command)
        except Refusal as refusal:
            self.refuse(refusal, _ref_of(command))
            job = None
        if job is not None:
            await self.pipeline.finish(job, command)
        elif not self.pipeline.inflight:
            # It was answered at once.
            await trio.lowlevel.checkpoint()
        while self.pipeline.is_full:
            await self._wait_to_look()

    async def wait_answered(self) -> None:
        """Wait until nothing is without an answer."""
        while self.pipeline.inflight:
            await self._wait_to_look()

    async def _wait_to_look(self) -> None:
        self._looked = trio.Event()
        await self._looked.wait()

    def check_running(self) -> None:
        """Make sure that there is somebody to ask.

        Raises:
            Refusal: `SHUTTING_DOWN`, the engine has ended.
        """
        if self.engine.connection_nursery is None:
            message = "the engine has ended"
            raise Refusal(ErrorCode.SHUTTING_DOWN, message, retry_after_ms=1000)

    def check_rate(self, kind: Kind, command: Command | None = None) -> None:
        """Count one command of the user's.

        Raises:
            Refusal: `RATE_LIMITED`, or `CAPTCHA_REQUIRED`.
        """
        limits = self.engine.limits
        factor = 0.0 if self.identity is None else factor_of(self.identity.tier, limits)
        if self.identity is None or not factor:
            return
        if self.engine.vigilance is not None and command is not None:
            factor *= self.engine.vigilance.look(self.identity, None, command)
        present = self.engine.presence.present.get(self.user)
        if present is None:
            require(self._allowances.take_command(self.user, kind, factor))
        else:
            require(present.take_command(kind, factor, limits, trio.current_time()))

    # --- as handlers see it ----------------------------------------------------------------

    def take_signal(self) -> float:
        """See `Asker`."""
        return self._allowances.take_signal(self.user)

    def write(self, outgoing: Outgoing) -> None:
        """See `Asker`."""
        reply = cast("Reply", outgoing)
        self.answers[reply.ref] = reply

    def refuse(self, refusal: Refusal, ref: int | None) -> None:
        """See `Asker`."""
        self.answers[ref] = refusal

    def look_again(self) -> None:
        """See `Asker`."""
        if self._looked is not None:
            looked, self._looked = self._looked, None
            looked.set()


@final
class Asking:
    """The engine's door for who has no connection."""

    def __init__(self, engine: "Engine") -> None:
        self._engine = engine
        self.allowances = Allowances(engine.limits)

    async def admit(self, token: str | None, opening: Opening) -> Identity:
        """Return who holds `token`: no session begins.

        Raises:
            Refusal: `UNAUTHENTICATED`, `TOKEN_EXPIRED`, `TOKEN_INVALID`, `BANNED`, or
                `STORE_UNAVAILABLE` if the gate could not look.
        """
        try:
            identity = await self._engine.admission.admit(token, opening)
        except StoreError as error:
            raise store_refusal(error) from None
        if self._engine.vigilance is not None:
            self._engine.vigilance.came(identity.user, opening)
        return identity

    async def ask(self, identity: Identity, command: Command) -> Reply:
        """Carry out one command, and return its `ok`.

        A durable one may be carried out although this is cancelled: ask again by the same `cid`.

        Raises:
            Refusal: why not, as a session would be told: `SHUTTING_DOWN` also if the engine has
                ended, `INVALID_FIELD` for what needs a session, `STORE_UNAVAILABLE` or
                `OUTCOME_UNKNOWN` if the store cannot be reached.
        """
        (answer,) = await self._carry_out(identity, (command,))
        if isinstance(answer, Refusal):
            raise answer
        return answer

    async def ask_each(self, identity: Identity, commands: Sequence[Command]) -> list[Answer]:
        """Carry out commands in their order, and return an answer to each: its `ok`, or why not.

        Those of one room take effect in their order; sends and the like are stored together.
        """
        # Only `hello` has no `ref`.
        numbered = [
            command if isinstance(command, Hello) else replace(command, ref=number)
            for number, command in enumerate(commands)
        ]
        answers = await self._carry_out(identity, numbered)
        return [
            answer if isinstance(answer, Refusal) else replace(answer, ref=_ref_of(command))
            for command, answer in zip(commands, answers, strict=True)
        ]

    async def search(
        self, identity: Identity, room: str, words: str, *, before: int | None, limit: int
    ) -> SearchSlice:
        """Return messages of a room that the user may read and that hold all of `words`.

        Args:
            identity: who asks.
            room: where.
            words: at most 8, each of at most 64 characters; a message holds all of them.
            before: only messages with a smaller seq; None: from the newest on.
            limit: at most so many are returned; there may be none, and more to look at.

        Raises:
            Refusal: as `ask`; `INVALID_FIELD` for words that cannot be looked for.
        """
        asked = partial(search, room=room, words=words, before=before, limit=limit)
        return await self._look(identity, asked)

    async def view(self, identity: Identity, room: str) -> RoomView:
        """Return a room as it stands, to who may read there.

        Raises:
            Refusal: as `ask`.
        """
        return await self._look(identity, partial(view, name=room))

    async def members(
        self, identity: Identity, room: str, *, after: str | None, limit: int
    ) -> MembersPage:
        """Return members of a room by user name, those after `after`, to who is one of them.

        Raises:
            Refusal: as `ask`; `NOT_A_MEMBER` to visitors of a public room.
        """
        return await self._look(identity, partial(members, name=room, after=after, limit=limit))

    async def _look(self, identity: Identity, look: Callable[[Visit], Awaitable[T]]) -> T:
        visit = Visit(self._engine, identity, self.allowances)
        visit.check_running()
        visit.check_rate(History)
        try:
            return await look(visit)
        except StoreError as error:
            raise store_refusal(error) from None

    async def _carry_out(self, identity: Identity, commands: Sequence[Any]) -> list[Answer]:
        visit = Visit(self._engine, identity, self.allowances)
        try:
            for command in commands:
                await visit.take(command)
            if visit.pipeline.inflight:
                await visit.wait_answered()
        finally:
            visit.is_gone = True
        return [visit.answers[_ref_of(command)] for command in commands]


def _ref_of(command: Command) -> int | None:
    return None if isinstance(command, Hello) else command.ref


def _needs_session(command: Command) -> Refusal:
    op = type(command).__struct_config__.tag
    return Refusal(ErrorCode.INVALID_FIELD, f"`{op}` needs a session: open `/v1/stream` or `/ws`")
