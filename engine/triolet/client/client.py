"""The client: one typed API over a connection that comes back by itself."""

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Literal, TypeVar, final

import trio
from msgspec import Struct

from .._model.commands import Command, Position
from .._model.errors import ConnectionClosed
from .._model.events import Reply, Welcome
from .._wire.codec import Format
from ..adapters.system import SystemEntropy
from ..ports.clock import Entropy
from ._driver import Driver
from ._effects import ClientEvent, Effect
from ._events_link import EventsDialer
from ._following import Verdict
from ._link import Dialer, WebSocketDialer
from ._token import TokenProvider, TokenSource
from .backoff import Backoff
from .limits import ClientLimits
from .operations import Operations
from .room import Room
from .state import ABNORMAL, State
from .streams import EventStream

_T = TypeVar("_T", bound=Reply)


@final
class Statistics(Struct, frozen=True, kw_only=True):
    """What a client counts; the first seven since it was made, the others now.

    Attributes:
        connections: welcomes received.
        entries: entries given to streams.
        duplicates: entries dropped because they were had before.
        gaps: entries that did not follow their predecessor; the room was asked for again.
        holds: times a room was put on hold because nobody took its entries.
        strays: entries of rooms not followed, or of a cursor already replaced.
        events_dropped: signals and announcements that found a stream full.
        unanswered: callers' requests without an answer.
        inflight: requests sent without an answer.
        rooms: followed rooms.
        rooms_held: followed rooms on hold.
    """

    connections: int
    entries: int
    duplicates: int
    gaps: int
    holds: int
    strays: int
    events_dropped: int
    unanswered: int
    inflight: int
    rooms: int
    rooms_held: int


@final
class Client(Operations):
    """Somebody's connection to an engine; made by `connect` or `open_client`.

    What happens when the connection is lost is written at `connect`.
    """

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def _ask(self, command: Command, *kinds: type[_T]) -> _T:
        return await self._driver.ask(command, *kinds)

    # --- events ------------------------------------------------------------------------

    def events(self) -> EventStream[ClientEvent]:
        """Return a stream of everything the server tells from now on.

        That is the entries of all followed rooms and every other event of the protocol;
        after a reconnection also `Synced`: the user's rooms that moved or went meanwhile.
        How streams are bounded is written in `triolet.client.streams`.
        """
        return self._driver.streams.events()

    def room_events(self, room: str, *, since: Position | None = None) -> EventStream[ClientEvent]:
        """Return a stream of what happens in one room, followed at its first use."""
        return self.room(room).events(since=since)

    def room(self, name: str) -> Room:
        """Return a room by name, for its operations and entries."""
        return Room(name, self, self._driver.streams, self._driver.desk.following)

    def position(self, room: str) -> Position | None:
        """Return the last `(epoch, seq)` given to the streams; None: it is not followed."""
        return self._driver.desk.following.position(room)

    # --- the connection ----------------------------------------------------------------

    @property
    def state(self) -> State:
        """Where the connection stands."""
        return self._driver.session.state

    def states(self) -> "States":
        """Return the states from the present one on: `async for state in client.states()`."""
        return States(self._driver)

    async def wait_online(self) -> None:
        """Wait until there is a connection.

        Raises:
            ConnectionClosed: there will be none any more.
        """
        await trio.lowlevel.checkpoint()
        while self.state is not State.ONLINE:
            if self.state is State.CLOSED:
                raise self.last_close or ConnectionClosed(ABNORMAL)
            await self._driver.wait_state_changed()

    @property
    def last_close(self) -> ConnectionClosed | None:
        """How the last connection, or attempt at one, ended; None if none has yet."""
        closed = self._driver.session.closed
        return None if closed is None else ConnectionClosed(closed.code, closed.reason)

    @property
    def retry_delay_s(self) -> float:
        """How long the client waits, from when it went offline, before it tries again."""
        return self._driver.session.retry_delay_s

    @property
    def welcome(self) -> Welcome | None:
        """What the server last said in greeting; None before the first time."""
        return self._driver.session.welcome

    @property
    def user(self) -> str:
        """Who I am to the server; empty before the first welcome."""
        return self._driver.desk.user

    def statistics(self) -> Statistics:
        """Return what the client counts."""
        session, desk = self._driver.session, self._driver.desk
        counts = session.verdicts
        return Statistics(
            connections=session.connections,
            entries=counts[Verdict.NEXT],
            duplicates=counts[Verdict.DUPLICATE],
            gaps=counts[Verdict.GAP] + counts[Verdict.STUCK],
            holds=counts[Verdict.HELD],
            strays=counts[Verdict.STRAY],
            events_dropped=self._driver.streams.dropped,
            unanswered=desk.requests.count,
            inflight=desk.requests.inflight,
            rooms=len(desk.following.rooms),
            rooms_held=len(desk.following.held()),
        )


@final
class States:
    """The states of a connection, from the present one to CLOSED; who is slow sees the latest."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._seen: State | None = None

    def __aiter__(self) -> "States":
        return self

    async def __anext__(self) -> State:
        if self._seen is State.CLOSED:
            raise StopAsyncIteration
        await trio.lowlevel.checkpoint()
        while self._driver.session.state is self._seen:
            await self._driver.wait_state_changed()
        self._seen = self._driver.session.state
        return self._seen


@asynccontextmanager
async def connect(
    url: str,
    *,
    token: str | TokenProvider | None = None,
    device: str = "",
    form: Format = "msgpack",
    backoff: Backoff | None = None,
    limits: ClientLimits | None = None,
    transport: Literal["websocket", "sse"] = "websocket",
    ssl_context: ssl.SSLContext | None = None,
    connect_timeout_s: float = 30,
    start_offline: bool = False,
) -> AsyncIterator[Client]:
    """Be connected to a server for the length of an `async with` block.

    When the connection is lost, the client comes back: it waits (`backoff`), greets, asks what
    has changed (`sync`), follows its rooms from their positions, says its watches, presence,
    typing and marks again, and sends every unanswered request again, in the order of asking,
    under the same `cid`. Callers just wait longer. Entries come once each, in order.

    It is over for good when the block ends, when the server closes with 4001 or 4003,
    and when it closes with 4002 and there is no provider to ask for another token.

    Args:
        url: `ws://host:port/ws` or the like; see `WebSocketDialer`.
        token: what `hello` carries; or a provider, sync or async, which is asked at first
            and whenever the token has expired or is about to.
        device: this device's name, kept across connections; empty: the server gives one.
        form: how payloads are encoded; JSON with `sse`.
        backoff: when to come back.
        limits: the bounds.
        transport: `sse` where no WebSocket passes: server-sent events, and requests beside them.
        ssl_context: for `wss:`, if not Python's default.
        connect_timeout_s: how long the first welcome may take.
        start_offline: enter the block at once, and let requests wait for the connection.

    Raises:
        ConnectionClosed: the server will not have us, or did not answer in time.
        ConfigurationError: the URL is none.

    >>> from triolet import Message, connect
    >>> async def wave(url: str, token: str) -> None:
    ...     async with connect(url, token=token) as client:
    ...         room = client.room("lobby")
    ...         async for entry in room:
    ...             if isinstance(entry.fact, Message):
    ...                 await room.react(entry.seq, "👋")
    """
    limits = limits or ClientLimits()
    async with _nursery() as links:
        dialer: Dialer
        if transport == "sse":
            form = "json"
            dialer = EventsDialer(url, links, limits, ssl_context=ssl_context)
        else:
            dialer = WebSocketDialer(url, form, links, limits, ssl_context=ssl_context)
        async with open_client(
            dialer,
            token=token,
            device=device,
            form=form,
            backoff=backoff,
            limits=limits,
            connect_timeout_s=connect_timeout_s,
            start_offline=start_offline,
        ) as client:
            yield client


@asynccontextmanager
async def open_client(
    dialer: Dialer,
    *,
    token: str | TokenProvider | None = None,
    device: str = "",
    form: Format = "msgpack",
    backoff: Backoff | None = None,
    limits: ClientLimits | None = None,
    entropy: Entropy | None = None,
    connect_timeout_s: float = 30,
    start_offline: bool = False,
    witness: Callable[[Effect], None] | None = None,
) -> AsyncIterator[Client]:
    """Be connected by way of any dialer: an engine in this process, a simulated network.

    Args and errors are those of `connect`; `entropy` is the only source of chance;
    `witness` is told first of everything that callers and streams are given, in order.
    """
    driver = Driver(
        dialer,
        form=form,
        tokens=TokenSource(token),
        device=device,
        backoff=backoff or Backoff(),
        limits=limits or ClientLimits(),
        entropy=entropy or SystemEntropy(),
        witness=witness,
    )
    client = Client(driver)
    async with _nursery() as nursery:
        scope, stopped = trio.CancelScope(), trio.Event()
        nursery.start_soon(_run, driver, scope, stopped)
        try:
            if not start_offline:
                await _wait_first(client, connect_timeout_s)
            yield client
        finally:
            driver.end()
            scope.cancel()
            # The farewell to the server, `close_timeout_s` at most.
            with trio.CancelScope(shield=True):
                await stopped.wait()


async def _run(driver: Driver, scope: trio.CancelScope, stopped: trio.Event) -> None:
    try:
        with scope:
            await driver.run()
    finally:
        stopped.set()


async def _wait_first(client: Client, timeout_s: float) -> None:
    with trio.move_on_after(timeout_s) as scope:
        await client.wait_online()
    if scope.cancelled_caught:
        last = client.last_close
        raise ConnectionClosed(ABNORMAL, f"not connected within {timeout_s} s: {last}")


@asynccontextmanager
async def _nursery() -> AsyncIterator[trio.Nursery]:
    """Open a nursery whose lone error comes out as it went in, with no group around it."""
    try:
        async with trio.open_nursery() as nursery:
            yield nursery
    except BaseExceptionGroup as group:
        if len(group.exceptions) > 1:
            raise
        error = group.exceptions[0]
        context = error.__context__
        try:
            raise error
        finally:
            # Else the error's context would be the group that it is in.
            error.__context__ = context
            del error, context
