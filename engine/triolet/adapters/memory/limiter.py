"""A limiter in memory: for one node, for several in one Trio run, and for a node that is alone."""

from collections.abc import Sequence
from typing import Final, final

import trio

from ...ports.limiter import Quota, Taken

# Beyond it what is full again is forgotten: a login page under attack sees many names.
_KEYS_MAX: Final = 10_000


def check_cost(quotas: Sequence[Quota], cost: int) -> None:
    """Refuse what would never be admitted.

    Raises:
        ValueError: a quota's burst is less than `cost`.
    """
    for quota in quotas:
        if cost > quota.burst:
            raise ValueError(f"{quota.key}: a burst of {quota.burst} never admits {cost}")


@final
class MemoryLimiter:
    """See `ports.limiter`. Nodes that share it share its quotas.

    Of more than `_KEYS_MAX` keys that are in use at once, it forgets the oldest quarter.

    >>> limiter = MemoryLimiter()
    >>> async def main():
    ...     quota = Quota("login:anna", rate=0.5, burst=1)
    ...     taken, refused = await limiter.take([quota]), await limiter.take([quota])
    ...     return taken.wait_s, round(refused.wait_s), round(refused.full_in_s[0])
    >>> trio.run(main)
    (0.0, 2, 2)
    """

    is_alone: Final = False

    def __init__(self) -> None:
        # When each key is full again (monotonic, s), the least recently used first.
        self._full_at: dict[str, float] = {}

    async def take(self, quotas: Sequence[Quota], cost: int = 1) -> Taken:
        """See `Limiter`."""
        check_cost(quotas, cost)
        await trio.lowlevel.checkpoint()
        return self.take_now(quotas, cost)

    def take_now(self, quotas: Sequence[Quota], cost: int = 1) -> Taken:
        """See `Limiter`."""
        check_cost(quotas, cost)
        now = trio.current_time()
        full_at = self._full_at
        due = [max(full_at.get(one.key, now), now) for one in quotas]
        needed = cost or 1
        wait_s = 0.0
        for one, at in zip(quotas, due, strict=True):
            wait_s = max(wait_s, at - now - (one.burst - needed) / one.rate)
        # A nanosecond of rounding is not a reason to refuse.
        if wait_s > 1e-9 or not cost:
            return Taken(wait_s if wait_s > 1e-9 else 0.0, tuple([at - now for at in due]))
        full_in_s = []
        for one, at in zip(quotas, due, strict=True):
            full_at.pop(one.key, None)
            full_at[one.key] = at + cost / one.rate
            full_in_s.append(full_at[one.key] - now)
        if len(full_at) > _KEYS_MAX:
            self._forget(now)
        return Taken(0.0, tuple(full_in_s))

    async def refill(self, keys: Sequence[str]) -> None:
        """See `Limiter`."""
        await trio.lowlevel.checkpoint()
        for key in keys:
            self._full_at.pop(key, None)

    def _forget(self, now: float) -> None:
        used = {key: at for key, at in self._full_at.items() if at > now}
        # A quarter at once, so that not each new key costs a look at all of them.
        spare = len(used) - _KEYS_MAX * 3 // 4
        self._full_at = dict(list(used.items())[max(0, spare) :])
