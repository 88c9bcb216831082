"""The identity service of a world: it makes real tokens, which the production gate judges."""

from typing import Final, final

from ...adapters.tokens import mint
from .chance import SkewedClock

SECRET: Final = b"the secret of a simulated world!"


@final
class Issuer:
    """Makes tokens.

    Attributes:
        clock: its wall clock.
        ttl_s: how long tokens live.
        made: how many it has made.
    """

    def __init__(self, ttl_s: float) -> None:
        self.clock = SkewedClock()
        self.ttl_s = ttl_s
        self.made = 0

    def token(self, user: str) -> str:
        """Return a fresh token."""
        self.made += 1
        return mint(SECRET, user, ttl_s=self.ttl_s, now_ms=self.clock.now_ms())
