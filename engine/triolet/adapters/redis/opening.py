"""Opening: what is on Redis, for the length of a block. Here alone `hiredis` is needed."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from importlib.util import find_spec

import trio

from ..._model.errors import ConfigurationError
from ..._model.limits import Limits
from ...ports.bus import Bus
from ...ports.clock import Entropy
from .address import parse_address


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
    addresses = [parse_address(url) for url in urls]
    if not addresses:
        raise ConfigurationError("bus: not one URL of a Redis server")
    if find_spec("hiredis") is None:
        raise ConfigurationError("bus: Redis needs `hiredis`: install `triolet[redis]`")
    from .bus import RedisBus  # noqa: PLC0415 - only where it is opened: it needs `hiredis`

    bus = RedisBus(addresses, entropy, limits)
    async with running([one.run for one in bus.connections]):
        for one in bus.connections:
            await one.tried.wait()
        for one in bus.connections:
            if one.refused:
                raise ConfigurationError(f"bus: {one.address} refuses: {one.refused}")
        yield bus


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
