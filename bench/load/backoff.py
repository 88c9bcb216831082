"""When a client comes back: exponential backoff with full jitter, as the protocol demands.

The numbers are those of Triolet's own client; every peer's clients come back by them.
"""

import random
from typing import Final

_BASE_S: Final = 0.5
_FACTOR: Final = 2
_CEILING_S: Final = 30
_EXPONENT_MAX: Final = 16


def ceiling_s(attempt: int) -> float:
    """Return the most to wait before an attempt, from 0.

    >>> [ceiling_s(attempt) for attempt in (0, 1, 2, 9)]
    [0.5, 1.0, 2.0, 30]
    """
    return min(_CEILING_S, _BASE_S * _FACTOR ** min(attempt, _EXPONENT_MAX))


def delay_s(attempt: int, chance: random.Random, hint_s: float = 0.0) -> float:
    """Return how long to wait before an attempt; never less than the server asked for."""
    return hint_s + chance.uniform(0, ceiling_s(attempt))
