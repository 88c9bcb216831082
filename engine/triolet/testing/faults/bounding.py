"""Faults of bounds, and the overloads in which they are seen: law, not history.

What is bounded inside an engine is not to be seen by its clients, so it is looked at while
somebody does not read, and while the store does not answer.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final, cast, final

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from ..._model.commands import Command, Create, Hello, Send, Subscribe
from ..._model.limits import Limits
from ..._runtime import audience
from ..._runtime.pipe import Pipe
from ..._runtime.sequencer import Pending, Sequencer
from ..._runtime.session import Session
from ..._wire.codec import encode_command
from ...adapters.memory import MemoryStore
from ...adapters.system import SystemClock, SystemEntropy
from ...embedded import Engine, open_engine
from ...ports.gate import FOREVER, Identity
from ...ports.store import Draft, Outcome, Store
from ..checker import Promise
from .planting import Broken, Function, Scene, Swap, fault

_LIMITS: Final = Limits(
    outbox_bytes_high=32_768,
    outbox_bytes_low=8192,
    pending_bytes_max=65_536,
    inflight_max=8,
)
_BODY_BYTES: Final = 2000
# A pipe holds 64 of them by itself, an outbox 16, and the store's queue 32 of all writers.
_MESSAGES: Final = 110
_MESSAGES_EACH: Final = 15
_WRITERS: Final = 8
# What one message may be more than its body: keys, cid, header, frame.
_FRAME_BYTES: Final = 500


@final
class _StalledStore:
    """A store that takes no draft while it is stalled."""

    def __init__(self) -> None:
        self._memory = MemoryStore(clock=SystemClock(), entropy=SystemEntropy())
        self.may_append = trio.Event()
        self.may_append.set()

    def __getattr__(self, name: str) -> object:
        return getattr(self._memory, name)

    async def append(self, batch: Sequence[Draft]) -> list[Outcome]:
        """See `Store`."""
        await self.may_append.wait()
        return await self._memory.append(batch)

    def append_now(self, batch: Sequence[Draft]) -> list[Outcome] | None:
        """See `Store`."""
        return self._memory.append_now(batch) if self.may_append.is_set() else None


@final
class _Overload:
    """An engine with small bounds, and people who ask and do not read."""

    def __init__(self, engine: Engine, store: _StalledStore) -> None:
        self.engine = engine
        self.store = store
        self.found: dict[str, None] = {}
        self._refs = 0

    async def enter(self, user: str) -> Pipe:
        """Open a connection for somebody, who reads nothing."""
        pipe = self.engine.open_pipe(Identity(user=user, expires_at=FOREVER, tier="service"))
        await self.say(pipe, Hello())
        return pipe

    async def say(self, pipe: Pipe, command: Command) -> None:
        """Send a command, unless the engine does not read it."""
        with trio.move_on_after(0.1):
            await pipe.send(encode_command(command, "msgpack"))
        await wait_all_tasks_blocked()

    async def write(self, pipe: Pipe) -> None:
        """Send a message."""
        self._refs += 1
        body = {"text": "x" * _BODY_BYTES}
        await self.say(pipe, Send(ref=self._refs, room="r", cid=f"c{self._refs}", body=body))

    def look(self, what: str, value: int, bound: int) -> None:
        """Note what is above its bound."""
        if value > bound:
            self.found[what] = None


def _played(overload: Callable[[_Overload], Awaitable[None]]) -> Scene:
    """Return a scene: the room `r` of `w0` to `w7`, and an overload of it."""

    async def play() -> list[Broken]:
        store = _StalledStore()
        async with open_engine(cast(Store, store), limits=_LIMITS) as engine:
            stage = _Overload(engine, store)
            founder = await stage.enter("w0")
            users = [f"w{number}" for number in range(1, _WRITERS)]
            await stage.say(
                founder, Create(ref=1, cid="make", kind="group", room="r", members=users)
            )
            await overload(stage)
            store.may_append.set()
        return [Broken(Promise.BOUNDED, what) for what in stage.found]

    def scene(seed: int) -> list[Broken]:
        del seed
        return trio.run(partial(play), clock=MockClock(autojump_threshold=0))

    return scene


async def _slow_reader(stage: _Overload) -> None:
    """Somebody follows a room and reads nothing, while another one writes."""
    reader, writer = await stage.enter("w1"), await stage.enter("w2")
    await stage.say(reader, Subscribe(ref=1, room="r"))
    for _ in range(_MESSAGES):
        await stage.write(writer)
        while True:
            # The writer reads what is said to them.
            with trio.move_on_after(0.01) as scope:
                await writer.receive()
            if scope.cancelled_caught:
                break
        outbox = reader.session.outbox
        bound = _LIMITS.outbox_bytes_high + _BODY_BYTES + _FRAME_BYTES
        stage.look("an outbox is above its bound", outbox.size, bound)


async def _stalled_store(stage: _Overload) -> None:
    """The store does not answer, and everybody writes as much as they may."""
    writers = [await stage.enter(f"w{number}") for number in range(_WRITERS)]
    stage.store.may_append = trio.Event()
    for _ in range(_MESSAGES_EACH):
        for writer in writers:
            await stage.write(writer)
        pending = stage.engine.statistics().pending_bytes
        bound = _LIMITS.pending_bytes_max + _BODY_BYTES + _FRAME_BYTES
        stage.look("more waits for the store than may", pending, bound)


async def _impatient_writer(stage: _Overload) -> None:
    """The store does not answer, and somebody goes on asking."""
    writer = await stage.enter("w1")
    stage.store.may_append = trio.Event()
    for _ in range(_MESSAGES_EACH):
        await stage.write(writer)
        inflight = writer.session.pipeline.inflight
        stage.look("more is unanswered than may be", inflight, _LIMITS.inflight_max)


SLOW_READER: Final = _played(_slow_reader)
STALLED_STORE: Final = _played(_stalled_store)
IMPATIENT_WRITER: Final = _played(_impatient_writer)


@fault(Promise.BOUNDED, SLOW_READER)
def an_outbox_without_bound() -> Iterable[Swap]:
    """Whoever does not read is told everything all the same."""

    def make(original: Function) -> Function:
        def append(self: Any, *arguments: Any, **named: Any) -> None:
            self._bytes_high = 1 << 40
            original(self, *arguments, **named)

        return append

    yield Swap(audience.Audience, "_append", make)


@fault(Promise.BOUNDED, STALLED_STORE)
def a_store_s_queue_without_bound() -> Iterable[Swap]:
    """However much waits for the store, more is accepted."""

    def make(original: Function) -> Function:
        def submit(self: Any, pending: Pending) -> None:
            before, self._waiting_bytes = self._waiting_bytes, -(1 << 40)
            try:
                original(self, pending)
            finally:
                self._waiting_bytes = before + pending.size

        return submit

    yield Swap(Sequencer, "submit", make)


@fault(Promise.BOUNDED, IMPATIENT_WRITER)
def unanswered_requests_without_bound() -> Iterable[Swap]:
    """A session may have asked any number of things without an answer."""

    def make(original: object) -> Any:
        del original
        return lambda self: self.outbox.size > self.engine.limits.outbox_bytes_high

    yield Swap(Session, "is_busy", make)
