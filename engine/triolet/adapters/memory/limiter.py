"""A limiter in memory: for one node, for several in one Trio run, and for a node that is alone."""

from collections.abc import Sequence
from typing import Final, final

import trio

from ...ports.limiter import Quota

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
    ...     return await limiter.take([quota]), round(await limiter.take([quota]))
    >>> trio.run(main)
    (0.0, 2)
    """

    is_alone: Final = False

    def __init__(self) -> None:
        # When each key is full again (monotonic, s), the least recently used first.
        self._full_at: dict[str, float] = {}

    async def take(self, quotas: Sequence[Quota], cost: int = 1) -> float:
        """See `Limiter`."""
        check_cost(quotas, cost)
        await trio.lowlevel.checkpoint()
        now = trio.current_time()
        due = {one.key: max(self._full_at.get(one.key, now), now) for one in quotas}
        wait_s = max(
            (due[one.key] - now - (one.burst - cost) / one.rate for one in quotas), default=0.0
        )
        # A nanosecond of rounding is not a reason to refuse.
        if wait_s > 1e-9:
            return wait_s
        for one in quotas:
            self._full_at.pop(one.key, None)
            self._full_at[one.key] = due[one.key] + cost / one.rate
        if len(self._full_at) > _KEYS_MAX:
            self._forget(now)
        return 0.0

    def _forget(self, now: float) -> None:
        used = {key: at for key, at in self._full_at.items() if at > now}
        # A quarter at once, so that not each new key costs a look at all of them.
        spare = len(used) - _KEYS_MAX * 3 // 4
        self._full_at = dict(list(used.items())[max(0, spare) :])
