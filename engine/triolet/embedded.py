"""The engine inside another service: one `async with`, and the client's API without a socket."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import final

import trio

from ._model.errors import CloseCode, ConfigurationError, ErrorCode, Refusal
from ._model.limits import Limits
from ._runtime.engine import Engine as _Engine
from ._runtime.pipe import Pipe
from .adapters.memory import open_memory_store
from .adapters.sqlite import open_sqlite_store
from .adapters.system import SystemClock, SystemEntropy
from .client import Client, open_client
from .client._link import Link, LinkClosed
from .ports.bus import Bus
from .ports.clock import Clock, Entropy
from .ports.gate import FOREVER, Action, Gate, Identity, Opening
from .ports.store import Store


@final
class ClosedGate:
    """Admits nobody: the gate of an engine that is used in process alone."""

    async def admit(self, token: str | None, opening: Opening) -> Identity:
        """Refuse.

        Raises:
            Refusal: `UNAUTHENTICATED`, always.
        """
        del token, opening
        await trio.lowlevel.checkpoint()
        raise Refusal(ErrorCode.UNAUTHENTICATED, "this engine has no gate")

    def may(self, who: Identity, action: Action, *, room: str = "", user: str = "") -> None:
        """Leave every decision to the engine's own rules."""


@final
class Engine(_Engine):
    """A running engine in this process. Made by `open_engine`.

    It can serve sockets too (`listen`), if it was given a gate.
    """

    def connect(
        self, user: str, *, device: str = "", roles: tuple[str, ...] = ()
    ) -> AbstractAsyncContextManager[Client]:
        """Connect as `user` without a socket or a token: the host vouches for them.

        Args:
            user: any valid user name.
            device: a name for this connection among the user's others.
            roles: what a token would say.

        Returns:
            An async context manager of the same client that `triolet.connect` gives; if the
            engine ends first, whatever is asked of it raises `ConnectionClosed`.
        """
        identity = Identity(user=user, expires_at=FOREVER, roles=roles, tier="service")
        return open_client(_PipeDialer(self, identity), device=device)


@final
class _PipeDialer:
    """Dials an engine in the same process."""

    def __init__(self, engine: _Engine, identity: Identity) -> None:
        self._engine = engine
        self._identity = identity

    async def dial(self) -> Link:
        """Return a new link.

        Raises:
            LinkClosed: the engine has ended; its code makes the client stop for good.
        """
        await trio.lowlevel.checkpoint()
        if self._engine.connection_nursery is None:
            raise LinkClosed(CloseCode.UNAUTHENTICATED, "the engine has ended")
        return _PipeLink(self._engine.open_pipe(self._identity))


@final
class _PipeLink:
    """The client's end of a pipe, as the client knows links."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe

    async def send(self, payload: bytes) -> None:
        """See `Link`."""
        try:
            await self._pipe.send(payload)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise self._closed() from None

    async def receive(self) -> bytes:
        """See `Link`."""
        try:
            return await self._pipe.receive()
        except (trio.EndOfChannel, trio.ClosedResourceError):
            raise self._closed() from None

    async def aclose(self, code: int, reason: str) -> None:
        """See `Link`."""
        del code, reason
        self._pipe.hang_up()
        await trio.lowlevel.checkpoint()

    def _closed(self) -> LinkClosed:
        close = self._pipe.close
        if close is None:
            return LinkClosed(CloseCode.BYE)
        return LinkClosed(close.code, close.reason)


@asynccontextmanager
async def open_store(
    url: str, *, clock: Clock, entropy: Entropy, limits: Limits
) -> AsyncIterator[Store]:
    """Open the store that `url` names: `memory:` or `sqlite:PATH`.

    Raises:
        ConfigurationError: it names neither, or the data is in use by another server.
        SchemaTooNew: the data was written by a newer Triolet.
    """
    async with AsyncExitStack() as stack:
        if url == "memory:":
            store = open_memory_store(clock=clock, entropy=entropy)
        elif url.startswith("sqlite:") and len(url) > len("sqlite:"):
            path = Path(url.removeprefix("sqlite:"))
            store = open_sqlite_store(path, clock=clock, entropy=entropy, limits=limits)
        else:
            raise ConfigurationError(f"store: {url!r} is neither `memory:` nor `sqlite:PATH`")
        yield await stack.enter_async_context(store)


@asynccontextmanager
async def open_engine(
    store: str | Store = "memory:",
    *,
    gate: Gate | None = None,
    limits: Limits | None = None,
    bus: Bus | None = None,
) -> AsyncIterator[Engine]:
    """Run an engine for as long as the block lasts.

    Args:
        store: `memory:`, `sqlite:PATH`, or a store of your own.
        gate: who is who, for connections over sockets; without one only `connect` works.
        limits: every bound; `Limits()` if not given.
        bus: this engine's connection to others that run on the same store of your own.

    Raises:
        ConfigurationError: the store's URL is none, or its data is in use.
        SchemaTooNew: the data was written by a newer Triolet.

    >>> async def main() -> None:
    ...     async with open_engine() as engine, engine.connect("anna") as anna:
    ...         room = await anna.create("group", title="Tea")
    ...         await anna.send(room.room, {"text": "hello"})
    """
    limits = limits or Limits()
    clock, entropy = SystemClock(), SystemEntropy()
    async with AsyncExitStack() as stack:
        if isinstance(store, str):
            opened = open_store(store, clock=clock, entropy=entropy, limits=limits)
            store = await stack.enter_async_context(opened)
        engine = Engine(
            store=store,
            gate=gate or ClosedGate(),
            clock=clock,
            entropy=entropy,
            limits=limits,
            bus=bus,
        )
        yield await stack.enter_async_context(engine)
