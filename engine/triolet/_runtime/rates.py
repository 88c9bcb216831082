"""What one user may still ask for: commands in all, and those that cost more, by op and tier.

A tier multiplies every rate: `premium` has `premium_factor` times as much, and `service` is
exempt unless `service_factor` is set. Each node admits its part of what one would.
"""

from typing import Final, TypeAlias, final

from .._domain.rates import Bucket
from .._model.commands import (
    Command,
    Create,
    Direct,
    History,
    ListReceipts,
    ListRooms,
    Send,
    Sync,
)
from .._model.errors import ErrorCode, Refusal
from .._model.limits import Limits

Kind: TypeAlias = type[Command] | None

# What stays for ever, and what reads pages of the store.
_MAKES: Final[tuple[Kind, ...]] = (Create, Direct)
_READS: Final[tuple[Kind, ...]] = (History, ListReceipts, ListRooms, Sync)


def factor_of(tier: str, limits: Limits) -> float:
    """Return how much more a tier may ask for than others; 0: as much as it likes.

    >>> [factor_of(tier, Limits()) for tier in ("", "gold", "premium", "service")]
    [1.0, 1.0, 5, 0]
    """
    if tier == "service":
        return limits.service_factor
    return limits.premium_factor if tier == "premium" else 1.0


def require(wait_s: float) -> None:
    """Let a command pass.

    Raises:
        Refusal: `RATE_LIMITED`, if there is to wait.
    """
    if wait_s:
        raise Refusal(ErrorCode.RATE_LIMITED, retry_after_ms=int(wait_s * 1000) + 1)


@final
class UserRates:
    """The rates of one user on one node."""

    __slots__ = ("_commands", "_factor", "_limits", "_makes", "_nodes", "_reads")

    def __init__(self, limits: Limits, nodes: int) -> None:
        self._limits = limits
        self._nodes = nodes
        # Of the tier that was last asked for; a user's sessions may be of several.
        self._factor = 1.0
        self._commands = Bucket(rate=limits.commands_rate, burst=limits.commands_burst)
        self._commands.split(nodes)
        # Made when they are first needed: most users only send.
        self._makes: Bucket | None = None
        self._reads: Bucket | None = None

    def take(self, kind: Kind, factor: float, now: float) -> float:
        """Admit one command and return 0.0, or return how long to wait, s.

        Args:
            kind: which; None: it was none that can be read.
            factor: of the tier of who asks.
            now: monotonic, s.
        """
        if factor != self._factor:
            self._factor = factor
            self._split()
        if kind is Send:
            return self._commands.admit(now)
        if kind in _MAKES:
            if self._makes is None:
                limits = self._limits
                self._makes = Bucket(rate=limits.creates_rate, burst=limits.creates_burst)
                self._split()
            return self._makes.admit(now) or self._commands.admit(now)
        if kind in _READS:
            if self._reads is None:
                limits = self._limits
                self._reads = Bucket(rate=limits.pages_rate, burst=limits.pages_burst)
                self._split()
            return self._reads.admit(now) or self._commands.admit(now)
        return self._commands.admit(now)

    def share(self, nodes: int) -> None:
        """Sessions of the user are on so many nodes."""
        self._nodes = nodes
        self._split()

    def is_whole(self, now: float) -> bool:
        """Whether nothing would be gained by new ones."""
        return all(bucket.is_whole(now) for bucket in self._buckets())

    def _split(self) -> None:
        for bucket in self._buckets():
            bucket.split(self._nodes / self._factor)

    def _buckets(self) -> list[Bucket]:
        found = (self._commands, self._makes, self._reads)
        return [bucket for bucket in found if bucket is not None]
