"""When to come back: exponential backoff with full jitter, and the server's word above it."""

from typing import Final, final

import msgspec
from msgspec import Struct

from ..ports.clock import Entropy

# 2^64 times anything is beyond every ceiling; floats overflow at 2^1024.
_EXPONENT_MAX: Final = 64


@final
class Backoff(Struct, frozen=True, kw_only=True):
    """How long to wait before attempt 0, 1, 2 …

    Full jitter (a uniform draw from nothing to the ceiling) spreads a herd best:
    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/

    Attributes:
        base_s: the ceiling of attempt 0.
        factor: the ceiling's growth with each attempt.
        ceiling_s: the greatest ceiling.
        stable_s: a connection that lived so long starts the count again.
        hint_s_max: the longest `retry_after_ms` that is believed.
    """

    base_s: float = 0.5
    factor: float = 2
    ceiling_s: float = 30
    stable_s: float = 10
    hint_s_max: float = 300

    def limit_s(self, attempt: int) -> float:
        """Return the most to wait before `attempt` (from 0), in seconds.

        >>> [Backoff().limit_s(attempt) for attempt in (0, 1, 2, 9)]
        [0.5, 1.0, 2.0, 30]
        """
        return min(self.ceiling_s, self.base_s * self.factor ** min(attempt, _EXPONENT_MAX))

    def delay_s(self, attempt: int, entropy: Entropy, *, hint_s: float = 0) -> float:
        """Return how long to wait before `attempt`, in seconds.

        Args:
            attempt: how many have failed in a row.
            entropy: the only source of chance.
            hint_s: the server's `retry_after_ms`, in seconds: never come back sooner,
                and jitter above it, for many may have been told the same.
        """
        hint_s = min(max(hint_s, 0), self.hint_s_max)
        return hint_s + entropy.uniform(0, self.limit_s(attempt))


@final
class _Hint(Struct):
    retry_after_ms: float = 0


_decode_hint = msgspec.json.Decoder(_Hint).decode


def hint_s_of(reason: str) -> float:
    """Return the `retry_after_ms` of a close reason in seconds, 0 when it has none.

    >>> hint_s_of('{"retry_after_ms": 1500}'), hint_s_of("bye")
    (1.5, 0.0)
    """
    try:
        return _decode_hint(reason).retry_after_ms / 1000
    except msgspec.DecodeError:
        # Only some closes carry JSON; any other reason is text for people.
        return 0.0
