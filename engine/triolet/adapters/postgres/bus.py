"""A bus over PostgreSQL's LISTEN and NOTIFY, where there is no Redis.

For a few nodes. They all listen on one channel, and each keeps what it follows: so to follow
asks nobody, and what is rung in one call goes in as few notifications as it can. The price is
that each node reads what is rung for the others, 1.5 µs a doorbell; and every call passes
one lock of the server at its commit, whoever rings.

LISTEN needs a session of its own: the URL leads to PostgreSQL itself, or to a pooler in session
mode.
"""

import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final, final

import trio
from msgspec import structs

from ..._model.errors import BusUnavailable, ConfigurationError, StoreError
from ..._model.limits import Limits
from ...ports.bus import FRAME_BYTES_MAX, STATE_BYTES_MAX, Bus, Doorbell, Heard
from ...ports.clock import Entropy
from . import told
from .address import parse
from .listener import Listener
from .packets import Kept, Unpacking, pack
from .pool import Pool, open_pool
from .statement import Rows, Statement
from .tasks import open_tasks

logger = logging.getLogger(__name__)

# What waits for one node: a second of a busy bus, and less than its rings may hold.
QUEUE_DOORBELLS_MAX: Final = 10_000
QUEUE_BYTES_MAX: Final = 16 * 1024 * 1024


@final
class PostgresBus:
    """One node's connection; see `ports.bus.Bus`. Made by `open_postgres_bus`."""

    def __init__(self, pool: Pool, *, token: bytes) -> None:
        self._pool = pool
        self._unpacking = Unpacking()
        # The name of each channel that is followed, by its bytes.
        self._wanted: dict[bytes, str] = {}
        self._calls = 0
        self._queue: list[Doorbell] = []
        self._queue_bytes = 0
        self._reconnected = False
        self._has_heard = False
        self._news = trio.Event()
        self._is_up: Callable[[], bool] = lambda: False
        self._token = token
        self._heard_token = trio.Event()

    @property
    def parts(self) -> Sequence[str]:
        """See `Bus`: it is of one piece."""
        return ("PostgreSQL",)

    def part_of(self, channel: str) -> int:
        """See `Bus`."""
        del channel
        return 0

    # --- doorbells -----------------------------------------------------------------------

    async def ring(self, doorbells: Sequence[Doorbell]) -> None:
        """See `Bus`."""
        for doorbell in doorbells:
            if len(doorbell.frame) > FRAME_BYTES_MAX:
                raise ValueError(f"a frame has at most {FRAME_BYTES_MAX} bytes")
        if doorbells:
            payloads, frames = pack(self._calls, doorbells)
            self._calls += len(doorbells)
            if any(frame is not None for frame in frames):
                await self._run(told.RING_LONG, payloads, frames)
            else:
                await self._run(told.RING, payloads)

    async def follow(self, channels: Sequence[str]) -> None:
        """See `Bus`."""
        self._wanted |= {channel.encode(): channel for channel in channels}
        await trio.lowlevel.checkpoint()
        if not self._is_up():
            raise BusUnavailable("the bus does not hear now")

    async def unfollow(self, channels: Sequence[str]) -> None:
        """See `Bus`."""
        for channel in channels:
            self._wanted.pop(channel.encode(), None)
        await trio.lowlevel.checkpoint()

    async def receive(self) -> Heard:
        """See `Bus`."""
        await trio.lowlevel.checkpoint()
        while not (self._queue or self._reconnected):
            self._news = trio.Event()
            await self._news.wait()
        heard = Heard(tuple(self._queue), self._reconnected)
        self._queue, self._queue_bytes, self._reconnected = [], 0, False
        return heard

    # --- leases --------------------------------------------------------------------------

    async def take_lease(self, lease: str, *, ttl_s: float) -> None:
        """See `Bus`."""
        await self._run(told.TAKE, lease, ttl_s)

    async def renew_lease(self, lease: str, *, ttl_s: float) -> bool:
        """See `Bus`."""
        return bool(await self._run(told.RENEW, lease, ttl_s))

    async def end_lease(self, lease: str) -> None:
        """See `Bus`."""
        await self._run(told.END, lease)

    async def leases(self) -> list[str]:
        """See `Bus`."""
        return [lease for (lease,) in await self._run(told.LIVING)]

    async def put_states(self, lease: str, states: Mapping[str, bytes]) -> None:
        """See `Bus`."""
        for state in states.values():
            if len(state) > STATE_BYTES_MAX:
                raise ValueError(f"a state has at most {STATE_BYTES_MAX} bytes")
        known = {user: state for user, state in states.items() if state}
        gone = [user for user in states if user not in known]
        await self._run(told.PUT, lease, gone, list(known), list(known.values()))

    async def states(self, users: Sequence[str]) -> list[dict[str, bytes]]:
        """See `Bus`."""
        found: dict[str, dict[str, bytes]] = {}
        for user, lease, state in await self._run(told.STATES, users):
            found.setdefault(user, {})[lease] = state
        return [found.get(user, {}) for user in users]

    async def _run(self, statement: Statement, *parameters: object) -> Rows:
        try:
            return await self._pool.run(statement, *parameters)
        except StoreError as error:
            raise BusUnavailable(f"the bus on PostgreSQL: {error}") from error

    # --- what is heard ---------------------------------------------------------------------

    async def listen(self, listener: Listener, *, within_s: float) -> None:
        """Wait until the listener has tried, and make sure that it hears if it is up.

        Args:
            listener: ours, from now on.
            within_s: who has not heard itself by then is deaf.

        Raises:
            ConfigurationError: it is up and deaf: there is a pooler between.
        """
        self._is_up = lambda: listener.is_up
        await listener.tried.wait()
        if not listener.is_up:
            return
        try:
            with trio.move_on_after(within_s):
                await self._run(told.RING, [self._token.decode()])
                await self._heard_token.wait()
                return
        except BusUnavailable:
            # It went down meanwhile; the listener will be back.
            return
        if listener.is_up:
            raise ConfigurationError(
                "the bus on PostgreSQL does not hear itself: LISTEN needs a URL that leads to "
                "PostgreSQL itself, not to a pooler in transaction mode"
            )

    async def hear(self, sender: int, payload: bytes) -> None:
        """Take in what a notification carries, if it is followed."""
        if payload == self._token:
            self._heard_token.set()
            return
        for channel, found in self._unpacking.feed(sender, payload, self._wanted):
            frame = await self._fetched(found) if isinstance(found, Kept) else found
            # It may have been unfollowed meanwhile.
            if frame is not None and channel in self._wanted:
                self._queue.append(Doorbell(self._wanted[channel], frame))
                self._queue_bytes += len(frame)
        if len(self._queue) > QUEUE_DOORBELLS_MAX or self._queue_bytes > QUEUE_BYTES_MAX:
            self._queue, self._queue_bytes, self._reconnected = [], 0, True
        if self._queue or self._reconnected:
            self._news.set()

    async def _fetched(self, kept: Kept) -> bytes | None:
        """Return a long frame; None: it is not to be had, and something was missed."""
        try:
            for (frame,) in await self._run(told.FETCH, kept.id):
                return bytes(frame)
        except BusUnavailable as error:
            logger.warning("a frame is lost: %s", error)
        self._reconnected = True
        return None

    def come_back(self) -> None:
        """The listener hears, from now on; what was rung before may have been missed."""
        self._reconnected, self._has_heard = self._has_heard, True
        self._unpacking = Unpacking()
        self._news.set()


@asynccontextmanager
async def open_postgres_bus(url: str, *, entropy: Entropy, limits: Limits) -> AsyncIterator[Bus]:
    """Be a node on the bus of a database (and schema) for as long as the block lasts.

    A database that cannot be reached is no error: the bus is down until it can.

    Raises:
        ConfigurationError: the URL is none, or LISTEN does not work through it.
    """
    bounds = structs.replace(
        limits,
        postgres_connections_max=limits.postgres_bus_connections_max,
        postgres_wait_s=limits.bus_timeout_s,
        postgres_answer_s=limits.bus_timeout_s,
        postgres_connect_timeout_s=limits.bus_timeout_s,
    )
    opened = open_pool(url, entropy=entropy, limits=bounds)
    async with opened as pool, open_tasks() as nursery:
        bus = PostgresBus(pool, token=entropy.token().encode())
        listener = Listener(
            parse(url),
            heard=bus.hear,
            came_back=bus.come_back,
            entropy=entropy,
            limits=bounds,
        )
        nursery.start_soon(listener.run)
        await bus.listen(listener, within_s=limits.canary_timeout_s)
        yield bus
