"""Chance and wall time of a world: all of it from one seed, and from nothing else."""

import base64
import random
from typing import Final, final

import trio

# Midnight of the day on which every world begins, ms.
_BEGINNING_MS: Final = 1_767_225_600_000


def moment_s(now_ms: int) -> float:
    """Return when a right clock shows a time, s since the beginning.

    >>> moment_s(1_767_225_601_500)
    1.5
    """
    return (now_ms - _BEGINNING_MS) / 1000


@final
class SeededEntropy:
    """The port `Entropy`, from a seed and the name of who asks.

    Everybody has a source of their own, so that one more draw here changes nothing there.

    >>> SeededEntropy(1, "anna").token() == SeededEntropy(1, "anna").token()
    True
    """

    def __init__(self, seed: int, name: str) -> None:
        # Strings are hashed by SHA-512 here, whatever PYTHONHASHSEED says.
        self.random = random.Random(f"{seed}/{name}")  # noqa: S311 - it shall repeat itself

    def token(self) -> str:
        """Return a name: 22 characters of `[A-Za-z0-9_-]`."""
        return base64.urlsafe_b64encode(self.random.randbytes(16))[:22].decode("ascii")

    def uniform(self, low: float, high: float) -> float:
        """Return a number between `low` and `high`."""
        return self.random.uniform(low, high)


@final
class SkewedClock:
    """A wall clock that may be wrong, by a constant that verbs change.

    Attributes:
        skew_ms: how far it is ahead of the truth.
    """

    def __init__(self) -> None:
        self.skew_ms = 0

    def now_ms(self) -> int:
        """Return integer milliseconds since the epoch, as this clock sees it."""
        return _BEGINNING_MS + round(trio.current_time() * 1000) + self.skew_ms
