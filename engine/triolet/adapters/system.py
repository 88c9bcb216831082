"""The machine's own clock and chance."""

import random
import secrets
import time
from typing import final


@final
class SystemClock:
    """The operating system's wall clock; may be called from any thread.

    >>> SystemClock().now_ms() > 1_700_000_000_000
    True
    """

    def now_ms(self) -> int:
        """Return integer milliseconds since the epoch."""
        return time.time_ns() // 1_000_000


@final
class SystemEntropy:
    """The operating system's source of randomness.

    >>> len(SystemEntropy().token())
    22
    """

    def __init__(self) -> None:
        self._random = random.SystemRandom()

    def token(self) -> str:
        """Return a fresh unguessable name: 22 characters of `[A-Za-z0-9_-]`, 128 bits."""
        return secrets.token_urlsafe(16)

    def uniform(self, low: float, high: float) -> float:
        """Return a number between `low` and `high`."""
        return self._random.uniform(low, high)
