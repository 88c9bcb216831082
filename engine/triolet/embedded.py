"""The engine inside another service: one `async with`, and the client's API without a socket."""

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
)
from pathlib import Path
from typing import final

import trio

from ._domain.addresses import AddressRules
from ._model.errors import CloseCode, ConfigurationError, ErrorCode, Refusal
from ._model.limits import Limits
from ._runtime.engine import Engine as _Engine
from ._runtime.pipe import Pipe
from .adapters.memory import MemoryBus, MemoryLimiter, open_memory_bus, open_memory_store
from .adapters.sqlite import open_sqlite_store
from .adapters.system import SystemClock, SystemEntropy
from .adapters.urls import bus_of, check_bus, check_store, is_shared, masked, split_urls
from .client import Client, open_client
from .client._link import Link, LinkClosed
from .ports.bus import Bus
from .ports.clock import Clock, Entropy
from .ports.gate import FOREVER, Action, Gate, Identity, Opening
from .ports.limiter import Limiter
from .ports.store import Store

logger = logging.getLogger(__name__)


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
    """Open the store that `url` names: `sqlite:PATH`, `postgresql://…` or `memory:`.

    Raises:
        ConfigurationError: it names none, the data is in use by another server, or what the
            store needs is not installed.
        SchemaTooNew: the data was written by a newer Triolet.
        StoreError: it cannot be reached.
    """
    with _said_of("store"):
        check_store(url)
    async with AsyncExitStack() as stack:
        store: AbstractAsyncContextManager[Store]
        if url == "memory:":
            store = open_memory_store(clock=clock, entropy=entropy)
        elif is_shared(url):
            with _extra("postgres"):
                from .adapters.postgres import open_postgres_store  # noqa: PLC0415 - if asked for
            store = open_postgres_store(url, clock=clock, entropy=entropy, limits=limits)
        else:
            path = Path(url.removeprefix("sqlite:"))
            store = open_sqlite_store(path, clock=clock, entropy=entropy, limits=limits)
        yield await stack.enter_async_context(store)


@asynccontextmanager
async def open_bus(
    url: str, *, store: str = "", entropy: Entropy, limits: Limits
) -> AsyncIterator[Bus | None]:
    """Open the bus that `url` names: `redis://…`, `postgresql:`, `postgresql://…` or `memory:`.

    Args:
        url: several Redis servers are separated by commas; empty: PostgreSQL's own if the store
            is on PostgreSQL, else none.
        store: the store's URL; empty: it has none.
        entropy: the source of chance.
        limits: every bound.

    Returns:
        None where there can be no other nodes.

    Raises:
        ConfigurationError: it names none, it is of no use with this store, or what it needs is
            not installed.
    """
    with _said_of("bus"):
        check_bus(url, store)
    whole = bus_of(url, store)
    async with AsyncExitStack() as stack:
        bus: AbstractAsyncContextManager[Bus]
        if is_shared(whole):
            with _extra("postgres"):
                from .adapters.postgres import open_postgres_bus  # noqa: PLC0415 - if asked for
            bus = open_postgres_bus(whole, entropy=entropy, limits=limits)
        elif whole != "memory:":
            with _extra("redis"):
                from .adapters.redis import open_redis_bus  # noqa: PLC0415 - if asked for
            bus = open_redis_bus(split_urls(whole), entropy=entropy, limits=limits)
        elif is_shared(store):
            # Others may write to it all the same, if only while one server follows another: a
            # node among others looks at the store for what nobody rings.
            logger.warning(
                "bus: with `memory:` there should be one node on %s; messages of another one "
                "come seconds late, and presence, typing and signals never",
                masked(store),
            )
            bus = open_memory_bus(MemoryBus())
        else:
            yield None
            return
        yield await stack.enter_async_context(bus)


@asynccontextmanager
async def open_limiter(url: str, *, entropy: Entropy, limits: Limits) -> AsyncIterator[Limiter]:
    """Open the limiter that goes with a bus: `redis://…`, or what each node has for itself.

    Args:
        url: of the bus; see `open_bus`.
        entropy: the source of chance.
        limits: every bound.

    Raises:
        ConfigurationError: it names none, or what it needs is not installed.
    """
    async with AsyncExitStack() as stack:
        if url in ("", "memory:", "postgresql:") or is_shared(url):
            # Nodes that hear each other by PostgreSQL alone bound alone: a row written for each
            # request would cost more than what it bounds.
            yield MemoryLimiter()
            return
        with _extra("redis"):
            from .adapters.redis import open_redis_limiter  # noqa: PLC0415 - if asked for
        limiter = open_redis_limiter(split_urls(url), entropy=entropy, limits=limits)
        yield await stack.enter_async_context(limiter)


@contextmanager
def _said_of(setting: str) -> Iterator[None]:
    try:
        yield
    except ConfigurationError as error:
        raise ConfigurationError(f"{setting}: {error}") from None


@contextmanager
def _extra(name: str) -> Iterator[None]:
    """Say what to install where an adapter lacks its packages."""
    try:
        yield
    except ImportError as error:
        raise ConfigurationError(f"{error}; install `triolet[{name}]`") from None


@asynccontextmanager
async def open_engine(
    store: str | Store = "memory:",
    *,
    gate: Gate | None = None,
    limits: Limits | None = None,
    bus: str | Bus = "",
    addresses: AddressRules | None = None,
) -> AsyncIterator[Engine]:
    """Run an engine for as long as the block lasts.

    Args:
        store: `memory:`, `sqlite:PATH`, `postgresql://…`, or a store of your own.
        gate: who is who, for connections over sockets; without one only `connect` works.
        limits: every bound; `Limits()` if not given.
        bus: what joins this engine to others on the same store: `redis://…` (several Redis
            servers: comma separated), `postgresql:` (the store's database; what it is on
            PostgreSQL if not given), or a bus of your own.
        addresses: which proxies are trusted, and who may connect at all.

    Raises:
        ConfigurationError: a URL is none, they do not go together, what they need is not
            installed, or the store's data is in use.
        SchemaTooNew: the data was written by a newer Triolet.
        StoreError: the store cannot be reached.

    >>> async def main() -> None:
    ...     async with open_engine() as engine, engine.connect("anna") as anna:
    ...         room = await anna.create("group", title="Tea")
    ...         await anna.send(room.room, {"text": "hello"})
    """
    limits = limits or Limits()
    clock, entropy = SystemClock(), SystemEntropy()
    async with AsyncExitStack() as stack:
        url = store if isinstance(store, str) else ""
        if isinstance(store, str):
            opened = open_store(store, clock=clock, entropy=entropy, limits=limits)
            store = await stack.enter_async_context(opened)
        joined: Bus | None
        if isinstance(bus, str):
            ringing = open_bus(bus, store=url, entropy=entropy, limits=limits)
            joined = await stack.enter_async_context(ringing)
        else:
            joined = bus
        engine = Engine(
            store=store,
            gate=gate or ClosedGate(),
            clock=clock,
            entropy=entropy,
            limits=limits,
            bus=joined,
            addresses=addresses,
        )
        yield await stack.enter_async_context(engine)
