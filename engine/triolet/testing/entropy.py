"""Chance that can be foretold, for suites and stages that are to be the same in each run."""

from typing import final


@final
class CountingEntropy:
    """Tokens that count: different, and the same in each run."""

    def __init__(self) -> None:
        self._count = 0

    def token(self) -> str:
        """Return the next token."""
        self._count += 1
        return f"token-{self._count:016}"

    def uniform(self, low: float, high: float) -> float:
        """Return the middle."""
        return (low + high) / 2
