"""The engine: owns every task, and wires rooms, sessions, presence and the store together.

`async with Engine(…) as engine:` — when the block ends, everything has ended.
"""

import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from types import TracebackType
from typing import Self

import trio

from .._domain.addresses import AddressRules
from .._model.errors import StoreError
from .._model.limits import Limits, told
from .._model.observation import Post
from ..ports.bus import Bus
from ..ports.clock import Clock, Entropy
from ..ports.gate import Gate, Identity, Opening
from ..ports.store import Store
from . import ops  # noqa: F401 - fills the table of handlers
from .applied import applied, membership_moved
from .asking import Asking
from .binding import bind
from .connection import Connection
from .counters import Counters
from .departure import Departure
from .doorbells import Doorbells, RoomChannels
from .edge import Edge, Fallback
from .entrance import Entrance
from .erasure import Erasure
from .export import Export
from .failing import is_alone
from .feed import Feeder
from .flusher import Flusher
from .forwarding import Forwarding
from .heartbeat import Heartbeat
from .hub import Hub
from .jobs import Jobs
from .keeping import Keeping
from .marks import Marks
from .nodes import Nodes
from .online import Online
from .outbox import Outbox
from .oversight import Oversight
from .pipe import IN_PROCESS, Carriage, Pipe
from .poller import Poller, Watcher
from .presence import Presence
from .relay import Relay
from .room import Cursor
from .sequencer import Sequencer
from .session import Session
from .sight import Sight
from .states import States
from .statistics import Statistics, statistics_of
from .turn import Turn
from .vigilance import Vigilance
from .writer import Writer

logger = logging.getLogger(__name__)


class Engine:
    """One node. See the module.

    Args:
        store: where everything durable is kept; outlives the engine.
        gate: who is who.
        clock: the wall clock.
        entropy: the source of names and of chance.
        limits: every bound.
        poller: what tells when sockets are ready, if not the system.
        bus: this node's connection to others with the same store; it outlives the engine.
        addresses: which proxies are trusted, and who may connect at all.
        post: which one it is of those that share a port; None: it has one for itself.

    Attributes:
        vigilance: None: nobody looks for bots, and it costs nothing.
    """

    def __init__(
        self,
        *,
        store: Store,
        gate: Gate,
        clock: Clock,
        entropy: Entropy,
        limits: Limits,
        poller: Watcher | None = None,
        bus: Bus | None = None,
        addresses: AddressRules | None = None,
        post: Post | None = None,
    ) -> None:
        self.store, self.gate = store, gate
        self.clock, self.entropy = clock, entropy
        self.limits = limits
        self.limits_told = told(limits)
        self.counters = counters = Counters()
        self.vigilance: Vigilance | None = None
        self.nodes = None if bus is None else Nodes(bus, entropy, limits, counters)
        self.flusher, self.marks = Flusher(counters), Marks(store, limits)
        self.presence = Presence(store, clock, limits, nodes=self.nodes)
        self.feeder, self.states = Feeder(self.presence, limits), States(limits)
        self.hub = Hub(
            store,
            self.flusher,
            limits,
            applied=partial(applied, self),
            membership_moved=partial(membership_moved, self),
            marks=self.marks,
            channels=None if self.nodes is None else RoomChannels(self.nodes),
        )
        self.sequencer = Sequencer(
            store, self.hub, limits, flusher=self.flusher, now=trio.current_time, counters=counters
        )
        self.writer = Writer(self.sequencer, self.hub, self.feeder, self.spawn)
        self._keeping = Keeping(store, self.hub, self.feeder, clock, limits)
        self.jobs = Jobs(store.jobs, clock, entropy, limits, self.nodes)
        self.heartbeat = Heartbeat(clock, limits, counters)
        self.entrance = Entrance(self, addresses)
        self.admission, self.bans = self.entrance.admission, self.entrance.bans
        self.revoke = self.entrance.revocations.revoke
        self._asking = asking = Asking(self)
        self.admit, self.ask, self.ask_each = asking.admit, asking.ask, asking.ask_each
        self.view, self.members, self.search = asking.view, asking.members, asking.search
        self.forward = Forwarding(self.presence, self.nodes).forward
        self.sight, self.erasure = Sight(self), Erasure(self)
        self.erase, self.export = self.erasure.erase, Export(store).export
        self.presence_of = self.sight.presence_of
        self.relay = None if self.nodes is None else self._join(self.nodes)
        self.oversight = Oversight(self, counters, self.spawn, post)
        self.observe, self.announce = self.oversight.observe, self.oversight.announce
        online = Online(self, self.oversight.roll)
        self.online, self.online_count = online.page, online.count
        leaving = (self.heartbeat, self.sequencer, self.nodes, entropy, limits)
        self._departure = Departure(*leaving, jobs=self.jobs)
        self.require_running = self._departure.check
        self._stack = AsyncExitStack()
        self._nursery: trio.Nursery | None = None
        # Where connections run, while there may be new ones; they end before what they need does.
        self.connection_nursery: trio.Nursery | None = None
        self._poller: Watcher = poller or self._own_poller()
        self.turn = self._poller.turn = Turn(self.sequencer, self.flusher)

    def _join(self, nodes: Nodes) -> Relay:
        """Have rooms and states told to other nodes, and heard from them."""
        Doorbells(nodes, self.hub, self.sequencer, self._keeping)
        return Relay(nodes, self.store, self.hub, self.states, self.feeder, limits=self.limits)

    # --- living ------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self._stack.__aenter__()
        await self._stack.enter_async_context(self._running())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        try:
            return await self._stack.__aexit__(kind, error, trace)
        except BaseExceptionGroup as group:
            if error is None or not is_alone(error, group):
                raise
            # The nurseries are ours: what the block raised leaves it as it was.
            return False

    @asynccontextmanager
    async def _running(self):  # type: ignore[no-untyped-def]  # noqa: ANN202
        # What writes goodbyes and commits outlives connections, also where all is cancelled.
        services, begun = trio.CancelScope(shield=True), trio.Event()
        async with trio.open_nursery() as core:
            core.start_soon(self._serve, services, begun)
            try:
                await begun.wait()
                await self.bans.begun.wait()
                async with trio.open_nursery() as connections:
                    self.connection_nursery = connections
                    connections.start_soon(self.heartbeat.keep)
                    try:
                        yield
                    finally:
                        self._departure.is_begun = True
                        # While its handlers may be connected.
                        await self.jobs.leave()
                        self.connection_nursery = None
                        connections.cancel_scope.cancel()
            finally:
                with trio.CancelScope(shield=True) as farewell:
                    farewell.deadline = trio.current_time() + self.limits.append_deadline_s
                    await self._settle()
                services.cancel()

    async def _serve(self, scope: trio.CancelScope, begun: trio.Event) -> None:
        with scope:
            async with trio.open_nursery() as self._nursery:
                for run in (
                    self._poller.run,
                    self.flusher.run,
                    self.marks.run,
                    self.presence.run,
                    self.sight.run,
                    self.feeder.run,
                    self.states.run,
                    self.hub.run,
                    self.sequencer.run,
                    self._keeping.run,
                    self.heartbeat.run,
                    self.entrance.run,
                    self.oversight.dashboard.run,
                    self.jobs.run,
                    *(() if self.relay is None else (self.relay.run,)),
                ):
                    self._nursery.start_soon(run)
                await trio.lowlevel.checkpoint()
                await trio.lowlevel.checkpoint()
                begun.set()

    async def _settle(self) -> None:
        """Commit and write what was accepted."""
        await self.sequencer.wait_idle()
        try:
            await self.marks.flush()
            await self.presence.flush()
        except StoreError as error:
            logger.warning("marks and last-seen times of the last second are lost: %s", error)
        await self.presence.leave()
        if self.nodes is not None:
            await self.nodes.leave()

    def spawn(self, function: Callable[[], Awaitable[object]]) -> None:
        """Run something that ends with the engine."""
        assert self._nursery is not None, "the engine is not running"
        self._nursery.start_soon(function)

    def give_way(self) -> None:
        """Do what has come over WebSockets: for those who work for long in one step beside it."""
        self._poller.glance()

    def _own_poller(self) -> Poller:
        poller = Poller()
        self.flusher.look = poller.look
        return poller

    async def listen(
        self,
        host: str,
        port: int,
        *,
        origins: Sequence[str] = (),
        fallback: Fallback | None = None,
        is_shared: bool = False,
    ) -> tuple[str, int]:
        """Serve WebSockets on `/ws` of a port, until the engine ends or drains.

        Args:
            host: a name or an address; every address of a name is bound.
            port: 0 lets the system choose.
            origins: web origins that may connect beside those of the same host.
            fallback: gets every connection that is no WebSocket upgrade on `/ws`, unread.
            is_shared: other processes may listen there as well, and share the connections.

        Returns:
            The first address bound, and its port.

        Raises:
            OSError: an address cannot be had.
        """
        socks = await bind(host, port, is_shared=is_shared)
        self.listen_on(socks, origins=origins, fallback=fallback)
        bound = socks[0].getsockname()
        return str(bound[0]), int(bound[1])

    def listen_on(
        self,
        socks: Sequence[socket.socket],
        *,
        origins: Sequence[str] = (),
        fallback: Fallback | None = None,
    ) -> None:
        """Serve on sockets that listen already; see `listen`. They are closed with the engine."""
        assert self.connection_nursery is not None, "the engine is not running"
        edge = Edge(self, self._poller, self.connection_nursery, origins=origins, fallback=fallback)
        edge.listen(socks)
        self._departure.edges.append(edge)

    # --- sessions ----------------------------------------------------------------------

    def open_session(
        self,
        connection: Connection,
        outbox: Outbox,
        opening: Opening,
        *,
        token: str | None,
        identity: Identity | None = None,
    ) -> Session:
        """Begin a session for a connection, which ends it.

        Args:
            connection: what carries it, and is told when it must end.
            outbox: what is written to the connection.
            opening: what is known of it.
            token: the one that came with the upgrade, if any.
            identity: who it is, where the host vouches for it; then no token is asked.
        """
        return Session(self, connection, outbox, opening, token=token, identity=identity)

    def open_pipe(self, identity: Identity, carriage: Carriage = IN_PROCESS) -> Pipe:
        """Begin a connection without a socket for somebody the host vouches for."""
        assert self.connection_nursery is not None, "the engine is not running"
        pipe = Pipe(self, identity, carriage)
        self.connection_nursery.start_soon(pipe.run)
        return pipe

    def session_ended(self, session: Session) -> None:
        """Let go of what the engine holds of a session."""
        self.feeder.forget(session)
        self.oversight.dashboard.unwatch(session)
        if self.relay is not None:
            self.relay.gone(session)
        if session.present is not None:
            self.presence.depart(session)
            self.counters.departed(len(session.present.sessions))

    def check_hello(self) -> float:
        """Admit one hello of the node's rate; return how long it must wait for its turn, s.

        Raises:
            Refusal: `RATE_LIMITED`, to come back spread over the time the queue needs, or
                `SHUTTING_DOWN`.
        """
        self._departure.check()
        return self.admission.check_rate()

    def left(self, cursor: Cursor) -> None:
        """A cursor has gone from its room."""
        self.counters.cursors -= 1
        cursor.room.retire_seat(cursor.seat.user)
        self.hub.released(cursor.room)

    # --- leaving -----------------------------------------------------------------------

    def ready(self) -> bool:
        """Whether new connections are welcome."""
        return not self.why_not_ready()

    def why_not_ready(self) -> str:
        """Return why new connections are not welcome, in a word; empty: they are.

        `draining`: it leaves, or does not run. Among other nodes also `store`: it cannot ask the
        store who is banned, and `bus`: it does not hear itself, so it hears nobody. Where only
        some servers of the bus are gone it is ready: `statistics` says which, and so does the log.
        """
        if self._nursery is None or self._departure.is_begun:
            return "draining"
        if self.entrance.is_blind:
            return "store"
        return "bus" if self.nodes is not None and self.nodes.is_deaf else ""

    async def drain(self) -> None:
        """Leave: tell clients when to come back, commit what was accepted, close with 1012."""
        await self._departure.leave()

    @property
    def is_draining(self) -> bool:
        """Whether it has begun to leave."""
        return self._departure.is_begun

    def statistics(self) -> Statistics:
        """Return what the engine is doing now."""
        return statistics_of(self)
