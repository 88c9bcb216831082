"""A trial: a fault is planted on some seeds, and without it the same seeds are good."""

from functools import cache
from typing import final

from msgspec import Struct

from ..checker import Promise
from . import banning, bounding, deleting, showing, storing, telling
from .planting import FAULTS, Fault, Scene

# Importing them has registered them.
_ALL = (storing, showing, telling, deleting, banning, bounding)


@final
class Result(Struct, frozen=True):
    """What came of one fault.

    Attributes:
        name: the fault's.
        promise: the one it breaks.
        caught: in how many seeds its promise was seen broken.
        seeds: of how many.
        by: by which rules, the first ones first.
        alarms: what was found broken without the fault.
    """

    name: str
    promise: Promise
    caught: int
    seeds: int
    by: tuple[str, ...]
    alarms: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether it was caught, and nothing was found where nothing was planted."""
        return self.caught > 0 and not self.alarms


def faults() -> tuple[Fault, ...]:
    """Return all of them."""
    return tuple(FAULTS.values())


def try_fault(fault: Fault, seeds: range) -> Result:
    """Plant a fault on each seed; and see the first seed played without it."""
    caught = 0
    by: dict[str, None] = {}
    for seed in seeds:
        with fault.planted():
            found = [broken for broken in fault.scene(seed) if broken.promise is fault.promise]
        caught += bool(found)
        by.update(dict.fromkeys(broken.by for broken in found))
    return Result(
        name=fault.name,
        promise=fault.promise,
        caught=caught,
        seeds=len(seeds),
        by=tuple(by),
        alarms=_alarms(fault.scene, seeds.start),
    )


@cache
def _alarms(scene: Scene, seed: int) -> tuple[str, ...]:
    """Play a scene as it is, once: several faults are planted in the same one."""
    return tuple(broken.by for broken in scene(seed))
