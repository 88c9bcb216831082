"""Quotas on Redis: one step of Lua a call; a node bounds alone while Redis is gone."""

import hashlib
import logging
import zlib
from collections.abc import Sequence
from typing import Final, final

import trio

from ..._model.limits import Limits
from ...ports.clock import Entropy
from ...ports.limiter import Quota, Taken
from ..memory.limiter import MemoryLimiter, check_cost
from .address import Address
from .link import Command, LinkLost, Refused
from .server import Server

logger = logging.getLogger(__name__)

# The generic cell rate algorithm, by the clock of Redis: see `_domain.rates`. A key is when its
# quota is full again, and gone then. Microseconds since the epoch fit a double.
# KEYS: quotas. ARGV: cost, then the rate and the burst of each. The answer: the wait, and when
# each is full.
_TAKE: Final = b"""
local time = redis.call('TIME')
local now, cost, wait, due = time[1] * 1000000 + time[2], tonumber(ARGV[1]), 0, {}
local needed, taken, answer = math.max(cost, 1), 0, {0}
for i = 1, #KEYS do
  local interval, burst = 1000000 / ARGV[2 * i], tonumber(ARGV[2 * i + 1])
  local at = math.max(tonumber(redis.call('GET', KEYS[i]) or 0), now)
  wait = math.max(wait, at - now - (burst - needed) * interval)
  due[i] = at
end
if wait < 1 then taken = cost else answer[1] = math.ceil(wait) end
for i = 1, #KEYS do
  if taken > 0 then
    due[i] = due[i] + taken * 1000000 / ARGV[2 * i]
    local left = math.ceil((due[i] - now) / 1000)
    redis.call('SET', KEYS[i], string.format('%.0f', due[i]), 'PX', left)
  end
  answer[i + 1] = math.ceil(due[i] - now)
end
return answer
"""
# Redis names scripts so; nothing secret depends on it.
_DIGEST: Final = hashlib.sha1(_TAKE, usedforsecurity=False).hexdigest().encode()


@final
class RedisLimiter:
    """See `ports.limiter`. `opening.open_redis_limiter` makes it.

    Args:
        addresses: the servers, in the same order for all nodes; the first quota of a call says
            which one is asked.
        entropy: names the connections, and spreads the attempts to connect.
        limits: how long is waited for an answer.

    Attributes:
        is_alone: see `Limiter`.
    """

    def __init__(self, addresses: Sequence[Address], entropy: Entropy, limits: Limits) -> None:
        name = f"triolet-{entropy.token()}-limits"
        self.connections = [Server(address, entropy, limits, name=name) for address in addresses]
        self._timeout_s = limits.limiter_timeout_s
        self._local = MemoryLimiter()
        self.is_alone = False

    async def take(self, quotas: Sequence[Quota], cost: int = 1) -> Taken:
        """See `Limiter`."""
        check_cost(quotas, cost)
        if not quotas:
            await trio.lowlevel.checkpoint()
            return Taken(0.0)
        server = self._server(quotas[0].key)
        reason: object = "no answer in time"
        with trio.move_on_after(self._timeout_s):
            try:
                taken = await _ask(server, quotas, cost)
            except (LinkLost, Refused) as error:
                reason = error
            else:
                self._together()
                return taken
        self._alone(reason)
        return await self._local.take(quotas, cost)

    def take_now(self, quotas: Sequence[Quota], cost: int = 1) -> Taken | None:
        """See `Limiter`: Redis has to be waited for."""
        check_cost(quotas, cost)
        return None if quotas else Taken(0.0)

    async def refill(self, keys: Sequence[str]) -> None:
        """See `Limiter`; where Redis is gone, what it remembers goes by itself."""
        await self._local.refill(keys)
        with trio.move_on_after(self._timeout_s):
            for key in keys:
                # Of several, the first one's server was asked: which that was is not known.
                for server in self.connections:
                    try:
                        await server.call((b"DEL", f"{server.address.prefix}:quota:{key}"))
                    except (LinkLost, Refused) as error:
                        self._alone(error)

    def _server(self, key: str) -> Server:
        return self.connections[zlib.crc32(key.encode()) % len(self.connections)]

    def _together(self) -> None:
        if self.is_alone:
            self.is_alone = False
            logger.warning("rates are shared with other nodes again")

    def _alone(self, reason: object) -> None:
        if not self.is_alone:
            self.is_alone = True
            logger.warning("rates are not shared, and each node bounds alone: %s", reason)


async def _ask(server: Server, quotas: Sequence[Quota], cost: int) -> Taken:
    """Take, or do not.

    Raises:
        LinkLost: it may have been taken.
        Refused: what Redis says against it.
    """
    prefix = server.address.prefix
    rates = [number for one in quotas for number in (one.rate, one.burst)]
    rest: Command = (len(quotas), *(f"{prefix}:quota:{one.key}" for one in quotas), cost, *rates)
    try:
        (reply,) = await server.call((b"EVALSHA", _DIGEST, *rest))
    except Refused as refused:
        if not str(refused).startswith("NOSCRIPT"):
            raise
        # It has started again, and has forgotten it.
        (reply,) = await server.call((b"EVAL", _TAKE, *rest))
    assert isinstance(reply, list)
    wait, *full = [number for number in reply if isinstance(number, int)]
    return Taken(wait / 1e6, tuple([number / 1e6 for number in full]))
