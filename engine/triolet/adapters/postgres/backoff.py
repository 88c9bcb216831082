"""When to try to connect again: after a pause that grows, one task at a time."""

from typing import Final, final

import trio

from ..._model.errors import StoreUnavailable
from ...ports.clock import Entropy

# A server that restarts is back within a second or two; then each attempt is cheap.
_FIRST_S: Final = 0.05


@final
class Backoff:
    """Lets everybody through as long as it goes well, and one at a time once it does not."""

    def __init__(self, entropy: Entropy, *, most_s: float) -> None:
        self._entropy = entropy
        self._most_s = most_s
        self._failures = 0
        self._until = 0.0
        self._trying = 0

    @property
    def left_s(self) -> float:
        """How long to wait before the next attempt; 0: now."""
        return max(0.0, self._until - trio.current_time()) if self._failures else 0.0

    def begin(self) -> None:
        """Begin an attempt.

        Raises:
            StoreUnavailable: it is too early, or somebody else tries.
        """
        if self.left_s or (self._failures and self._trying):
            raise StoreUnavailable(
                "the database cannot be reached",
                retry_after_ms=max(1, round(1000 * (self.left_s or self._most_s))),
            )
        self._trying += 1

    def end(self) -> None:
        """An attempt that `begin` let through has ended, however it went."""
        self._trying -= 1

    def failed(self) -> None:
        """It could not connect."""
        pause_s = min(_FIRST_S * 2.0**self._failures, self._most_s)
        self._failures += 1
        self._until = trio.current_time() + self._entropy.uniform(pause_s / 2, pause_s)

    def succeeded(self) -> None:
        """It could: everybody may."""
        self._failures = 0
