"""Opening: what is on Redis, for the length of a block. Here alone `hiredis` is needed."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

import trio

from ..._model.errors import ConfigurationError
from ..._model.limits import Limits
from ...ports.bus import Bus
from ...ports.clock import Entropy
from ...ports.limiter import Limiter
from .address import Address, parse_address

if TYPE_CHECKING:
    from .server import Server


@asynccontextmanager
async def open_redis_bus(
    urls: Sequence[str], *, entropy: Entropy, limits: Limits
) -> AsyncIterator[Bus]:
    """Connect one node to a bus over Redis or Valkey servers.

    It opens also while servers cannot be reached; they are tried again until it closes.

    Args:
        urls: each as `address.parse_address` reads them; the same in the same order for all
            nodes.
        entropy: names the connections, and spreads the attempts to connect.
        limits: how long is waited for what, and how much waits.

    Raises:
        ConfigurationError: a URL is none, `hiredis` is not installed, or a server refuses the
            connection: the password is wrong, or the server is older than Redis 6.
    """
    addresses = _addresses(urls)
    from .bus import RedisBus  # noqa: PLC0415 - only where it is opened: it needs `hiredis`

    bus = RedisBus(addresses, entropy, limits)
    async with _connected(bus.connections):
        yield bus


@asynccontextmanager
async def open_redis_limiter(
    urls: Sequence[str], *, entropy: Entropy, limits: Limits
) -> AsyncIterator[Limiter]:
    """Share rates with other nodes over Redis or Valkey servers.

    It opens also while servers cannot be reached; then each node bounds alone.

    Args:
        urls: see `open_redis_bus`.
        entropy: see `open_redis_bus`.
        limits: how long is waited for what.

    Raises:
        ConfigurationError: see `open_redis_bus`.
    """
    addresses = _addresses(urls)
    from .limiter import RedisLimiter  # noqa: PLC0415 - only where it is opened, too

    limiter = RedisLimiter(addresses, entropy, limits)
    async with _connected(limiter.connections):
        yield limiter


def _addresses(urls: Sequence[str]) -> list[Address]:
    addresses = [parse_address(url) for url in urls]
    if not addresses:
        raise ConfigurationError("bus: not one URL of a Redis server")
    if find_spec("hiredis") is None:
        raise ConfigurationError("bus: Redis needs `hiredis`: install `triolet[redis]`")
    return addresses


@asynccontextmanager
async def _connected(servers: "Sequence[Server]") -> AsyncIterator[None]:
    """Keep connections for a block, which begins when each has been tried once."""
    async with running([server.run for server in servers]):
        for server in servers:
            await server.tried.wait()
        for server in servers:
            if server.refused:
                raise ConfigurationError(f"bus: {server.address} refuses: {server.refused}")
        yield


@asynccontextmanager
async def running(tasks: Sequence[Callable[[], Awaitable[None]]]) -> AsyncIterator[None]:
    """Run tasks beside a block; what the block raises leaves it as it was raised."""
    failure: BaseException | None = None
    async with trio.open_nursery() as nursery:
        for task in tasks:
            nursery.start_soon(task)
        try:
            yield
        except BaseException as error:  # noqa: BLE001 - it is raised again below
            failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
