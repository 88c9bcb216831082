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


class Limiter(Protocol):
    """See the module."""

    @property
    def is_alone(self) -> bool:
        """Whether this node bounded alone when it was last asked."""
        ...

    async def take(self, quotas: Sequence[Quota], cost: int = 1) -> float:
        """Take from each quota and return 0.0, or from none and return how long to wait, s.

        After that wait the same is admitted, unless others took meanwhile.

        Raises:
            ValueError: a quota's burst is less than `cost`: that is never admitted.
        """
        ...
