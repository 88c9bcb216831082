"""The limiter: rates that the nodes of one deployment keep together.

It is for what is rare and worth a round trip: logins, password resets, endpoints of HTTP. What
comes with each message is bounded on each node, by what the node knows without asking.

What every adapter promises, and `triolet.testing.contracts` proves:

- *Together.* However many nodes take at once, a quota admits `burst` at once and `rate` a
  second, and no more.
- *All or nothing.* Of several quotas, each is taken from, or none.
- *Always.* It never fails. Where what is shared cannot be reached, a node bounds alone by the
  same quotas, and `is_alone` tells: n nodes admit up to n times as much then.
- *Forgetful.* What is not used is forgotten when it is full again; nothing is kept on disk.
"""

from collections.abc import Sequence
from typing import Protocol, final

from msgspec import Struct


@final
class Quota(Struct, frozen=True):
    """One rate of one key.

    Attributes:
        key: whose, and for what: `login:anna`. One key has one rate and burst.
        rate: how many a second.
        burst: how many at once, after a silence.
    """

    key: str
    rate: float
    burst: int


@final
class Taken(Struct, frozen=True):
    """What became of a call.

    Attributes:
        wait_s: 0.0: it was taken; else how long to wait, until the same is admitted, unless
            others take meanwhile.
        full_in_s: when each quota is as after a silence, in their order, s.
    """

    wait_s: float
    full_in_s: tuple[float, ...] = ()


def left_of(quota: Quota, full_in_s: float) -> int:
    """Return how many a quota admits now, if it is full so soon.

    >>> [left_of(Quota("k", rate=2, burst=10), full_in_s) for full_in_s in (0.0, 0.7, 5.0, 9.0)]
    [10, 8, 0, 0]
    """
    # A microsecond is what an adapter may round to.
    return max(0, int(quota.burst - full_in_s * quota.rate + 1e-6 * quota.rate))


class Limiter(Protocol):
    """See the module."""

    @property
    def is_alone(self) -> bool:
        """Whether this node bounded alone when it was last asked."""
        ...

    async def take(self, quotas: Sequence[Quota], cost: int = 1) -> Taken:
        """Take from each quota, or from none.

        Args:
            quotas: of different keys.
            cost: how many; 0: nothing is taken, and it is told whether one would be.

        Raises:
            ValueError: a quota's burst is less than `cost`: that is never admitted.
        """
        ...

    def take_now(self, quotas: Sequence[Quota], cost: int = 1) -> Taken | None:
        """Do what `take` does, if nothing has to be waited for; else do nothing: None."""
        ...

    async def refill(self, keys: Sequence[str]) -> None:
        """Have quotas be as after a silence."""
        ...
