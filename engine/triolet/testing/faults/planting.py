"""What a planted fault is, and how it is planted: by functions that are others for a while."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeAlias, final

from msgspec import Struct

from ..checker import Promise

Function: TypeAlias = Callable[..., Any]
# Plays something from a seed, and returns which promises it saw broken, each with how.
Scene: TypeAlias = Callable[[int], "list[Broken]"]


@final
class Broken(Struct, frozen=True):
    """A promise that was seen broken, and by which rule or law that was noticed."""

    promise: Promise
    by: str


@final
class Swap(Struct, frozen=True):
    """A function that is another one: `owner.name` becomes `make(original)`."""

    owner: object
    name: str
    make: Callable[[Function], Function]


@final
class Fault(Struct, frozen=True):
    """One way to break the engine.

    Attributes:
        name: of the fault.
        story: what is broken, in a sentence.
        promise: which promise that breaks.
        scene: what is played meanwhile.
        swaps: what is changed.
    """

    name: str
    story: str
    promise: Promise
    scene: Scene
    swaps: tuple[Swap, ...]

    @contextmanager
    def planted(self) -> Iterator[None]:
        """Have the engine broken for as long as the block lasts."""
        originals = [(swap, getattr(swap.owner, swap.name)) for swap in self.swaps]
        try:
            for swap, original in originals:
                setattr(swap.owner, swap.name, swap.make(original))
            yield
        finally:
            for swap, original in originals:
                setattr(swap.owner, swap.name, original)


FAULTS: Final[dict[str, Fault]] = {}


def fault(
    promise: Promise, scene: Scene
) -> Callable[[Callable[[], Iterable[Swap]]], Callable[[], Iterable[Swap]]]:
    """Register a fault: what the decorated function returns is changed."""

    def register(swaps: Callable[[], Iterable[Swap]]) -> Callable[[], Iterable[Swap]]:
        name = swaps.__name__.strip("_")
        story = (swaps.__doc__ or "").strip()
        FAULTS[name] = Fault(name, story, promise, scene, tuple(swaps()))
        return swaps

    return register
