"""Wall time and chance, so that a simulated world can supply its own."""

from typing import Protocol


class Clock(Protocol):
    """The wall clock. Deadlines never use it: they use Trio's monotonic one."""

    def now_ms(self) -> int:
        """Return integer milliseconds since the epoch."""
        ...


class Entropy(Protocol):
    """The only source of chance."""

    def token(self) -> str:
        """Return a fresh unguessable name: 22 characters of `[A-Za-z0-9_-]`, 128 bits."""
        ...

    def uniform(self, low: float, high: float) -> float:
        """Return a number between `low` and `high`, for spreading clients over a window."""
        ...
