"""An engine in memory, two people in it who talk, and hostile clients one after the other."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, final

import msgspec
import trio

from triolet._model.errors import ErrorCode, Refusal
from triolet._model.limits import Limits
from triolet._runtime.engine import Engine
from triolet._runtime.native import NativeConnection
from triolet._runtime.pipe import Pipe
from triolet._runtime.turn import Turn
from triolet.adapters.memory import MemoryStore
from triolet.ports.gate import FOREVER, Action, Identity, Opening

from ..entropy import CountingEntropy
from .grammar import ROOMS, USERS
from .stand_ins import FakeListener, FakePoller, FakeSocket, Manner, as_socket
from .violation import Violation

# Small, so that a stream of a few thousand bytes meets every bound.
LIMITS: Final = Limits(
    body_bytes_max=2_048,
    message_bytes_max=8_192,
    outbox_bytes_high=16_384,
    outbox_bytes_low=4_096,
    page_bytes_max=8_192,
    ring_bytes_max=65_536,
    inflight_max=8,
    hellos_rate=1e9,
    hellos_burst=1_000_000,
    # No sooner than commands in all: long answers are what fills an outbox.
    pages_rate=Limits().commands_rate,
    pages_burst=Limits().commands_burst,
)
# What an outbox may hold: up to its mark, and then one answer. A page's bytes are msgpack's; as
# JSON a control character takes six. And the pongs of one read.
OUTBOX_BYTES_MAX: Final = LIMITS.outbox_bytes_high + 6 * LIMITS.page_bytes_max + 16 * 1024
# Scheduler turns within which the engine, in memory, has done what one piece asks of it.
_TURNS_MAX: Final = 5_000
# Turns without anything to read or write: a hundred commands of one read take five each. A
# client that never reads is given up sooner, for then nothing happens any more.
_IDLE_TURNS: Final = 3_000
_STUCK_TURNS: Final = 30
_BEATS_S: Final = 1.0
_PEOPLE: Final = ("bystander-1", "bystander-2")
_NOW_MS: Final = 1_700_000_000_000
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(dict[str, object]).decode


@final
class _VirtualClock:
    """The wall clock that goes with the run's."""

    def now_ms(self) -> int:
        return _NOW_MS + round(trio.current_time() * 1_000)


@final
class _Gate:
    """A token is the name of who holds it; half of them have no rate limit."""

    async def admit(self, token: str | None, opening: Opening) -> Identity:
        del opening
        await trio.lowlevel.checkpoint()
        if token not in USERS:
            raise Refusal(ErrorCode.TOKEN_INVALID if token else ErrorCode.UNAUTHENTICATED)
        tier = "service" if USERS.index(token) % 2 == 0 else ""
        return Identity(user=token, expires_at=FOREVER, tier=tier)

    def may(self, who: Identity, action: Action, *, room: str = "", user: str = "") -> None:
        del who, action, room, user


@final
class _Errors(logging.Handler):
    """Keeps what the engine tells of its own bugs: it ends a connection by them, and goes on."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        self.told.append(f"{record.getMessage()}: {type(error).__name__}: {error}")


@final
class Person:
    """Somebody who talks, in process; nobody's misbehaviour may reach them."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe
        self._ref = 0

    async def ask(self, op: str, **fields: object) -> dict[str, object]:
        """Ask, and return the answer.

        Raises:
            Violation: it is not `ok`.
        """
        self._ref += 1
        await self._pipe.send(_encode({"op": op, "ref": self._ref, **fields}))
        answer = await self.hear(lambda message: message.get("ref") == self._ref)
        if answer["op"] != "ok":
            raise Violation(f"an ordinary {op} is answered with {answer.get('reason')}")
        return answer

    async def hear(self, is_it: Callable[[dict[str, object]], bool]) -> dict[str, object]:
        """Return the next message that is awaited."""
        while True:
            message = _decode(await self._pipe.receive())
            if is_it(message):
                return message

    async def hello(self) -> None:
        """Open the session."""
        await self._pipe.send(_encode({"op": "hello"}))
        await self.hear(lambda message: message["op"] == "welcome")


class Stage:
    """See the module. Made by `open_stage`."""

    def __init__(self, engine: Engine, poller: FakePoller, listener: FakeListener) -> None:
        self._engine = engine
        self._poller = poller
        self._listener = listener
        self._people: list[Person] = []
        self._seq = 0
        self._errors = _Errors()
        self._at_rest = (0, 0, 0)

    async def set(self) -> None:
        """Have the two people come in, and rooms for the others be there."""
        logging.getLogger("triolet").addHandler(self._errors)
        self._engine.listen_on([as_socket(self._listener)])
        for name in _PEOPLE:
            identity = Identity(user=name, expires_at=FOREVER, tier="service")
            person = Person(self._engine.open_pipe(identity))
            await person.hello()
            self._people.append(person)
        one, other = self._people
        members = list(USERS[:3])
        for room in ROOMS[:2]:
            await one.ask("create", kind="group", room=room, members=members, public=True)
            for number in range(8):
                await one.ask("send", room=room, body={"text": "x" * 900, "n": number})
        await one.ask("create", kind="group", room="theirs", members=[_PEOPLE[1]])
        self._seq = int(str((await other.ask("subscribe", room="theirs"))["head"]))
        self._at_rest = self._left()

    def _left(self) -> tuple[int, int, int]:
        engine = self._engine
        nursery = engine.connection_nursery
        assert nursery is not None
        return len(engine.heartbeat.connections), self._poller.watched(), len(nursery.child_tasks)

    # --- hostile clients ---------------------------------------------------------------------

    def connect(self, manner: Manner, *, in_turn: bool) -> FakeSocket:
        """Return the socket of a client that has just connected."""
        engine = self._engine
        self._poller.turn = Turn(engine.sequencer, engine.flusher) if in_turn else Turn()
        sock = FakeSocket(manner)
        self._listener.connect(sock)
        self._poller.look(self._listener)
        return sock

    async def digest(self, sock: FakeSocket) -> None:
        """Let the engine read what has been sent, answer it, and come to rest.

        Raises:
            Violation: it holds too much, or does not come to rest.
        """
        idle, idle_max = 0, _STUCK_TURNS if sock.never_reads else _IDLE_TURNS
        for _ in range(_TURNS_MAX):
            if sock.closed or not sock.is_unread or idle > idle_max:
                break
            idle = 0 if self._poller.look(sock) else idle + 1
            self._check_bound(sock)
            await trio.lowlevel.checkpoint()
        else:
            raise Violation("the engine does not come to rest")
        if sock.is_unread and not sock.closed and not sock.never_reads:
            raise Violation("the engine does not read on")

    def _check_bound(self, sock: FakeSocket) -> None:
        connection = self._poller.of(sock)
        if isinstance(connection, NativeConnection):
            size = connection.outbox.size
            if size > OUTBOX_BYTES_MAX:
                raise Violation("an outbox holds more than its bound")

    def is_over(self, sock: FakeSocket) -> bool:
        """Whether the engine has begun to say goodbye: what comes now is not obeyed."""
        connection = self._poller.of(sock)
        return sock.closed or (
            isinstance(connection, NativeConnection) and connection.session.is_gone
        )

    async def leave(self, sock: FakeSocket) -> None:
        """Have the client go, and make sure that nothing of it is left.

        Raises:
            Violation: something is.
        """
        sock.end()
        clock = trio.lowlevel.current_clock()
        assert isinstance(clock, trio.testing.MockClock)
        for _ in range(_TURNS_MAX):
            if sock.closed and self._left() == self._at_rest:
                break
            if not self._poller.look(sock):
                # Who has gone while nobody looked is noticed by the beat.
                clock.jump(_BEATS_S)
            await trio.lowlevel.checkpoint()
        else:
            raise Violation(f"{self._left()} instead of {self._at_rest} is left of a connection")
        if self._errors.told:
            raise Violation(f"a bug of ours is told: {self._errors.told[0]}")

    # --- the others --------------------------------------------------------------------------

    async def talk(self) -> None:
        """Have the two people say something, which must arrive as the next entry.

        Raises:
            Violation: it does not.
        """
        one, other = self._people
        answer = await one.ask("send", room="theirs", body={"text": "still here"})
        entry = await other.hear(lambda message: message["op"] == "entry")
        self._seq += 1
        if not answer["seq"] == entry["seq"] == self._seq:
            raise Violation("what two others say does not arrive in order")

    def strike(self) -> None:
        """End what `set` began that outlives the engine."""
        logging.getLogger("triolet").removeHandler(self._errors)


@asynccontextmanager
async def open_stage() -> AsyncIterator[Stage]:
    """Run an engine with two people in it. The run's clock must be a `trio.testing.MockClock`."""
    clock, names, poller = _VirtualClock(), CountingEntropy(), FakePoller()
    store = MemoryStore(clock=clock, entropy=names)
    engine = Engine(
        store=store, gate=_Gate(), clock=clock, entropy=names, limits=LIMITS, poller=poller
    )
    async with engine:
        stage = Stage(engine, poller, FakeListener())
        try:
            await stage.set()
            yield stage
        finally:
            stage.strike()
