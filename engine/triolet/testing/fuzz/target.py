"""What a target is to a campaign."""

from collections.abc import Sequence
from random import Random
from typing import ClassVar, Protocol


class Target(Protocol):
    """Invents inputs, and judges what the engine makes of them.

    Attributes:
        name: what the command line calls it.
        unit: what `judge` counts: `frames`, `messages`, `heads`.
        batch: how many inputs are judged together, where that is what makes it fast.
    """

    name: ClassVar[str]
    unit: ClassVar[str]
    batch: ClassVar[int]

    def invent(self, chance: Random) -> bytes:
        """Return an input, which `chance` alone decides."""
        ...

    def judge(self, inputs: Sequence[bytes]) -> int:
        """Feed the engine the inputs; return how many units of them it has read.

        Raises:
            Violation: it did something that it must not do; any other exception is one, too.
        """
        ...
